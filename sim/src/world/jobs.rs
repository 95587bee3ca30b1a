//! Jobs that hosts do for their machines: asked, under way, ended; and whether their contracts were kept.

use switchover_core::event::Owner;
use switchover_core::id::AttemptId;
use switchover_core::journal::{Record, RecordKind};
use switchover_core::port::{Op, Port, PortSet, Side};
use switchover_core::time::Ns;

use super::World;
use super::dice::For;
use super::host::{CLAIM, JOURNAL, Job, PORTS, What, slot_of};
use super::plan::port_of;
use super::queue::Happening;
use crate::check::Excuse;

/// The concern of a host's draws.
pub(super) const fn concern(side: Side) -> For {
    match side {
        Side::Source => For::Source,
        Side::Destination => For::Destination,
    }
}

impl World {
    /// Begins a job that takes `time` on its host's clock.
    pub(super) fn start(&mut self, side: Side, slot: u8, what: What, time: Ns, contract: Option<Ns>) {
        let (time, fails, stuck) = self.strained(side, &what, time, contract);
        let host = &mut self.hosts[side as usize];
        host.token += 1;
        let token = host.token;
        let asked = host.clock.at(self.now);
        host.jobs[usize::from(slot)] = Some(Job { what, token, asked, contract, fails, stuck });
        if !stuck {
            let at = host.clock.after(self.now, time);
            self.queue.push(at, Happening::Ends { side, slot, token });
            if matches!(what, What::Port(Port::Device(_), _)) {
                self.wait_for(side, at);
            }
        }
    }

    /// Asks an operation of a set of ports.
    pub(super) fn ask(&mut self, side: Side, op: Op, ports: PortSet) {
        for port in ports {
            match op {
                Op::Save | Op::Load => self.ask_slice(side, port, op),
                _ => {
                    let time = self.draw_port(side, port, op);
                    let contract = self.plan.contract(side, port, op);
                    self.start(side, slot_of(port), What::Port(port, op), time, contract);
                }
            }
        }
    }

    fn draw_port(&mut self, side: Side, port: Port, op: Op) -> Ns {
        self.plan.time(port, op).map_or(Ns::ZERO, |dist| self.dice.draw(concern(side), dist))
    }

    /// The next slice of a save, or of a load once it has arrived.
    fn ask_slice(&mut self, side: Side, port: Port, op: Op) {
        let slot = usize::from(slot_of(port));
        let host = &self.hosts[side as usize];
        let slices = host.slices[slot];
        if op == Op::Load && slices.done >= slices.arrived {
            self.hosts[side as usize].slices[slot].waits = true;
            return;
        }
        let now = host.clock.at(self.now);
        if slices.done == 0 {
            let whole = self.draw_port(side, port, op);
            let begun = &mut self.hosts[side as usize].slices[slot];
            (begun.whole, begun.began) = (whole, now);
        }
        let slices = &mut self.hosts[side as usize].slices[slot];
        slices.waits = false;
        let (whole, many) = (slices.whole, u64::from(self.plan.slices(port).0));
        let share = if u64::from(slices.done) + 1 == many {
            whole.minus(whole.part(many).times(many - 1))
        } else {
            whole.part(many)
        };
        self.start(side, slot as u8, What::Port(port, op), share, None);
    }

    /// A record is to be written: after those that were asked for before it.
    pub(super) fn write(&mut self, side: Side, record: Record) {
        if self.hosts[side as usize].journal.ask(record) {
            self.write_next(side);
        }
    }

    /// Begins the next record, if none is being written.
    pub(super) fn write_next(&mut self, side: Side) {
        let host = &mut self.hosts[side as usize];
        if host.jobs[usize::from(JOURNAL)].is_some() {
            return;
        }
        let Some(record) = host.journal.next() else { return };
        let time = self.dice.draw(concern(side), &self.plan.host(side).journal);
        self.start(side, JOURNAL, What::Write(record), time, Some(self.plan.journal(side)));
    }

    /// Asks the arbiter: half of the way there, and half back.
    pub(super) fn claim(&mut self, side: Side, id: AttemptId) {
        let half = self.way_to_arbiter(side).part(2);
        let contract = self.plan.claim(side);
        if self.now < self.no_arbiter_until[side as usize] {
            // Given up when its contract is over; it may have been made all the same.
            self.start(side, CLAIM, What::Claim(id), contract, None);
            if let Some(job) = &mut self.hosts[side as usize].jobs[usize::from(CLAIM)] {
                job.fails = true;
            }
        } else {
            self.start(side, CLAIM, What::Claim(id), half, Some(contract));
        }
    }

