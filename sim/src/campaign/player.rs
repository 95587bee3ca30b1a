//! From the world to a campaign: plays seeds into tallies, and single ones again for people.
//!
//! Downtimes are what the guest saw. A run's record tells a little more: a committed blackout lasts there until the source
//! *knows* that the guest runs, which is later by the answer's way.

use heapless::Vec as Fixed;
use switchover_core::outcome::Ending;
use switchover_core::port::Blame;
use switchover_text::record::{AttemptRecord, Outcome, RunRecord, reason};

use super::file::{Recorded, Shortened};
use super::sample::{Attempt, Breach, Sample, Who};
use super::tally::Tally;
use crate::run::{self, ATTEMPTS_KEPT, Run};
use crate::scenario::Scenario;
use crate::shorten::shorten;
use crate::world::World;

/// What plays a seed of `scenario` into a tally. It keeps one world and plays it again and again.
pub fn player(scenario: &Scenario) -> impl FnMut(u64, &mut Tally) + use<> {
    let mut world = World::new(scenario);
    move |seed, tally| {
        let run = world.run(seed);
        let attempts: Fixed<Attempt, ATTEMPTS_KEPT> = run.attempts.iter().map(attempt).collect();
        tally.record(&Sample {
            seed,
            outcome: run.outcome.into(),
            longest: run.ended.then_some(run.downtime),
            over: !run.within_limit(),
            attempts: &attempts,
            violations: &run.violations,
            steps: run.steps.into(),
        });
    }
}

fn attempt(attempt: &run::Attempt) -> Attempt {
    let (outcome, reason) = match attempt.ending {
        Ending::Committed => (Outcome::Committed, None),
        Ending::Aborted(why) => (Outcome::Aborted, Some(reason(why))),
        Ending::Lost => (Outcome::Lost, Some("lost")),
    };
    // A commit has nobody to blame, whoever was slower than planned.
    let offender = attempt.offender.filter(|_| outcome != Outcome::Committed).map(Who::from);
    Attempt { outcome, reason, offender, blackout: (outcome != Outcome::Lost).then_some(attempt.seen) }
}

impl From<Blame> for Who {
    fn from(blame: Blame) -> Self {
        Self { side: blame.side.into(), port: blame.port.into(), phase: blame.phase.into() }
    }
}

impl From<run::Outcome> for Outcome {
    fn from(outcome: run::Outcome) -> Self {
        match outcome {
            run::Outcome::Committed => Self::Committed,
            run::Outcome::Aborted => Self::Aborted,
            run::Outcome::InDoubt => Self::InDoubt,
            run::Outcome::Lost => Self::Lost,
        }
    }
}

/// One run, played for somebody to look at.
#[derive(Debug)]
pub struct Played {
    /// Its record, as a host would write it.
    pub record: RunRecord,
    /// What it broke.
    pub breaches: Vec<Breach>,
    /// Every step, and who said what to whom, if it was asked for.
    pub trace: Option<String>,
}

/// Plays that seed, with all that happened if `traced`.
#[must_use]
pub fn played(scenario: &Scenario, seed: u64, traced: bool) -> Played {
    let mut world = World::new(scenario);
    let (run, kept, trace) = if traced {
        let (run, trace) = world.run_traced(seed);
        let steps = trace.lines().join("\n");
        (run, world.take_records(), Some(format!("{steps}\n\n{}", trace.diagram())))
    } else {
        let (run, kept) = world.run_recorded(seed);
        (run, kept, None)
    };
    let now = world.source_now();
    let attempts = kept.iter().map(|attempt| AttemptRecord::of(attempt, run.hard_limit, now)).collect();
    let record = RunRecord::new(run.outcome.into(), run.hard_limit.get(), attempts);
    Played { record, breaches: breaches(&run), trace }
}

fn breaches(run: &Run) -> Vec<Breach> {
    run.violations.iter().map(|violation| Breach::of(run.seed, violation)).collect()
}

/// Plays that seed and keeps its record.
#[must_use]
pub fn recorded(scenario: &Scenario, seed: u64) -> Recorded {
    Recorded { seed, record: played(scenario, seed, false).record }
}

/// What is left of a scenario when all is taken away that it does not need to break its promise in that seed, and who said
/// what to whom there. A smaller world draws otherwise, so that another seed may be the one that fails in it: the text of
/// the scenario begins with the command that shows it.
#[must_use]
pub fn shortened(scenario: &Scenario, seed: u64) -> Shortened {
    let (left, left_seed) = match shorten(scenario, seed) {
        Some(short) => (short.scenario, short.run.seed),
        // It breaks nothing when it is played alone, which would be worth a look by itself.
        None => (scenario.clone(), seed),
    };
    let (_, trace) = World::new(&left).run_traced(left_seed);
    let text = format!("# switchover-sim run THIS-FILE --seed {left_seed} --trace\n{}", left.to_toml());
    Shortened { seed, scenario: text, diagram: trace.diagram() }
}
