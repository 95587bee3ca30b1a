//! The loop: what happens next, who is told of it, and when a run is over.

use switchover_core::action::{DestinationAction, SourceAction, Step};
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::port::{Op, Port, Side};
use switchover_core::source::Standing;
use switchover_core::time::At;

use super::World;
use super::host::What;
use super::jobs::concern;
use super::mutants::Wrong;
use super::queue::Happening;
use crate::check::{Excuse, Knows};
use crate::run::{Outcome, Run, RunsOn};

/// No run is longer: a machine that would need more spins.
const STEPS_MAX: u32 = 2_000_000;
/// Nor in true time: ten hours, in nanoseconds.
const TIME_MAX: u64 = 36_000_000_000_000;

impl World {
    /// Plays until the run is over.
    pub(super) fn play(&mut self) {
        while !self.is_over() {
            if !self.turn() {
                break;
            }
        }
        self.judge_the_end();
    }

    /// Lets the next thing happen; `false` if nothing will.
    fn turn(&mut self) -> bool {
        let due = |host: &super::host::Host| host.due.map(|due| due.max(host.stands_until));
        let (source, destination) = (due(&self.hosts[0]), due(&self.hosts[1]));
        let timer = match (source, destination) {
            (Some(s), Some(d)) if d < s => Some((d, Side::Destination)),
            (Some(s), _) => Some((s, Side::Source)),
            (None, d) => d.map(|d| (d, Side::Destination)),
        };
        match (self.queue.next_at(), timer) {
            // Inputs before deadlines.
            (Some(at), timer) if timer.is_none_or(|(due, _)| at <= due) => {
                self.now = self.now.max(at);
                if let Some(what) = self.queue.pop() {
                    self.happens(what);
                }
            }
            (_, Some((due, side))) => {
                self.now = self.now.max(due);
                self.hosts[side as usize].due = None;
                match side {
                    Side::Source => self.tell_source(SourceEvent::Deadline),
                    Side::Destination => self.tell_destination(DestinationEvent::Deadline),
                }
            }
            (_, None) => return false,
        }
        true
    }

    /// The host that a happening needs to be awake, if any.
    fn needs(&self, what: &Happening) -> Option<Side> {
        match what {
            Happening::Ends { side, .. } | Happening::Down { side, .. } | Happening::Cancel(side) => {
                Some(*side)
            }
            Happening::Handed { .. } | Happening::Begin => Some(Side::Source),
            Happening::Piece { .. } => Some(Side::Destination),
            Happening::Letter(place) => self.letters.to(*place),
            Happening::Restart(_)
            | Happening::Stolen(_)
            | Happening::Fault(_)
            | Happening::Mended
            | Happening::Calm => None,
        }
    }

    fn happens(&mut self, what: Happening) {
        let link = matches!(what, Happening::Letter(_) | Happening::Piece { .. });
        let awake = self.needs(&what).map_or(0, |side| self.hosts[side as usize].stands_until);
        let passes = if link { self.link.stands_until } else { 0 };
        let later = awake.max(passes);
        // What waits keeps its order, since it is put back in it.
        if later > self.now {
            return self.queue.push(later, what);
        }
        match what {
            Happening::Begin => self.tell_source(SourceEvent::Begin),
            Happening::Ends { side, slot, token } => {
                if let Some(job) = self.hosts[side as usize].end(slot, token) {
                    match side {
                        Side::Source => self.source_job(job),
                        Side::Destination => self.destination_job(job),
                    }
                }
            }
            Happening::Handed { slot, token, stood } => self.handed(slot, token, stood),
            Happening::Letter(place) => self.arrives(place),
            Happening::Piece { wire, stood } => self.piece(wire, stood),
            Happening::Down { side, wire, life } => {
                let host = &self.hosts[side as usize];
                if host.life == life && host.linked && wire == self.link.wire {
                    self.hear_link(side, false);
                }
            }
            Happening::Restart(side) => self.restart(side),
            Happening::Stolen(side) => self.steal(side),
            Happening::Fault(index) => self.begin_fault(usize::from(index)),
            Happening::Cancel(side) => self.cancel(side),
            Happening::Mended => {
                let cut = self.link.cut_until.iter().any(|until| *until > self.now);
                if self.link.torn && !cut {
                    self.reset_link();
                }
            }
            Happening::Calm => self.calm_down(),
        }
    }

