//! What came of one run.

use heapless::Vec;
use switchover_core::outcome::Ending;
use switchover_core::port::Blame;
use switchover_core::time::Ns;

use crate::check::Violation;
use crate::scenario::Scenario;
use crate::world::{Trace, World};

/// Attempts that a run keeps: no machine makes more in a life, and a restarted one seldom makes any.
pub const ATTEMPTS_KEPT: usize = 16;

/// How a run ended, as the source knows it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The guest moved.
    Committed,
    /// It stays on the source.
    Aborted,
    /// The source does not know, or is dead.
    InDoubt,
    /// The guest was to run on the destination and is gone there.
    Lost,
}

/// Where the guest runs, as seen from outside.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "each is the place of that name")]
pub enum RunsOn {
    Source,
    Destination,
    Nowhere,
    /// P1 is broken.
    Both,
}

/// One attempt of a run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Attempt {
    /// Its counter.
    pub counter: u32,
    /// How it ended.
    pub ending: Ending,
    /// Who was blamed.
    pub offender: Option<Blame>,
    /// The guest's blackout by the record: until it was *known* to run.
    pub blackout: Ns,
    /// The guest's blackout as seen from outside, on the source's clock.
    pub seen: Ns,
    /// `Go` was said.
    pub go: bool,
    /// The source was in doubt.
    pub in_doubt: bool,
}

/// One run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Where the guest runs.
    pub runs_on: RunsOn,
    /// The longest blackout as seen from outside, on the source's clock; one that still lasts is counted until the end.
    pub downtime: Ns,
    /// No blackout lasts any more.
    pub ended: bool,
    /// All blackouts of the run.
    pub blackout: Ns,
    /// H.
    pub hard_limit: Ns,
    /// What was left of H in the longest blackout; `None`: it was exceeded, or the guest still stands still.
    pub slack: Option<Ns>,
    /// Its attempts that ended, in order.
    pub attempts: Vec<Attempt, ATTEMPTS_KEPT>,
    /// Broken promises.
    pub violations: Vec<Violation, 4>,
    /// Steps of both machines.
    pub steps: u32,
    /// True time that passed.
    pub took: Ns,
}

impl Run {
    /// Whether no blackout was longer than H.
    #[must_use]
    pub const fn within_limit(&self) -> bool {
        self.slack.is_some()
    }
}

/// Plays one seed of a scenario. For many seeds a [`World`] is used again and again.
#[must_use]
pub fn simulate(scenario: &Scenario, seed: u64) -> Run {
    World::new(scenario).run(seed)
}

/// The same, and what happened at every step.
#[must_use]
pub fn simulate_traced(scenario: &Scenario, seed: u64) -> (Run, Trace) {
    World::new(scenario).run_traced(seed)
}
