//! Telling the world of each beat of the guest: one datagram, from the vCPU's own thread, before it enters the guest
//! again. Lost when it cannot be sent at once; never sent later, so a witness can trust its arrival times.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::words::Side;

/// Told of each beat, on the vCPU's thread, which waits for it: it must neither block nor be slow.
pub trait HeartbeatSink: Send {
    /// Beat `count` of the vCPU that this sink is for.
    fn beat(&mut self, count: u64);
}

/// The name of the guest whose beats are told; clones share it. A destination has room for a guest before it knows which
/// source's it will be in the end, so that the name can change.
#[derive(Clone, Debug)]
pub struct GuestName(Arc<Named>);

#[derive(Debug)]
struct Named {
    /// Counts names.
    version: AtomicU64,
    name: Mutex<String>,
}

impl GuestName {
    /// Another name; of letters, digits, `-`, `_`, `.` and `:` (others are left out).
    pub fn set(&self, name: &str) {
        *self.0.name.lock().unwrap_or_else(PoisonError::into_inner) = allowed(name);
        self.0.version.fetch_add(1, Ordering::Release);
    }
}

impl From<&str> for GuestName {
    fn from(name: &str) -> Self {
        GuestName(Arc::new(Named { version: AtomicU64::new(0), name: Mutex::new(allowed(name)) }))
    }
}

fn allowed(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c)).collect()
}

/// Sends `{"guest":"ID","runner":"source","vcpu":0,"count":N}` by UDP.
#[derive(Debug)]
pub struct UdpHeartbeat {
    socket: UdpSocket,
    name: GuestName,
    /// The version of the name that is in the text.
    version: u64,
    runner: Side,
    vcpu: u8,
    /// The datagram, its number written anew each time.
    text: Vec<u8>,
    number_at: usize,
}

/// Room for the digits of a 64-bit number.
const DIGITS: usize = 20;

impl UdpHeartbeat {
    /// A sink for one vCPU.
    ///
    /// # Errors
    /// No socket to be had, or no way to `to`.
    pub fn new(to: SocketAddr, guest: GuestName, runner: Side, vcpu: u8) -> io::Result<UdpHeartbeat> {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        let mut sink =
            UdpHeartbeat { socket, name: guest, version: 0, runner, vcpu, text: Vec::new(), number_at: 0 };
        sink.take_name();
        Ok(sink)
    }

    /// Writes the datagram anew, all but its number.
    fn take_name(&mut self) {
        // Before the name: one that changes meanwhile is taken again.
        self.version = self.name.0.version.load(Ordering::Acquire);
        // Only contended while a name is being set, which is between two guests.
        let name = self.name.0.name.lock().unwrap_or_else(PoisonError::into_inner);
        let (runner, vcpu) = (self.runner.word(), self.vcpu);
        self.text = format!(r#"{{"guest":"{name}","runner":"{runner}","vcpu":{vcpu},"count":"#).into_bytes();
        self.number_at = self.text.len();
        self.text.reserve_exact(DIGITS + 1);
    }

    fn write(&mut self, count: u64) {
        self.text.truncate(self.number_at);
        let mut digits = [0u8; DIGITS];
        let mut at = DIGITS;
        let mut left = count;
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        // Within the capacity reserved: no allocation.
        self.text.extend_from_slice(&digits[at..]);
        self.text.push(b'}');
    }
}

impl HeartbeatSink for UdpHeartbeat {
    fn beat(&mut self, count: u64) {
        if self.version != self.name.0.version.load(Ordering::Relaxed) {
            self.take_name();
        }
        self.write(count);
        // A full buffer or an absent listener loses this beat, by design.
        let _ = self.socket.send(&self.text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_one_datagram_of_the_documented_form() {
        let witness = UdpSocket::bind("127.0.0.1:0").unwrap();
        let name = GuestName::from("a-1\"\n");
        let to = witness.local_addr().unwrap();
        let mut sink = UdpHeartbeat::new(to, name.clone(), Side::Destination, 3).unwrap();
        let room = sink.text.capacity();
        for count in [0, 7, 1234567890, u64::MAX] {
            sink.beat(count);
            let mut buffer = [0u8; 256];
            let len = witness.recv(&mut buffer).unwrap();
            let expected = format!(r#"{{"guest":"a-1","runner":"destination","vcpu":3,"count":{count}}}"#);
            assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), expected);
        }
        assert_eq!(sink.text.capacity(), room, "nothing was allocated");
        name.set("b-22");
        sink.beat(1);
        let mut buffer = [0u8; 256];
        let len = witness.recv(&mut buffer).unwrap();
        assert!(buffer[..len].starts_with(br#"{"guest":"b-22","runner""#));
    }
}
