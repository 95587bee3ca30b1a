//! The real-time loop: waits for the control connection, for helper threads, for the operator and for the deadline, and
//! polls the machine's driver after each.
//!
//! ```text
//!  control socket --+
//!  helper threads --+-> wait -> operator's commands -> driver.poll() -> arm the timer -+
//!  the deadline ----+    ^                                                             |
//!                        +-------------------------------------------------------------+
//! ```
//!
//! The driver takes every input there is before it judges the deadline, and reads the clock after each
//! (\[SW-70\]); the loop caches no time. Waking for nothing does no harm. What waits here is the wait itself, and
//! nothing else.
//!
//! Not here: any knowledge of a switchover. The loop drives whatever is a [`Machine`].

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use std::os::fd::AsRawFd;
use switchover_core::action::{DestinationAction, SourceAction};
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::hal::DestinationDriver;
use switchover_core::hal::SourceDriver;
use switchover_core::hal::{self, Arbiter, Clock, Journal, Link, Observer};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{ToDestination, ToSource};

use crate::clock::HostClock;
use crate::sys::clock::Timer;
use crate::wake::Wake;

const WAKE: Token = Token(0);
const TIMER: Token = Token(1);
/// What a link registers its sockets under.
pub const LINK: Token = Token(2);

/// Something that the loop drives: core's two drivers, or a stand-in of a test's.
pub trait Machine {
    /// What an operator can say to it.
    type Event;

    /// Takes every input there is, then judges the deadline; the answer is when to be polled again at the latest.
    ///
    /// # Errors
    /// The clock cannot be read.
    fn poll(&mut self) -> Result<Option<At>, ClockFailed>;

    /// Takes one event.
    ///
    /// # Errors
    /// The clock cannot be read; the event is not taken.
    fn event(&mut self, event: Self::Event) -> Result<(), ClockFailed>;
}

/// The host's clock cannot be read, and so no deadline can be kept. [`HostClock`] never fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host's clock cannot be read; no deadline can be kept without one")]
pub struct ClockFailed;

impl From<embedded_time::clock::Error> for ClockFailed {
    fn from(_: embedded_time::clock::Error) -> Self {
        ClockFailed
    }
}

impl<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize> Machine
    for SourceDriver<C, L, P, E, M, J, A, O, V, D, N>
where
    C: Clock,
    L: Link<Out = ToDestination, In = ToSource>,
    P: hal::source::Vcpus,
    E: hal::source::Device,
    M: hal::source::Memory,
    J: Journal,
    A: Arbiter,
    O: Observer<SourceEvent, SourceAction>,
{
    type Event = SourceEvent;

    fn poll(&mut self) -> Result<Option<At>, ClockFailed> {
        Ok(self.poll()?)
    }

    fn event(&mut self, event: SourceEvent) -> Result<(), ClockFailed> {
        Ok(self.event(event)?)
    }
}

impl<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize> Machine
    for DestinationDriver<C, L, P, E, M, J, A, O, V, D, N>
where
    C: Clock,
    L: Link<Out = ToSource, In = ToDestination>,
    P: hal::destination::Vcpus,
    E: hal::destination::Device,
    M: hal::destination::Memory,
    J: Journal,
    A: Arbiter,
    O: Observer<DestinationEvent, DestinationAction>,
{
    type Event = DestinationEvent;

    fn poll(&mut self) -> Result<Option<At>, ClockFailed> {
        Ok(self.poll()?)
    }

    fn event(&mut self, event: DestinationEvent) -> Result<(), ClockFailed> {
        Ok(self.event(event)?)
    }
}

/// What another thread wants of the loop.
enum Command<M: Machine> {
    Event(M::Event),
    Do(Box<dyn FnOnce(&mut M) + Send>),
    Stop,
}

/// The way from other threads to the machine; clones lead to the same. Commands are taken in the order in which they
/// were sent.
pub struct Commands<M: Machine> {
    sender: Sender<Command<M>>,
    wake: Wake,
}

