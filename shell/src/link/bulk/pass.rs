//! Passes over the pending set: pre-copy rounds, and the last pages.
//!
//! In pre-copy the guest writes its pages meanwhile, so they are copied, and the copy is looked at, hashed and sent
//! (\[SW-73\]). In the stop-copy nothing can change them: they are hashed and sent where they lie.
//! A page leaves the pending set when its chunk is on the wire.

use std::sync::atomic::{Ordering, fence};
use std::time::Instant;

use switchover_core::digest::{Digest, Piece};
use switchover_core::event::Pass;
use switchover_core::limits::{CHUNK_PAYLOAD_MAX, CHUNK_RUNS_MAX};
use switchover_core::time::Ns;
use switchover_core::units::Bytes;
use switchover_core::wire::chunk::{Kind, Run};

use super::RUN_PAGES;
use super::outgoing::Runs;
use super::sender::{Halt, Source, Worker};
use crate::dirty::{Bitmap, PageRun};
use crate::guest::memory::PAGE;
use crate::memory::digest::update;
use crate::memory::hash::StateHash;
use crate::memory::zero::is_zero;

/// Bytes of the bounce buffer, and of a pre-copy chunk's payload: it stays in a processor's own cache.
pub(super) const BOUNCE: usize = 512 << 10;
/// Bytes of a stop-copy chunk's payload.
const STOP_PAYLOAD: usize = 512 << 10;
const _: () = assert!(BOUNCE <= CHUNK_PAYLOAD_MAX && STOP_PAYLOAD <= CHUNK_PAYLOAD_MAX);
/// Zero pages of one chunk: what the receiver looks through before it sees the next header.
const ZEROS_MAX: u64 = 16 << 10;

/// Zero pages that are to be named in the next chunk of zeros.
pub(super) struct ZeroRuns {
    pub(super) runs: Runs,
    pages: u64,
}

impl ZeroRuns {
    pub(super) const fn new() -> Self {
        Self { runs: Runs::new(), pages: 0 }
    }

    /// Whether `pages` more may not fit.
    fn full(&self, pages: u64) -> bool {
        self.pages + pages > ZEROS_MAX || !fits(&self.runs, pages)
    }

    fn push(&mut self, page: u64) {
        push(&mut self.runs, page, u64::from(u32::MAX));
        self.pages += 1;
    }

    fn clear(&mut self) {
        self.runs.clear();
        self.pages = 0;
    }
}

/// Whether so many pages fit into a table in the worst case, in which every other one begins a run.
fn fits(runs: &Runs, pages: u64) -> bool {
    runs.len() as u64 + pages.div_ceil(2) <= CHUNK_RUNS_MAX as u64
}

fn unread(error: std::io::Error) -> Halt {
    Halt::Memory(format!("cannot read the dirty log: {error}"))
}

/// Adds a page to a table that has room.
fn push(runs: &mut Runs, page: u64, longest: u64) {
    match runs.last_mut() {
        Some(last) if last.first + u64::from(last.pages) == page && u64::from(last.pages) < longest => {
            last.pages += 1;
        }
        _ => {
            // There is room: `fits` was asked.
            let _ = runs.push(Run { first: page, pages: 1 });
        }
    }
}

impl Worker {
    /// One pre-copy round.
    pub(super) fn round(&mut self, epoch: u16, attempt: u32, fresh: bool) -> Result<Pass, Halt> {
        if attempt != self.attempt {
            self.attempt = attempt;
            self.state_hash = StateHash::default();
        }
        if !self.logging {
            self.dirty
                .start()
                .map_err(|error| Halt::Memory(format!("cannot start the dirty log: {error}")))?;
            self.logging = true;
        }
        self.collect()?;
        let mut untouched = None;
        if fresh {
            self.pending.set_all();
            self.digest = Digest::EMPTY;
            // After the log was started: what is touched from here on is in it.
            let mut pages = Bitmap::new(self.memory.pages());
            self.memory.mark_untouched(&mut pages);
            untouched = Some(pages);
        }
        let before = self.sent;
        let throttled = self.precopy(epoch, untouched.as_ref())?;
        self.collect()?;
        Ok(self.ended(before, throttled))
    }

