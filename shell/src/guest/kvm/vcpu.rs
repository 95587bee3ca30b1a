//! One vCPU: its thread, and the handle through which it is asked to stop, run and load.
//!
//! Requests never block; each returns a [`Pending`] answer. They are taken in order. A vCPU is stopped by a kick; its
//! thread completes a pending port access and takes the state at once, so a save after a stop costs nothing more.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::pending::{Answer, Pending, Together, pending};
use super::stats::{Stats, VcpuReport};
use crate::guest::memory::GuestMemory;
use crate::sys::kick::Kick;
use crate::sys::sched::set_realtime;

/// A vCPU that has stopped.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// When the vCPU's thread took note of the request; from here on it executed nothing.
    pub at: Instant,
    /// When its state had been taken.
    pub saved_at: Instant,
    /// Its state, for [`Vcpu::load`] on another VMM.
    pub state: Arc<[u8]>,
}

/// A vCPU that runs: every check is done and it is about to enter the guest.
#[derive(Clone, Copy, Debug)]
pub struct Resumed {
    /// When it was about to enter.
    pub at: Instant,
}

/// A vCPU that has taken a state.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// When it had.
    pub at: Instant,
}

#[derive(Debug)]
pub(super) enum Request {
    Stop(Answer<Stopped>),
    Resume(Answer<Resumed>),
    Load(Vec<u8>, Answer<Loaded>),
    Quit,
}

/// What the handle and the thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub index: u8,
    pub kick: Arc<Kick>,
    pub stats: Stats,
    pub urgent_priority: Option<u8>,
    queue: Mutex<VecDeque<Request>>,
    came: Condvar,
    waiting: AtomicBool,
    /// The thread is in the guest, or about to enter it.
    inside: AtomicBool,
    died: OnceLock<String>,
}

impl Shared {
    pub(super) fn new(index: u8, stats: Stats, urgent_priority: Option<u8>) -> Shared {
        Shared {
            index,
            kick: Arc::default(),
            stats,
            urgent_priority,
            queue: Mutex::default(),
            came: Condvar::new(),
            waiting: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            died: OnceLock::new(),
        }
    }

    pub(super) fn set_died(&self, why: &str) {
        self.died.get_or_init(|| why.to_string());
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, request: Request) {
        let queue = match self.queue.try_lock() {
            Ok(queue) => queue,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                // The thread has it for an instant, but may have lost its processor in that: a loop that is about to stop
                // it must not wait for its turn among all others. It is on its way into the guest at most, and the kick
                // keeps it out.
                if matches!(request, Request::Stop(_)) {
                    self.kick.kick();
                    self.hurry();
                }
                self.queue()
            }
        };
        self.put(queue, request);
    }

    fn put(&self, mut queue: MutexGuard<'_, VecDeque<Request>>, request: Request) {
        queue.push_back(request);
        drop(queue);
        self.waiting.store(true, Ordering::SeqCst);
        self.came.notify_all();
        // The thread may be in the guest, or waiting, or between: the kick reaches it in the guest, the condition while
        // it waits. A stopped vCPU's thread only waits, and is spared the signal: it either sees what is asked before it
        // enters, or is seen here to be inside.
        if self.inside.load(Ordering::SeqCst) {
            self.kick.kick();
        }
    }

    /// The vCPU's thread is about to enter the guest, or has left it: before the first look at [`Shared::asked`].
    pub(super) fn set_inside(&self, inside: bool) {
        self.inside.store(inside, Ordering::SeqCst);
    }

    /// See [`Vcpu::hurry`].
    fn hurry(&self) {
        if let (Some(priority), Some(tid)) = (self.urgent_priority, self.kick.tid()) {
            // Where it is not permitted the stop is slower, not wrong.
            let _ = set_realtime(tid, Some(priority));
        }
    }

    /// Whether something is asked; cheap, for the vCPU's thread between two entries.
    pub(super) fn asked(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(super) fn take(&self) -> Option<Request> {
        let mut queue = self.queue();
        let request = queue.pop_front();
        self.waiting.store(!queue.is_empty(), Ordering::SeqCst);
        request
    }

    /// Waits until something is asked.
    pub(super) fn next(&self) -> Request {
        let mut queue = self.queue();
        loop {
            if let Some(request) = queue.pop_front() {
                self.waiting.store(!queue.is_empty(), Ordering::SeqCst);
                return request;
            }
            queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `until` or until something is asked, whichever is first.
    pub(super) fn wait_until(&self, until: Instant) {
        let mut queue = self.queue();
        while queue.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            queue = self.came.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// One vCPU of a [`Vmm`](super::Vmm).
#[derive(Debug)]
pub struct Vcpu {
    pub(super) shared: Arc<Shared>,
    pub(super) memory: GuestMemory,
    pub(super) tsc_khz: u32,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Vcpu {
    /// Its number, from 0.
    pub fn index(&self) -> u8 {
        self.shared.index
    }

    /// Stops it and takes its state. Stopped already, it answers with its state again. For several at once:
    /// [`Vmm::stop`](super::Vmm::stop).
    pub fn stop(&self) -> Pending<Stopped> {
        let answer = self.ask_to_stop(&Together::of(1));
        self.hurry();
        answer
    }

    pub(super) fn ask_to_stop(&self, together: &Together) -> Pending<Stopped> {
        let (answer, give) = pending(self.index(), together);
        self.shared.ask(Request::Stop(give));
        answer
    }

    /// Puts its thread ahead of others: where they compete for the CPU it would wait its turn for milliseconds. Only
    /// after the kick: a guest in the real-time class that nobody has kicked may keep the kicker itself from the CPU.
    pub(super) fn hurry(&self) {
        self.shared.hurry();
    }

    /// Lets it run, from where it stopped or from the state it loaded. An error means that it executed nothing, and
    /// will not. Whether any instruction can have been executed, ever: [`Vcpu::entered`].
    pub fn resume(&self) -> Pending<Resumed> {
        self.ask_to_resume(&Together::of(1))
    }

    pub(super) fn ask_to_resume(&self, together: &Together) -> Pending<Resumed> {
        let (answer, give) = pending(self.index(), together);
        self.shared.ask(Request::Resume(give));
        answer
    }

    /// Gives it a state, which it does not yet run. After an error it cannot run until it has loaded another.
    pub fn load(&self, state: Vec<u8>) -> Pending<Loaded> {
        self.ask_to_load(state, &Together::of(1))
    }

    pub(super) fn ask_to_load(&self, state: Vec<u8>, together: &Together) -> Pending<Loaded> {
        let (answer, give) = pending(self.index(), together);
        self.shared.ask(Request::Load(state, give));
        answer
    }

    /// Whether it may have executed an instruction under this VMM (what [SW-53] asks). False is certain; true is set just
    /// before the first entry, and taken back should the processor refuse it.
    pub fn entered(&self) -> bool {
        self.shared.stats.entered.load(Ordering::Acquire)
    }

    /// Why it died, if it has: a fault in the guest, or an exit that nobody can serve. It will never run again.
    pub fn died(&self) -> Option<&str> {
        self.shared.died.get().map(String::as_str)
    }

    /// What is known about it, without locks.
    pub fn report(&self) -> VcpuReport {
        self.shared.stats.report(&self.memory, self.index(), self.tsc_khz)
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        self.shared.ask(Request::Quit);
        if let Some(thread) = self.thread.take() {
            // A panic on the thread has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}
