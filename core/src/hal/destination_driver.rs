//! Polls the destination machine against its ports.

use super::destination::{DestinationPorts, Device, Memory, Vcpus};
use super::pending::Pending;
use super::queues::{Outbox, Records};
use super::{Arbiter, Clock, Failed, Journal, Link, LinkInput, Observer, ResumeFailed, ended, sliced};
use crate::action::DestinationAction;
use crate::destination::Destination;
use crate::event::{DestinationEvent, Outcome};
use crate::id::AttemptId;
use crate::limits::POLL_ROUNDS_MAX;
use crate::port::{Op, Port, PortSet};
use crate::time::At;
use crate::wire::message::{Seal, ToDestination, ToSource};

/// Polls a [`Destination`] against its ports.
pub struct DestinationDriver<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize> {
    machine: Destination<V, D, N>,
    /// The ports.
    pub ports: DestinationPorts<C, L, P, E, M, J, A, V, D>,
    /// The observer.
    pub observer: O,
    deadline: Option<At>,
    under_way: UnderWay,
}

/// Operations asked and not answered yet.
#[derive(Default)]
struct UnderWay {
    ports: Pending,
    drain: Option<(u32, u64)>,
    verify: Option<Seal>,
    claim: Option<AttemptId>,
    give: Option<AttemptId>,
    records: Records,
    outbox: Outbox<ToSource>,
}

impl<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize>
    DestinationDriver<C, L, P, E, M, J, A, O, V, D, N>
