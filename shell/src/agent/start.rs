//! A guest that is started only once a destination has said `Welcome` (\[SW-15\]).
//!
//! Until then an error costs nothing: there is no guest yet that could be lost. The first `Welcome` starts it, on the
//! loop's thread and before the machine hears of it, so that nothing the machine asks of the vCPUs can come before their
//! start; the machine is told when the guest has had the time to begin with its work.
//!
//! Whether the guest was started is settled once, by whoever comes first: the link with a `Welcome`, or the main thread
//! that gives up.
//!
//! Not here: what starting a guest is. Not in core either: a machine has a guest that runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use switchover_core::hal::{Link, LinkDown, LinkInput};
use switchover_core::id::AttemptId;
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};

/// Whether the guest was started; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Started(Arc<AtomicU8>);

const OPEN: u8 = 0;
const STARTED: u8 = 1;
const NEVER: u8 = 2;

impl Started {
    /// Whether it was.
    #[must_use]
    pub fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst) == STARTED
    }

    /// Settles that it never will be; false if it was started already.
    #[must_use]
    pub fn never(&self) -> bool {
        self.settle(NEVER)
    }

    fn settle(&self, how: u8) -> bool {
        let was = self.0.compare_exchange(OPEN, how, Ordering::SeqCst, Ordering::SeqCst);
        was.is_ok() || was == Err(how)
    }
}

/// How a guest is started.
pub struct GuestStart {
    /// Told when it is.
    pub started: Started,
    /// Starts it. Called on the loop's thread: posts what is to be done, and does not wait.
    pub start: Box<dyn FnOnce() + Send>,
    /// How long it then runs before it is copied: moving a guest that has not begun is no feat.
    pub warm_up: Duration,
}

/// A `Welcome` that the machine is not told yet.
struct Held {
    until: Instant,
    envelope: Envelope,
    message: ToSource,
}

/// A source's link that starts the guest at the first `Welcome`.
pub struct StartingLink<L> {
    inner: L,
    /// Taken by the `Welcome`; none for a guest that runs already.
    start: Option<GuestStart>,
    /// The attempt that was offered last.
    offered: Option<AttemptId>,
    up: Instant,
    /// The machine takes its peer for dead when it is told nothing for that long after the link came up.
    silence: Duration,
    held: Option<Held>,
}

impl<L> StartingLink<L> {
    /// `inner`, for a machine with so much patience before a `Welcome`.
    pub fn new(inner: L, start: Option<GuestStart>, silence: Duration) -> Self {
        StartingLink { inner, start, offered: None, up: Instant::now(), silence, held: None }
    }
}

impl<L: Link<Out = ToDestination, In = ToSource>> StartingLink<L> {
    /// Starts the guest; what to do with the `Welcome` that did it.
    fn welcomed(&mut self, start: GuestStart, envelope: Envelope, message: ToSource) {
        if !start.started.settle(STARTED) {
            // The main thread has given up, and ends the process: there will be no guest, and no attempt of it.
            self.start = Some(start);
            return;
        }
        (start.start)();
        // The machine says its Hello again meanwhile, and so comes back here before long. It must not lose patience.
        let latest = self.up + self.silence.mul_f64(0.75);
        let until = (Instant::now() + start.warm_up).min(latest);
        self.held = Some(Held { until, envelope, message });
    }
}

impl<L: Link<Out = ToDestination, In = ToSource>> Link for StartingLink<L> {
    type Out = ToDestination;
    type In = ToSource;

    fn connect(&mut self) {
        self.inner.connect();
    }

    fn send(&mut self, envelope: &Envelope, message: &ToDestination) -> nb::Result<(), LinkDown> {
        if matches!(message, ToDestination::Hello(_)) {
            self.offered = Some(envelope.attempt);
        }
        self.inner.send(envelope, message)
    }