    /// All that is dirty, with the guest stopped.
    pub(super) fn last_pages(&mut self, epoch: u16) -> Result<Pass, Halt> {
        let before = self.sent;
        // States first: loading them takes the destination longer than reading the log takes us.
        self.pump_states(epoch)?;
        self.dirty.collect_stopped(&mut self.pending).map_err(unread)?;
        self.stop_copy(epoch)?;
        Ok(self.ended(before, Ns::ZERO))
    }

    fn ended(&self, before: u64, throttled: Ns) -> Pass {
        self.shared.counters.add_round();
        let dirty = self.pending.count();
        self.shared.counters.set_remaining(dirty);
        Pass {
            sent: Bytes::new(self.sent - before),
            chunks: self.chunks,
            dirty: Bytes::new(dirty * PAGE as u64),
            throttled,
        }
    }

    fn collect(&mut self) -> Result<(), Halt> {
        self.dirty.collect(&mut self.pending).map_err(unread)
    }

    fn begin_pass(&mut self) {
        self.shared.counters.set_remaining(self.pending.count());
        // What a pass before this one named and did not send is pending still.
        self.zeros.clear();
    }

    fn precopy(&mut self, epoch: u16, untouched: Option<&Bitmap>) -> Result<Ns, Halt> {
        self.begin_pass();
        let (mut from, mut throttled) = (0, Ns::ZERO);
        loop {
            self.pump_states(epoch)?;
            throttled = throttled.plus(self.pace(epoch)?);
            let before = self.sent;
            let room = self.pacer.portion(PAGE, BOUNCE);
            let more = self.fill_bounce(&mut from, room, untouched)?;
            self.send_bounce(epoch)?;
            self.send_zeros(epoch, more)?;
            self.pacer.spend(self.sent - before, Instant::now());
            if !more {
                return Ok(throttled);
            }
        }
    }

