//! `switchover-sim campaign`.

use std::num::NonZeroUsize;
use std::thread;

use anyhow::{Context, Result};

use super::outcome::{check_places, conclude};
use super::progress::Progress;
use super::{drawn, scenario};
use crate::campaign::file::{PROGRAM, Subject, VERSION};
use crate::campaign::play::play;
use crate::campaign::player;
use crate::campaign::{Campaign, Seeds};
use crate::cli::CampaignOptions;
use crate::exit_code::ExitCode;

/// Seeds of a campaign that was not told which.
const USUAL: u64 = 10_000;

/// Plays many seeds, and tells what came of them.
///
/// # Errors
/// The scenario cannot be used, or a report cannot be written.
pub fn campaign(options: &CampaignOptions) -> Result<ExitCode> {
    let scenario = scenario(&options.scenario)?;
    let (reports, out) = (&options.reports, options.out.as_deref());
    check_places(reports, out)?;
    let of = match options.seeds {
        Some(seeds) => seeds,
        None => drawn_seeds()?,
    };
    let seeds = match options.shard {
        Some(shard) => of.share(shard)?,
        None => of,
    };
    let jobs = options.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    eprintln!("{}: seeds {seeds}", scenario.name);
    let mut progress = Progress::on_stderr(seeds.len());
    let played = play(seeds, jobs, || player::player(&scenario), |done| progress.update(done));
    let tally = match played {
        Ok(tally) => tally,
        Err(crash) => {
            // A machine that breaks its own invariant would have broken a promise next.
            eprintln!(
                "{crash}\n  again: switchover-sim run {} --seed {} --trace",
                options.scenario, crash.seed
            );
            return Ok(ExitCode::Broken);
        }
    };
    progress.finish(jobs);
    let worst = tally.worst().map(|(seed, _)| player::recorded(&scenario, seed));
    let broken = tally.violations.first.first().map(|breach| player::shortened(&scenario, breach.seed));
    let campaign = Campaign {
        version: VERSION,
        program: PROGRAM.into(),
        scenario: Subject::of(&scenario),
        given: options.scenario.clone(),
        seeds,
        of,
        tally,
        worst,
        broken,
    };
    conclude(&campaign, reports, &options.gates, out)
}

fn drawn_seeds() -> Result<Seeds> {
    let from = drawn()?;
    let seeds = Seeds::new(from, from + USUAL).context("drawn seeds")?;
    eprintln!("seeds drawn: --seeds {seeds}");
    Ok(seeds)
}
