//! A dirty log for whoever writes guest memory itself: an emulator's vCPUs, or a device model beside KVM's log.
//!
//! Exact if every write is marked *after* it was made, and before its writer counts as stopped: a mark that is collected
//! between mark and write would be gone when the write comes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Bitmap, DirtySource};
use crate::guest::memory::{GuestMemory, PAGE};

/// A bit for each page, set by whoever wrote it; clones share them. It is on from the beginning, and always.
#[derive(Clone, Debug)]
pub struct PageMarks(Arc<[AtomicU64]>);

impl PageMarks {
    /// Marks for all pages of `memory`, none set.
    pub fn new(memory: &GuestMemory) -> Self {
        Self((0..memory.pages().div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// The page that the byte at this offset is in has been written. Offsets outside memory mark nothing.
    pub fn mark(&self, at: u64) {
        let page = at / PAGE as u64;
        if let Some(word) = usize::try_from(page / 64).ok().and_then(|word| self.0.get(word)) {
            // The write comes before the mark for whoever sees the mark.
            word.fetch_or(1 << (page % 64), Ordering::Release);
        }
    }
}

impl DirtySource for PageMarks {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn collect(&mut self, into: &mut Bitmap) -> io::Result<()> {
        let words: Vec<u64> = self.0.iter().map(|word| word.swap(0, Ordering::Acquire)).collect();
        into.union_words(&words);
        Ok(())
    }

    fn stop(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_marked_is_collected_once() {
        let memory = GuestMemory::new(300 * PAGE as u64).unwrap();
        let (mut marks, mut pages) = (PageMarks::new(&memory), Bitmap::new(300));
        marks.start().unwrap();
        marks.mark(0);
        marks.clone().mark(299 * PAGE as u64 + 4095);
        marks.mark(u64::MAX);
        marks.collect(&mut pages).unwrap();
        assert_eq!((pages.count(), pages.get(0), pages.get(299)), (2, true, true));
        pages.clear_all();
        marks.collect(&mut pages).unwrap();
        assert!(pages.is_empty());
    }
}
