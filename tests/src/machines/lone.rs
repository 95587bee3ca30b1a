//! One machine alone, brought by real steps to where a test wants it.
//!
//! Each function hands in the events that a host would; nothing is set from outside.

use switchover_core::action::{DestinationAction, SourceAction, Step};
use switchover_core::contract::PeerTerms;
use switchover_core::digest::{Digest, Piece};
use switchover_core::event::{DestinationEvent, Outcome, Pass, SourceEvent};
use switchover_core::id::AttemptId;
use switchover_core::journal::RecordKind;
use switchover_core::port::{Op, Port, PortSet};
use switchover_core::time::{At, Ns};
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Echo, Envelope, Hello, Seal, ToDestination, ToSource, Welcome};

use super::build::{self, DESTINATION, FIRST, SOURCE, Shape, TestDestination, TestSource, ms};
use super::show;

/// Where every lone machine's time begins.
pub const START: At = At::from_ns(1_000_000_000_000);

/// Attempt `counter` of the tests' source.
pub const fn attempt(counter: u32) -> AttemptId {
    AttemptId { journal: SOURCE, counter }
}

/// Of that attempt, with the destination's first incarnation.
pub const fn envelope(counter: u32) -> Envelope {
    Envelope { attempt: attempt(counter), peer: DESTINATION, incarnation: FIRST }
}

/// The seal that lone machines agree on.
pub fn seal() -> Seal {
    let mut digest = Digest::EMPTY;
    digest.update(Piece::Vcpus(0), b"state");
    Seal { digest, chunks: 3, verify: None }
}

/// A source alone.
#[derive(Clone, Debug)]
pub struct LoneSource {
    /// The machine.
    pub machine: TestSource,
    /// The instant of its next step.
    pub now: At,
    /// Its last step.
    pub last: Step<SourceAction>,
    shape: Shape,
}

impl LoneSource {
    /// Its guest runs, and nothing was asked of it.
    pub fn idle(shape: Shape) -> Self {
        Self::of(build::source(shape), shape)
    }

    /// The same with a machine of the test's own.
    pub fn of(machine: TestSource, shape: Shape) -> Self {
        Self { machine, now: START, last: Step { actions: heapless::Vec::new(), deadline: None }, shape }
    }

    /// Hands an event in.
    ///
    /// # Panics
    /// When the invariant does not hold afterwards.
    pub fn step(&mut self, event: SourceEvent) -> &Step<SourceAction> {
        self.last = self.machine.step(self.now, event);
        assert!(self.machine.invariant(), "after {event:?}");
        &self.last
    }

    /// Lets time pass, without an event.
    pub fn pass(&mut self, time: Ns) -> &mut Self {
        self.now = self.now.plus(time);
        self
    }

    /// The message of the attempt under way.
    pub fn hear(&mut self, message: ToSource) -> &Step<SourceAction> {
        let attempt = self.machine.attempt().unwrap_or_default();
        self.step(SourceEvent::Message(Envelope { attempt, ..envelope(1) }, message))
    }

    /// A record of the attempt under way is durable.
    pub fn written(&mut self, kind: RecordKind) -> &Step<SourceAction> {
        let attempt = self.machine.attempt().unwrap_or_default();
        self.step(SourceEvent::Written(kind, attempt))
    }

    /// Every port answers that operation.
    pub fn ports(&mut self, op: Op, which: impl Fn(PortSet) -> PortSet) {
        let all = self.machine.config().contracts.ports();
        which(all).for_each(|port| {
            self.step(SourceEvent::Port(port, op, Outcome::Done));
        });
    }

    /// The state's name.
    pub fn state(&self) -> String {
        show::state_of(&self.machine)
    }

    /// What it asked for in its last step, in words.
    pub fn words(&self) -> Vec<String> {
        self.last.actions.iter().map(show::source_action).collect()
    }

    /// What the destination announces.
    pub fn terms(&self) -> PeerTerms {
        let config = build::destination_config(self.shape);
        config.contracts.announced(config.drift, self.shape.arbiter)
    }

    /// `Open` is being written.
    pub fn opening(mut self) -> Self {
        self.step(SourceEvent::Begin);
        self
    }

    /// The link is being brought up.
    pub fn connecting(self) -> Self {
        let mut s = self.opening();
        s.written(RecordKind::Open);
        s
    }

    /// `Hello` is sent.
    pub fn greeting(self) -> Self {
        let mut s = self.connecting();
        s.step(SourceEvent::LinkUp);
        s
    }

    /// The first round is under way, and a round trip of 1 ms is known.
    pub fn precopy(self) -> Self {
        let mut s = self.greeting();
        let terms = s.terms();
        s.hear(ToSource::Welcome(Welcome { terms, warm: false }));
        s.pass(ms(1)).hear(ToSource::Pong(Echo::Ping(1)));
        s
    }

    /// The round is on the wire.
    pub fn echoing(self) -> Self {
        let mut s = self.precopy();
        s.pass(ms(1));
        s.step(SourceEvent::Round(Pass { sent: Bytes::from_mib(1), chunks: 1, ..Pass::default() }));
        s
    }

