//! What the destination asks, and how it is answered.

use switchover_core::action::{DestinationAction, Note};
use switchover_core::event::{DestinationEvent, Outcome};
use switchover_core::port::{Op, Phase, Port, PortSet, Side};
use switchover_core::time::Ns;
use switchover_core::wire::message::{Seal, ToSource};

use super::World;
use super::dice::For;
use super::host::{DRAIN, JOURNAL, Job, PORTS, SEAL, Slices, What, YIELD, slot_of};
use super::letters::Letter;
use super::link::{Load, Piece};
use crate::check::Excuse;

impl World {
    /// Does what the destination asked.
    pub(super) fn do_destination(&mut self, action: &DestinationAction) {
        match *action {
            DestinationAction::Send(envelope, message) => {
                if matches!(message, ToSource::Ready { .. }) {
                    self.checker.memory(self.guest.compare());
                }
                self.send(Letter::ToSource(envelope, message));
                if matches!(message, ToSource::Ready { .. }) {
                    self.enters(Side::Destination, Phase::Ready);
                }
            }
            DestinationAction::Write(record) => {
                self.write(Side::Destination, record);
            }
            DestinationAction::Expect { attempt, warm } => {
                self.hosts[1].expected = attempt.counter;
                self.hosts[1].slices = [Slices::default(); PORTS];
                if !warm {
                    self.guest.forget();
                }
            }
            DestinationAction::Drain { round, chunks } => {
                self.start_waiting(DRAIN, What::Drain { round, chunks }, None);
                self.arrived_so_far();
            }
            DestinationAction::Verify(seal) => {
                self.enters(Side::Destination, Phase::Seal);
                // By the machine's count it verifies from now on, arrived or not.
                let contract = self.plan.scenario.destination_contracts.verify.time;
                self.start_waiting(SEAL, What::Verify(seal), Some(contract));
                self.arrived_so_far();
            }
            DestinationAction::Discard => {
                self.look_at_all();
                let host = &mut self.hosts[1];
                (host.jobs[usize::from(DRAIN)], host.jobs[usize::from(SEAL)]) = (None, None);
                self.discard();
            }
            DestinationAction::Ask(op, ports) => {
                if matches!(op, Op::Load | Op::Resume) {
                    self.enters(Side::Destination, op.phase());
                }
                if self.hosts[1].alive {
                    self.destination_asks(op, ports);
                }
            }
            DestinationAction::Claim(id) => self.claim(Side::Destination, id),
            DestinationAction::Yield(id) => {
                let time = self.way_to_arbiter(Side::Destination);
                let cut = self.now < self.no_arbiter_until[1];
                self.start(Side::Destination, YIELD, What::Yield(id), time, None);
                if cut && let Some(job) = &mut self.hosts[1].jobs[usize::from(YIELD)] {
                    job.fails = true;
                }
            }
            DestinationAction::Note(Note::Go) => self.enters(Side::Destination, Phase::Go),
            DestinationAction::Note(_) => {}
        }
    }

    fn destination_asks(&mut self, op: Op, ports: PortSet) {
        match op {
            Op::Load => {
                let attempt = self.destination.attempt().map_or(0, |id| id.counter);
                self.checker.loads(attempt);
            }
            Op::Unload => {
                self.look_at_all();
                for port in ports {
                    self.hosts[1].slices[usize::from(slot_of(port))].waits = false;
                }
            }
            _ => {}
        }
        self.ask(Side::Destination, op, ports);
    }

    /// A job that waits for the bulk connection.
    fn start_waiting(&mut self, slot: u8, what: What, contract: Option<Ns>) {
        let host = &mut self.hosts[1];
        host.token += 1;
        let (token, asked) = (host.token, host.clock.at(self.now));
        host.jobs[usize::from(slot)] = Some(Job { what, token, asked, contract, fails: false, stuck: true });
    }

    /// Whether what is waited for has arrived.
    fn arrived_so_far(&mut self) {
        let arrived = self.link.chunks_arrived;
        let waiting = |job: Option<Job>| job.filter(|job| job.stuck).map(|job| job.what);
        if let Some(what @ What::Drain { chunks, .. }) = waiting(self.hosts[1].jobs[usize::from(DRAIN)])
            && arrived >= chunks
        {
            self.start(Side::Destination, DRAIN, what, Ns::ZERO, None);
        }
        if let Some(what @ What::Verify(seal)) = waiting(self.hosts[1].jobs[usize::from(SEAL)])
            && arrived >= seal.chunks
        {
            let time = self.dice.draw(For::Destination, &self.plan.host(Side::Destination).seal);
            let contract = self.plan.scenario.destination_contracts.verify.time;
            self.start(Side::Destination, SEAL, what, time, Some(contract));
        }
    }