where
    C: Clock,
    L: Link<Out = ToSource, In = ToDestination>,
    P: Vcpus,
    E: Device,
    M: Memory,
    J: Journal,
    A: Arbiter,
    O: Observer<DestinationEvent, DestinationAction>,
{
    /// A driver of `machine`; nothing happens before the first event or poll.
    pub fn new(
        machine: Destination<V, D, N>,
        ports: DestinationPorts<C, L, P, E, M, J, A, V, D>,
        observer: O,
    ) -> Self {
        Self { machine, ports, observer, deadline: None, under_way: UnderWay::default() }
    }

    /// The machine.
    pub fn machine(&self) -> &Destination<V, D, N> {
        &self.machine
    }

    /// The machine, to hand it contracts between attempts.
    pub fn machine_mut(&mut self) -> &mut Destination<V, D, N> {
        &mut self.machine
    }

    /// Hands one event in: the operator's, or one a host knows of before its ports do.
    ///
    /// # Errors
    /// What the clock says; the event is then not taken.
    pub fn event(&mut self, event: DestinationEvent) -> Result<(), embedded_time::clock::Error> {
        // The clock is read after the input was taken: an older reading would date it too early.
        let now = self.ports.clock.now()?;
        let step = self.machine.step(now, event);
        self.deadline = step.deadline;
        self.observer.step(now, &event, &step.actions);
        for action in &step.actions {
            self.act(*action);
        }
        Ok(())
    }

    /// Takes every input there is, polls everything under way, then judges the deadline;
    /// returns when to be polled again at the latest. Bounded: after
    /// [`POLL_ROUNDS_MAX`] inputs it returns the present instant.
    ///
    /// # Errors
    /// What the clock says.
    // [SW-70]
    pub fn poll(&mut self) -> Result<Option<At>, embedded_time::clock::Error> {
        for _ in 0..POLL_ROUNDS_MAX {
            self.under_way.outbox.flush(&mut self.ports.link);
            if let Some(event) = self.input() {
                self.event(event)?;
                continue;
            }
            let Some(deadline) = self.deadline else { return Ok(None) };
            if self.ports.clock.now()? < deadline {
                return Ok(Some(deadline));
            }
            self.event(DestinationEvent::Deadline)?;
        }
        Ok(Some(self.ports.clock.now()?))
    }

    /// The next thing that happened, if anything did.
    fn input(&mut self) -> Option<DestinationEvent> {
        match self.ports.link.receive() {
            Ok(LinkInput::Up) => return Some(DestinationEvent::LinkUp),
            Ok(LinkInput::Down) => {
                self.under_way.outbox.clear();
                return Some(DestinationEvent::LinkDown);
            }
            Ok(LinkInput::Message(envelope, message)) => {
                return Some(DestinationEvent::Message(envelope, message));
            }
            Err(nb::Error::WouldBlock) => {}
        }
        for (op, ports) in self.under_way.ports.under_way() {
            for port in ports {
                if let Some(outcome) = self.poll_port(op, port) {
                    self.under_way.ports.done(op, PortSet::one(port));
                    return Some(DestinationEvent::Port(port, op, outcome));
                }
            }
        }
        self.poll_memory().or_else(|| self.poll_journal()).or_else(|| self.poll_arbiter())
    }

    fn poll_port(&mut self, op: Op, port: Port) -> Option<Outcome> {
        match port {
            Port::Vcpus(i) => {
                let vcpus = self.ports.vcpus.get_mut(usize::from(i))?;
                match op {
                    Op::Load => sliced(vcpus.load()),
                    Op::Resume => resumed(vcpus.resume()),
                    Op::Unload => ended(vcpus.unload()),
                    Op::Settle => Some(Outcome::Done),
                    Op::Quiesce | Op::Stop | Op::Save | Op::Rollback => Some(Outcome::Failed),
                }
            }
            Port::Device(i) => {
                let device = self.ports.devices.get_mut(usize::from(i))?;
                match op {
                    Op::Load => sliced(device.load()),
                    Op::Settle => ended(device.settle()),
                    Op::Resume => resumed(device.resume()),
                    Op::Unload => ended(device.unload()),
                    Op::Quiesce | Op::Stop | Op::Save | Op::Rollback => Some(Outcome::Failed),
                }
            }
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        }
    }

    fn poll_memory(&mut self) -> Option<DestinationEvent> {
        if let Some((round, chunks)) = self.under_way.drain {
            match self.ports.memory.drain(chunks) {
                Err(nb::Error::WouldBlock) => {}
                answer => {
                    self.under_way.drain = None;
                    let event = DestinationEvent::Drained(round);
                    return Some(answer.map_or(DestinationEvent::MemoryFailed, |()| event));
                }
            }
        }
        if let Some(seal) = self.under_way.verify {
            match self.ports.memory.verify(&seal) {
                Err(nb::Error::WouldBlock) => {}
                answer => {
                    self.under_way.verify = None;
                    return Some(answer.map_or(DestinationEvent::MemoryFailed, DestinationEvent::Verified));
                }
            }
        }
        None
    }

    fn poll_journal(&mut self) -> Option<DestinationEvent> {
        let (record, written) = self.under_way.records.poll(&mut self.ports.journal)?;
        Some(match written {
            Ok(()) => DestinationEvent::Written(record.kind, record.attempt),
            Err(Failed) => DestinationEvent::NotWritten(record.kind, record.attempt),
        })
    }

    fn poll_arbiter(&mut self) -> Option<DestinationEvent> {
        if let Some(attempt) = self.under_way.claim {
            match self.ports.arbiter.claim(attempt) {
                Err(nb::Error::WouldBlock) => return None,
                answer => {
                    self.under_way.claim = None;
                    let failed = DestinationEvent::NotClaimed(attempt);
                    return Some(answer.map_or(failed, |owner| DestinationEvent::Claimed(attempt, owner)));
                }
            }
        }
        let attempt = self.under_way.give?;
        match self.ports.arbiter.yield_to_source(attempt) {
            Err(nb::Error::WouldBlock) => None,
            answer => {
                self.under_way.give = None;
                let (given, failed) =
                    (DestinationEvent::Yielded(attempt), DestinationEvent::NotClaimed(attempt));
                Some(answer.map_or(failed, |()| given))
            }
        }
    }

    fn act(&mut self, action: DestinationAction) {
        let under_way = &mut self.under_way;
        match action {
            DestinationAction::Send(envelope, message) => {
                under_way.outbox.push(envelope, message);
                under_way.outbox.flush(&mut self.ports.link);
            }
            DestinationAction::Write(record) => under_way.records.push(record),
            DestinationAction::Expect { attempt, warm } => self.ports.memory.expect(attempt, warm),
            DestinationAction::Drain { round, chunks } => under_way.drain = Some((round, chunks)),
            DestinationAction::Verify(seal) => under_way.verify = Some(seal),
            DestinationAction::Discard => {
                under_way.drain = None;
                under_way.verify = None;
                self.ports.memory.discard();
            }
            DestinationAction::Ask(op, ports) => under_way.ports.ask(op, ports),
            DestinationAction::Claim(attempt) => under_way.claim = Some(attempt),
            DestinationAction::Yield(attempt) => under_way.give = Some(attempt),
            DestinationAction::Note(_) => {}
        }
    }
}

fn resumed(result: nb::Result<(), ResumeFailed>) -> Option<Outcome> {
    match result {
        Err(nb::Error::WouldBlock) => None,
        Ok(()) => Some(Outcome::Done),
        Err(nb::Error::Other(ResumeFailed::Clean)) => Some(Outcome::Failed),
        Err(nb::Error::Other(ResumeFailed::Running)) => Some(Outcome::FailedRunning),
    }
}