    /// t = 0 is now.
    pub fn stopping(self) -> Self {
        let mut s = self.echoing();
        s.pass(ms(1)).hear(ToSource::Pong(Echo::Round(0)));
        assert_eq!(s.state(), "Stopping");
        s
    }

    /// Everything is stopped; states and pages are asked for.
    pub fn saving(self) -> Self {
        let mut s = self.stopping();
        s.pass(ms(1));
        s.ports(Op::Quiesce, PortSet::devices);
        s.ports(Op::Stop, PortSet::vcpus);
        s.ports(Op::Stop, PortSet::devices);
        assert_eq!(s.state(), "Saving");
        s
    }

    /// Everything is handed over.
    pub fn sealing(self) -> Self {
        let mut s = self.saving();
        s.pass(ms(1));
        s.ports(Op::Save, |all| all);
        s.step(SourceEvent::LastPages(Pass { sent: Bytes::new(8192), chunks: 3, ..Pass::default() }));
        assert_eq!(s.state(), "Sealing");
        s
    }

    /// `Sealed` is sent.
    pub fn sealed(self) -> Self {
        let mut s = self.sealing();
        s.step(SourceEvent::Sealed(seal()));
        s
    }

    /// The `Ready` that fits [`seal`], with the whole lease left.
    pub fn ready(&self) -> ToSource {
        ToSource::Ready { digest: seal().digest, lease_left: Ns::from_secs(1) }
    }

    /// `Ready` is there, `MayGo` is not durable.
    pub fn unwritten(self) -> Self {
        let mut s = self.sealed();
        let ready = s.ready();
        s.pass(ms(1)).hear(ready);
        s
    }

    /// `MayGo` is durable, `Ready` is not there.
    pub fn unready(self) -> Self {
        let mut s = self.sealed();
        s.written(RecordKind::MayGo);
        s
    }

    /// `Go` is sent.
    pub fn go_sent(self) -> Self {
        let mut s = self.unwritten();
        s.written(RecordKind::MayGo);
        assert_eq!(s.state(), "GoSent");
        s
    }

    /// Nothing was heard of it.
    pub fn in_doubt(self) -> Self {
        let mut s = self.go_sent();
        while s.state() == "GoSent" {
            s.now = s.last.deadline.unwrap_or(s.now);
            s.step(SourceEvent::Deadline);
        }
        assert_eq!(s.state(), "InDoubt");
        s
    }

    /// The operator has fenced the destination's host.
    pub fn fencing(self) -> Self {
        let mut s = self.in_doubt();
        s.step(SourceEvent::Fence);
        s
    }

    /// The destination has lost the guest.
    pub fn held(self) -> Self {
        let mut s = self.in_doubt();
        s.hear(ToSource::Lost);
        s
    }

    /// Cancelled while stopped.
    pub fn rolling_back(self) -> Self {
        let mut s = self.sealed();
        s.step(SourceEvent::Cancel);
        s
    }

    /// Devices are back, vCPUs are asked.
    pub fn vcpus_asked(self) -> Self {
        let mut s = self.rolling_back();
        s.ports(Op::Rollback, PortSet::devices);
        s
    }

    /// The guest runs again; the destination may have something to say.
    pub fn parting(self) -> Self {
        let mut s = self.vcpus_asked();
        s.ports(Op::Rollback, PortSet::vcpus);
        s
    }

    /// Another attempt waits for its back-off.
    pub fn waiting(self) -> Self {
        let mut s = self.precopy();
        s.step(SourceEvent::MemoryFailed);
        s
    }

    /// `Running` was read.
    pub fn committing(self) -> Self {
        let mut s = self.go_sent();
        s.pass(ms(1)).hear(ToSource::Running(Default::default()));
        s
    }

    /// The copy is being destroyed.
    pub fn releasing(self) -> Self {
        let mut s = self.committing();
        s.written(RecordKind::Committed);
        s
    }

    /// The copy is gone.
    pub fn committed(self) -> Self {
        let mut s = self.releasing();
        s.step(SourceEvent::Released);
        s
    }
}

/// A destination alone.
#[derive(Clone, Debug)]
pub struct LoneDestination {
    /// The machine.
    pub machine: TestDestination,
    /// The instant of its next step.
    pub now: At,
    /// Its last step.
    pub last: Step<DestinationAction>,
    shape: Shape,
}

impl LoneDestination {
    /// Nothing was asked of it; the link is up.
    pub fn idle(shape: Shape) -> Self {
        let mut d = Self::of(build::destination(shape), shape);
        d.step(DestinationEvent::LinkUp);
        d
    }

    /// The same with a machine of the test's own.
    pub fn of(machine: TestDestination, shape: Shape) -> Self {
        Self { machine, now: START, last: Step { actions: heapless::Vec::new(), deadline: None }, shape }
    }

    /// Hands an event in.
    ///
    /// # Panics
    /// When the invariant does not hold afterwards.
    pub fn step(&mut self, event: DestinationEvent) -> &Step<DestinationAction> {
        self.last = self.machine.step(self.now, event);
        assert!(self.machine.invariant(), "after {event:?}");
        &self.last
    }

