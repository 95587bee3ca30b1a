//! Where the guest is, for other threads to read without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use switchover_core::{destination, source};

use crate::words;

words! {
    /// Where the guest is, as one side knows it.
    Standing, "a standing" {
        /// It runs on this side, and nothing is under way.
        Runs = "runs",
        /// It runs on the source while an attempt is under way, or the next one waits for its time.
        Migrating = "migrating",
        /// It is stopped on the source, and runs again on one side by the hard limit.
        Stopped = "stopped",
        /// It is stopped on the source; where it runs is not known.
        InDoubt = "in_doubt",
        /// It is stopped on the source, and gone on the destination.
        Held = "held",
        /// It runs on the destination; the source's copy is gone.
        Moved = "moved",
        /// A destination without a guest.
        Waits = "waits",
        /// A destination that an attempt is being loaded on.
        Loading = "loading",
        /// A destination that decides.
        Deciding = "deciding",
        /// A destination that was to run it, and lost it.
        Lost = "lost",
    }
}

impl From<source::Standing> for Standing {
    fn from(standing: source::Standing) -> Self {
        match standing {
            source::Standing::Rests => Standing::Runs,
            source::Standing::Waits | source::Standing::Migrating => Standing::Migrating,
            source::Standing::Stopped => Standing::Stopped,
            source::Standing::InDoubt => Standing::InDoubt,
            source::Standing::Held => Standing::Held,
            source::Standing::Moved => Standing::Moved,
        }
    }
}

impl From<destination::Standing> for Standing {
    fn from(standing: destination::Standing) -> Self {
        match standing {
            destination::Standing::Waits => Standing::Waits,
            destination::Standing::Loading => Standing::Loading,
            destination::Standing::Deciding => Standing::Deciding,
            destination::Standing::Runs => Standing::Runs,
            destination::Standing::Lost => Standing::Lost,
        }
    }
}

/// The present standing.
#[derive(Debug, Clone)]
pub struct StandingCell(Arc<AtomicU8>);

impl StandingCell {
    /// A cell that begins so.
    #[must_use]
    pub fn new(standing: Standing) -> Self {
        StandingCell(Arc::new(AtomicU8::new(standing as u8)))
    }

    /// What it is now.
    #[must_use]
    pub fn get(&self) -> Standing {
        let index = usize::from(self.0.load(Ordering::SeqCst));
        Standing::ALL.get(index).copied().unwrap_or(Standing::Runs)
    }

    pub(super) fn set(&self, standing: impl Into<Standing>) {
        self.0.store(standing.into() as u8, Ordering::SeqCst);
    }
}
