//! What the source's memory port asks of the sender's thread, in one word, so that asking never waits.

use switchover_core::event::Pass;

/// One request. The newest is all there is: a port asks for the next when the last is answered, or was given up.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A pre-copy round.
    Round {
        /// The attempt's counter.
        attempt: u32,
        /// Of everything, with a new chain.
        fresh: bool,
    },
    /// The pages of the stop-copy.
    LastPages,
    /// A hash of all memory and the vCPU states of this attempt.
    Hash,
    /// Stop logging, and destroy the contents of memory.
    Release,
}

/// What came of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A round or the last pages are on the wire.
    Pass(Pass),
    /// The hash.
    Hash((u64, u64)),
    /// Memory is destroyed.
    Released,
    /// It could not be done; the handle knows why.
    Failed,
}

/// A request with its number and the epoch it belongs to; each [`keep`](crate::memory::SourceMemory) ends one epoch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) request: Request,
    pub(super) number: u16,
    pub(super) epoch: u16,
}

impl Ticket {
    /// `attempt: 32 | number: 16 | epoch: 12 | kind: 4`. Epochs are only compared with the current one, and a thread
    /// that lies 4096 aborts behind is not to be had.
    pub(super) fn pack(self) -> u64 {
        let (kind, attempt) = match self.request {
            Request::Round { attempt, fresh: false } => (1, attempt),
            Request::Round { attempt, fresh: true } => (2, attempt),
            Request::LastPages => (3, 0),
            Request::Hash => (4, 0),
            Request::Release => (5, 0),
        };
        u64::from(attempt) << 32
            | u64::from(self.number) << 16
            | u64::from(self.epoch & EPOCH_MASK) << 4
            | kind
    }

    /// `None` for the word of no request at all.
    pub(super) fn unpack(word: u64) -> Option<Self> {
        let attempt = (word >> 32) as u32;
        let request = match word & 0xf {
            1 => Request::Round { attempt, fresh: false },
            2 => Request::Round { attempt, fresh: true },
            3 => Request::LastPages,
            4 => Request::Hash,
            5 => Request::Release,
            _ => return None,
        };
        Some(Self { request, number: (word >> 16) as u16, epoch: (word >> 4) as u16 & EPOCH_MASK })
    }
}

/// The bits of an epoch that a [`Ticket`] holds.
pub(super) const EPOCH_MASK: u16 = 0xfff;