    /// Lets time pass, without an event.
    pub fn pass(&mut self, time: Ns) -> &mut Self {
        self.now = self.now.plus(time);
        self
    }

    /// The message of attempt 1.
    pub fn hear(&mut self, message: ToDestination) -> &Step<DestinationAction> {
        self.step(DestinationEvent::Message(envelope(1), message))
    }

    /// A record of attempt 1 is durable.
    pub fn written(&mut self, kind: RecordKind) -> &Step<DestinationAction> {
        self.step(DestinationEvent::Written(kind, attempt(1)))
    }

    /// Every port answers that operation.
    pub fn ports(&mut self, op: Op, which: impl Fn(PortSet) -> PortSet) {
        let all = self.machine.config().contracts.ports();
        which(all).for_each(|port: Port| {
            self.step(DestinationEvent::Port(port, op, Outcome::Done));
        });
    }

    /// The state's name.
    pub fn state(&self) -> String {
        show::state_of(&self.machine)
    }

    /// What it asked for in its last step, in words.
    pub fn words(&self) -> Vec<String> {
        self.last.actions.iter().map(show::destination_action).collect()
    }

    /// The `Hello` that fits.
    pub fn hello(&self) -> Hello {
        hello(self.shape)
    }

    /// L: what the source would compute.
    pub fn lease(&self) -> Ns {
        ms(20)
    }

    /// Pages may come.
    pub fn loading(mut self) -> Self {
        let hello = self.hello();
        let of = Envelope { attempt: attempt(1), ..Envelope::default() };
        self.step(DestinationEvent::Message(of, ToDestination::Hello(hello)));
        self
    }

    /// The blackout has begun.
    pub fn told(self) -> Self {
        let mut d = self.loading();
        let stopping = ToDestination::Stopping { elapsed: Ns::ZERO, hard_limit: ms(110), lease: d.lease() };
        d.hear(stopping);
        d
    }

    /// Everything is on the wire, and nothing loaded or verified.
    pub fn verifying(self) -> Self {
        let mut d = self.told();
        d.pass(ms(1)).hear(ToDestination::Sealed(seal()));
        d
    }

    /// Loaded and verified; devices settle.
    pub fn settling(self) -> Self {
        let mut d = self.verifying();
        d.pass(ms(1)).ports(Op::Load, |all| all);
        d.step(DestinationEvent::Verified(seal()));
        d
    }

    /// The lease runs.
    pub fn ready(self) -> Self {
        let mut d = self.settling();
        d.ports(Op::Settle, PortSet::devices);
        assert_eq!(d.state(), "Ready");
        d
    }

    /// The record that a restart yields by is durable, if there is an arbiter.
    pub fn claimable(self) -> Self {
        let mut d = self.ready();
        if d.shape.arbiter {
            d.written(RecordKind::Claiming);
        }
        d
    }

    /// `Go` was taken; with an arbiter the claim is made.
    pub fn gone(self) -> Self {
        let mut d = self.claimable();
        d.pass(ms(1)).hear(ToDestination::Go);
        d
    }

    /// `Running` is being written.
    pub fn writing(self) -> Self {
        let mut d = self.gone();
        if d.shape.arbiter {
            d.step(DestinationEvent::Claimed(attempt(1), switchover_core::event::Owner::Destination));
        }
        assert_eq!(d.state(), "Writing");
        d
    }

    /// `Running` is durable; devices resume, or vCPUs if there are none.
    pub fn resuming(self) -> Self {
        let mut d = self.writing();
        d.written(RecordKind::Running);
        d
    }

    /// vCPUs resume.
    pub fn vcpus_asked(self) -> Self {
        let mut d = self.resuming();
        d.ports(Op::Resume, PortSet::devices);
        d
    }

    /// The guest runs.
    pub fn running(self) -> Self {
        let mut d = self.vcpus_asked();
        d.ports(Op::Resume, PortSet::vcpus);
        d
    }

    /// The source has let go.
    pub fn finished(self) -> Self {
        let mut d = self.running();
        d.hear(ToDestination::Fin);
        d
    }

    /// Too late: `Refused` is being written over `Running`.
    pub fn superseding(self) -> Self {
        let mut d = self.writing();
        d.pass(ms(30)).written(RecordKind::Running);
        assert_eq!(d.state(), "Superseding");
        d
    }

    /// Refused; what was loaded is being dropped.
    pub fn refusing(self) -> Self {
        let mut d = self.ready();
        d.hear(ToDestination::Query);
        d
    }
}

/// The `Hello` of a source of that shape.
pub fn hello(shape: Shape) -> Hello {
    let config = build::source_config(shape);
    Hello {
        version: switchover_core::limits::VERSION,
        downtime_limit: config.limits.downtime,
        switchover_limit: config.limits.switchover,
        page_size: config.layout.page_size,
        memory: config.layout.memory.get(),
        vcpu_ports: config.layout.vcpu_ports,
        devices: config.layout.devices,
        drift: config.drift,
        warm: false,
        arbiter: config.arbiter,
    }
}
