//! Processes that die and come back.

use switchover_core::destination::Destination;
use switchover_core::id::Incarnation;
use switchover_core::journal::{DestinationGuest, DestinationJournal, SourceGuest};
use switchover_core::port::{Port, Side};
use switchover_core::source::Source;
use switchover_core::time::Ns;

use super::World;
use super::dice::For;
use super::host::{JOURNAL, What};
use super::mutants::Wrong;
use super::plan::{DESTINATION, FIRST, GUEST, SOURCE};
use super::queue::Happening;
use crate::check::Excuse;

impl World {
    /// A process dies. What it was doing took effect or did not; a record that was being written is durable unless `torn`.
    pub(super) fn kill(&mut self, side: Side, restart: Option<Ns>, torn: bool) {
        if !self.hosts[side as usize].alive {
            return;
        }
        self.say(side, "its process dies");
        self.checker.overran(side, Port::Peer);
        self.half_done(side, torn);
        if self.wrong(Wrong::WrittenBeforeDurable) {
            self.hosts[side as usize].journal.lose_latest();
        }
        let host = &mut self.hosts[side as usize];
        (host.alive, host.deadline, host.due, host.linked) = (false, None, None, false);
        host.life += 1;
        host.journal.drop_waiting();
        self.guest_of_the_dead(side);
        self.other_side_hears(side);
        match restart {
            Some(after) => {
                let at = self.hosts[side as usize].clock.after(self.now, after);
                self.restarts += 1;
                self.queue.push(at, Happening::Restart(side));
                self.noisy_until(at);
            }
            None => self.noisy_until(self.now),
        }
    }

    fn half_done(&mut self, side: Side, torn: bool) {
        for slot in 0..self.hosts[side as usize].jobs.len() {
            let Some(job) = self.hosts[side as usize].jobs[slot].take() else { continue };
            let took_effect = !job.stuck && !job.fails && self.dice.chance(For::Faults, 500_000);
            match job.what {
                What::Write(record) if slot == usize::from(JOURNAL) && !torn && !job.fails => {
                    self.durable(side, &record);
                }
                What::Port(port, op) if took_effect => match side {
                    Side::Source => self.source_effect(port, op),
                    Side::Destination => self.destination_effect(port, op),
                },
                What::Release if took_effect => {
                    self.checker.source_released(self.source_now());
                }
                What::Claim(id) if took_effect => {
                    self.owner_of(id, side);
                }
                What::Yield(id) if took_effect => self.yielded(id),
                _ => {}
            }
        }
    }

    fn guest_of_the_dead(&mut self, side: Side) {
        let dies = !self.plan.scenario.guest.outlives_agent;
        self.guest.advance(self.now);
        match side {
            Side::Source => {
                self.passing = None;
                self.checker.excuse(Excuse::SourceDied);
                if dies {
                    self.guest.runs = false;
                    self.guest_lost |= self.checker.source_has_copy() && !self.checker.any_on_destination();
                    self.checker.source_dies();
                }
            }
            Side::Destination => {
                self.destination_died();
                if dies {
                    self.guest_lost |= self.checker.any_on_destination();
                    self.checker.destination_dies();
                    self.guest.forget();
                }
            }
        }
    }

    /// What the dead had said still arrives; then its end of the connection is closed.
    fn other_side_hears(&mut self, dead: Side) {
        let (other, from) = match dead {
            Side::Source => (Side::Destination, 0),
            Side::Destination => (Side::Source, 1),
        };
        let host = &self.hosts[other as usize];
        if !host.linked {
            return;
        }
        let latency = self.dice.draw(For::Link, &self.plan.scenario.link.control.latency).get();
        let free = self.now.max(self.link.stands_until).max(self.link.cut_until[from]);
        let at = (free + latency).max(self.link.last[from]);
        self.queue.push(at, Happening::Down { side: other, wire: self.link.wire, life: host.life });
    }

    /// A dead process is started again: it finds its journal and its guest.
    pub(super) fn restart(&mut self, side: Side) {
        self.restarts = self.restarts.saturating_sub(1);
        if self.hosts[side as usize].alive {
            return;
        }
        self.say(side, "its process is started again");
        self.hosts[side as usize].alive = true;
        match side {
            Side::Source => self.restart_source(),
            Side::Destination => self.restart_destination(),
        }
    }

    fn restart_source(&mut self) {
        let guest = match (self.checker.source_has_copy(), self.checker.runs_on_source()) {
            (false, _) => SourceGuest::Gone,
            (true, true) => SourceGuest::Running,
            (true, false) => SourceGuest::Stopped,
        };
        self.checker.new_run();
        let now = self.source_now();
        let mut journal = self.hosts[0].journal.for_source();
        journal.identity = SOURCE;
        // The same settings that made the first machine.
        let Ok((machine, step)) = Source::restart(self.plan.source.config().clone(), journal, guest, now)
        else {
            return;
        };
        self.source = machine;
        self.recorder = Default::default();
        self.note_restart(Side::Source, &step.actions);
        self.act_source(&step);
    }

    fn restart_destination(&mut self) {
        self.incarnation += 1;
        let guest = match (self.checker.destination_has_copy(), self.checker.any_on_destination()) {
            (false, _) => DestinationGuest::Gone,
            (true, true) => DestinationGuest::Running(GUEST),
            (true, false) => DestinationGuest::Paused(GUEST),
        };
        let mut journal = self.hosts[1].journal.for_destination();
        if self.wrong(Wrong::JournalLostSilently) {
            journal = DestinationJournal::default();
        }
        journal.identity = DESTINATION;
        let now = self.hosts[1].clock.at(self.now);
        let incarnation = Incarnation(FIRST.0 + self.incarnation);
        let config = self.plan.destination.config().clone();
        let Ok((machine, step)) = Destination::restart(config, journal, guest, incarnation, now) else {
            return;
        };
        self.destination = machine;
        self.note_restart(Side::Destination, &step.actions);
        self.act_destination(&step);
    }

    fn note_restart<A: std::fmt::Debug>(&mut self, side: Side, actions: &[A]) {
        self.steps += 1;
        if let Some(trace) = &mut self.trace {
            trace.step(self.now, side, "restart", &actions);
        }
    }

    fn say(&mut self, side: Side, what: &str) {
        if let Some(trace) = &mut self.trace {
            trace.say(self.now, side, what);
        }
    }
}