    fn stop_copy(&mut self, epoch: u16) -> Result<(), Halt> {
        self.begin_pass();
        self.hold_back(epoch)?;
        let mut from = 0;
        loop {
            self.pump_states(epoch)?;
            // The fault needs a copy to strike: not the guest's memory.
            let bounced = self.strikes(|faults| faults.corrupt_page);
            let more = if bounced {
                let more = self.fill_bounce(&mut from, BOUNCE, None)?;
                self.send_bounce(epoch)?;
                more
            } else {
                let more = self.fill_table(&mut from)?;
                self.send_table(epoch)?;
                more
            };
            self.send_zeros(epoch, more)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Waits as the bandwidth cap says; returns how long that was.
    fn pace(&mut self, epoch: u16) -> Result<Ns, Halt> {
        let begun = Instant::now();
        let mut waited = false;
        loop {
            // It may change while we wait, and changing it wakes.
            let cap = self.shared.max_bandwidth.load(Ordering::Relaxed);
            let Some(at) = self.pacer.wait_until(cap, Instant::now()) else { break };
            waited = true;
            self.pause(Some(at), epoch)?;
        }
        if !waited {
            // Also on an unthrottled pass an abort must be noticed within a chunk.
            return if Self::goes_on(&self.shared, epoch) { Ok(Ns::ZERO) } else { Err(Halt::Over) };
        }
        Ok(Ns::new(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Copies pending pages from `from` on into the first `room` bytes of the bounce buffer and names them in `runs`; zero ones go to `zeros`.
    /// True if there may be more.
    fn fill_bounce(&mut self, from: &mut u64, room: usize, untouched: Option<&Bitmap>) -> Result<bool, Halt> {
        self.runs.clear();
        let mut used = 0;
        while used + PAGE <= room && !self.zeros.full(1) && fits(&self.runs, 1) {
            let Some(page) = self.pending.next_set(*from) else { return Ok(false) };
            *from = page + 1;
            if untouched.is_some_and(|pages| pages.get(page)) {
                self.zeros.push(page);
                continue;
            }
            let copy = &mut self.bounce[used..used + PAGE];
            self.memory.copy_pages_to(page, copy).map_err(|error| Halt::Memory(error.to_string()))?;
            if is_zero(copy) {
                self.zeros.push(page);
            } else {
                push(&mut self.runs, page, RUN_PAGES);
                used += PAGE;
            }
        }
        Ok(true)
    }

    fn send_bounce(&mut self, epoch: u16) -> Result<(), Halt> {
        let (mut digest, mut at) = (self.digest, 0);
        for run in &self.runs {
            let end = at + run.pages as usize * PAGE;
            update(&mut digest, Piece::Pages(run.first), &self.bounce[at..end]);
            at = end;
        }
        if at == 0 {
            return Ok(());
        }
        if self.strikes(|faults| std::mem::take(&mut faults.corrupt_page)) {
            self.bounce[0] ^= 1;
        }
        self.send(epoch, Kind::Pages, Source::Bounce(at), digest)?;
        self.delivered(at);
        Ok(())
    }

    /// As [`Worker::fill_bounce`], but pages stay where they are.
    fn fill_table(&mut self, from: &mut u64) -> Result<bool, Halt> {
        self.runs.clear();
        let mut left = (STOP_PAYLOAD / PAGE) as u64;
        while left > 0 {
            let Some(run) = self.pending.next_run(*from, left.min(RUN_PAGES)) else { return Ok(false) };
            if self.zeros.full(run.pages) || !fits(&self.runs, run.pages) {
                break;
            }
            let (runs, zeros) = (&mut self.runs, &mut self.zeros);
            let lent = self.memory.lend(run, |bytes| {
                for (page, bytes) in (run.first..).zip(bytes.chunks_exact(PAGE)) {
                    if is_zero(bytes) {
                        zeros.push(page);
                    } else {
                        push(runs, page, RUN_PAGES);
                        left -= 1;
                    }
                }
            });
            lent.map_err(|error| Halt::Memory(error.to_string()))?;
            *from = run.end();
        }
        Ok(true)
    }

    fn send_table(&mut self, epoch: u16) -> Result<(), Halt> {
        let payload = self.runs.iter().map(|run| run.pages as usize * PAGE).sum();
        if payload == 0 {
            return if Self::goes_on(&self.shared, epoch) { Ok(()) } else { Err(Halt::Over) };
        }
        // Hashed first: wide registers read ahead, so that copying into the socket finds the pages in the cache.
        let (before, mut digest) = (self.digest, self.digest);
        for run in &self.runs {
            let pages = PageRun { first: run.first, pages: run.pages.into() };
            self.memory
                .lend(pages, |bytes| update(&mut digest, Piece::Pages(run.first), bytes))
                .map_err(|error| Halt::Memory(error.to_string()))?;
        }
        self.send(epoch, Kind::Pages, Source::Memory(payload), digest)?;
        // Unless an abort came meanwhile: the guest runs again, and may have changed a page before it was hashed or
        // copied. The fence keeps those reads before this look.
        fence(Ordering::SeqCst);
        if !Self::goes_on(&self.shared, epoch) {
            self.disown(before);
            return Err(Halt::Over);
        }
        self.delivered(payload);
        Ok(())
    }

    /// The pages in `runs` are on the wire.
    fn delivered(&mut self, payload: usize) {
        for run in &self.runs {
            self.pending.clear_run(PageRun { first: run.first, pages: run.pages.into() });
        }
        let bytes = (self.head.bytes().len() + payload) as u64;
        self.shared.counters.add_chunk(bytes, (payload / PAGE) as u64, 0);
    }

    /// Names the zero pages, if there are many or no `more` will come.
    fn send_zeros(&mut self, epoch: u16, more: bool) -> Result<(), Halt> {
        if self.zeros.pages == 0 || (more && !self.zeros.full(RUN_PAGES)) {
            return Ok(());
        }
        let mut digest = self.digest;
        for run in &self.zeros.runs {
            digest.update(Piece::Zeros { first: run.first, pages: run.pages }, &[]);
        }
        self.send(epoch, Kind::Zeros, Source::Zeros, digest)?;
        for run in &self.zeros.runs {
            self.pending.clear_run(PageRun { first: run.first, pages: run.pages.into() });
        }
        let (head, pages) = (self.head.bytes().len() as u64, self.zeros.pages);
        self.shared.counters.add_chunk(head, 0, pages);
        self.zeros.clear();
        Ok(())
    }
}
