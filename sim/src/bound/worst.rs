//! The longest a guest can be without its processor, in every way that an attempt can end.
//!
//! ```text
//!  0 ------- work ------- go_by
//!                           |-- W_s -- R                                undone: aborted before Go
//!                  (delta)--|--------- L(1+rho)                         leased: runs there
//!                           |- delta - W_d - C + J + Res                taken: runs there, if Go came at once
//!                  (delta)--|-- (L-need)(1+rho) - W_d - delta - R       refused: nobody went there
//!                           |-- (L-need)(1+rho) + A - W_s - C - R       claimed: the arbiter gave it back
//! ```
//!
//! Everything is on the source's clock, from t = 0, in integer ns. An instant that is read is up to one tick before
//! the true one, so that what is counted from a reading gets a tick more ([`TICK`]).

use switchover_core::schedule::{Inputs, NoTime, Schedule};
use switchover_core::time::{Ns, Ppm};

use super::facts::{FOREVER, Facts};

/// The grain of a clock.
pub const TICK: Ns = Ns::new(1);

/// Latest ends of an attempt whose `Go` was not, or was, sent at the last moment. [`FOREVER`]: there is none.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Worst {
    /// The schedule that the source computes.
    pub schedule: Schedule,
    /// When an abort before `Go` is decided.
    pub decided: Ns,
    /// When the guest runs again after it.
    pub undone: Ns,
    /// When the destination's lease has ended, and with it the last chance to run there.
    pub leased: Ns,
    /// When the guest runs there if `Go` takes no longer than any message does.
    pub taken: Ns,
    /// When the destination has refused by itself.
    pub gave_up: Ns,
    /// When the guest runs again at the source after that.
    pub refused: Ns,
    /// When it runs again at the source after the destination had decided to run it, and took that back.
    pub superseded: Ns,
    /// When the source, with an arbiter, begins to claim.
    pub claims: Option<Ns>,
    /// When the guest runs again at the source after a claim that was won.
    pub claimed: Option<Ns>,
}

/// What may get through between `Go` and its answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ways {
    /// `Go` may come late, or too late, or not at all.
    pub go_late: bool,
    /// The source's claim may come before that of a destination that decides in time.
    pub claim_races: bool,
    /// The destination may decide to run the guest and take that back.
    pub supersedes: bool,
    /// The destination's answer arrives within its time.
    pub answers: bool,
    /// There is an arbiter, and it answers the source within its time.
    pub arbiter: bool,
}

/// How long a time of the destination's lasts on the source's clock, rounded up.
fn lasting(time: Ns, drift: Ppm) -> Ns {
    // A tick is what the core adds for readings; here they are counted where they are made.
    time.stretched(drift).minus(TICK)
}

impl Facts {
    /// All latest ends, each at the delay that is worst for it: most at the shortest that the source may have learned,
    /// since the latest `Go` is the later for it; a claim at the longest, since it waits for it.
    ///
    /// # Errors
    /// The hard limit leaves no time for any work: nothing is ever stopped.
    pub fn worst(&self) -> Result<Worst, NoTime> {
        let worst = self.worst_at(&self.inputs)?;
        let longest = Inputs { delay: self.delay_longest, ..self.inputs };
        // With a longer delay there may be no time at all: then nothing is stopped with it.
        Ok(self.worst_at(&longest).map_or(worst, |other| worst.or_later(&other)))
    }

    fn worst_at(&self, inputs: &Inputs) -> Result<Worst, NoTime> {
        let schedule = inputs.schedule()?;
        let truth = &self.truth;
        let decided = schedule.go_by.plus(TICK).plus(truth.timer);
        let claims = inputs.claim.map(|_| self.claims(&schedule));
        let answered = |at: Ns| self.back(at.plus(truth.delay_most).plus(truth.wake));
        let gave_up = self.gave_up(&schedule);
        Ok(Worst {
            schedule,
            decided,
            undone: self.back(decided),
            leased: self.leased(&schedule),
            taken: self.taken(&schedule),
            gave_up,
            refused: answered(gave_up),
            superseded: answered(self.took_back(&schedule)),
            claims,
            claimed: claims.map(|at| self.back(at.plus(truth.claim))),
        })
    }

    /// When the guest runs again if its rollback begins at `from`. vCPUs do not wait for a device beyond what is left
    /// of H, or beyond its contract.
    fn back(&self, from: Ns) -> Ns {
        let (told, truth) = (&self.told, &self.truth);
        let devices = from.plus(truth.rollback_devices);
        let latest = self.inputs.hard_limit.minus(told.rollback_vcpus.plus(self.inputs.timer));
        let given_up = latest.or_longer(from.plus(told.rollback_devices).plus(TICK)).plus(truth.timer);
        let vcpus = if told.hold_on_lost_device { devices } else { devices.or_shorter(given_up) };
        vcpus.plus(truth.rollback_vcpus)
    }

