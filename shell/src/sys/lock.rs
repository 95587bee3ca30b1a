//! An exclusive lock on a file, for as long as it is open.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Takes the lock if it is free (`true`); it goes with the last descriptor of this opening of the file, so also when
/// the process dies.
///
/// # Errors
/// The file system has no locks.
pub fn try_lock(file: &File) -> io::Result<bool> {
    loop {
        // SAFETY: takes a descriptor that outlives the call, and flags.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(false),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}
