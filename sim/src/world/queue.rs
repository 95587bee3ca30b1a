//! What will happen, in order: by true time, then in the order in which it was decided.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use switchover_core::port::Side;

/// Something that will happen.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Happening {
    /// The operator wants the guest moved.
    Begin,
    /// A job of a host's ends, unless it was taken back: then its token is another.
    Ends { side: Side, slot: u8, token: u32 },
    /// A job that waits for the bulk connection to take its bytes ends; `stood` is how long that had stood still when it
    /// began.
    Handed { slot: u8, token: u32, stood: u64 },
    /// A control message arrives: its place among those under way.
    Letter(u32),
    /// The next piece on the bulk connection arrives.
    Piece { wire: u32, stood: u64 },
    /// A host hears that its link is down, unless it has a newer one, or is another process.
    Down { side: Side, wire: u32, life: u32 },
    /// A process is started again.
    Restart(Side),
    /// A host's processor is taken away.
    Stolen(Side),
    /// A fault begins.
    Fault(u8),
    /// The operator cancels.
    Cancel(Side),
    /// A partition is over: what lost bytes is broken.
    Mended,
    /// Faults that would go on for ever are lifted.
    Calm,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct Entry {
    at: u64,
    sequence: u64,
    what: Happening,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The earliest is the greatest: the heap gives the greatest first.
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

impl Queue {
    /// Forgets everything and keeps the room.
    pub(super) fn clear(&mut self) {
        self.heap.clear();
        self.sequence = 0;
    }

    /// `what` will happen at true time `at`.
    pub(super) fn push(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        self.heap.push(Entry { at, sequence: self.sequence, what });
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|entry| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<Happening> {
        self.heap.pop().map(|entry| entry.what)
    }
}
