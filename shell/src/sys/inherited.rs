//! Descriptors that a parent process left open for this one, by number.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes descriptor `fd` over, and keeps this process's own children from inheriting it.
///
/// For a number that was agreed with the parent, once: whoever takes it owns it, and closes it.
///
/// # Errors
/// No such descriptor is open; or it is one of the three that every process has.
pub fn take(fd: RawFd) -> io::Result<OwnedFd> {
    if fd <= libc::STDERR_FILENO {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: takes numbers only; fails if `fd` is not open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and the parent left it to this process for this use alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets the next child inherit `fd`. To be called in that child between `fork` and `exec`, where it is safe: it only makes
/// a system call.
///
/// # Errors
/// `fd` is not open.
pub fn pass_on(fd: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers only; fails if `fd` is not open.
    if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_open_or_is_everybodys_is_refused() {
        for fd in [-1, 0, 2, 1_000_000] {
            assert!(take(fd).is_err(), "{fd}");
        }
    }
}
