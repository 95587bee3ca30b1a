//! What the destination's memory port and the receiver's thread share of one connection.

use std::sync::atomic::{AtomicU64, Ordering};

use switchover_core::digest::Digest;

use super::connection::Broken;
use super::loop_lock::LoopLock;
use crate::wake::Wake;

/// Which attempt's chunks are awaited.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// Counts expectations; 0 is none.
    pub(crate) serial: u64,
    /// The attempt's counter; no attempt has 0.
    pub(crate) attempt: u32,
    /// Its first chunk begins the chain anew.
    pub(crate) fresh: bool,
}

/// How far things have come.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    /// Whole chunks since the connection opened.
    pub(crate) chunks: u64,
    /// Of all that is here, if the last chunk turns out not to be torn.
    pub(crate) digest: Digest,
    /// The expectation whose first chunk has come.
    pub(crate) begun: u64,
    /// Why no more will come.
    pub(crate) broken: Option<Broken>,
}

/// One connection. A new one has a new intake, so that nothing said of the old one is taken for it.
pub(crate) struct Intake {
    /// Chunks up to this number may touch memory. Closed until an attempt is expected, and after its seal: nothing
    /// may write into a guest that runs.
    gate: AtomicU64,
    /// Number of the chunk that is, or was last, let through.
    begun: AtomicU64,
    /// `serial << 33 | fresh << 32 | attempt`.
    expected: AtomicU64,
    /// The loop is woken once so many chunks are here.
    awaited: AtomicU64,
    arrived: LoopLock<Arrived>,
    wake: Wake,
}

impl Intake {
    pub(super) fn new(wake: Wake) -> Self {
        let arrived = Arrived { chunks: 0, digest: Digest::EMPTY, begun: 0, broken: None };
        Self {
            gate: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            awaited: AtomicU64::new(u64::MAX),
            arrived: LoopLock::new(arrived, wake.clone()),
            wake,
        }
    }

    // The port's side.

    pub(crate) fn expect(&self, expectation: Expectation) {
        let word =
            expectation.serial << 33 | u64::from(expectation.fresh) << 32 | u64::from(expectation.attempt);
        self.expected.store(word, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.gate.store(u64::MAX, Ordering::SeqCst);
    }

    /// Lets no chunk after number `chunks` touch memory; false if one has been let through already.
    pub(crate) fn close_after(&self, chunks: u64) -> bool {
        self.gate.store(chunks, Ordering::SeqCst);
        // The thread announces a chunk before it looks at the gate: either it sees the gate, or it is seen here.
        self.begun.load(Ordering::SeqCst) <= chunks
    }

    /// How far things have come; the loop is woken once `chunks` are here. `None`: cannot be read just now.
    pub(crate) fn arrived(&self, chunks: u64) -> Option<Arrived> {
        self.awaited.store(chunks, Ordering::SeqCst);
        let seen = self.arrived.try_with(|arrived, _| arrived.clone());
        if seen.as_ref().is_some_and(|arrived| arrived.chunks >= chunks) {
            // Nothing is awaited any more: the next chunk is no reason to wake the loop.
            let _ = self.awaited.compare_exchange(chunks, u64::MAX, Ordering::SeqCst, Ordering::SeqCst);
        }
        seen
    }

    /// As [`Intake::broken`], for the loop: `None` also when it cannot be read just now, and then the loop is woken.
    pub(crate) fn try_broken(&self) -> Option<Broken> {
        self.arrived.try_with(|arrived, _| arrived.broken.clone())?
    }

    /// Why no more will come. Does not wait: while the thread is writing the answer there is none, and the loop is
    /// woken after it.
    pub(crate) fn broken(&self) -> Option<Broken> {
        self.arrived.try_with(|arrived, _| arrived.broken.clone())?
    }

    // The thread's side.

    pub(super) fn expected(&self) -> Expectation {
        let word = self.expected.load(Ordering::SeqCst);
        Expectation { serial: word >> 33, fresh: word >> 32 & 1 == 1, attempt: word as u32 }
    }

    /// Whether chunk number `number` may touch memory.
    pub(super) fn admits(&self, number: u64) -> bool {
        self.begun.store(number, Ordering::SeqCst);
        let admitted = number <= self.gate.load(Ordering::SeqCst);
        if !admitted {
            self.begun.store(number - 1, Ordering::SeqCst);
        }
        admitted
    }

    pub(super) fn note(&self, chunks: u64, digest: Digest, begun: u64) {
        self.arrived.with(|arrived| {
            arrived.chunks = chunks;
            arrived.digest = digest;
            arrived.begun = begun;
        });
        // After the store: a port that asked before it is woken, one that asks now sees it.
        let awaited = self.awaited.load(Ordering::SeqCst);
        if chunks >= awaited {
            // Once is enough; a port that is still not content asks again.
            let _ = self.awaited.compare_exchange(awaited, u64::MAX, Ordering::SeqCst, Ordering::SeqCst);
            self.wake.wake();
        }
    }

    pub(super) fn note_broken(&self, why: Broken) {
        self.arrived.with(|arrived| arrived.broken = Some(why));
        self.wake.wake();
    }
}
