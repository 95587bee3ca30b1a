//! Versions: the source offers a range, the destination chooses.

use serde::{Deserialize, Serialize};

use crate::limits::{VERSION, VERSION_OLDEST};

/// The versions that one side speaks.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// The oldest.
    pub oldest: u16,
    /// The newest.
    pub newest: u16,
}

impl Offer {
    /// What this build speaks.
    pub const OURS: Self = Self { oldest: VERSION_OLDEST, newest: VERSION };

    /// The newest version both speak, if any.
    // [SW-77]
    pub const fn choose(self, other: Self) -> Option<u16> {
        let newest = if self.newest <= other.newest { self.newest } else { other.newest };
        let oldest = if self.oldest >= other.oldest { self.oldest } else { other.oldest };
        if oldest <= newest { Some(newest) } else { None }
    }
}