    /// The bulk connection has taken a pass, unless it stood still meanwhile.
    fn handed(&mut self, slot: u8, token: u32, stood: u64) {
        let later = self.link.stood - stood;
        let same = self.hosts[0].jobs[usize::from(slot)].is_some_and(|job| job.token == token);
        if later > 0 && same {
            let stood = self.link.stood;
            return self.queue.push(self.now + later, Happening::Handed { slot, token, stood });
        }
        if let Some(job) = self.hosts[0].end(slot, token) {
            self.source_job(job);
        }
    }

    /// The processor is taken away for a while, and will be again.
    fn steal(&mut self, side: Side) {
        let Some(stolen) = self.plan.host(side).stolen.clone() else { return };
        let pause = self.dice.draw(concern(side), &stolen.pause);
        let noisy = self.noisy_until;
        self.stand_still(side, pause);
        self.noisy_until = noisy;
        self.next_theft(side);
    }

    /// When the processor is taken away next.
    pub(super) fn next_theft(&mut self, side: Side) {
        if let Some(stolen) = &self.plan.host(side).stolen {
            let wait = 1 + self.dice.below(concern(side), stolen.every.get().saturating_mul(2));
            let from = self.now.max(self.hosts[side as usize].stands_until);
            self.queue.push(from + wait, Happening::Stolen(side));
        }
    }

    /// Hands the source an event now.
    pub(super) fn tell_source(&mut self, event: SourceEvent) {
        if !self.hosts[0].alive {
            return;
        }
        let stamp = self.stamp(Side::Source, event == SourceEvent::Deadline);
        let now = self.hosts[0].clock.at(stamp);
        self.timer_late(Side::Source, now);
        let step = self.source.step(now, event);
        self.steps += 1;
        if let Some(trace) = &mut self.trace {
            trace.step(self.now, Side::Source, &event, &step.actions);
        }
        self.act_source(&step);
        if self.learned && self.source.standing() == Standing::Waits {
            // Too long for the limits would mean that it could not have been measured.
            let _taken = self.source.set_contracts(self.learner.contracts().clone());
            self.learned = false;
        }
    }

    /// Hands the destination an event now.
    pub(super) fn tell_destination(&mut self, event: DestinationEvent) {
        if !self.hosts[1].alive {
            return;
        }
        let stamp = self.stamp(Side::Destination, event == DestinationEvent::Deadline);
        let now = self.hosts[1].clock.at(stamp);
        self.timer_late(Side::Destination, now);
        let step = self.destination.step(now, event);
        self.steps += 1;
        if let Some(trace) = &mut self.trace {
            trace.step(self.now, Side::Destination, &event, &step.actions);
        }
        self.act_destination(&step);
    }

    /// A deadline that was due for longer than the timer may be late.
    fn timer_late(&mut self, side: Side, now: At) {
        let Some(deadline) = self.hosts[side as usize].deadline else { return };
        if now.since(deadline) > self.plan.timer(side) && !self.wrong(Wrong::DeadlineWaitsForDevice) {
            self.checker.excuse(match side {
                Side::Source => Excuse::SourceTimer,
                Side::Destination => Excuse::DestinationTimer,
            });
        }
    }

    /// Does a step's actions, unless a fault ends the process among them.
    pub(super) fn act_source(&mut self, step: &Step<SourceAction>) {
        self.arm_timer(Side::Source, step.deadline);
        let life = self.hosts[0].life;
        for (index, action) in step.actions.iter().enumerate() {
            self.at_step(index as u8);
            if self.hosts[0].life != life {
                return;
            }
            self.do_source(action);
        }
        self.at_step(u8::MAX);
    }

    /// The same for the destination.
    pub(super) fn act_destination(&mut self, step: &Step<DestinationAction>) {
        self.arm_timer(Side::Destination, step.deadline);
        let life = self.hosts[1].life;
        for (index, action) in step.actions.iter().enumerate() {
            self.at_step(index as u8);
            if self.hosts[1].life != life {
                return;
            }
            self.do_destination(action);
        }
        self.at_step(u8::MAX);
    }

