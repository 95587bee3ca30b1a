//! Time in a small world: when a deadline may fire, and ticks.
//!
//! Untimed, a deadline is one more thing that can happen at any moment. Timed, the world has one tick, and each clock
//! gains its share of a nanosecond in it, so that two clocks of different rates show every pair of readings that they
//! can. A tick passes only if nothing has to happen before it: nothing that has a bound has used it up, and no timer
//! would be later than it may.

use switchover_core::journal::RecordKind;
use switchover_core::port::{Op, Side};
use switchover_core::source::Standing;
use switchover_core::time::Ns;
use switchover_core::wire::message::{ToDestination, ToSource};

use super::judge::Verdict;
use super::moves::Move;
use super::state::{EVER, State, place};
use super::tables::{Job, Letter, NOW};
use super::walk::{Ends, Walk};
use super::world::{From, Timing};

/// A tick's key in the memory of steps; the gain is added.
const TICK: u32 = 10 << 28;

impl Timing {
    /// The whole ticks that a contract of that side's clock allows.
    fn ticks(&self, side: Side, contract: u64) -> u8 {
        (contract * u64::from(self.per) / u64::from(self.gains[place(side)])).min(u64::from(EVER) - 1) as u8
    }

    /// What the source's clock has gained in so many ticks, rounded down.
    pub(super) fn on_source(&self, ticks: u16) -> Ns {
        Ns::new(u64::from(ticks) * u64::from(self.gains[0]) / u64::from(self.per))
    }
}

impl Walk {
    /// Whether that side's deadline may fire now.
    pub(super) fn is_due(&self, s: &State, side: Side) -> bool {
        match self.deadline(s, side) {
            None => false,
            Some(at) => !self.timed() || at <= NOW,
        }
    }

    fn deadline(&self, s: &State, side: Side) -> Option<switchover_core::time::At> {
        match side {
            Side::Source => self.sources.deadline(s.machines[0]),
            Side::Destination => self.destinations.deadline(s.machines[1]),
        }
    }

    /// How long a message takes at most, in ticks. Only an answer has a bound: the way, and the source's wake-up.
    pub(super) fn way(&self, letter: u8) -> u8 {
        let Some(t) = &self.world.timing else { return EVER };
        match self.letters[usize::from(letter)] {
            Letter::ToSource(_, ToSource::Running(_) | ToSource::Refused { .. }) if !self.world.arbiter => {
                t.ticks(Side::Source, t.delay + t.source_timer)
            }
            Letter::ToSource(..) | Letter::ToDestination(..) => EVER,
        }
    }

    /// How long a job takes at most, in ticks.
    pub(super) fn length(&self, side: Side, job: u8) -> u8 {
        let Some(t) = &self.world.timing else { return EVER };
        let contract = match (side, &self.jobs[place(side)][usize::from(job)]) {
            (Side::Source, Job::Port(_, Op::Rollback)) => t.rollback,
            (Side::Destination, Job::Port(_, Op::Resume)) => t.resume,
            (Side::Destination, Job::Write(_)) => t.journal,
            (_, Job::Claim(_) | Job::Claimed(..)) => t.claim,
            _ => return EVER,
        };
        t.ticks(side, contract)
    }

    fn gain(t: &Timing, s: &State, side: Side) -> (u8, u8) {
        let sum = s.facts.phases[place(side)] + t.gains[place(side)];
        (sum / t.per, sum % t.per)
    }

    /// Whether time may pass, as far as timers go; and whether anything is still to be seen.
    pub(super) fn may_tick(&self, s: &State) -> bool {
        let Some(t) = &self.world.timing else { return false };
        // Once the guest runs and the source rests, no promise speaks of time any more.
        let over = matches!(self.sources.get(s.machines[0]).standing(), Standing::Rests | Standing::Moved);
        if over || !s.judge.is_dark() {
            return false;
        }
        [Side::Source, Side::Destination].into_iter().all(|side| {
            let lateness = if side == Side::Source { t.source_timer } else { t.timer };
            let (gain, _) = Self::gain(t, s, side);
            let then = NOW.plus(Ns::new(u64::from(gain)));
            self.deadline(s, side).is_none_or(|at| then <= at.plus(Ns::new(lateness)))
        }) && s.letters.clone().tick()
            && s.jobs.clone().iter_mut().all(super::state::Pool::tick)
    }

    pub(super) fn tick(&mut self, s: &mut State) -> Verdict {
        let Some(t) = self.world.timing else { return Ok(()) };
        s.letters.tick();
        s.jobs.iter_mut().for_each(|jobs| {
            jobs.tick();
        });
        for side in [Side::Source, Side::Destination] {
            let (gain, phase) = Self::gain(&t, s, side);
            s.facts.phases[place(side)] = phase;
            if gain > 0 {
                self.pass(s, side, gain);
            }
        }
        s.judge.tick(|ticks| u64::from(ticks) * u64::from(t.gains[0]) <= t.hard_limit * u64::from(t.per))
    }

    fn pass(&mut self, s: &mut State, side: Side, gain: u8) {
        let (number, key) = (s.machines[place(side)], TICK + u32::from(gain));
        let outcome = match self.memo[place(side)].find(number, key) {
            Some(outcome) => outcome,
            None => {
                let next = match side {
                    Side::Source => self.sources.later(number, gain),
                    Side::Destination => self.destinations.later(number, gain),
                };
                self.memo[place(side)].keep(number, key, next, &[])
            }
        };
        s.machines[place(side)] = outcome.next;
    }

    /// Where a timed world begins: nothing but the shortest way there is taken, and no time passes on it.
    pub(super) fn begun(&mut self, start: State, from: From) -> State {
        let mut s = start;
        let mut moves = vec![Move::Begin];
        while let Some(next) = moves.iter().copied().find(|what| self.leads(&s, *what, from)) {
            s = self.after(&s, next).0;
            self.moves(&s, &mut moves);
            if from == From::Stop && s.judge.is_dark() {
                break;
            }
        }
        let letters: Vec<u8> = s.letters.entries().map(|(letter, _)| letter).collect();
        for letter in letters.into_iter().filter(|letter| !matches!(self.said(*letter), Said::Sealed)) {
            s.letters.take_timed(letter, EVER);
        }
        s
    }

    fn leads(&self, s: &State, what: Move, from: From) -> bool {
        match what {
            Move::Due(Side::Source) => s.source.open == 0 && s.jobs[0].is_empty(),
            Move::Due(_) | Move::Tick => false,
            Move::Deliver(letter, ..) => match self.said(letter) {
                // A round trip is not measured: the delay that was declared counts.
                Said::Ping | Said::Sealed => false,
                Said::Stopping => from == From::Sealed,
                Said::Other => true,
            },
            Move::Job(side, job, _, ends, _) => {
                let may_go = matches!(self.jobs[place(side)][usize::from(job)],
                    Job::Write(record) if record.kind == RecordKind::MayGo);
                ends == Ends::Done && !may_go
            }
            _ => true,
        }
    }

    fn said(&self, letter: u8) -> Said {
        match self.letters[usize::from(letter)] {
            Letter::ToDestination(_, ToDestination::Ping(_)) => Said::Ping,
            Letter::ToDestination(_, ToDestination::Stopping { .. }) => Said::Stopping,
            Letter::ToDestination(_, ToDestination::Sealed(_)) => Said::Sealed,
            _ => Said::Other,
        }
    }
}

/// The messages that the way to a beginning tells apart.
enum Said {
    Ping,
    Stopping,
    Sealed,
    Other,
}
