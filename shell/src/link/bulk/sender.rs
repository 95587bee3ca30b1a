//! The source's bulk thread: takes requests and states in, and puts them on the wire in order.
//!
//! It owns the dirty source and the *pending* set: pages that were read from the log, which clears it, and are not on
//! the wire yet (\[SW-26\]). Both outlive attempts and connections. [`super::pass`] has the passes over it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Instant;

use switchover_core::digest::{Digest, Piece};
use switchover_core::port::Port;
use switchover_core::wire::chunk::Kind;

use super::OnThread;
use super::connection::Broken;
use super::faults::SenderFaults;
use super::handle::{BulkHandle, QueuedState, Shared};
use super::outgoing::{Body, Head, Rest, Runs, Transmitted, transmit};
use super::pacer::Pacer;
use super::pass::{BOUNCE, ZeroRuns};
use super::request::{Answer, Request, Ticket};
use super::station::{Station, Woken};
use crate::dirty::{Bitmap, DirtySource};
use crate::guest::memory::GuestMemory;
use crate::memory::hash::{StateHash, hash_all};
use crate::wake::Wake;

/// How a sender is set up.
#[derive(Clone, Default)]
pub struct SenderConfig {
    /// Bytes a second in pre-copy; `None`: as fast as it goes. Never holds for the stop-copy.
    pub max_bandwidth: Option<u64>,
    /// Called on the thread when it starts.
    pub on_thread: Option<OnThread>,
}

/// The thread and the way to it. Dropping it ends the thread; the connection is closed.
pub struct Sender {
    handle: BulkHandle,
    thread: Option<JoinHandle<()>>,
}

impl Sender {
    /// Starts the thread for a guest's memory. There is no connection yet.
    ///
    /// # Errors
    /// The system has no more threads or descriptors.
    pub fn spawn(
        memory: GuestMemory,
        dirty: Box<dyn DirtySource>,
        wake: Wake,
        config: SenderConfig,
    ) -> io::Result<Self> {
        let (station, waker) = Station::new()?;
        let shared = Arc::new(Shared::new(waker, wake, config.max_bandwidth.unwrap_or(0)));
        let mut worker = Worker::new(Arc::clone(&shared), memory, dirty, station);
        let thread = std::thread::Builder::new().name("bulk-send".into()).spawn(move || {
            if let Some(set_up) = config.on_thread {
                set_up("bulk-send");
            }
            worker.run();
        })?;
        Ok(Self { handle: BulkHandle(shared), thread: Some(thread) })
    }

    /// The way to the thread for everybody else.
    pub fn handle(&self) -> &BulkHandle {
        &self.handle
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed by then; there is nothing to add on the way out.
            let _ = thread.join();
        }
    }
}

/// Why something did not get done.
pub(super) enum Halt {
    /// The attempt is over.
    Over,
    /// The connection is gone; the worker has noted why.
    Broken,
    /// Memory or its dirty log failed.
    Memory(String),
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) memory: GuestMemory,
    pub(super) dirty: Box<dyn DirtySource>,
    /// Pages that the destination does not have, as far as was read from the log.
    pub(super) pending: Bitmap,
    pub(super) logging: bool,
    pub(super) station: Station,
    broken: Option<Broken>,
    memory_failed: Option<String>,
    /// What is on the wire, all of it whole.
    pub(super) digest: Digest,
    pub(super) chunks: u64,
    /// The chunk before the next one was torn.
    torn: bool,
    unfinished: Option<Rest>,
    states: u64,
    pub(super) attempt: u32,
    pub(super) state_hash: StateHash,
    pub(super) head: Head,
    pub(super) bounce: Vec<u8>,
    pub(super) runs: Runs,
    pub(super) zeros: ZeroRuns,
    pub(super) pacer: Pacer,
    pub(super) sent: u64,
    done: Option<u16>,
    /// Something that the loop may wait for has changed since the last publication.
    news: bool,
}