    fn arm_timer(&mut self, side: Side, deadline: Option<At>) {
        let host = &self.hosts[side as usize];
        if host.deadline == deadline && host.due.is_some() == deadline.is_some() {
            return;
        }
        let due = deadline.map(|at| {
            let late = self.dice.draw(concern(side), &self.plan.host(side).timer);
            self.hosts[side as usize].clock.when(at.plus(late), self.now)
        });
        let host = &mut self.hosts[side as usize];
        (host.deadline, host.due) = (deadline, due);
    }

    /// Whether nothing that matters can happen any more, or it has been calm for long enough.
    fn is_over(&self) -> bool {
        if self.steps >= STEPS_MAX || self.now > TIME_MAX {
            return true;
        }
        let standing = self.source.standing();
        let done = matches!(standing, Standing::Rests | Standing::Moved | Standing::Held);
        let at_rest = |host: &super::host::Host| !host.alive || host.deadline.is_none() && !host.has_jobs();
        let quiet = self.letters.len() == 0 && self.restarts == 0;
        if self.attempt > 0 && quiet && at_rest(&self.hosts[0]) && at_rest(&self.hosts[1]) {
            return true;
        }
        if !matches!(standing, Standing::Stopped | Standing::InDoubt) && self.hosts[0].alive && !done {
            return false;
        }
        // A guest that is stopped may still run by the hard limit, and what did not become of it be asked for.
        let hard = self.plan.scenario.limits.hard().times(2).get();
        let calm_from = self.noisy_until.max(self.stopped_at + hard);
        self.now > calm_from + self.plan.scenario.calm.get()
    }

    fn judge_the_end(&mut self) {
        self.look_at_all();
        let now = self.source_now();
        self.checker.judge_dark(now);
        let dead = !self.hosts[0].alive || !self.hosts[1].alive;
        if !dead && !self.guest_lost && !self.stuck_for_ever() {
            self.checker.judge_settled(Knows::from(self.source.standing()), now);
        }
    }

    /// Something without which nobody can run the guest, or say that it does, never ends.
    fn stuck_for_ever(&self) -> bool {
        let hold = self.plan.scenario.hold_on_lost_device;
        let stuck = |side: Side, is: &dyn Fn(What) -> bool| {
            self.hosts[side as usize].jobs.iter().flatten().any(|job| job.stuck && is(job.what))
        };
        stuck(Side::Source, &|what| match what {
            What::Port(Port::Vcpus(_), Op::Rollback) => true,
            What::Port(_, Op::Rollback) => hold,
            _ => false,
        }) || stuck(Side::Destination, &|what| matches!(what, What::Port(_, Op::Resume) | What::Write(_)))
    }

    /// What came of it.
    pub(super) fn result(&self) -> Run {
        let now = self.source_now();
        let (here, there) = (self.checker.runs_on_source(), self.checker.runs_on_destination());
        let runs_on = match (here, there) {
            (true, false) => RunsOn::Source,
            (false, true) => RunsOn::Destination,
            (true, true) => RunsOn::Both,
            (false, false) => RunsOn::Nowhere,
        };
        let standing = self.source.standing();
        let outcome = match standing {
            _ if !self.hosts[0].alive => Outcome::InDoubt,
            Standing::Moved => Outcome::Committed,
            Standing::Held => Outcome::Lost,
            Standing::InDoubt | Standing::Stopped => Outcome::InDoubt,
            Standing::Rests | Standing::Waits | Standing::Migrating => Outcome::Aborted,
        };
        let longest = self.checker.longest(now);
        let hard_limit = self.plan.scenario.limits.hard();
        Run {
            seed: self.seed,
            outcome,
            runs_on,
            downtime: longest,
            ended: !self.checker.is_dark(),
            blackout: self.checker.blackout(now),
            hard_limit,
            slack: hard_limit.checked_minus(longest).filter(|_| !self.checker.is_dark()),
            attempts: self.attempts.clone(),
            violations: self.checker.violations().iter().copied().collect(),
            steps: self.steps,
            took: switchover_core::time::Ns::new(self.now),
        }
    }
}
