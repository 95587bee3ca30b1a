//! Who is who: journals, incarnations, attempts, guests.
//!
//! A number that is compared must never repeat: an attempt is named by the source
//! journal's random identity and a counter that is durable before the attempt is
//! announced (\[SW-1\]), so neither a restart nor a replaced journal reuses a name.

use serde::{Deserialize, Serialize};

/// The random identity of one journal, drawn when the journal is made.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct JournalId(pub u64);

/// One run of a destination: a random nonce drawn at each start, echoed in every message.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// One try at switching over.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AttemptId {
    /// The source's journal.
    pub journal: JournalId,
    /// Counts up within that journal; the first attempt is 1.
    pub counter: u32,
}

/// The guest that a destination's record speaks of: a process, a VM's UUID. A record
/// that names another instance than the one at hand speaks of a guest that is gone.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct GuestInstance(pub u64);

/// The arbiter and key both sides must have agreed on; compared, never interpreted.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct ArbiterKey(pub u64);
