//! A guest's physical memory: pages of 4 KiB, from page 0 up without holes, shared by vCPUs, links and dirty sources.
//!
//! What it is for: giving pages to whoever sends, receives, hashes or checks them, in place where possible.
//! What it is not: a record of what changed (see [`crate::dirty`]), and no lock: a running guest writes when it likes.
//! Whoever needs a stable page copies it first, or stops the guest.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread;

use thiserror::Error;

use crate::dirty::{Bitmap, PageRun};
use crate::sys::mapping::Mapping;
pub use crate::sys::mapping::PAGE;
use crate::sys::vectored::{self, Incoming, Outgoing};

/// Why guest memory could not be had, or not be touched.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The size is no positive multiple of the page size.
    #[error(
        "guest memory of {0} bytes is not a positive multiple of {PAGE} bytes: give a whole number of pages"
    )]
    Size(u64),
    /// More than this host has.
    #[error("guest memory of {asked} MiB is more than this host's {host} MiB: give the guest less memory")]
    TooBig {
        /// MiB asked for.
        asked: u64,
        /// MiB of memory in this host.
        host: u64,
    },
    /// The kernel refused the mapping.
    #[error(
        "cannot map {asked} MiB of guest memory: {cause}; give the guest less memory, or raise the limits (ulimit -v, vm.overcommit_memory)"
    )]
    Map {
        /// MiB asked for.
        asked: u64,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A range of pages that is not inside.
    #[error("pages {first}..{end} are outside guest memory of {pages} pages")]
    OutOfRange {
        /// First page of the range.
        first: u64,
        /// One past its last page.
        end: u64,
        /// Pages there are.
        pages: u64,
    },
    /// Pages could not be made resident.
    #[error("cannot make guest memory resident: {0}; the host is short of memory")]
    Populate(io::Error),
}

/// A guest's memory; cloning shares it.
#[derive(Clone, Debug)]
pub struct GuestMemory {
    map: Arc<Mapping>,
}

impl GuestMemory {
    /// `bytes` of zeros, of which nothing is resident until it is touched.
    ///
    /// # Errors
    /// A size that is no whole number of pages, more than the host has, or refused by the kernel.
    pub fn new(bytes: u64) -> Result<GuestMemory, MemoryError> {
        let len = usize::try_from(bytes).map_err(|_| MemoryError::Size(bytes))?;
        if len == 0 || !len.is_multiple_of(PAGE) {
            return Err(MemoryError::Size(bytes));
        }
        if let Some(host) = host_memory()
            && bytes > host
        {
            return Err(MemoryError::TooBig { asked: bytes >> 20, host: host >> 20 });
        }
        let map = Mapping::anonymous(len).map_err(|cause| MemoryError::Map { asked: bytes >> 20, cause })?;
        Ok(GuestMemory { map: Arc::new(map) })
    }

    /// Length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Length in pages.
    pub fn pages(&self) -> u64 {
        (self.map.len() / PAGE) as u64
    }

    /// Where the first byte lies in this process, for the kernel (a KVM memory slot, userfaultfd).
    pub fn host_address(&self) -> u64 {
        self.map.address() as u64
    }

    /// The mapping itself, for a VM's memory slot.
    pub(crate) fn mapping(&self) -> &Arc<Mapping> {
        &self.map
    }

    /// Makes all of it resident, with `threads` helpers, so that receiving (or a first write) does not fault. Contents
    /// are left alone, so this may run beside a receiver. Blocks until done: seconds for tens of GiB.
    ///
    /// # Errors
    /// The kernel's refusal. Nothing is lost then: pages become resident as they are touched.
    pub fn populate(&self, threads: usize) -> Result<(), MemoryError> {
        self.populate_run(PageRun { first: 0, pages: self.pages() }, threads)
    }

