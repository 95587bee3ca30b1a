//! The commands that look at one thing: `run`, `bound`, `replay`, `scenarios`.

use std::path::PathBuf;

use clap::Args;
use switchover_core::time::Ns;

use super::gates::time;
use crate::exit_code;
use crate::replay::Asked;

const RUN_HELP: &str = "\
Examples:
  switchover-sim run standard --seed 42
  switchover-sim run my.toml --seed 42 --trace";

fn run_help() -> String {
    format!("{RUN_HELP}\n\n{}", exit_code::HELP)
}

/// Play one seed of a scenario: the record of each attempt, drawn along the hard limit
#[derive(Debug, Args)]
#[command(after_help = run_help())]
pub(super) struct RunArgs {
    /// A scenario's file, or the name of a shipped one
    scenario: String,
    /// Which seed [default: drawn, and printed]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Every step, and who said what to whom as a diagram
    #[arg(long, conflicts_with = "json")]
    trace: bool,
    /// The run's record as JSON on stdout, and nothing else there (docs/record.schema.json)
    #[arg(long)]
    json: bool,
}

/// One run to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// A path or a shipped name.
    pub scenario: String,
    /// Which seed; drawn where not given.
    pub seed: Option<u64>,
    /// Every step.
    pub trace: bool,
    /// The record as JSON.
    pub json: bool,
}

impl RunArgs {
    pub(super) fn validate(self) -> RunOptions {
        RunOptions { scenario: self.scenario, seed: self.seed, trace: self.trace, json: self.json }
    }
}

/// The worst case of a scenario, from its contracts and link alone: nothing is played
///
/// The latest time of each step on each side, the worst downtime of a commit and of an abort, the slack, which term
/// dominates, and the smallest hard limit that would be admitted. Where nothing bounds it, it says so and why.
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct BoundArgs {
    /// A scenario's file, or the name of a shipped one
    scenario: String,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A scenario to bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundOptions {
    /// A path or a shipped name.
    pub scenario: String,
    /// As JSON.
    pub json: bool,
}

impl BoundArgs {
    pub(super) fn validate(self) -> BoundOptions {
        BoundOptions { scenario: self.scenario, json: self.json }
    }
}

/// Run what others recorded through the machines: would this limit have held, and who would have been blamed?
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct ReplayArgs {
    /// A journal of events that `switchover --events` wrote, or a QEMU trace of its downtime checkpoints
    file: PathBuf,
    /// Ask about this downtime limit instead of the recorded one
    #[arg(long, value_name = "TIME", value_parser = time)]
    downtime_limit: Option<Ns>,
    /// Ask about this switchover limit instead of the recorded one
    #[arg(long, value_name = "TIME", value_parser = time)]
    switchover_limit: Option<Ns>,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A recording to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOptions {
    /// The file.
    pub file: PathBuf,
    /// Limits to ask about.
    pub asked: Asked,
    /// As JSON.
    pub json: bool,
}

impl ReplayArgs {
    pub(super) fn validate(self) -> ReplayOptions {
        let asked = Asked { downtime: self.downtime_limit, switchover: self.switchover_limit };
        ReplayOptions { file: self.file, asked, json: self.json }
    }
}

/// List the shipped scenarios and what each stands for
#[derive(Debug, Args)]
pub(super) struct ScenariosArgs {
    /// Print this one's file instead: something to start your own from
    #[arg(value_name = "NAME")]
    show: Option<String>,
}

/// What to tell of the shipped scenarios.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenariosOptions {
    /// The one to print; all are listed where not given.
    pub show: Option<String>,
}

impl ScenariosArgs {
    pub(super) fn validate(self) -> ScenariosOptions {
        ScenariosOptions { show: self.show }
    }
}
