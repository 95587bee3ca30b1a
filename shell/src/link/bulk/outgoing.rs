//! One chunk on its way out: its header and run table, where its payload lies, and how much of it is written.

use std::io;

use heapless::Vec as Bounded;
use switchover_core::limits::CHUNK_RUNS_MAX;
use switchover_core::wire::chunk::{HEADER, Header, Kind, Run, TABLE_MAX};

use super::station::{Station, Woken};
use crate::dirty::PageRun;
use crate::guest::memory::{GuestMemory, PAGE};
use crate::sys::vectored::{Outgoing, writev};

/// Page runs of one chunk.
pub(super) type Runs = Bounded<Run, CHUNK_RUNS_MAX>;

/// Where a chunk's payload lies.
#[derive(Copy, Clone)]
pub(super) enum Body<'a> {
    /// There is none.
    Nothing,
    /// In a buffer.
    Bytes(&'a [u8]),
    /// In guest memory, where the run table says.
    Memory(&'a GuestMemory),
}

/// What came of trying to send a chunk.
pub(super) enum Transmitted {
    /// All of it is in the socket's buffer.
    Whole,
    /// It was given up after that many bytes.
    Cut(usize),
    /// The connection is gone.
    Gone(io::Error),
}

/// Header and run table, encoded.
pub(super) struct Head {
    bytes: [u8; HEADER + TABLE_MAX],
    len: usize,
}

impl Head {
    pub(super) fn new() -> Self {
        Self { bytes: [0; HEADER + TABLE_MAX], len: 0 }
    }

    /// Encodes the header of a chunk of `payload` bytes.
    pub(super) fn encode(
        &mut self,
        kind: Kind,
        attempt: u32,
        torn_previous: bool,
        runs: &Runs,
        payload: usize,
    ) {
        let header =
            Header { kind, attempt, runs: runs.len() as u32, payload: payload as u32, torn_previous };
        // The table is bounded by its type and a state's port was looked at when it was handed over, so that nothing
        // is left that could be refused. A head of no bytes would be noticed by the receiver at once.
        self.len = header.encode(runs, &mut self.bytes).unwrap_or(0);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Sends head and body. Whenever the socket takes no more, waits, and then asks `go_on` whether to go on.
pub(super) fn transmit(
    station: &mut Station,
    head: &[u8],
    body: Body<'_>,
    runs: &[Run],
    go_on: impl Fn() -> bool,
) -> Transmitted {
    let mut pieces: Bounded<Outgoing<'_>, { CHUNK_RUNS_MAX + 1 }> = Bounded::new();
    // Neither push can fail: one head, one body or at most as many runs as a table has.
    let _ = pieces.push(Outgoing::bytes(head));
    match body {
        Body::Nothing => {}
        Body::Bytes(bytes) => drop(pieces.push(Outgoing::bytes(bytes))),
        Body::Memory(memory) => {
            for run in runs {
                let run = PageRun { first: run.first, pages: run.pages.into() };
                match memory.outgoing(run) {
                    Ok(piece) => drop(pieces.push(piece)),
                    Err(error) => return Transmitted::Gone(io::Error::other(error)),
                }
            }
        }
    }
    let mut pieces = &mut pieces[..];
    let mut sent = 0;
    while let [first, ..] = pieces {
        if first.len() == 0 {
            pieces = &mut pieces[1..];
            continue;
        }
        let Some(fd) = station.fd() else {
            return Transmitted::Gone(io::ErrorKind::NotConnected.into());
        };
        match writev(fd, pieces) {
            Ok(mut written) => {
                sent += written;
                for piece in pieces.iter_mut() {
                    let here = written.min(piece.len());
                    piece.advance(here);
                    written -= here;
                    if written == 0 {
                        break;
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if station.wait(None) == Woken::HungUp {
                    return Transmitted::Gone(io::ErrorKind::ConnectionReset.into());
                }
                if !go_on() {
                    return Transmitted::Cut(sent);
                }
            }
            Err(error) => return Transmitted::Gone(error),
        }
    }
    Transmitted::Whole
}

/// What is left of a chunk that was cut, as bytes of its own: its pages may change by now, and what they hold does
/// not matter any more, since the next header marks the chunk torn.
pub(super) struct Rest {
    bytes: Vec<u8>,
    at: usize,
}

impl Rest {
    pub(super) fn of(head: &[u8], body: Body<'_>, runs: &[Run], sent: usize) -> Self {
        let mut bytes = head.to_vec();
        match body {
            Body::Nothing => {}
            Body::Bytes(payload) => bytes.extend_from_slice(payload),
            Body::Memory(memory) => {
                for run in runs {
                    let at = bytes.len();
                    bytes.resize(at + run.pages as usize * PAGE, 0);
                    // Inside, or the chunk would not have been begun.
                    let _ = memory.copy_pages_to(run.first, &mut bytes[at..]);
                }
            }
        }
        Self { bytes, at: sent }
    }

    /// How much of the chunk there is in all.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes what the socket takes without waiting; true once all is written.
    ///
    /// # Errors
    /// The connection is gone.
    pub(super) fn go_on(&mut self, station: &Station) -> io::Result<bool> {
        while self.at < self.bytes.len() {
            let fd = station.fd().ok_or(io::ErrorKind::NotConnected)?;
            match writev(fd, &[Outgoing::bytes(&self.bytes[self.at..])]) {
                Ok(written) => self.at += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}
