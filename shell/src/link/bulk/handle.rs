//! What the source's ports and the sender's thread share.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use mio::Waker;
use switchover_core::digest::Digest;
use switchover_core::limits::CHUNK_PAYLOAD_MAX;
use switchover_core::port::Port;

use super::connection::Broken;
use super::counters::Counters;
use super::faults::SenderFaults;
use super::loop_lock::LoopLock;
use super::request::{Answer, EPOCH_MASK, Request, Ticket};
use crate::wake::Wake;

/// Bytes of state that wait for the sender at most.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Why a slice of state was not taken.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendState {
    /// Too much waits already; the loop is woken when there is room.
    #[error("too much state waits for the bulk connection already; offer the slice again when woken")]
    Full,
    /// The attempt that this slice belongs to is over: drop it.
    #[error("the attempt that this state belongs to is over")]
    Over,
    /// It is longer than one chunk may be, or not of a vCPU port or device.
    #[error(
        "a slice of state is at most {CHUNK_PAYLOAD_MAX} bytes and belongs to a vCPU port or a device; cut it up"
    )]
    Unfit,
}

/// A slice that waits.
pub(super) struct QueuedState {
    pub(super) epoch: u16,
    pub(super) port: Port,
    pub(super) last: bool,
    pub(super) bytes: Vec<u8>,
}

/// The slices that wait.
#[derive(Default)]
pub(super) struct StateQueue {
    pub(super) slices: VecDeque<QueuedState>,
    pub(super) bytes: usize,
    /// Slices taken in since the thread started: with `Published::states` it says whether all is on the wire.
    pub(super) taken: u64,
}

/// What the thread tells the port.
pub(super) struct Published {
    /// Number and answer of the last request that ended.
    pub(super) answer: Option<(u16, Answer)>,
    /// Of all that is on the wire.
    pub(super) digest: Digest,
    /// Chunks since the connection opened.
    pub(super) chunks: u64,
    /// Slices of state that are on the wire, or were dropped.
    pub(super) states: u64,
    /// A chunk is half written.
    pub(super) torn: bool,
    /// Why there is no connection.
    pub(super) broken: Option<Broken>,
    /// Why memory failed: the dirty log could not be read.
    pub(super) memory_failed: Option<String>,
}

/// Between port and thread.
pub(super) struct Shared {
    /// The newest request, packed.
    pub(super) request: AtomicU64,
    number: AtomicU16,
    /// Counts aborts: what was begun under another epoch is over.
    pub(super) epoch: AtomicU16,
    pub(super) stop: AtomicBool,
    /// A new socket lies in `next`.
    pub(super) attached: AtomicBool,
    pub(super) next: LoopLock<Option<TcpStream>>,
    pub(super) states: LoopLock<StateQueue>,
    pub(super) published: LoopLock<Published>,
    pub(super) armed: AtomicBool,
    pub(super) faults: LoopLock<SenderFaults>,
    /// Bytes a second in pre-copy; 0: no cap.
    pub(super) max_bandwidth: AtomicU64,
    pub(super) counters: Counters,
    /// Wakes the thread.
    pub(super) waker: Arc<Waker>,
    /// Wakes the loop.
    pub(super) wake: Wake,
}

impl Shared {
    pub(super) fn new(waker: Arc<Waker>, wake: Wake, max_bandwidth: u64) -> Self {
        Self {
            request: AtomicU64::new(0),
            number: AtomicU16::new(0),
            epoch: AtomicU16::new(0),
            stop: AtomicBool::new(false),
            attached: AtomicBool::new(false),
            next: LoopLock::new(None, wake.clone()),
            states: LoopLock::new(StateQueue::default(), wake.clone()),
            published: LoopLock::new(
                Published {
                    answer: None,
                    digest: Digest::EMPTY,
                    chunks: 0,
                    states: 0,
                    torn: false,
                    broken: Some(Broken::Absent),
                    memory_failed: None,
                },
                wake.clone(),
            ),
            armed: AtomicBool::new(false),
            faults: LoopLock::new(SenderFaults::default(), wake.clone()),
            max_bandwidth: AtomicU64::new(max_bandwidth),
            counters: Counters::default(),
            waker,
            wake,
        }
    }

    /// The current epoch, cut to what a ticket holds.
    pub(super) fn epoch(&self) -> u16 {
        self.epoch.load(Ordering::SeqCst) & EPOCH_MASK
    }

    pub(super) fn wake_thread(&self) {
        // Fails only if the thread's poll is gone, and then the thread is.
        let _ = self.waker.wake();
    }
}

/// The source's end of the bulk connection, for everybody but the memory port; clones share it.
#[derive(Clone)]
pub struct BulkHandle(pub(super) Arc<Shared>);

impl BulkHandle {
    /// Hands a connected socket over; an earlier one is shut down. From now on chunks are counted from 0.
    /// May wait for a lock for as long as a pointer takes to be moved.
    pub fn attach(&self, stream: TcpStream) {
        self.0.next.with(|next| {
            *next = Some(stream);
            self.0.attached.store(true, Ordering::SeqCst);
        });
        self.0.wake_thread();
    }