    /// As [`GuestMemory::populate`], for a run of pages.
    ///
    /// # Errors
    /// Pages outside, or the kernel's refusal.
    pub fn populate_run(&self, run: PageRun, threads: usize) -> Result<(), MemoryError> {
        const STEP: usize = 64 << 20;
        let (start, len) = self.range(run.first, run.pages)?;
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed).saturating_mul(STEP);
                if at >= len {
                    return Ok(());
                }
                self.map.populate_write(start + at, STEP.min(len - at))?;
            }
        };
        thread::scope(|scope| {
            let helpers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            helpers
                .into_iter()
                .try_for_each(|helper| helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
        .map_err(MemoryError::Populate)
    }

    /// Marks in `into` the pages that have never been touched, hence are zero without looking (and looking would make
    /// them resident). What the kernel cannot say counts as touched. `into` must have a bit for every page.
    pub fn mark_untouched(&self, into: &mut Bitmap) {
        let mut resident = vec![0u8; 1 << 16];
        let mut first = 0;
        while first < self.pages() {
            let count = (self.pages() - first).min(resident.len() as u64);
            let part = &mut resident[..count as usize];
            // Anonymous memory that was swapped out is not resident either; only without swap does absence prove zero.
            if swap_in_use() || self.map.residency(first as usize * PAGE, part).is_err() {
                return;
            }
            for (page, state) in (first..).zip(part.iter()) {
                if state & 1 == 0 {
                    into.set(page);
                }
            }
            first += count;
        }
    }

    /// Copies whole pages from `first` on into `into`, whose length is a multiple of [`PAGE`].
    ///
    /// # Errors
    /// Pages outside.
    pub fn copy_pages_to(&self, first: u64, into: &mut [u8]) -> Result<(), MemoryError> {
        let (at, _) = self.range(first, into.len().div_ceil(PAGE) as u64)?;
        self.check(self.map.copy_out(at, into), first, into.len())
    }

    /// Overwrites whole pages from `first` on with `from`.
    ///
    /// # Errors
    /// Pages outside.
    pub fn write_pages(&self, first: u64, from: &[u8]) -> Result<(), MemoryError> {
        let (at, _) = self.range(first, from.len().div_ceil(PAGE) as u64)?;
        self.check(self.map.copy_in(at, from), first, from.len())
    }

    /// Makes a run of pages zero; those that are already are not written, so an untouched page stays untouched.
    ///
    /// # Errors
    /// Pages outside.
    pub fn zero_pages(&self, run: PageRun) -> Result<(), MemoryError> {
        // From here on asking the kernel what was never touched is cheaper than looking, which touches.
        const LONG: u64 = 1024;
        let (at, len) = self.range(run.first, run.pages)?;
        let mut resident = [1_u8; LONG as usize];
        let ask = run.pages >= LONG && !swap_in_use();
        for part in (at..at + len).step_by(LONG as usize * PAGE) {
            let pages = ((at + len - part) / PAGE).min(LONG as usize);
            if ask && self.map.residency(part, &mut resident[..pages]).is_err() {
                resident.fill(1);
            }
            for (page, state) in (part..).step_by(PAGE).zip(&resident[..pages]) {
                if state & 1 == 1 && self.map.is_zero(page, PAGE) == Some(false) {
                    self.check(self.map.fill_zero(page, PAGE), run.first, len)?;
                }
            }
        }
        Ok(())
    }

    /// Gives all pages back to the host: memory reads as zeros again, and what it held is gone. For a guest that runs
    /// elsewhere now.
    pub fn destroy(&self) {
        if self.map.discard(0, self.map.len()).is_err() {
            // An older kernel gives locked memory (mlockall) not back; overwriting what is there destroys it as well.
            // What was never touched is left so: a large guest must not become resident in the end.
            let _ = self.zero_pages(PageRun { first: 0, pages: self.pages() });
        }
    }

    /// Whether a page is all zero (false for a page outside). About 0.2 us for one that is; at once for most others.
    pub fn is_zero(&self, page: u64) -> bool {
        self.range(page, 1).ok().and_then(|(at, len)| self.map.is_zero(at, len)).unwrap_or(false)
    }

    /// Lends a run of pages in place, for hashing. The guest must be stopped, or the caller content with a mixture.
    ///
    /// # Errors
    /// Pages outside.
    pub fn lend<R>(&self, run: PageRun, f: impl FnOnce(&[u8]) -> R) -> Result<R, MemoryError> {
        let (at, len) = self.range(run.first, run.pages)?;
        self.map.lend(at, len, f).ok_or_else(|| self.outside(run.first, run.pages))
    }

    /// Lends all of memory in order, in pieces of at most 1 MiB, for hashing everything (`--verify`).
    pub fn lend_all(&self, mut f: impl FnMut(&[u8])) {
        const PIECE: usize = 1 << 20;
        for at in (0..self.map.len()).step_by(PIECE) {
            // In range by construction, hence always lent.
            let _ = self.map.lend(at, PIECE.min(self.map.len() - at), &mut f);
        }
    }

    /// A run of pages as a piece for [`vectored::writev`], straight from memory.
    ///
    /// # Errors
    /// Pages outside.
    pub fn outgoing(&self, run: PageRun) -> Result<Outgoing<'_>, MemoryError> {
        let (at, len) = self.range(run.first, run.pages)?;
        Outgoing::mapped(&self.map, at, len).ok_or_else(|| self.outside(run.first, run.pages))
    }

    /// A run of pages as a piece for [`vectored::readv`], straight into memory.
    ///
    /// # Errors
    /// Pages outside.
    pub fn incoming(&self, run: PageRun) -> Result<Incoming<'_>, MemoryError> {
        let (at, len) = self.range(run.first, run.pages)?;
        Incoming::mapped(&self.map, at, len).ok_or_else(|| self.outside(run.first, run.pages))
    }

    /// Reads the aligned 64-bit word at a byte offset, in one access; `None` when outside or unaligned.
    pub fn load_u64(&self, at: u64) -> Option<u64> {
        self.map.load_u64(usize::try_from(at).ok()?)
    }

    /// Writes the aligned 64-bit word at a byte offset, in one access; false when outside or unaligned.
    #[must_use]
    pub fn store_u64(&self, at: u64, value: u64) -> bool {
        usize::try_from(at).is_ok_and(|at| self.map.store_u64(at, value))
    }

    /// Sends pieces; see [`vectored::writev`].
    ///
    /// # Errors
    /// What `writev` says.
    pub fn writev(to: BorrowedFd<'_>, pieces: &[Outgoing<'_>]) -> io::Result<usize> {
        vectored::writev(to, pieces)
    }

    /// Receives into pieces; see [`vectored::readv`].
    ///
    /// # Errors
    /// What `readv` says.
    pub fn readv(from: BorrowedFd<'_>, pieces: &[Incoming<'_>]) -> io::Result<usize> {
        vectored::readv(from, pieces)
    }

    fn range(&self, first: u64, pages: u64) -> Result<(usize, usize), MemoryError> {
        match first.checked_add(pages) {
            Some(end) if end <= self.pages() => Ok((first as usize * PAGE, pages as usize * PAGE)),
            _ => Err(self.outside(first, pages)),
        }
    }

    fn outside(&self, first: u64, pages: u64) -> MemoryError {
        MemoryError::OutOfRange { first, end: first.saturating_add(pages), pages: self.pages() }
    }

    fn check(&self, done: bool, first: u64, bytes: usize) -> Result<(), MemoryError> {
        if done { Ok(()) } else { Err(self.outside(first, bytes.div_ceil(PAGE) as u64)) }
    }
}

