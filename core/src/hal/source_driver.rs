//! Polls the source machine against its ports.

use super::pending::Pending;
use super::queues::{Outbox, Records};
use super::source::{Device, Memory, SourcePorts, Vcpus};
use super::{Arbiter, Clock, Failed, Journal, Link, LinkInput, Observer, ended, sliced};
use crate::action::SourceAction;
use crate::event::{Outcome, SourceEvent};
use crate::id::AttemptId;
use crate::limits::POLL_ROUNDS_MAX;
use crate::port::{Op, Port, PortSet};
use crate::source::Source;
use crate::time::At;
use crate::wire::message::{ToDestination, ToSource};

/// Polls a [`Source`] against its ports.
pub struct SourceDriver<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize> {
    machine: Source<V, D, N>,
    /// The ports.
    pub ports: SourcePorts<C, L, P, E, M, J, A, V, D>,
    /// The observer.
    pub observer: O,
    deadline: Option<At>,
    /// Ports were asked to stop and have not been told yet.
    stops: bool,
    under_way: UnderWay,
}

/// Operations asked and not answered yet.
#[derive(Default)]
struct UnderWay {
    ports: Pending,
    round: Option<(AttemptId, bool)>,
    last_pages: bool,
    seal: bool,
    release: bool,
    claim: Option<AttemptId>,
    records: Records,
    outbox: Outbox<ToDestination>,
}

impl<C, L, P, E, M, J, A, O, const V: usize, const D: usize, const N: usize>
    SourceDriver<C, L, P, E, M, J, A, O, V, D, N>
