//! `writev` and `readv` between a file descriptor and pieces of a [`Mapping`] or of ordinary buffers, without copies.
//!
//! `std`'s `IoSliceMut` needs an exclusive reference, which guest memory cannot give (the kernel writes it too); these
//! pieces carry a checked range instead.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::mapping::Mapping;

/// A range of bytes to be sent.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Outgoing<'a>(libc::iovec, PhantomData<&'a [u8]>);

/// A range of bytes to be received into.
#[derive(Debug)]
#[repr(transparent)]
pub struct Incoming<'a>(libc::iovec, PhantomData<&'a mut [u8]>);

// SAFETY: a piece is a checked range that outlives `'a` and may be used from any thread, as `&[u8]` may.
unsafe impl Send for Outgoing<'_> {}
// SAFETY: as above, as `&mut [u8]` may.
unsafe impl Send for Incoming<'_> {}

impl<'a> Outgoing<'a> {
    /// A piece of an ordinary buffer.
    pub fn bytes(from: &'a [u8]) -> Outgoing<'a> {
        Outgoing(libc::iovec { iov_base: from.as_ptr().cast_mut().cast(), iov_len: from.len() }, PhantomData)
    }

    /// A piece of a mapping; `None` when out of range.
    pub fn mapped(from: &'a Mapping, at: usize, len: usize) -> Option<Outgoing<'a>> {
        let base = from.pointer(at, len)?;
        Some(Outgoing(libc::iovec { iov_base: base.as_ptr().cast(), iov_len: len }, PhantomData))
    }

    /// Bytes left in this piece.
    #[allow(clippy::len_without_is_empty, reason = "an empty piece is of no interest to anyone")]
    pub fn len(&self) -> usize {
        self.0.iov_len
    }

    /// Drops the first `bytes` (at most all) from this piece, after a short write.
    pub fn advance(&mut self, bytes: usize) {
        advance(&mut self.0, bytes);
    }
}

impl<'a> Incoming<'a> {
    /// A piece of an ordinary buffer.
    pub fn bytes(into: &'a mut [u8]) -> Incoming<'a> {
        Incoming(libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() }, PhantomData)
    }

    /// A piece of a mapping; `None` when out of range.
    pub fn mapped(into: &'a Mapping, at: usize, len: usize) -> Option<Incoming<'a>> {
        let base = into.pointer(at, len)?;
        Some(Incoming(libc::iovec { iov_base: base.as_ptr().cast(), iov_len: len }, PhantomData))
    }

    /// Bytes left in this piece.
    #[allow(clippy::len_without_is_empty, reason = "an empty piece is of no interest to anyone")]
    pub fn len(&self) -> usize {
        self.0.iov_len
    }

    /// Drops the first `bytes` (at most all) from this piece, after a short read.
    pub fn advance(&mut self, bytes: usize) {
        advance(&mut self.0, bytes);
    }
}

fn advance(iovec: &mut libc::iovec, bytes: usize) {
    let bytes = bytes.min(iovec.iov_len);
    iovec.iov_base = iovec.iov_base.wrapping_byte_add(bytes);
    iovec.iov_len -= bytes;
}

/// Sends the pieces in order; returns how many bytes went (fewer than asked is normal). At most 1024 pieces count.
///
/// # Errors
/// What `writev` says, `Interrupted` and `WouldBlock` among it.
pub fn writev(to: BorrowedFd<'_>, pieces: &[Outgoing<'_>]) -> io::Result<usize> {
    let count = pieces.len().min(1024) as libc::c_int;
    // SAFETY: `Outgoing` is a transparent `iovec` over a live, checked range; the kernel only reads from it.
    let sent = unsafe { libc::writev(to.as_raw_fd(), pieces.as_ptr().cast(), count) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives into the pieces in order; returns how many bytes came (0: the peer has closed). At most 1024 pieces count.
///
/// # Errors
/// What `readv` says, `Interrupted` and `WouldBlock` among it.
pub fn readv(from: BorrowedFd<'_>, pieces: &[Incoming<'_>]) -> io::Result<usize> {
    let count = pieces.len().min(1024) as libc::c_int;
    // SAFETY: `Incoming` is a transparent `iovec` over a live, checked range that the caller lent for writing.
    let came = unsafe { libc::readv(from.as_raw_fd(), pieces.as_ptr().cast(), count) };
    usize::try_from(came).map_err(|_| io::Error::last_os_error())
}