    fn receive(&mut self) -> nb::Result<LinkInput<ToSource>, Infallible> {
        if let Some(held) = self.held.take_if(|held| Instant::now() >= held.until) {
            return Ok(LinkInput::Message(held.envelope, held.message));
        }
        if self.held.is_some() {
            return Err(nb::Error::WouldBlock);
        }
        let input = self.inner.receive()?;
        match input {
            LinkInput::Up => self.up = Instant::now(),
            LinkInput::Message(envelope, message @ ToSource::Welcome(_))
                if self.offered == Some(envelope.attempt) =>
            {
                if let Some(start) = self.start.take() {
                    self.welcomed(start, envelope, message);
                    return Err(nb::Error::WouldBlock);
                }
            }
            LinkInput::Message(..) | LinkInput::Down => {}
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use switchover_core::contract::PeerTerms;
    use switchover_core::wire::message::Welcome;

    struct Script(VecDeque<LinkInput<ToSource>>);

    impl Link for Script {
        type Out = ToDestination;
        type In = ToSource;
        fn connect(&mut self) {}
        fn send(&mut self, _: &Envelope, _: &ToDestination) -> nb::Result<(), LinkDown> {
            Ok(())
        }
        fn receive(&mut self) -> nb::Result<LinkInput<ToSource>, Infallible> {
            self.0.pop_front().ok_or(nb::Error::WouldBlock)
        }
    }

    fn envelope(counter: u32) -> Envelope {
        Envelope { attempt: AttemptId { counter, ..AttemptId::default() }, ..Envelope::default() }
    }

    fn welcome(counter: u32) -> LinkInput<ToSource> {
        let terms = PeerTerms::default();
        LinkInput::Message(envelope(counter), ToSource::Welcome(Welcome { terms, warm: false }))
    }

    fn link(
        script: Vec<LinkInput<ToSource>>,
        warm_up: Duration,
    ) -> (StartingLink<Script>, Started, Arc<AtomicBool>) {
        let (started, runs) = (Started::default(), Arc::new(AtomicBool::new(false)));
        let here = Arc::clone(&runs);
        let start = Box::new(move || here.store(true, Ordering::SeqCst));
        let start = GuestStart { started: started.clone(), start, warm_up };
        let mut link = StartingLink::new(Script(script.into()), Some(start), Duration::from_secs(2));
        link.offered = Some(envelope(1).attempt);
        (link, started, runs)
    }

    #[test]
    fn the_guest_starts_at_its_own_welcome_and_the_machine_hears_of_it_later() {
        let others = LinkInput::Message(envelope(1), ToSource::Stranger);
        let warm_up = Duration::from_millis(30);
        let (mut link, started, runs) =
            link(vec![LinkInput::Up, others, welcome(7), welcome(1), LinkInput::Down], warm_up);
        for _ in 0..3 {
            assert!(link.receive().is_ok(), "nothing else is kept from the machine");
            assert!(!runs.load(Ordering::SeqCst) && !started.get(), "and nothing else starts a guest");
        }
        let begun = Instant::now();
        assert_eq!(link.receive(), Err(nb::Error::WouldBlock));
        assert!(runs.load(Ordering::SeqCst) && started.get());
        assert!(!started.never(), "that is settled");
        while link.receive() == Err(nb::Error::WouldBlock) {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
        assert!(begun.elapsed() >= warm_up);
        assert_eq!(link.receive(), Ok(LinkInput::Down), "in the order in which it came");
    }

    #[test]
    fn a_welcome_that_comes_after_the_main_thread_gave_up_starts_nothing() {
        let (mut link, started, runs) = link(vec![welcome(1), welcome(1)], Duration::ZERO);
        assert!(started.never() && started.never());
        for _ in 0..3 {
            assert_eq!(link.receive(), Err(nb::Error::WouldBlock));
        }
        assert!(!runs.load(Ordering::SeqCst) && !started.get());
    }

    #[test]
    fn the_machine_is_told_before_it_loses_patience() {
        let (mut link, ..) = link(vec![LinkInput::Up, welcome(1)], Duration::from_secs(60));
        link.silence = Duration::from_millis(40);
        assert_eq!(link.receive(), Ok(LinkInput::Up));
        let begun = Instant::now();
        while link.receive().is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20));
        }
    }
}
