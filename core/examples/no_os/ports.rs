//! vCPUs and memory as ports: the traits of `switchover_core::hal`, on a guest that is a counter.
//!
//! A method starts an operation, does a slice of it at each call, and says `WouldBlock` until it is done. Both ports of
//! a side share its guest and its end of the bulk ring through a `RefCell`; a borrow that is not to be had is one more
//! reason to be called again, not a panic.

use core::cell::RefCell;

use heapless::Vec;
use heapless::spsc::{Consumer, Producer};
use nb::Error::{Other, WouldBlock};
use switchover_core::digest::{Digest, Piece};
use switchover_core::event::Pass;
use switchover_core::hal::{Failed, ResumeFailed, Slice, destination, source};
use switchover_core::id::AttemptId;
use switchover_core::limits::PAGE_SIZE;
use switchover_core::port::Port;
use switchover_core::units::Bytes;
use switchover_core::wire::chunk::{HEADER, Header, Kind, RUN, Run, runs};
use switchover_core::wire::message::Seal;

use super::guest::{Guest, PAGES};

/// The longest chunk here: one page and its run.
const CHUNK_MAX: usize = HEADER + RUN + PAGE_SIZE;

/// Calls `work` on what the ports of a side share.
fn with<T, R, E>(shared: &RefCell<T>, work: impl FnOnce(&mut T) -> nb::Result<R, E>) -> nb::Result<R, E> {
    shared.try_borrow_mut().map_or(Err(WouldBlock), |mut shared| work(&mut shared))
}

/// What the source's ports share.
pub struct Sending<'a> {
    /// The guest.
    pub guest: Guest,
    tx: Producer<'a, u8>,
    /// The chunk under way and how much of it is in the ring.
    chunk: Vec<u8, CHUNK_MAX>,
    written: usize,
    /// Pages that were read from the dirty log and are not sent: they stay over attempts, since
    /// reading the log clears it.
    pending: u8,
    /// Bytes of the pass under way.
    pass: Option<u64>,
    attempt: u32,
    digest: Digest,
    chunks: u64,
    /// The fault of this example: the first save never ends.
    hangs: bool,
}

impl<'a> Sending<'a> {
    /// The source's side of the ring `tx`.
    pub fn new(guest: Guest, tx: Producer<'a, u8>) -> Self {
        let (pending, digest) = (0, Digest::EMPTY);
        let chunk = Vec::new();
        Self { guest, tx, chunk, written: 0, pending, pass: None, attempt: 0, digest, chunks: 0, hangs: true }
    }

    /// Puts what is left of the chunk into the ring, as far as it takes it.
    fn flush(&mut self) -> nb::Result<(), Failed> {
        for byte in self.chunk.iter().skip(self.written) {
            self.tx.enqueue(*byte).map_err(|_| WouldBlock)?;
            self.written += 1;
        }
        self.chunk.clear();
        self.written = 0;
        Ok(())
    }

    /// Begins a chunk; the one before must be flushed.
    fn begin(&mut self, kind: Kind, runs: &[Run], payload: &[u8], piece: Piece) -> Result<(), Failed> {
        let (attempt, torn_previous) = (self.attempt, false);
        let header =
            Header { kind, attempt, runs: runs.len() as u32, payload: payload.len() as u32, torn_previous };
        let mut head = [0; HEADER + RUN];
        let used = header.encode(runs, &mut head).map_err(|_| Failed)?;
        self.chunk.extend_from_slice(head.get(..used).ok_or(Failed)?).map_err(|_| Failed)?;
        self.chunk.extend_from_slice(payload).map_err(|_| Failed)?;
        // Hashed is what is in the chunk: the guest may write the page again meanwhile.
        self.digest.update(piece, payload);
        self.chunks += 1;
        Ok(())
    }

