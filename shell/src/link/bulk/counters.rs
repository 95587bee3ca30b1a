//! What went over a bulk connection so far, for progress displays: written by one thread, read by any, without locks.

use std::sync::atomic::{AtomicU64, Ordering};

/// Running totals. They only grow, save [`Progress::remaining`].
#[derive(Debug, Default)]
pub struct Counters {
    bytes: AtomicU64,
    pages: AtomicU64,
    zero_pages: AtomicU64,
    chunks: AtomicU64,
    rounds: AtomicU64,
    remaining: AtomicU64,
}

/// [`Counters`] at one moment; the fields may be a chunk apart from each other.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes on the wire, headers included.
    pub bytes: u64,
    /// Pages sent with their contents.
    pub pages: u64,
    /// Pages named as zero instead.
    pub zero_pages: u64,
    /// Chunks, torn ones included.
    pub chunks: u64,
    /// Passes over the dirty set that ended.
    pub rounds: u64,
    /// Source: pages that were dirty when the pass under way began (or the last one ended) and are not sent yet.
    pub remaining: u64,
}

impl Progress {
    /// Bytes a second since `earlier`, which was taken `elapsed` before; 0 for no time at all.
    #[must_use]
    pub fn rate_since(&self, earlier: &Progress, elapsed: std::time::Duration) -> u64 {
        let bytes = u128::from(self.bytes.saturating_sub(earlier.bytes));
        (bytes * 1_000_000_000).checked_div(elapsed.as_nanos()).map_or(0, |rate| rate as u64)
    }
}

impl Counters {
    /// The totals now.
    pub fn snapshot(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            bytes: read(&self.bytes),
            pages: read(&self.pages),
            zero_pages: read(&self.zero_pages),
            chunks: read(&self.chunks),
            rounds: read(&self.rounds),
            remaining: read(&self.remaining),
        }
    }

    pub(super) fn add_chunk(&self, bytes: u64, pages: u64, zero_pages: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.pages.fetch_add(pages, Ordering::Relaxed);
        self.zero_pages.fetch_add(zero_pages, Ordering::Relaxed);
        self.chunks.fetch_add(1, Ordering::Relaxed);
        let done = pages + zero_pages;
        // Only the thread that calls this ever changes it.
        let left = self.remaining.load(Ordering::Relaxed).saturating_sub(done);
        self.remaining.store(left, Ordering::Relaxed);
    }

    pub(super) fn add_round(&self) {
        self.rounds.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_remaining(&self, pages: u64) {
        self.remaining.store(pages, Ordering::Relaxed);
    }
}
