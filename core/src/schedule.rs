//! The hard limit turned into latest useful times.
//!
//! Symbols are those of the protocol: H hard limit, R rollback, A answer allowance,
//! L lease, rho relative drift, delta a message's way, W timer lateness, J journal
//! write, C claim. All results are on the source's clock save `lease` and `decide`,
//! which the destination counts on its own.
//!
//! ```text
//!  t0 ------- work ------- go_by ----- L(1+rho) ------ H     a late commit ends here
//!                            |--- (L-need)(1+rho) + A + R --|  a late refusal ends here
//! ```

use crate::time::{Ns, Ppm};

/// What a reading of a clock may hide, and by how much a strict rule is later than its instant.
const TICK: Ns = Ns::new(1);

/// What the formulas need.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Inputs {
    /// H.
    pub hard_limit: Ns,
    /// R.
    pub rollback: Ns,
    /// J_s: Go waits for `MayGo`.
    pub journal: Ns,
    /// W_s.
    pub timer: Ns,
    /// W_d, on the destination's clock.
    pub peer_timer: Ns,
    /// `need` = C + J + Res, on the destination's clock.
    pub need: Ns,
    /// J alone: with an arbiter a record is written while Ready and `Go` are on their way.
    pub peer_journal: Ns,
    /// delta.
    pub delay: Ns,
    /// C on the source's side, where there is an arbiter.
    pub claim: Option<Ns>,
    /// rho.
    pub drift: Ppm,
}

/// Latest useful times of one attempt, as offsets.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Schedule {
    /// L, on the destination's clock.
    pub lease: Ns,
    /// L - need: when an undecided destination refuses, counted from Ready on its clock.
    pub decide: Ns,
    /// A.
    pub answer: Ns,
    /// The latest offset from t = 0 at which `Go` may be sent.
    pub go_by: Ns,
    /// rho, by which the destination's durations may last longer on the source's clock.
    pub drift: Ppm,
}

/// The limit leaves no time for work at all.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct NoTime {
    /// What lease, answer and rollback take of the hard limit.
    pub reserve: Ns,
}

impl Inputs {
    /// The smallest lease that satisfies the protocol's inequality (\[SW-64\]):
    /// `L >= (1+rho)(max(delta, J_s) + W_s + delta) + W_d + need`. The source may have to
    /// wait for `MayGo` as well as for Ready, and both began no later than the lease. With an
    /// arbiter the destination's own record must be durable before it can claim: `L >= J + W_d + need`.
    pub fn lease(&self) -> Ns {
        let waiting = self.delay.or_longer(self.journal);
        let there = waiting.plus(self.timer).plus(self.delay).stretched(self.drift);
        let undecided = match self.claim {
            Some(_) => there.or_longer(self.peer_journal.plus(TICK)),
            None => there,
        };
        undecided.plus(self.peer_timer).plus(self.need)
    }

    /// `A = delta + W_s + W_d(1+rho)` (\[SW-68\]): an answer is not only the link's time.
    pub fn answer(&self) -> Ns {
        self.delay.plus(self.timer).plus(self.peer_timer.stretched(self.drift))
    }

    /// What must be left of H when `Go` is sent (\[SW-66\]): the later of a commit at the
    /// lease's end, and a refusal at `decide_by` with its answer and the rollback.
    pub fn reserve(&self) -> Ns {
        self.reserve_with(self.lease(), self.answer())
    }

    fn reserve_with(&self, lease: Ns, answer: Ns) -> Ns {
        self.after_commit(lease).or_longer(self.after_refusal(lease, answer))
    }

    /// What a commit may take after `Go`. `Go`'s instant is a reading: the lease may have begun a tick later.
    pub fn after_commit(&self, lease: Ns) -> Ns {
        lease.stretched(self.drift).plus(TICK)
    }

    /// What a refusal, or a claim that is won, may take after `Go` until the guest runs here again.
    pub fn after_refusal(&self, lease: Ns, answer: Ns) -> Ns {
        let refusal = lease.minus(self.need).stretched(self.drift).plus(answer);
        // An in-doubt source claims when no answer came, strictly after `answer_by`, which takes a timer and the claim.
        let claimed = match self.claim {
            Some(claim) => refusal.plus(TICK).plus(self.timer).plus(claim),
            None => refusal,
        };
        claimed.plus(self.rollback)
    }

    /// The schedule, or how much the reserve alone takes.
    pub fn schedule(&self) -> Result<Schedule, NoTime> {
        self.schedule_with(self.lease(), self.answer())
    }

    pub(crate) fn schedule_with(&self, lease: Ns, answer: Ns) -> Result<Schedule, NoTime> {
        let reserve = self.reserve_with(lease, answer);
        match self.hard_limit.checked_minus(reserve) {
            Some(go_by) => {
                let decide = lease.minus(self.need);
                Ok(Schedule { lease, decide, answer, go_by, drift: self.drift })
            }
            None => Err(NoTime { reserve }),
        }
    }
}