impl<M: Machine> Clone for Commands<M> {
    fn clone(&self) -> Self {
        Commands { sender: self.sender.clone(), wake: self.wake.clone() }
    }
}

impl<M: Machine> Commands<M> {
    /// Hands an event in: the operator's.
    pub fn event(&self, event: M::Event) {
        self.post(Command::Event(event));
    }

    /// Does something short to the machine on the loop's thread: new contracts between attempts, a look at its state.
    pub fn with(&self, action: impl FnOnce(&mut M) + Send + 'static) {
        self.post(Command::Do(Box::new(action)));
    }

    /// Ends the loop after what was sent before.
    pub fn stop(&self) {
        self.post(Command::Stop);
    }

    fn post(&self, command: Command<M>) {
        // A loop that has ended takes no more commands, and nothing depends on one.
        let _ = self.sender.send(command);
        self.wake.wake();
    }
}

/// How the loop has fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Turns {
    /// Waits that ended.
    pub wakes: u64,
    /// Deadlines that the timer called for.
    pub deadlines: u64,
    /// The latest that the loop has come to a deadline, after the instant it was armed for.
    pub latest: Ns,
}

/// The loop. Made first, since ports need its [`Wake`] and its registry.
pub struct Reactor<M: Machine> {
    poll: Poll,
    timer: Timer,
    wake: Wake,
    sender: Sender<Command<M>>,
    commands: Receiver<Command<M>>,
    armed: Option<At>,
    turns: Turns,
}

impl<M: Machine> Reactor<M> {
    /// A loop that waits for nothing yet.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Wake::new(Arc::new(Waker::new(poll.registry(), WAKE)?));
        let timer = Timer::new()?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let (sender, commands) = channel();
        Ok(Reactor { poll, timer, wake, sender, commands, armed: None, turns: Turns::default() })
    }

    /// Wakes this loop.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Where a link registers its sockets, under [`LINK`].
    ///
    /// # Errors
    /// No descriptor left.
    pub fn registry(&self) -> io::Result<Registry> {
        self.poll.registry().try_clone()
    }

    /// The way to the machine for other threads.
    pub fn commands(&self) -> Commands<M> {
        Commands { sender: self.sender.clone(), wake: self.wake.clone() }
    }

    /// How it has fared so far.
    pub fn turns(&self) -> Turns {
        self.turns
    }

    /// Drives `machine` until `done` says so, or [`Commands::stop`] does. Give the calling thread its scheduling first
    /// ([`crate::realtime::apply`]). `done` is asked after each poll and does not wait either.
    ///
    /// # Errors
    /// The clock or epoll fails, which neither does on a sound host.
    pub fn run(&mut self, machine: &mut M, mut done: impl FnMut(&mut M) -> bool) -> io::Result<()> {
        let mut events = Events::with_capacity(16);
        let failed = io::Error::other::<ClockFailed>;
        loop {
            // Commands are inputs: like all others they are taken before the deadline is judged.
            let mut stop = false;
            while let Ok(command) = self.commands.try_recv() {
                match command {
                    Command::Event(event) => machine.event(event).map_err(failed)?,
                    Command::Do(action) => action(machine),
                    Command::Stop => stop = true,
                }
            }
            let deadline = machine.poll().map_err(failed)?;
            if stop || done(machine) {
                return Ok(());
            }
            self.arm(deadline)?;
            match self.poll.poll(&mut events, None) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.turns.wakes += 1;
            if events.iter().any(|event| event.token() == TIMER) {
                self.called();
            }
        }
    }

    fn arm(&mut self, deadline: Option<At>) -> io::Result<()> {
        if self.armed == deadline {
            return Ok(());
        }
        self.armed = deadline;
        self.timer.arm(deadline.map(At::as_ns))
    }

    /// The timer has gone off; once, until it is armed again.
    fn called(&mut self) {
        if let Some(deadline) = self.armed.take() {
            self.turns.deadlines += 1;
            self.turns.latest = self.turns.latest.or_longer(HostClock.now().since(deadline));
        }
    }
}
