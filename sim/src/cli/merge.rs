//! `switchover-sim merge`: joins the shards of a campaign.

use std::path::PathBuf;

use clap::Args;

use super::gates::GateArgs;
use super::reports::ReportArgs;
use super::{Reports, UsageError};
use crate::campaign::Gate;

const HELP: &str = "\
Examples:
  switchover-sim merge shards
  switchover-sim merge shards/*.json --max-p99 290ms --junit report.xml --html report.html";

/// Join the shards of a campaign: the same, exactly, as one machine playing all seeds
///
/// Shards that have seeds in common, leave some out, or are of different scenarios or versions are refused.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct MergeArgs {
    /// Files that `campaign --out` wrote, or folders of them
    #[arg(required = true, value_name = "SHARD")]
    shards: Vec<PathBuf>,
    /// Keep the joined campaign in this folder, as a shard that can be merged again
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reports: ReportArgs,
    #[command(flatten)]
    gates: GateArgs,
}

fn help() -> String {
    format!("{HELP}\n\n{}", crate::exit_code::HELP)
}

/// Shards to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeOptions {
    /// Files, or folders of them; at least one.
    pub shards: Vec<PathBuf>,
    /// The folder for the joined campaign's file.
    pub out: Option<PathBuf>,
    /// Reports.
    pub reports: Reports,
    /// Gates.
    pub gates: Vec<Gate>,
}

impl MergeArgs {
    pub(super) fn validate(self) -> Result<MergeOptions, UsageError> {
        Ok(MergeOptions {
            shards: self.shards,
            out: self.out,
            reports: self.reports.validate()?,
            gates: self.gates.validate(),
        })
    }
}