    /// An instant of the destination's, counted from the start of its lease: the lease begins before `Ready` is on its
    /// way, and that was read before `Go` was sent.
    fn since_lease(&self, schedule: &Schedule, lasts: Ns) -> Ns {
        // `Go`'s instant and the lease's were read, and so is the end.
        let readings = self.truth.grain.times(2);
        schedule.go_by.minus(self.truth.delay_least).plus(lasting(lasts, self.truth.drift)).plus(readings)
    }

    /// vCPUs are asked only while their contract still fits the lease.
    fn leased(&self, schedule: &Schedule) -> Ns {
        let beyond = self.truth.resume_vcpus.minus(self.told.resume_vcpus);
        self.since_lease(schedule, schedule.lease.plus(beyond))
    }

    /// `Go` on its way, and what the destination then does. With an arbiter its record that a claim may be made is
    /// begun with `Ready`, and must be durable first.
    fn taken(&self, schedule: &Schedule) -> Ns {
        let truth = &self.truth;
        let resume = truth.resume_devices.plus(truth.resume_vcpus);
        let running = truth.peer_claim.plus(truth.peer_journal).plus(resume);
        let arrives = schedule.go_by.plus(truth.delay_most).plus(lasting(truth.peer_wake, truth.drift));
        let begins = match self.inputs.claim {
            Some(_) => {
                arrives.or_longer(self.since_lease(schedule, truth.peer_journal.plus(truth.peer_wake)))
            }
            None => arrives,
        };
        begins.plus(lasting(running, truth.drift)).plus(truth.grain)
    }

    /// An undecided destination refuses one tick after `decide_by`, as late as its timer is.
    fn gave_up(&self, schedule: &Schedule) -> Ns {
        self.since_lease(schedule, schedule.decide.plus(TICK).plus(self.truth.peer_timer))
    }

    /// The last record is durable, or the vCPUs have failed to run, at the latest; and then `Refused` has to be durable.
    /// That a device is not waited for is decided before either.
    fn took_back(&self, schedule: &Schedule) -> Ns {
        let truth = &self.truth;
        let recorded = schedule.decide.plus(truth.peer_claim).plus(truth.peer_journal);
        let beyond = truth.resume_vcpus.minus(self.told.resume_vcpus);
        let failed = schedule.lease.plus(beyond).plus(TICK).plus(truth.peer_timer);
        self.since_lease(schedule, failed.or_longer(recorded).plus(truth.peer_journal))
    }

    /// `answer_by` is strict, and armed a tick later.
    fn claims(&self, schedule: &Schedule) -> Ns {
        let answer_by = schedule.decide.stretched(schedule.drift).plus(schedule.answer);
        schedule.go_by.plus(answer_by).plus(TICK).plus(self.truth.timer)
    }
}

impl Worst {
    /// The later of each, with this schedule.
    fn or_later(self, other: &Self) -> Self {
        let longer = |a: Option<Ns>, b: Option<Ns>| a.zip(b).map(|(a, b)| a.or_longer(b));
        Self {
            schedule: self.schedule,
            decided: self.decided.or_longer(other.decided),
            undone: self.undone.or_longer(other.undone),
            leased: self.leased.or_longer(other.leased),
            taken: self.taken.or_longer(other.taken),
            gave_up: self.gave_up.or_longer(other.gave_up),
            refused: self.refused.or_longer(other.refused),
            superseded: self.superseded.or_longer(other.superseded),
            claims: longer(self.claims, other.claims),
            claimed: longer(self.claimed, other.claimed),
        }
    }

    /// The worst downtime of a commit.
    #[must_use]
    pub fn commit(&self, ways: Ways) -> Ns {
        if ways.go_late { self.leased } else { self.leased.or_shorter(self.taken) }
    }

    /// The worst downtime of an abort; [`FOREVER`] where neither an answer nor an arbiter's word is sure.
    #[must_use]
    pub fn abort(&self, ways: Ways) -> Ns {
        let refused = match (ways.answers, self.claimed.filter(|_| ways.arbiter)) {
            (true, Some(claimed)) => self.refused.or_shorter(claimed),
            (true, None) => self.refused,
            (false, Some(claimed)) => claimed,
            (false, None) => FOREVER,
        };
        let superseded = if ways.answers { self.superseded } else { FOREVER };
        let claimed = self.claimed.unwrap_or_default();
        [(ways.go_late, refused), (ways.claim_races, claimed), (ways.supersedes, superseded)]
            .into_iter()
            .filter(|(may_be, _)| *may_be)
            .fold(self.undone, |worst, (_, time)| worst.or_longer(time))
    }
}
