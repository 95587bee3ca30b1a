//! KVM's dirty bitmap of a guest's memory slot.
//!
//! Exact because KVM sets a page's bit no later than the write becomes visible, and because the log is read after the
//! vCPUs have left the guest. Writes by this *process* (not through a vCPU) are not logged: whoever makes them, owes
//! them.
//!
//! Where KVM lets the log be cleared by hand, reading and clearing are two steps. The last read, with the guest
//! stopped, then needs no second one: it copies bits and protects no pages, which is most of the cost.

use std::io;
use std::sync::Arc;

use super::{Bitmap, DirtySource};
use crate::guest::kvm::Vmm;
use crate::sys::kvm::MemorySlot;

/// Words cleared in one call: 64 MiB of guest memory, so that KVM's lock is never held for long.
const CLEAR_WORDS: usize = 256;

/// The dirty log of a [`Vmm`]'s memory. At most one at a time.
#[derive(Debug)]
pub struct KvmDirtyBitmap {
    slot: Arc<MemorySlot>,
    by_hand: bool,
    on: bool,
    words: Vec<u64>,
}

impl KvmDirtyBitmap {
    /// The dirty log of this guest's memory, off at first.
    pub fn new(vmm: &Vmm) -> KvmDirtyBitmap {
        let slot = Arc::clone(vmm.slot());
        let words = vec![0; slot.pages().div_ceil(64) as usize];
        KvmDirtyBitmap { slot, by_hand: vmm.clears_by_hand(), on: false, words }
    }

    fn read(&mut self, into: &mut Bitmap) -> io::Result<()> {
        self.slot.dirty_log(&mut self.words)?;
        into.union_words(&self.words);
        Ok(())
    }
}

impl DirtySource for KvmDirtyBitmap {
    fn start(&mut self) -> io::Result<()> {
        if !self.on {
            self.slot.log_dirty(true)?;
            self.on = true;
        }
        Ok(())
    }

    fn collect(&mut self, into: &mut Bitmap) -> io::Result<()> {
        self.read(into)?;
        if self.by_hand {
            for (at, part) in self.words.chunks(CLEAR_WORDS).enumerate() {
                if part.iter().any(|word| *word != 0) {
                    self.slot.clear_dirty_log((at * CLEAR_WORDS * 64) as u64, part)?;
                }
            }
        }
        Ok(())
    }

    fn collect_stopped(&mut self, into: &mut Bitmap) -> io::Result<()> {
        // Cleared by hand, the log keeps what is read here; else reading has cleared it, as `collect` does.
        self.read(into)
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.on {
            self.slot.log_dirty(false)?;
            self.on = false;
        }
        Ok(())
    }
}

impl Drop for KvmDirtyBitmap {
    fn drop(&mut self) {
        // The guest goes on at full speed, or is at its end anyway.
        let _ = self.stop();
    }
}
