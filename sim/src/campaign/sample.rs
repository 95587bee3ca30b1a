//! What a campaign needs to know of one run.
//!
//! Less than the run itself holds, and borrowed from it: a million of them pass through and none is kept.

use serde::{Deserialize, Serialize};
use switchover_core::time::Ns;
use switchover_text::record::Outcome;
use switchover_text::words::{Phase, Port, Side};

use super::kept::Seeded;
use crate::check::Violation;

/// One run, as a campaign sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The guest's longest blackout; `None` if it still stands still.
    pub longest: Option<Ns>,
    /// A blackout was longer than the hard limit, or still lasts.
    pub over: bool,
    /// Its attempts, in order.
    pub attempts: &'a [Attempt],
    /// What it broke.
    pub violations: &'a [Violation],
    /// Steps of both machines.
    pub steps: u64,
}

/// One attempt of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, in the record's word; `None` if it committed.
    pub reason: Option<&'static str>,
    /// Whom the machines blamed.
    pub offender: Option<Who>,
    /// The guest's blackout; `None` if no end of it is known.
    pub blackout: Option<Ns>,
}

/// Who was blamed: a port of a side, in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// On which side.
    pub side: Side,
    /// Which port.
    pub port: Port,
    /// In which phase.
    pub phase: Phase,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.side, self.port, self.phase)
    }
}

/// A promise that a run broke, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breach {
    /// The run's seed.
    pub seed: u64,
    /// Which promise: `P1` to `P6`, or `liveness`.
    pub promise: String,
    /// When, on the source's clock, in nanoseconds.
    pub at_ns: u64,
    /// What happened, in a sentence.
    pub what: String,
}

impl Breach {
    /// What the checker found in the run of that seed.
    #[must_use]
    pub fn of(seed: u64, violation: &Violation) -> Self {
        Self {
            seed,
            promise: violation.promise.to_string(),
            at_ns: violation.at.as_ns(),
            what: violation.what.words().into(),
        }
    }
}

impl Seeded for Breach {
    fn seed(&self) -> u64 {
        self.seed
    }
}
