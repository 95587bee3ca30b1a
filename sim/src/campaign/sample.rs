//! What a campaign needs to know of one run.
//!
//! Less than the run itself holds, and borrowed from it: a million of them pass through and none is kept.

use serde::{Deserialize, Serialize};
use switchover_core::time::Ns;
use switchover_text::record::Outcome;
use switchover_text::words::{Phase, Port, Side};

use super::kept::Seeded;

/// One run, as a campaign sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// The guest's longest blackout; `None` if it still stands still.
    pub longest: Option<Ns>,
    /// Its attempts, in order.
    pub attempts: &'a [Attempt],
    /// What it broke.
    pub broken: &'a [Broken],
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

/// A promise that a run broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// The run's seed.
    pub seed: u64,
    /// Which promise: `P1` to `P6`.
    pub promise: String,
    /// When, in true time since the run began, in nanoseconds.
    pub at_ns: u64,
    /// What happened, in a sentence.
    pub what: String,
}

impl Seeded for Broken {
    fn seed(&self) -> u64 {
        self.seed
    }
}
