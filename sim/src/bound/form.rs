//! What `bound` says, in a form for people and scripts: all times in integer ns on the source's clock from t = 0.

use serde::{Deserialize, Serialize};
use switchover_core::port::Side;
use switchover_core::time::{Ns, Ppm};

/// The version of this form.
pub const VERSION: u32 = 1;

/// The worst case of a scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bound {
    /// [`VERSION`].
    pub version: u32,
    /// The scenario's name.
    pub scenario: String,
    /// The planned limit.
    pub downtime_limit_ns: Ns,
    /// H.
    pub hard_limit_ns: Ns,
    /// rho, as declared, in ppm.
    pub rho_ppm: Ppm,
    /// The shortest and the longest delay that the source may compute with: it learns it from pings. Deadlines are
    /// worst for the shortest, admission for the longest.
    pub delay_ns: (Ns, Ns),
    /// Whether anything can be admitted: with nothing at all left to send, at the longest delay.
    pub admitted: bool,
    /// The smallest limits with which it can.
    pub smallest: Smallest,
    /// What the source schedules; `None`: the limit leaves no time for work.
    pub schedule: Option<Planned>,
    /// Each step, in order: when it ends by contract, and when it has ended or is given up.
    pub steps: Vec<Step>,
    /// The guest runs at the destination.
    pub commit: Case,
    /// The guest runs at the source again, and `Go` was never sent.
    pub before_go: Case,
    /// The guest runs at the source again, one way or the other.
    pub abort: Case,
    /// What is left of H in the worse case; `None`: H is not kept, or there is no bound.
    pub slack_ns: Option<Ns>,
    /// The parts of the work, by contract, longest first.
    pub work: Vec<Part>,
    /// The parts of what is reserved of H, longest first.
    pub reserve: Vec<Part>,
    /// Which of them weighs most, and what it would take to need less.
    pub dominates: String,
    /// Assumptions of P2 that this scenario does not keep; what each breaks is in the numbers, as far as it has any.
    pub broken: Vec<String>,
    /// What had to be assumed besides.
    pub assumed: Vec<String>,
    /// Why the source may not learn in time what became of its guest, although the guest runs.
    pub knowledge: Vec<String>,
}

/// The smallest limits that are admitted.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Smallest {
    /// The predicted downtime with nothing left to send.
    pub downtime_limit_ns: Ns,
    /// H: work, and what is reserved for what follows `Go`.
    pub hard_limit_ns: Ns,
}

/// The source's schedule.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Planned {
    /// L, on the destination's clock.
    pub lease_ns: Ns,
    /// L - need, on the destination's clock.
    pub decide_ns: Ns,
    /// A.
    pub answer_ns: Ns,
    /// The latest `Go`.
    pub go_by_ns: Ns,
    /// What is reserved of H for what follows it.
    pub reserve_ns: Ns,
}

/// A step of the switchover.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Where.
    pub side: Side,
    /// What ends.
    pub what: String,
    /// When it has ended if every contract is kept and nothing is left to send; `None`: it does not happen then.
    pub by_contract_ns: Option<Ns>,
    /// The latest instant at which it has ended, or is given up; `None`: it has no bound.
    pub latest_ns: Option<Ns>,
    /// The formula of the latter.
    pub formula: String,
}

/// A worst case.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Case {
    /// The longest downtime; `None`: there is no bound, see `unbounded`.
    pub downtime_ns: Option<Ns>,
    /// The formula that it comes from.
    pub formula: String,
    /// Unbounded because of these; empty where it is bounded.
    pub unbounded: Vec<String>,
}

/// A part of a sum.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Its symbol or name.
    pub what: String,
    /// How much of the sum it is.
    pub time_ns: Ns,
}
