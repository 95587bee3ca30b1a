//! One non-blocking control connection: frames in, frames out, each buffer bounded.
//!
//! Nothing is allocated after the connection was made, and no call waits.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use serde::{Deserialize, Serialize};
use switchover_core::limits::FRAME_MAX;
use switchover_core::wire::frame::{Decoded, FrameError, decode, encode};
use switchover_core::wire::message::Envelope;

use super::trouble::Trouble;

/// What is read ahead: some frames, so that a burst costs one system call.
const INPUT: usize = 16 * FRAME_MAX;
/// What waits for a socket that takes nothing: as many frames as a driver's outbox has places.
const OUTPUT: usize = switchover_core::limits::OUTBOX_MAX * FRAME_MAX;

/// A framed connection.
#[derive(Debug)]
pub(super) struct Framed {
    stream: TcpStream,
    input: Box<[u8; INPUT]>,
    taken: usize,
    filled: usize,
    output: Box<[u8; OUTPUT]>,
    sent: usize,
    queued: usize,
}

impl Framed {
    /// Takes a connected socket over and has the loop told of it under `token`.
    pub(super) fn new(stream: std::net::TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (input, output) = (Box::new([0; INPUT]), Box::new([0; OUTPUT]));
        Ok(Framed { stream, input, taken: 0, filled: 0, output, sent: 0, queued: 0 })
    }

    /// Takes a message if there is room for it, and hands to the socket what that takes; `false`: no room.
    pub(super) fn send<M: Serialize>(&mut self, envelope: &Envelope, message: &M) -> Result<bool, Trouble> {
        self.flush()?;
        let mut frame = [0; FRAME_MAX];
        let frame = encode(envelope, message, &mut frame).map_err(Trouble::Frame)?;
        if OUTPUT - self.queued < frame.len() {
            self.output.copy_within(self.sent..self.queued, 0);
            (self.sent, self.queued) = (0, self.queued - self.sent);
            if OUTPUT - self.queued < frame.len() {
                return Ok(false);
            }
        }
        self.output[self.queued..self.queued + frame.len()].copy_from_slice(frame);
        self.queued += frame.len();
        self.flush()?;
        Ok(true)
    }

    /// Hands to the socket what waits, as far as it takes it.
    pub(super) fn flush(&mut self) -> Result<(), Trouble> {
        while self.sent < self.queued {
            match self.stream.write(&self.output[self.sent..self.queued]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        (self.sent, self.queued) = (0, 0);
        Ok(())
    }

    /// The next message; `None`: not yet. Whole messages come before the trouble that ends the connection.
    pub(super) fn next<M: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<(Envelope, M)>, Trouble> {
        loop {
            let ahead = &self.input[self.taken..self.filled];
            if !ahead.is_empty() {
                match decode(ahead).map_err(Trouble::Frame)? {
                    Decoded::Whole(envelope, message, bytes) => {
                        self.taken += bytes;
                        return Ok(Some((envelope, message)));
                    }
                    Decoded::Partial(_) => {}
                }
            }
            if self.taken > 0 {
                self.input.copy_within(self.taken..self.filled, 0);
                (self.taken, self.filled) = (0, self.filled - self.taken);
            }
            // There is room: a partial frame is shorter than the longest, and the buffer holds several.
            match self.stream.read(&mut self.input[self.filled..]) {
                Ok(0) if self.filled == 0 => return Err(Trouble::Closed),
                Ok(0) => return Err(Trouble::CutShort),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl From<FrameError> for Trouble {
    fn from(error: FrameError) -> Self {
        Trouble::Frame(error)
    }
}
