//! Socket options that `std` does not set.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Makes a TCP connection notice a dead peer: with data under way, when none of it is acknowledged for `silence`; when
/// idle, by probes after a second, since the kernel counts those in whole seconds.
///
/// # Errors
/// Not a TCP socket.
pub fn notice_dead_peer(socket: impl AsFd, silence: Duration) -> io::Result<()> {
    let socket = socket.as_fd();
    let ms = libc::c_int::try_from(silence.as_millis()).unwrap_or(libc::c_int::MAX).max(1);
    set(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, ms)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 1)?;
    set(&socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 1)?;
    let probes = libc::c_int::try_from(silence.as_secs().max(1)).unwrap_or(libc::c_int::MAX);
    set(&socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, probes.min(127))
}

/// Buffers of a bulk connection, in bytes, each way: enough that sender and receiver do not take turns.
const BULK_BUFFER: libc::c_int = 4 << 20;

/// Asks for large buffers. A host whose limits are lower gives what it allows, which costs speed and nothing else.
pub fn bulk_buffers(socket: impl AsFd) {
    let socket = socket.as_fd();
    for option in [libc::SO_SNDBUF, libc::SO_RCVBUF] {
        // Cannot fail for want of permission: the kernel cuts the value.
        let _ = set(&socket, libc::SOL_SOCKET, option, BULK_BUFFER);
    }
}

/// Lets waiting for a socket end only when so many bytes are there (or the connection ends): a receiver that knows
/// what it needs is not woken for every segment.
pub fn readable_from(socket: impl AsFd, bytes: usize) {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX).max(1);
    // Where it cannot be set, the receiver is woken more often, and nothing else.
    let _ = set(&socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes);
}

fn set(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: reads one integer, whose size is given.
    let done = unsafe {
        let size = size_of_val(&value) as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
