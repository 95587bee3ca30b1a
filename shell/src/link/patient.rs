//! Reading and writing a whole preamble on a blocking socket, with one time limit for all of it.
//!
//! For helper threads. A peer that sends a byte now and then does not stretch the limit.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket, and until when it may be waited for.
pub(super) struct Patient<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl<'a> Patient<'a> {
    /// Everything together may take `patience`.
    pub(super) fn new(stream: &'a TcpStream, patience: Duration) -> Self {
        Patient { stream, until: Instant::now() + patience }
    }

    /// Reads exactly that many bytes.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match (&mut &*self.stream).read(rest) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => rest = &mut rest[read..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(named(error)),
            }
        }
        Ok(())
    }

    /// Writes all of them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(self.left()?))?;
            match (&mut &*self.stream).write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(named(error)),
            }
        }
        Ok(())
    }

    /// Says no more, and gives the peer a moment to read what was said: closing at once, with its bytes unread, would
    /// reset the connection and take the words back.
    pub(super) fn part(mut self) {
        if self.stream.shutdown(std::net::Shutdown::Write).is_err() {
            return;
        }
        self.until = self.until.min(Instant::now() + Duration::from_millis(200));
        let mut unread = [0; 4096];
        // As much as an opening has; whoever sends more is cut off.
        for _ in 0..20 {
            let Ok(left) = self.left() else { return };
            let waits = self.stream.set_read_timeout(Some(left));
            if waits.is_err() || !matches!((&mut &*self.stream).read(&mut unread), Ok(1..)) {
                return;
            }
        }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none.
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A socket timeout is `WouldBlock` on Linux; one name for it.
fn named(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// Makes a set-up control connection fit for what comes: no timeouts, no delay of small messages, and a dead peer is
/// noticed.
///
/// SO_LINGER stays off, as it is by default: closing never waits, and what was written (a last `Fin`) is still sent.
pub(super) fn settle_control(stream: &TcpStream, dead_after: Duration) -> io::Result<()> {
    settle_bulk(stream)?;
    crate::sys::socket::notice_dead_peer(stream, dead_after)
}

/// Makes a set-up bulk connection fit for what comes. It watches for no dead peer: a receiver that is busy, and so takes
/// nothing for a while, would count as one. The control connection beside it notices, and both go together.
pub(super) fn settle_bulk(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(None)?;
    stream.set_write_timeout(None)?;
    stream.set_nodelay(true)
}
