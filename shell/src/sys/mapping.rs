//! One anonymous, page-aligned memory mapping that somebody else (a guest) may write at any time.
//!
//! What it is for: the bytes behind a guest's physical memory. It is handed to KVM by address, read and written
//! here by copies, and sent and received in place through [`crate::sys::vectored`].
//!
//! What it is not: a place for Rust values. While a guest runs, every byte may change between two reads; callers get
//! bytes and words, never references to structured data.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes in a page, ours and the guest's.
pub const PAGE: usize = 4096;

/// `MADV_DONTNEED_LOCKED`, which `libc` does not name for every target.
const DONTNEED_LOCKED: libc::c_int = 24;

/// A private anonymous mapping, unmapped when dropped.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is plain memory owned by this value; moving the owner to another thread moves nothing else.
unsafe impl Send for Mapping {}
// SAFETY: all access goes through copies of bytes or atomic words; see the note on races at `copy_out`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of zeros, none of them resident yet and none of them reserved. `len` must be a positive
    /// multiple of [`PAGE`].
    ///
    /// # Errors
    /// What `mmap` says (`ENOMEM` when the address space or the overcommit policy refuses).
    pub fn anonymous(len: usize) -> io::Result<Mapping> {
        if len == 0 || !len.is_multiple_of(PAGE) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: a fresh anonymous mapping at an address the kernel chooses touches no existing memory.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(at.cast::<u8>()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Mapping { base, len })
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a mapping has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The address of the first byte, for handing to the kernel.
    pub fn address(&self) -> usize {
        self.base.as_ptr() as usize
    }

    /// A pointer to `at`, if `len` bytes from there lie inside.
    pub(super) fn pointer(&self, at: usize, len: usize) -> Option<NonNull<u8>> {
        if at.checked_add(len)? > self.len {
            return None;
        }
        // SAFETY: `at <= self.len`, so the result stays inside the mapping or one past its end.
        Some(unsafe { self.base.add(at) })
    }

    /// Copies bytes out, starting at offset `at`; false (and nothing copied) when that is out of range.
    #[must_use]
    pub fn copy_out(&self, at: usize, into: &mut [u8]) -> bool {
        let Some(from) = self.pointer(at, into.len()) else {
            return false;
        };
        // SAFETY: the source is inside the mapping, the destination is an exclusive Rust slice, so they do not
        // overlap. A guest may write the source meanwhile: it is not a thread of this program's abstract machine,
        // and any mixture of old and new bytes is a valid value of `u8`.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        true
    }

    /// Copies bytes in, starting at offset `at`; false (and nothing copied) when that is out of range.
    #[must_use]
    pub fn copy_in(&self, at: usize, from: &[u8]) -> bool {
        let Some(to) = self.pointer(at, from.len()) else {
            return false;
        };
        // SAFETY: as in `copy_out`, with the directions exchanged.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to.as_ptr(), from.len()) };
        true
    }

    /// Writes zeros over `len` bytes from offset `at`; false when that is out of range.
    #[must_use]
    pub fn fill_zero(&self, at: usize, len: usize) -> bool {
        let Some(to) = self.pointer(at, len) else {
            return false;
        };
        // SAFETY: inside the mapping; races as in `copy_out`.
        unsafe { std::ptr::write_bytes(to.as_ptr(), 0, len) };
        true
    }

    /// Lends `len` bytes from offset `at` to `f`, in place. For memory that nothing writes meanwhile (a stopped
    /// guest); on a running one the bytes may change under `f`'s eyes, which then sees a mixture.
    pub fn lend<R>(&self, at: usize, len: usize, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let from = self.pointer(at, len)?;
        // SAFETY: inside the mapping, and only bytes. The slice ends with the call. See `copy_out` on races.
        Some(f(unsafe { std::slice::from_raw_parts(from.as_ptr(), len) }))
    }

    /// Whether `len` bytes from offset `at` are all zero; `None` when out of range. Stops at the first page-quarter
    /// that is not.
    pub fn is_zero(&self, at: usize, len: usize) -> Option<bool> {
        self.lend(at, len, |bytes| {
            bytes.chunks(1024).all(|part| {
                let (words, rest) = part.as_chunks::<8>();
                // A plain fold without early exit inside the part: the compiler makes vector code of it.
                let folded = words.iter().fold(0u64, |or, word| or | u64::from_ne_bytes(*word));
                folded == 0 && rest.iter().all(|byte| *byte == 0)
            })
        })
    }

    /// Reads the aligned word at offset `at` in one access; `None` when unaligned or out of range.
    pub fn load_u64(&self, at: usize) -> Option<u64> {
        Some(self.word(at)?.load(Ordering::Acquire))
    }

    /// Writes the aligned word at offset `at` in one access; false when unaligned or out of range.
    #[must_use]
    pub fn store_u64(&self, at: usize, value: u64) -> bool {
        self.word(at).map(|word| word.store(value, Ordering::Release)).is_some()
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        if !at.is_multiple_of(8) {
            return None;
        }
        let pointer = self.pointer(at, 8)?;
        // SAFETY: aligned to 8 (the base is page-aligned), inside the mapping, and an atomic word tolerates every
        // concurrent write of the guest's.
        Some(unsafe { AtomicU64::from_ptr(pointer.as_ptr().cast()) })
    }

    /// Makes the pages of a range present and writable, as if each had been written, leaving their contents alone.
    ///
    /// # Errors
    /// What `madvise(MADV_POPULATE_WRITE)` says; `EINVAL` before Linux 5.14.
    pub fn populate_write(&self, at: usize, len: usize) -> io::Result<()> {
        let start = self.pointer(at, len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a range of our own mapping; the call changes residency, not contents.
        let done = unsafe { libc::madvise(start.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Gives the pages of a range back, locked ones too; they read as zeros afterwards.
    ///
    /// # Errors
    /// What `madvise` says; `EINVAL` for locked memory before Linux 5.18.
    pub fn discard(&self, at: usize, len: usize) -> io::Result<()> {
        let start = self.pointer(at, len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a range of our own anonymous mapping, in which no Rust value lives: bytes become zeros, which is as
        // if a guest had written them.
        let advise = |how| match unsafe { libc::madvise(start.as_ptr().cast(), len, how) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        // The plain form refuses locked memory, and works on every kernel.
        advise(libc::MADV_DONTNEED).or_else(|_| advise(DONTNEED_LOCKED))
    }

    /// Which pages of a range are resident: bit 0 of each byte of `into`, one byte a page.
    ///
    /// # Errors
    /// What `mincore` says; invalid input when the range is out of bounds or unaligned.
    pub fn residency(&self, at: usize, into: &mut [u8]) -> io::Result<()> {
        let start = self.pointer(at, into.len() * PAGE).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the range is ours and `into` has one byte for each of its pages.
        let done = unsafe { libc::mincore(start.as_ptr().cast(), into.len() * PAGE, into.as_mut_ptr()) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped; no borrow of it can outlive `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
