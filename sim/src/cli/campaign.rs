//! `switchover-sim campaign`: many runs.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::gates::GateArgs;
use super::reports::ReportArgs;
use super::{Reports, UsageError};
use crate::campaign::{Gate, Seeds, Shard};

const HELP: &str = "\
Examples:
  switchover-sim campaign standard --seeds 0..100000
  switchover-sim campaign my.toml --seeds 0..100000 --max-p99 290ms --junit report.xml
  switchover-sim campaign standard --seeds 0..1000000 --shard 2/4 --out shards";

/// Play many seeds of a scenario: downtimes, outcomes, offenders, and whether every promise was kept
///
/// The result depends on the seeds alone: neither on --jobs nor on how the seeds were shared out.
#[derive(Debug, Args)]
#[command(after_help = help())]
pub(super) struct CampaignArgs {
    /// A scenario's file, or the name of a shipped one
    scenario: String,
    /// Which seeds, the end left out [default: 10000 from a drawn one, and printed]
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// Threads [default: one for each processor]
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Play only the I-th of N equal shares of the seeds, as one machine of several
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Keep the result in this folder, for `switchover-sim merge`
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

/// A campaign to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignOptions {
    /// A path or a shipped name.
    pub scenario: String,
    /// Which seeds, over all shards; drawn where not given.
    pub seeds: Option<Seeds>,
    /// Threads; as many as processors where not given.
    pub jobs: Option<NonZeroUsize>,
    /// The share to play; never without `seeds` and `out`, and never empty.
    pub shard: Option<Shard>,
    /// The folder for the shard's file.
    pub out: Option<PathBuf>,
    /// Reports.
    pub reports: Reports,
    /// Gates.
    pub gates: Vec<Gate>,
}

impl CampaignArgs {
    pub(super) fn validate(self) -> Result<CampaignOptions, UsageError> {
        match (self.shard, self.seeds) {
            (Some(_), None) => return Err(UsageError::ShardWithoutSeeds),
            (Some(shard), Some(seeds)) => drop(seeds.share(shard)?),
            (None, _) => {}
        }
        if self.shard.is_some() && self.out.is_none() {
            return Err(UsageError::ShardWithoutOut);
        }
        Ok(CampaignOptions {
            scenario: self.scenario,
            seeds: self.seeds,
            jobs: self.jobs,
            shard: self.shard,
            out: self.out,
            reports: self.reports.validate()?,
            gates: self.gates.validate(),
        })
    }
}