/// Bytes of memory in this host, if it says.
pub fn host_memory() -> Option<u64> {
    meminfo("MemTotal:").map(|kib| kib * 1024)
}

fn swap_in_use() -> bool {
    meminfo("SwapTotal:") != Some(0)
}

fn meminfo(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_copied_zeroed_and_bounded() {
        let memory = GuestMemory::new(16 * PAGE as u64).unwrap();
        assert_eq!(memory.pages(), 16);
        let page = [7u8; PAGE];
        memory.write_pages(3, &page).unwrap();
        assert!(memory.is_zero(2) && !memory.is_zero(3) && memory.is_zero(4));
        let mut two = vec![1u8; 2 * PAGE];
        memory.copy_pages_to(3, &mut two).unwrap();
        assert_eq!(&two[..PAGE], &page);
        assert!(two[PAGE..].iter().all(|byte| *byte == 0));
        memory.zero_pages(PageRun { first: 0, pages: 16 }).unwrap();
        assert!(memory.is_zero(3));
        // The last byte of a page counts.
        assert!(memory.store_u64(5 * PAGE as u64 - 8, 1 << 63));
        assert!(!memory.is_zero(4));
        for run in [
            PageRun { first: 16, pages: 1 },
            PageRun { first: 15, pages: 2 },
            PageRun { first: u64::MAX, pages: 2 },
        ] {
            assert!(matches!(memory.zero_pages(run), Err(MemoryError::OutOfRange { .. })));
            assert!(memory.outgoing(run).is_err() && memory.incoming(run).is_err());
        }
        assert!(!memory.is_zero(16));
    }

    #[test]
    fn sizes_are_refused_with_a_remedy() {
        assert!(matches!(GuestMemory::new(0), Err(MemoryError::Size(0))));
        assert!(matches!(GuestMemory::new(4097), Err(MemoryError::Size(4097))));
        let too_big = GuestMemory::new(1 << 46).unwrap_err().to_string();
        assert!(too_big.contains("less memory"), "{too_big}");
    }

    #[test]
    fn untouched_pages_are_known_without_touching_them() {
        let memory = GuestMemory::new(64 * PAGE as u64).unwrap();
        memory.write_pages(10, &[1; PAGE]).unwrap();
        let mut untouched = Bitmap::new(memory.pages());
        memory.mark_untouched(&mut untouched);
        if untouched.count() == 0 {
            return; // A host with swap cannot know.
        }
        assert!(!untouched.get(10) && untouched.get(0) && untouched.get(63));
        memory.populate(2).unwrap();
        let mut after = Bitmap::new(memory.pages());
        memory.mark_untouched(&mut after);
        assert_eq!(after.count(), 0);
        assert!(!memory.is_zero(10));
    }

    #[test]
    fn destroyed_memory_is_zero_and_given_back() {
        let memory = GuestMemory::new(64 * PAGE as u64).unwrap();
        // As `mlockall` leaves it, where that is permitted.
        let _ = crate::sys::sched::lock_memory();
        memory.write_pages(3, &[7; PAGE]).unwrap();
        memory.destroy();
        let mut resident = [1; 64];
        memory.map.residency(0, &mut resident).unwrap();
        assert_eq!(resident.iter().filter(|state| **state & 1 == 1).count(), 0);
        assert!(memory.is_zero(3));
    }

    #[test]
    fn pages_travel_in_place() {
        use std::os::fd::AsFd;
        let (from, to) =
            (GuestMemory::new(8 * PAGE as u64).unwrap(), GuestMemory::new(8 * PAGE as u64).unwrap());
        from.write_pages(1, &[5; 2 * PAGE]).unwrap();
        let (left, right) = std::os::unix::net::UnixStream::pair().unwrap();
        let run = PageRun { first: 1, pages: 2 };
        let mut out = [Outgoing::bytes(b"head"), from.outgoing(run).unwrap()];
        let mut head = [0u8; 4];
        let mut came = 0;
        {
            let sent = GuestMemory::writev(left.as_fd(), &out).unwrap();
            assert_eq!(sent, 4 + 2 * PAGE);
            out[0].advance(4);
            assert_eq!(out[0].len(), 0);
            let mut pieces = [Incoming::bytes(&mut head), to.incoming(run).unwrap()];
            while came < sent {
                let now = GuestMemory::readv(right.as_fd(), &pieces).unwrap();
                came += now;
                let in_first = now.min(pieces[0].len());
                pieces[0].advance(in_first);
                pieces[1].advance(now - in_first);
            }
        }
        assert_eq!(&head, b"head");
        let mut back = vec![0; 2 * PAGE];
        to.copy_pages_to(1, &mut back).unwrap();
        assert!(back.iter().all(|byte| *byte == 5));
    }
}
