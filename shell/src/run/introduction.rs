//! What a source's process says of its guest when it introduces itself.

use serde::{Deserialize, Serialize};

use crate::guest::kvm::GuestDescriptor;

/// The descriptor that travels in the preamble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Introduction {
    /// The guest's name, the same on both sides: for heartbeats.
    pub name: u64,
    /// H of this run, for the destination's record, in nanoseconds.
    pub hard_limit_ns: u64,
    /// Whether everything is to be hashed while the guest stands still.
    pub verify: bool,
    /// The guest.
    pub kvm: GuestDescriptor,
}

impl Introduction {
    /// Its bytes.
    ///
    /// # Errors
    /// It cannot be encoded, which plain data always can.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_extend(self, Vec::new())
    }

    /// Reads it.
    ///
    /// # Errors
    /// The bytes are something else: said for the source's operator.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match postcard::take_from_bytes(bytes) {
            Ok((introduction, [])) => Ok(introduction),
            Ok(_) | Err(_) => {
                Err("the guest's description is of another version; run the same version on both hosts"
                    .into())
            }
        }
    }
}