    /// Something to send states of the present attempt with. Take it when the attempt stops the guest: what is sent
    /// with it after the attempt was aborted is refused.
    pub fn states(&self) -> StateSender {
        StateSender { shared: Arc::clone(&self.0), epoch: self.0.epoch() }
    }

    /// Sends one slice of state in the present attempt; see [`StateSender::send`].
    ///
    /// # Errors
    /// See [`SendState`].
    pub fn send_state(&self, port: Port, bytes: Vec<u8>, last: bool) -> Result<(), SendState> {
        self.states().send(port, bytes, last)
    }

    /// Lets things go wrong from now on; replaces what was set before and did not strike yet.
    pub fn inject(&self, faults: SenderFaults) {
        self.0.faults.with(|armed| *armed = faults);
        self.0.armed.store(faults != SenderFaults::default(), Ordering::SeqCst);
    }

    /// Sets the cap of pre-copy in bytes a second; `None` lifts it.
    pub fn set_max_bandwidth(&self, cap: Option<u64>) {
        self.0.max_bandwidth.store(cap.unwrap_or(0), Ordering::Relaxed);
        self.0.wake_thread();
    }

    /// What went over so far.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }

    /// Why there is no connection; `None` while there is one, as far as is known. Does not wait: while the thread
    /// is writing the answer there is none, and the loop is woken after it.
    pub fn broken(&self) -> Option<Broken> {
        if self.0.attached.load(Ordering::SeqCst) {
            return None;
        }
        self.0.published.try_with(|published, _| published.broken.clone())?
    }

    /// As [`BulkHandle::broken`], for the loop: `None` also when it cannot be read just now, and then the loop is woken.
    pub fn try_broken(&self) -> Option<Broken> {
        if self.0.attached.load(Ordering::SeqCst) {
            return None;
        }
        self.0.published.try_with(|published, _| published.broken.clone())?
    }

    /// Why guest memory could not be read, if it could not. Does not wait either.
    pub fn memory_failed(&self) -> Option<String> {
        self.0.published.try_with(|published, _| published.memory_failed.clone())?
    }

    /// Posts a request; returns its number.
    pub(crate) fn ask(&self, request: Request) -> u16 {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let word = Ticket { request, number, epoch: self.0.epoch() }.pack();
        self.0.request.store(word, Ordering::SeqCst);
        self.0.wake_thread();
        number
    }

    /// The answer to the request of that number, once.
    pub(crate) fn answer(&self, number: u16) -> Option<Answer> {
        self.0.published.try_with(|published, _| {
            published.answer.take_if(|(of, _)| *of == number).map(|(_, answer)| answer)
        })?
    }

    /// Digest and chunks, once every slice of state that was handed over is on the wire; an error if the connection
    /// is gone. `None`: not yet.
    pub(crate) fn sealed(&self) -> Option<Result<(Digest, u64), ()>> {
        if self.0.attached.load(Ordering::SeqCst) {
            return Some(Err(()));
        }
        let taken = self.0.states.try_with(|queue, _| queue.taken)?;
        self.0.published.try_with(|published, _| {
            if published.broken.is_some() {
                Some(Err(()))
            } else {
                (published.states == taken && !published.torn)
                    .then_some(Ok((published.digest, published.chunks)))
            }
        })?
    }

    /// Everything asked and handed over so far is over.
    pub(crate) fn abandon(&self) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.wake_thread();
    }

    pub(crate) fn stop(&self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.abandon();
    }
}

/// Sends states in one attempt, and in no later one: a helper that is late does no harm.
#[derive(Clone)]
pub struct StateSender {
    shared: Arc<Shared>,
    epoch: u16,
}

impl StateSender {
    /// Puts one slice on the bulk connection, after the slices that came before. `last`: there is no more of this
    /// port. Never waits for the network; may be called from any thread, the loop's included.
    ///
    /// # Errors
    /// See [`SendState`]. After [`SendState::Full`] the slice is offered again.
    pub fn send(&self, port: Port, bytes: Vec<u8>, last: bool) -> Result<(), SendState> {
        if bytes.len() > CHUNK_PAYLOAD_MAX || !matches!(port, Port::Vcpus(_) | Port::Device(_)) {
            return Err(SendState::Unfit);
        }
        let shared = &self.shared;
        if shared.epoch() != self.epoch {
            return Err(SendState::Over);
        }
        let sent = shared.states.try_with(|queue, wanted| {
            if queue.bytes + bytes.len() > QUEUE_BYTES_MAX && !queue.slices.is_empty() {
                wanted.set();
                return Err(SendState::Full);
            }
            queue.bytes += bytes.len();
            queue.taken += 1;
            queue.slices.push_back(QueuedState { epoch: self.epoch, port, last, bytes });
            Ok(())
        });
        match sent {
            Some(Ok(())) => {
                shared.wake_thread();
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Err(SendState::Full),
        }
    }
}