    pub(super) fn way_to_arbiter(&mut self, side: Side) -> Ns {
        let Some(arbiter) = &self.plan.scenario.arbiter else { return Ns::ZERO };
        let dist = match side {
            Side::Source => &arbiter.from_source,
            Side::Destination => &arbiter.from_destination,
        };
        self.dice.draw(For::Link, dist)
    }

    /// Who owns the run, `side` being the one that asks.
    pub(super) fn owner_of(&mut self, id: AttemptId, side: Side) -> Owner {
        let asks = if side == Side::Source { Owner::Source } else { Owner::Destination };
        if let Some((_, owner)) = self.owners.iter().find(|(of, _)| *of == id) {
            return *owner;
        }
        self.owners.push((id, asks));
        asks
    }

    pub(super) fn yielded(&mut self, id: AttemptId) {
        match self.owners.iter_mut().find(|(of, _)| *of == id) {
            Some((_, owner)) => *owner = Owner::Source,
            None => self.owners.push((id, Owner::Source)),
        }
    }

    /// A claim has reached the arbiter; its answer is on the way back. Or it never reaches it.
    pub(super) fn claim_arrives(&mut self, side: Side, job: &Job, id: AttemptId) -> bool {
        if job.fails {
            if self.dice.chance(For::Link, 500_000) {
                self.owner_of(id, side);
            }
            return false;
        }
        let owner = self.owner_of(id, side);
        let back = self.way_to_arbiter(side).part(2);
        let contract = job.contract;
        self.start(side, CLAIM, What::Claimed(id, owner), back, contract);
        if let Some(answer) = &mut self.hosts[side as usize].jobs[usize::from(CLAIM)] {
            answer.asked = job.asked;
        }
        true
    }

    /// Whether a job that ends, or is looked at, has kept its contract; what that excuses if not.
    pub(super) fn look(&mut self, side: Side, job: &Job) {
        let passed = self.hosts[side as usize].clock.at(self.now).since(job.asked);
        let over = job.fails || job.contract.is_some_and(|contract| passed > contract);
        if over {
            self.broke(side, &job.what);
        }
    }

    /// A job was longer than its contract, or failed.
    pub(super) fn broke(&mut self, side: Side, what: &What) {
        let now = self.source_now();
        let checker = &mut self.checker;
        match (side, *what) {
            (_, What::Port(port, op)) => {
                checker.overran(side, port);
                match (side, port, op) {
                    (Side::Source, Port::Vcpus(_), Op::Rollback) => checker.excuse(Excuse::Rollback),
                    (Side::Source, _, Op::Rollback) => {
                        if self.plan.rules.hold_on_lost_device {
                            checker.excuse(Excuse::Rollback);
                        }
                        checker.device_lost(port, now);
                    }
                    (Side::Destination, _, Op::Resume) => checker.excuse(Excuse::Resume),
                    _ => {}
                }
            }
            (_, What::Write(record)) => {
                checker.overran(side, Port::Journal);
                if side == Side::Destination && record.kind != RecordKind::Finished {
                    checker.excuse(Excuse::DestinationJournal);
                }
            }
            (_, What::Claim(_) | What::Claimed(..)) => {
                checker.overran(side, Port::Arbiter);
                checker.excuse(Excuse::Claim);
            }
            (_, What::LastPages) => {
                checker.overran(Side::Source, Port::Link);
                checker.overran(side, Port::Memory);
            }
            _ => checker.overran(side, Port::Memory),
        }
    }

    /// Looks at everything that is under way: what has outlasted its contract counts as an overrun now.
    pub(super) fn look_at_all(&mut self) {
        for side in [Side::Source, Side::Destination] {
            for slot in 0..self.hosts[side as usize].jobs.len() {
                if let Some(job) = self.hosts[side as usize].jobs[slot] {
                    self.look(side, &job);
                }
            }
            for slot in 0..PORTS {
                self.look_at_slices(side, slot);
            }
        }
    }

    /// A save that is under way, or a load since its last slice arrived.
    pub(super) fn look_at_slices(&mut self, side: Side, slot: usize) {
        let busy = self.hosts[side as usize].jobs[slot]
            .is_some_and(|job| matches!(job.what, What::Port(_, Op::Save | Op::Load)));
        if busy {
            self.slice_done(side, slot);
        }
    }

    /// A slice has just been saved or loaded, or is being: is the whole within its contract so far?
    pub(super) fn slice_done(&mut self, side: Side, slot: usize) {
        let (host, port) = (&self.hosts[side as usize], port_of(slot));
        let slices = host.slices[slot];
        let op = if side == Side::Source { Op::Save } else { Op::Load };
        let since = if op == Op::Save { slices.began } else { slices.began.or_later(slices.last) };
        let passed = host.clock.at(self.now).since(since);
        if self.plan.contract(side, port, op).is_some_and(|contract| passed > contract) {
            self.checker.overran(side, port);
        }
    }
}