where
    C: Clock,
    L: Link<Out = ToDestination, In = ToSource>,
    P: Vcpus,
    E: Device,
    M: Memory,
    J: Journal,
    A: Arbiter,
    O: Observer<SourceEvent, SourceAction>,
{
    /// A driver of `machine`; nothing happens before the first event or poll.
    pub fn new(machine: Source<V, D, N>, ports: SourcePorts<C, L, P, E, M, J, A, V, D>, observer: O) -> Self {
        Self { machine, ports, observer, deadline: None, stops: false, under_way: UnderWay::default() }
    }

    /// The machine.
    pub fn machine(&self) -> &Source<V, D, N> {
        &self.machine
    }

    /// The machine, to hand it contracts between attempts.
    pub fn machine_mut(&mut self) -> &mut Source<V, D, N> {
        &mut self.machine
    }

    /// Hands one event in: the operator's, or one a host knows of before its ports do.
    ///
    /// # Errors
    /// What the clock says; the event is then not taken.
    pub fn event(&mut self, event: SourceEvent) -> Result<(), embedded_time::clock::Error> {
        // The clock is read after the input was taken: an older reading would date it too early.
        let now = self.ports.clock.now()?;
        let step = self.machine.step(now, event);
        self.deadline = step.deadline;
        self.observer.step(now, &event, &step.actions);
        self.stops = step.actions.iter().any(|action| matches!(action, SourceAction::Ask(Op::Stop, _)));
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
            // The blackout has begun: what takes long is started first, and the destination is told while it goes on.
            let stops = core::mem::take(&mut self.stops);
            if !stops {
                self.under_way.outbox.flush(&mut self.ports.link);
            }
            if let Some(event) = self.input() {
                self.event(event)?;
                continue;
            }
            if stops {
                self.under_way.outbox.flush(&mut self.ports.link);
            }
            let Some(deadline) = self.deadline else { return Ok(None) };
            if self.ports.clock.now()? < deadline {
                return Ok(Some(deadline));
            }
            self.event(SourceEvent::Deadline)?;
        }
        Ok(Some(self.ports.clock.now()?))
    }

    /// The next thing that happened, if anything did.
    fn input(&mut self) -> Option<SourceEvent> {
        match self.ports.link.receive() {
            Ok(LinkInput::Up) => return Some(SourceEvent::LinkUp),
            Ok(LinkInput::Down) => {
                self.under_way.outbox.clear();
                return Some(SourceEvent::LinkDown);
            }
            Ok(LinkInput::Message(envelope, message)) => {
                return Some(SourceEvent::Message(envelope, message));
            }
            Err(nb::Error::WouldBlock) => {}
        }
        for (op, ports) in self.under_way.ports.under_way() {
            for port in ports {
                if let Some(outcome) = self.poll_port(op, port) {
                    self.under_way.ports.done(op, PortSet::one(port));
                    return Some(SourceEvent::Port(port, op, outcome));
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
                    Op::Stop => ended(vcpus.stop()),
                    Op::Save => sliced(vcpus.save()),
                    Op::Rollback => ended(vcpus.rollback()),
                    Op::Quiesce | Op::Load | Op::Settle | Op::Resume | Op::Unload => Some(Outcome::Failed),
                }
            }
            Port::Device(i) => {
                let device = self.ports.devices.get_mut(usize::from(i))?;
                match op {
                    Op::Quiesce => ended(device.quiesce()),
                    Op::Stop => ended(device.stop()),
                    Op::Save => sliced(device.save()),
                    Op::Rollback => ended(device.rollback()),
                    Op::Load | Op::Settle | Op::Resume | Op::Unload => Some(Outcome::Failed),
                }
            }
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        }
    }

    fn poll_memory(&mut self) -> Option<SourceEvent> {
        let under_way = &mut self.under_way;
        let memory = &mut self.ports.memory;
        if let Some((attempt, fresh)) = under_way.round {
            match memory.round(attempt, fresh) {
                Err(nb::Error::WouldBlock) => {}
                answer => {
                    under_way.round = None;
                    return Some(answer.map_or(SourceEvent::MemoryFailed, SourceEvent::Round));
                }
            }
        }
        if under_way.last_pages {
            match memory.last_pages() {
                Err(nb::Error::WouldBlock) => {}
                answer => {
                    under_way.last_pages = false;
                    return Some(answer.map_or(SourceEvent::MemoryFailed, SourceEvent::LastPages));
                }
            }
        }
        if under_way.seal {
            match memory.seal() {
                Err(nb::Error::WouldBlock) => {}
                answer => {
                    under_way.seal = false;
                    return Some(answer.map_or(SourceEvent::MemoryFailed, SourceEvent::Sealed));
                }
            }
        }
        if under_way.release && memory.release().is_ok() {
            under_way.release = false;
            return Some(SourceEvent::Released);
        }
        None
    }

    fn poll_journal(&mut self) -> Option<SourceEvent> {
        let (record, written) = self.under_way.records.poll(&mut self.ports.journal)?;
        Some(match written {
            Ok(()) => SourceEvent::Written(record.kind, record.attempt),
            Err(Failed) => SourceEvent::NotWritten(record.kind, record.attempt),
        })
    }

    fn poll_arbiter(&mut self) -> Option<SourceEvent> {
        let attempt = self.under_way.claim?;
        let event = match self.ports.arbiter.claim(attempt) {
            Err(nb::Error::WouldBlock) => return None,
            Ok(owner) => SourceEvent::Claimed(attempt, owner),
            Err(nb::Error::Other(Failed)) => SourceEvent::NotClaimed(attempt),
        };
        self.under_way.claim = None;
        Some(event)
    }

    fn act(&mut self, action: SourceAction) {
        let under_way = &mut self.under_way;
        match action {
            SourceAction::Connect => self.ports.link.connect(),
            SourceAction::Send(envelope, message) => {
                under_way.outbox.push(envelope, message);
                if !self.stops {
                    under_way.outbox.flush(&mut self.ports.link);
                }
            }
            SourceAction::Write(record) => under_way.records.push(record),
            SourceAction::Round { attempt, fresh } => under_way.round = Some((attempt, fresh)),
            SourceAction::Ask(op, ports) => under_way.ports.ask(op, ports),
            SourceAction::LastPages => under_way.last_pages = true,
            SourceAction::Seal => under_way.seal = true,
            SourceAction::KeepPages => {
                under_way.round = None;
                under_way.last_pages = false;
                under_way.seal = false;
                self.ports.memory.keep();
            }
            SourceAction::Claim(attempt) => under_way.claim = Some(attempt),
            SourceAction::Release => under_way.release = true,
            SourceAction::Note(_) => {}
        }
    }
}