    /// One pass over what is dirty, one page a call.
    fn pass(&mut self) -> nb::Result<Pass, Failed> {
        let mut sent = *self.pass.get_or_insert_with(|| {
            self.pending |= core::mem::take(&mut self.guest.dirty);
            0
        });
        self.flush()?;
        let number = self.pending.trailing_zeros();
        let Some(page) = self.guest.pages.get(number as usize).copied() else {
            let dirty = u64::from(self.guest.dirty.count_ones()) * PAGE_SIZE as u64;
            self.pass = None;
            let (sent, dirty, throttled) = (Bytes::new(sent), Bytes::new(dirty), Default::default());
            return Ok(Pass { sent, chunks: self.chunks, dirty, throttled });
        };
        let first = u64::from(number);
        self.begin(Kind::Pages, &[Run { first, pages: 1 }], &page, Piece::Pages(first))?;
        self.pending &= self.pending - 1;
        sent += PAGE_SIZE as u64;
        self.pass = Some(sent);
        Err(WouldBlock)
    }
}

/// A port of the source: its vCPU, or its memory.
pub struct Here<'s, 'a>(pub &'s RefCell<Sending<'a>>);

impl source::Vcpus for Here<'_, '_> {
    fn stop(&mut self) -> nb::Result<(), Failed> {
        with(self.0, |shared| {
            shared.guest.runs = false;
            Ok(())
        })
    }

    fn save(&mut self) -> nb::Result<Slice, Failed> {
        with(self.0, |shared| {
            if shared.hangs {
                return Err(WouldBlock);
            }
            shared.flush()?;
            let state = shared.guest.count.to_le_bytes();
            shared.begin(Kind::State { port: Port::Vcpus(0), last: true }, &[], &state, Piece::Vcpus(0))?;
            Ok(Slice::Last)
        })
    }

    fn rollback(&mut self) -> nb::Result<(), Failed> {
        with(self.0, |shared| {
            shared.hangs = false;
            shared.guest.runs = true;
            Ok(())
        })
    }
}

impl source::Memory for Here<'_, '_> {
    fn round(&mut self, attempt: AttemptId, fresh: bool) -> nb::Result<Pass, Failed> {
        with(self.0, |shared| {
            if fresh && shared.pass.is_none() {
                // Nothing that was sent before counts: the destination has dropped it.
                shared.pending = u8::MAX;
                shared.digest = Digest::EMPTY;
            }
            shared.attempt = attempt.counter;
            shared.pass()
        })
    }

    fn last_pages(&mut self) -> nb::Result<Pass, Failed> {
        with(self.0, Sending::pass)
    }

    fn seal(&mut self) -> nb::Result<Seal, Failed> {
        with(self.0, |shared| {
            shared.flush()?;
            Ok(Seal { digest: shared.digest, chunks: shared.chunks, verify: None })
        })
    }

    fn keep(&mut self) {
        // Pages not sent are still pending, and a chunk under way is whole in its buffer: it goes out
        // with the next flush, and both sides count it.
        if let Ok(mut shared) = self.0.try_borrow_mut() {
            shared.pass = None;
        }
    }

    fn release(&mut self) -> nb::Result<(), core::convert::Infallible> {
        with(self.0, |shared| {
            shared.guest = Guest::empty();
            Ok(())
        })
    }
}

/// What the destination's ports share.
pub struct Receiving<'a> {
    /// The guest to be.
    pub guest: Guest,
    rx: Consumer<'a, u8>,
    /// What has arrived of the chunk under way.
    chunk: Vec<u8, CHUNK_MAX>,
    attempt: u32,
    digest: Digest,
    chunks: u64,
    /// The vCPU's state of this attempt, once it is here.
    state: Option<u64>,
    /// Something arrived that is no chunk: the ring cannot be trusted any further.
    broken: bool,
}

impl<'a> Receiving<'a> {
    /// The destination's side of the ring `rx`.
    pub fn new(rx: Consumer<'a, u8>) -> Self {
        let (guest, chunk) = (Guest::empty(), Vec::new());
        Self { guest, rx, chunk, attempt: 0, digest: Digest::EMPTY, chunks: 0, state: None, broken: false }
    }

