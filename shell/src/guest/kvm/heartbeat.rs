//! Telling the world of each beat of the guest: one datagram, from the vCPU's own thread, before it enters the guest
//! again. Lost when it cannot be sent at once; never sent later, so a witness can trust its arrival times.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use crate::words::Side;

/// Told of each beat, on the vCPU's thread, which waits for it: it must neither block nor be slow.
pub trait HeartbeatSink: Send {
    /// Beat `count` of the vCPU that this sink is for.
    fn beat(&mut self, count: u64);
}

/// Sends `{"guest":"ID","runner":"source","vcpu":0,"count":N}` by UDP.
#[derive(Debug)]
pub struct UdpHeartbeat {
    socket: UdpSocket,
    /// The datagram, its number written anew each time.
    text: Vec<u8>,
    number_at: usize,
}

/// Room for the digits of a 64-bit number.
const DIGITS: usize = 20;

impl UdpHeartbeat {
    /// A sink for one vCPU. `guest` consists of letters, digits, `-`, `_`, `.` and `:` (others are left out).
    ///
    /// # Errors
    /// No socket to be had, or no way to `to`.
    pub fn new(to: SocketAddr, guest: &str, runner: Side, vcpu: u8) -> io::Result<UdpHeartbeat> {
        let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        let guest: String =
            guest.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c)).collect();
        let mut text = format!(r#"{{"guest":"{guest}","runner":"{}","vcpu":{vcpu},"count":"#, runner.word())
            .into_bytes();
        let number_at = text.len();
        text.reserve_exact(DIGITS + 1);
        Ok(UdpHeartbeat { socket, text, number_at })
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
        let mut sink =
            UdpHeartbeat::new(witness.local_addr().unwrap(), "a-1\"\n", Side::Destination, 3).unwrap();
        let room = sink.text.capacity();
        for count in [0, 7, 1234567890, u64::MAX] {
            sink.beat(count);
            let mut buffer = [0u8; 256];
            let len = witness.recv(&mut buffer).unwrap();
            let expected = format!(r#"{{"guest":"a-1","runner":"destination","vcpu":3,"count":{count}}}"#);
            assert_eq!(std::str::from_utf8(&buffer[..len]).unwrap(), expected);
        }
        assert_eq!(sink.text.capacity(), room, "nothing was allocated");
    }
}