    /// A piece has arrived on the bulk connection.
    pub(super) fn piece_arrives(&mut self, piece: Piece, damaged: bool) {
        match piece.load {
            Load::Pages { pages, .. } => {
                self.guest.arrive(&pages, damaged);
            }
            Load::Slice { slot, generation, attempt } => {
                if attempt == self.hosts[1].expected {
                    self.slice_arrives(slot, generation, damaged);
                }
            }
        }
        if self.hosts[1].alive {
            self.arrived_so_far();
        }
    }

    fn slice_arrives(&mut self, slot: u8, generation: u16, damaged: bool) {
        let host = &mut self.hosts[1];
        let slices = &mut host.slices[usize::from(slot)];
        slices.generation = generation;
        slices.arrived += 1;
        slices.damaged |= damaged;
        slices.last = host.clock.at(self.now);
        if std::mem::take(&mut slices.waits) && host.alive {
            let port = super::plan::port_of(usize::from(slot));
            self.ask(Side::Destination, Op::Load, PortSet::one(port));
        }
    }

    /// A job of the destination's has ended.
    pub(super) fn destination_job(&mut self, job: Job) {
        self.look(Side::Destination, &job);
        if let What::Claim(id) = job.what
            && self.claim_arrives(Side::Destination, &job, id)
        {
            return;
        }
        let event = self.destination_answer(&job);
        if matches!(job.what, What::Write(_)) {
            self.hosts[1].jobs[usize::from(JOURNAL)] = None;
            self.write_next(Side::Destination);
        }
        if let Some(event) = event {
            self.tell_destination(event);
        }
    }

    fn destination_answer(&mut self, job: &Job) -> Option<DestinationEvent> {
        let outcome = if job.fails { Outcome::Failed } else { Outcome::Done };
        Some(match job.what {
            What::Write(record) if job.fails => DestinationEvent::NotWritten(record.kind, record.attempt),
            What::Write(record) => {
                self.durable(Side::Destination, &record);
                DestinationEvent::Written(record.kind, record.attempt)
            }
            What::Port(port, Op::Load) if !job.fails => {
                DestinationEvent::Port(port, Op::Load, self.loaded(port))
            }
            What::Port(port, Op::Resume) if job.fails => {
                // Some vCPU may have executed all the same, and nobody can tell by the error alone.
                let executed = matches!(port, Port::Vcpus(_)) && self.dice.chance(For::Faults, 500_000);
                if executed {
                    self.destination_effect(port, Op::Resume);
                }
                let outcome = if executed { Outcome::FailedRunning } else { Outcome::Failed };
                DestinationEvent::Port(port, Op::Resume, outcome)
            }
            What::Port(port, op) => {
                if !job.fails {
                    self.destination_effect(port, op);
                }
                DestinationEvent::Port(port, op, outcome)
            }
            What::Drain { .. } | What::Verify(_) if job.fails => DestinationEvent::MemoryFailed,
            What::Drain { round, .. } => DestinationEvent::Drained(round),
            What::Verify(sealed) => {
                if sealed.digest != self.link.arrived {
                    self.checker.overran(Side::Destination, Port::Memory);
                }
                self.checker.memory(self.guest.compare());
                let (digest, chunks) = (self.link.arrived, self.link.chunks_arrived);
                DestinationEvent::Verified(Seal { digest, chunks, verify: None })
            }
            What::Claimed(id, owner) => DestinationEvent::Claimed(id, owner),
            What::Yield(id) if !job.fails => {
                self.yielded(id);
                DestinationEvent::Yielded(id)
            }
            What::Claim(id) | What::Yield(id) => DestinationEvent::NotClaimed(id),
            What::Connect | What::Round | What::LastPages | What::Seal | What::Release => return None,
        })
    }

    /// A slice of a port's state is loaded.
    fn loaded(&mut self, port: Port) -> Outcome {
        let slot = usize::from(slot_of(port));
        self.hosts[1].slices[slot].done += 1;
        self.slice_done(Side::Destination, slot);
        let slices = self.hosts[1].slices[slot];
        if slices.done < self.plan.slices(port).0 {
            return Outcome::More;
        }
        let attempt = self.destination.attempt().map_or(0, |id| id.counter);
        self.checker.loaded(attempt, port, slices.generation, slices.damaged);
        Outcome::Done
    }

    /// What an operation does to what the destination has.
    pub(super) fn destination_effect(&mut self, port: Port, op: Op) {
        let now = self.source_now();
        match op {
            Op::Resume if matches!(port, Port::Vcpus(_)) => {
                // The guest looks at its memory.
                self.guest.advance(self.now);
                self.checker.memory(self.guest.compare());
                self.checker.destination_runs(port, now);
            }
            Op::Unload => self.checker.unloaded(now),
            _ => {}
        }
    }

    /// States that have arrived, or still will, are of no attempt any more.
    fn discard(&mut self) {
        self.hosts[1].expected = 0;
        self.hosts[1].slices = [Slices::default(); PORTS];
    }

    /// A process of the destination's died: what it had not loaded is gone.
    pub(super) fn destination_died(&mut self) {
        self.discard();
        self.checker.excuse(Excuse::DestinationDied);
    }
}
