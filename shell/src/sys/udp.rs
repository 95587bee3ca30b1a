//! A UDP socket whose datagrams carry the time at which the kernel received them.
//!
//! What it is for: a witness of heartbeats that may itself be scheduled late. The stamp is taken when the datagram arrives,
//! not when somebody gets round to reading it.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

/// Room for datagrams that wait to be read: some 20,000 heartbeats.
const RECEIVE_BUFFER: libc::c_int = 16 << 20;

/// A socket that stamps what it receives.
#[derive(Debug)]
pub struct StampedSocket {
    socket: UdpSocket,
}

/// One datagram, in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// How much of the buffer it fills.
    pub len: usize,
    /// When the kernel received it, in nanoseconds since 1970 (CLOCK_REALTIME); `None` if the kernel did not say.
    pub at_ns: Option<u64>,
}

/// Ancillary data: one time stamp, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Ancillary([u8; 64]);

impl StampedSocket {
    /// Makes `socket` non-blocking and lets it stamp what it receives.
    ///
    /// # Errors
    /// What `setsockopt` says. A smaller receive buffer than wanted is no error.
    pub fn new(socket: UdpSocket) -> io::Result<StampedSocket> {
        socket.set_nonblocking(true)?;
        let fd = socket.as_raw_fd();
        set_option(fd, libc::SO_TIMESTAMPNS, 1)?;
        // With the privilege, beyond the system's limit; without it, up to that.
        if set_option(fd, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER).is_err() {
            set_option(fd, libc::SO_RCVBUF, RECEIVE_BUFFER)?;
        }
        Ok(StampedSocket { socket })
    }

    /// The socket itself.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Takes the next datagram; what does not fit into `buffer` is cut off.
    ///
    /// # Errors
    /// `WouldBlock` if none has arrived; otherwise what `recvmsg` says.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut ancillary = Ancillary([0; 64]);
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        // SAFETY: all-zero bytes are a valid `msghdr` (null pointers with zero lengths).
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = (&raw mut ancillary).cast();
        message.msg_controllen = size_of::<Ancillary>();
        // SAFETY: `message` points to one part, which is `buffer`, and to `ancillary`; all three live through the call and are
        // writable for the lengths given.
        let len = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        Ok(Received { len, at_ns: stamp(&message) })
    }
}

/// The time stamp among a message's ancillary data.
fn stamp(message: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel has filled `msg_control` up to `msg_controllen`, which is what CMSG_FIRSTHDR goes by.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR return null or a whole header inside `msg_control`.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_SOCKET && kind == libc::SCM_TIMESTAMPNS {
            // SAFETY: a header of this kind is followed by a `timespec`; it may be unaligned, so it is copied out.
            let time = unsafe { libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned() };
            let (seconds, nanoseconds) =
                (u64::try_from(time.tv_sec).ok()?, u64::try_from(time.tv_nsec).ok()?);
            return seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds);
        }
        // SAFETY: `header` is a header of this message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

fn set_option(fd: RawFd, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option takes an int, which lives through the call.
    let done = unsafe { libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast(), len) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn now_ns() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
    }

    #[test]
    fn a_datagram_is_stamped_when_it_arrives_and_not_when_it_is_read() {
        let receiver = StampedSocket::new(UdpSocket::bind("127.0.0.1:0").expect("bind")).expect("stamped");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let to = receiver.socket().local_addr().expect("address");
        let mut buffer = [0; 16];
        assert_eq!(receiver.receive(&mut buffer).expect_err("none yet").kind(), io::ErrorKind::WouldBlock);
        // The kernel starts stamping a moment after the first socket asks for it.
        std::thread::sleep(Duration::from_millis(50));
        let before = now_ns();
        sender.send_to(b"beat", to).expect("sent");
        let after = now_ns();
        std::thread::sleep(Duration::from_millis(100));
        let received = receiver.receive(&mut buffer).expect("arrived");
        assert_eq!(&buffer[..received.len], b"beat");
        let at = received.at_ns.expect("stamped");
        assert!((before..=after).contains(&at), "{before} {at} {after}");
    }

    #[test]
    fn a_datagram_that_does_not_fit_is_cut_off() {
        let receiver = StampedSocket::new(UdpSocket::bind("127.0.0.1:0").expect("bind")).expect("stamped");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("bind");
        sender.send_to(&[7; 100], receiver.socket().local_addr().expect("address")).expect("sent");
        let mut buffer = [0; 16];
        assert_eq!(receiver.receive(&mut buffer).expect("arrived").len, 16);
    }
}