    /// Reads what the ring has, up to one chunk. Called from the loop (or the ring's interrupt), whether or not
    /// the machine asks for anything: it asks once a round is on the wire, and the ring must not be full till then.
    pub fn read(&mut self) {
        if let Err(Other(Failed)) = self.pump() {
            self.broken = true;
        }
    }

    fn pump(&mut self) -> nb::Result<(), Failed> {
        loop {
            let whole = match self.chunk.first_chunk::<HEADER>() {
                None => HEADER,
                Some(head) => {
                    let header = Header::decode(head).map_err(|_| Failed)?;
                    HEADER + header.table() + header.payload as usize
                }
            };
            if whole > HEADER && self.chunk.len() == whole {
                return Ok(self.take()?);
            }
            while self.chunk.len() < whole {
                let byte = self.rx.dequeue().ok_or(WouldBlock)?;
                // A chunk beyond this buffer is none that this source sends.
                self.chunk.push(byte).map_err(|_| Failed)?;
            }
        }
    }

    fn take(&mut self) -> Result<(), Failed> {
        let (head, rest) = self.chunk.split_first_chunk::<HEADER>().ok_or(Failed)?;
        let header = Header::decode(head).map_err(|_| Failed)?;
        let (table, mut payload) = rest.split_at_checked(header.table()).ok_or(Failed)?;
        header.check(head, table, PAGES as u64).map_err(|_| Failed)?;
        match header.kind {
            Kind::Pages => {
                for run in runs(table) {
                    let length = run.pages as usize * PAGE_SIZE;
                    let (bytes, others) = payload.split_at_checked(length).ok_or(Failed)?;
                    let pages = self.guest.pages.iter_mut().skip(run.first as usize);
                    for (page, bytes) in pages.zip(bytes.as_chunks().0) {
                        *page = *bytes;
                    }
                    self.digest.update(Piece::Pages(run.first), bytes);
                    payload = others;
                }
            }
            Kind::State { port: Port::Vcpus(0), .. } => {
                self.digest.update(Piece::Vcpus(0), payload);
                // The state of an attempt that is over may still arrive: it counts, and is not loaded.
                if header.attempt == self.attempt {
                    self.state = payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                }
            }
            // This source elides no zero pages and has no devices.
            Kind::Zeros | Kind::State { .. } => return Err(Failed),
        }
        self.chunks += 1;
        self.chunk.clear();
        Ok(())
    }

    fn arrived(&self, chunks: u64) -> nb::Result<(), Failed> {
        match (self.broken, self.chunks < chunks) {
            (true, _) => Err(Other(Failed)),
            (false, true) => Err(WouldBlock),
            (false, false) => Ok(()),
        }
    }
}

/// A port of the destination: its vCPU, or its memory.
pub struct There<'s, 'a>(pub &'s RefCell<Receiving<'a>>);

impl destination::Vcpus for There<'_, '_> {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        with(self.0, |shared| {
            shared.guest.count = shared.state.ok_or(WouldBlock)?;
            Ok(Slice::Last)
        })
    }

    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        with(self.0, |shared| {
            shared.guest.runs = true;
            Ok(())
        })
    }

    fn unload(&mut self) -> nb::Result<(), Failed> {
        with(self.0, |shared| {
            shared.state = None;
            Ok(())
        })
    }
}

impl destination::Memory for There<'_, '_> {
    fn expect(&mut self, attempt: AttemptId, warm: bool) {
        if let Ok(mut shared) = self.0.try_borrow_mut() {
            shared.attempt = attempt.counter;
            if !warm {
                shared.digest = Digest::EMPTY;
            }
        }
    }

    fn drain(&mut self, chunks: u64) -> nb::Result<(), Failed> {
        with(self.0, |shared| shared.arrived(chunks))
    }

    fn verify(&mut self, seal: &Seal) -> nb::Result<Seal, Failed> {
        with(self.0, |shared| {
            shared.arrived(seal.chunks)?;
            Ok(Seal { digest: shared.digest, chunks: shared.chunks, verify: None })
        })
    }

    fn discard(&mut self) {
        if let Ok(mut shared) = self.0.try_borrow_mut() {
            shared.state = None;
        }
    }
}