impl Worker {
    fn new(shared: Arc<Shared>, memory: GuestMemory, dirty: Box<dyn DirtySource>, station: Station) -> Self {
        let pending = Bitmap::full(memory.pages());
        Self {
            shared,
            memory,
            dirty,
            pending,
            logging: false,
            station,
            broken: Some(Broken::Absent),
            memory_failed: None,
            digest: Digest::EMPTY,
            chunks: 0,
            torn: false,
            unfinished: None,
            states: 0,
            attempt: 0,
            state_hash: StateHash::default(),
            head: Head::new(),
            bounce: vec![0; BOUNCE],
            runs: Runs::new(),
            zeros: ZeroRuns::new(),
            pacer: Pacer::default(),
            sent: 0,
            done: None,
            news: false,
        }
    }

    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            self.take_connection();
            let asked = Ticket::unpack(self.shared.request.load(Ordering::SeqCst))
                .filter(|ticket| self.done != Some(ticket.number) && ticket.epoch == self.shared.epoch());
            if let Some(ticket) = asked {
                // What was attached before the request was made is its connection.
                self.take_connection();
                self.done = Some(ticket.number);
                self.serve(ticket);
                continue;
            }
            let epoch = self.shared.epoch();
            // What stopped it is noted where it happened; look again.
            let moved = self.pump_states(epoch).unwrap_or(true);
            if self.news {
                self.publish(None);
            } else if !moved {
                self.idle();
            }
        }
        self.station.detach();
    }

    /// Waits for anything to do; a chunk that was cut goes on meanwhile.
    fn idle(&mut self) {
        if self.unfinished.is_some() {
            match self.finish_cut() {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.break_off(error.into()),
            }
        }
        if self.station.wait(None) == Woken::HungUp && self.broken.is_none() {
            self.break_off(Broken::Closed);
        }
    }

    fn serve(&mut self, ticket: Ticket) {
        let epoch = ticket.epoch;
        let result = match ticket.request {
            Request::Round { attempt, fresh } => self.round(epoch, attempt, fresh).map(Answer::Pass),
            Request::LastPages => self.last_pages(epoch).map(Answer::Pass),
            Request::Hash => self.hash(epoch).map(Answer::Hash),
            Request::Release => {
                self.release();
                Ok(Answer::Released)
            }
        };
        let answer = match result {
            Ok(answer) => answer,
            // Kept: nobody waits for an answer any more.
            Err(Halt::Over) if epoch != self.shared.epoch() => return self.publish(None),
            // Over for another reason: the connection was replaced.
            Err(Halt::Over | Halt::Broken) => Answer::Failed,
            Err(Halt::Memory(what)) => {
                self.memory_failed = Some(what);
                // It is unknown now what changed: all of it may have.
                self.pending.set_all();
                Answer::Failed
            }
        };
        // States that were posted meanwhile belong to what a seal would cover; those that come later are published
        // when they are out.
        let _ = self.pump_states(epoch);
        self.publish(Some((ticket.number, answer)));
    }

    fn hash(&mut self, epoch: u16) -> Result<(u64, u64), Halt> {
        self.pump_states(epoch)?;
        let shared = Arc::clone(&self.shared);
        hash_all(&self.memory, &self.state_hash, || shared.epoch() == epoch).ok_or(Halt::Over)
    }

    fn release(&mut self) {
        if self.logging {
            // The guest is gone from here: a log that cannot be stopped costs nothing any more.
            let _ = self.dirty.stop();
            self.logging = false;
        }
        self.memory.destroy();
        self.pending.set_all();
    }

    /// Tells the port where things stand, and wakes the loop after the lock is released.
    fn publish(&mut self, answer: Option<(u16, Answer)>) {
        self.news = false;
        self.shared.published.with(|published| {
            if answer.is_some() {
                published.answer = answer;
            }
            published.digest = self.digest;
            published.chunks = self.chunks;
            published.states = self.states;
            published.torn = self.torn || self.unfinished.is_some();
            published.broken.clone_from(&self.broken);
            published.memory_failed.clone_from(&self.memory_failed);
        });
        self.shared.wake.wake();
    }

    fn take_connection(&mut self) {
        if !self.shared.attached.load(Ordering::SeqCst) {
            return;
        }
        let next = self.shared.next.with(|next| next.take());
        self.unfinished = None;
        self.torn = false;
        self.chunks = 0;
        self.digest = Digest::EMPTY;
        self.broken = match next.map(|stream| self.station.attach(stream)) {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error.into()),
            None => Some(Broken::Absent),
        };
        self.shared.published.with(|published| {
            published.broken.clone_from(&self.broken);
            published.chunks = 0;
            published.digest = Digest::EMPTY;
            published.torn = false;
        });
        // Only now: until here "attached" means that what is published is of the connection before.
        self.shared.next.with(|next| {
            if next.is_none() {
                self.shared.attached.store(false, Ordering::SeqCst);
            }
        });
        self.shared.wake.wake();
    }

    fn break_off(&mut self, why: Broken) {
        self.station.detach();
        self.unfinished = None;
        self.torn = false;
        self.broken = Some(why);
        self.publish(None);
    }

    /// Whether what belongs to `epoch` on this connection should go on.
    pub(super) fn goes_on(shared: &Shared, epoch: u16) -> bool {
        shared.epoch() == epoch && !shared.attached.load(Ordering::SeqCst)
    }

    /// Waits for the socket, a wake, or the time; an error says that it is over.
    pub(super) fn pause(&mut self, until: Option<Instant>, epoch: u16) -> Result<(), Halt> {
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        if self.station.wait(left) == Woken::HungUp {
            self.break_off(Broken::Closed);
            return Err(Halt::Broken);
        }
        if Self::goes_on(&self.shared, epoch) { Ok(()) } else { Err(Halt::Over) }
    }

    /// Goes on with a chunk that was cut; true once there is none any more.
    fn finish_cut(&mut self) -> io::Result<bool> {
        let Some(rest) = &mut self.unfinished else { return Ok(true) };
        if !rest.go_on(&self.station)? {
            return Ok(false);
        }
        self.sent += rest.len() as u64;
        self.shared.counters.add_chunk(rest.len() as u64, 0, 0);
        self.unfinished = None;
        self.chunks += 1;
        self.torn = true;
        // The next header has to come, since it carries the mark: see to it that there is a chunk to send.
        self.pending.set(0);
        self.news = true;
        Ok(true)
    }

    /// Sends one chunk whose table is in `runs`, with `digest` as the digest after it. On return without error it is
    /// on the wire, all of it.
    pub(super) fn send(
        &mut self,
        epoch: u16,
        kind: Kind,
        body: Source<'_>,
        digest: Digest,
    ) -> Result<(), Halt> {
        if self.broken.is_some() {
            return Err(Halt::Broken);
        }
        loop {
            match self.finish_cut() {
                Ok(true) => break,
                Ok(false) => self.pause(None, epoch)?,
                Err(error) => {
                    self.break_off(error.into());
                    return Err(Halt::Broken);
                }
            }
        }
        let (body, runs, payload) = match body {
            Source::Zeros => (Body::Nothing, &self.zeros.runs, 0),
            Source::Bounce(bytes) => (Body::Bytes(&self.bounce[..bytes]), &self.runs, bytes),
            Source::State(bytes) => (Body::Bytes(bytes), &NO_RUNS, bytes.len()),
            Source::Memory(bytes) => (Body::Memory(&self.memory), &self.runs, bytes),
        };
        self.head.encode(kind, self.attempt, self.torn, runs, payload);
        let shared = &self.shared;
        let head = self.head.bytes();
        match transmit(&mut self.station, head, body, runs, || Self::goes_on(shared, epoch)) {
            Transmitted::Whole => {
                self.torn = false;
                self.digest = digest;
                self.chunks += 1;
                self.sent += (head.len() + payload) as u64;
                Ok(())
            }
            Transmitted::Cut(0) => Err(Halt::Over),
            Transmitted::Cut(at) => {
                self.unfinished = Some(Rest::of(head, body, runs, at));
                Err(Halt::Over)
            }
            Transmitted::Gone(error) => {
                self.break_off(error.into());
                Err(Halt::Broken)
            }
        }
    }

    /// Sends the states that wait; true if there were any.
    pub(super) fn pump_states(&mut self, epoch: u16) -> Result<bool, Halt> {
        let mut moved = false;
        loop {
            let next = self.shared.states.with(|queue| {
                let next = queue.slices.pop_front()?;
                queue.bytes -= next.bytes.len();
                Some(next)
            });
            let Some(state) = next else { return Ok(moved) };
            moved = true;
            // On the wire or not, it does not wait any more.
            self.states += 1;
            self.news = true;
            if state.epoch == self.shared.epoch() {
                self.send_state(epoch, state)?;
            }
        }
    }

    /// Takes back what the chunk just sent did to the digest, which was `before` it: what was hashed may not be what
    /// was sent. The next header says so.
    pub(super) fn disown(&mut self, before: Digest) {
        self.digest = before;
        self.torn = true;
        self.pending.set(0);
        self.news = true;
    }

    fn send_state(&mut self, epoch: u16, mut state: QueuedState) -> Result<(), Halt> {
        let piece = match state.port {
            Port::Vcpus(port) => Piece::Vcpus(port),
            Port::Device(device) => Piece::Device(device),
            // Refused when it was handed over.
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => return Ok(()),
        };
        let mut digest = self.digest;
        digest.update(piece, &state.bytes);
        self.state_hash.update(state.port, &state.bytes);
        if let Some(byte) = state.bytes.first_mut()
            && self.strikes(|faults| std::mem::take(&mut faults.corrupt_state))
        {
            *byte ^= 1;
        }
        self.hold_back(epoch)?;
        let kind = Kind::State { port: state.port, last: state.last };
        self.send(epoch, kind, Source::State(&state.bytes), digest)?;
        self.shared.counters.add_chunk((self.head.bytes().len() + state.bytes.len()) as u64, 0, 0);
        Ok(())
    }

    /// Takes a fault that is to strike now; without any, one load of an atomic.
    pub(super) fn strikes<R: Default>(&self, take: impl FnOnce(&mut SenderFaults) -> R) -> R {
        if !self.shared.armed.load(Ordering::Relaxed) {
            return R::default();
        }
        self.shared.faults.with(take)
    }

    /// Acts out a stalled link, if one is to strike.
    pub(super) fn hold_back(&mut self, epoch: u16) -> Result<(), Halt> {
        let Some(stall) = self.strikes(|faults| faults.stall.take()) else { return Ok(()) };
        let until = Instant::now() + stall;
        while Instant::now() < until {
            self.pause(Some(until), epoch)?;
        }
        Ok(())
    }
}

static NO_RUNS: Runs = Runs::new();

/// Where the worker finds a chunk's payload, and its length.
#[derive(Copy, Clone)]
pub(super) enum Source<'a> {
    /// There is none; the table is in `zeros`.
    Zeros,
    /// The first bytes of the bounce buffer.
    Bounce(usize),
    /// A slice of state.
    State(&'a [u8]),
    /// So many bytes of guest memory, where the table in `runs` says.
    Memory(usize),
}
