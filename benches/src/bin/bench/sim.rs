//! The simulator's parts: how many switchovers a second, on how many threads, in how much memory; how many states of a
//! small world a second.
//!
//! Rates are told absolutely and beside a loop that does nothing but count on the same processor in the same minute: two
//! machines differ in both, and their ratio says whether the code did.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use serde_json::json;
use switchover_benches::report::{Report, Row, Target};
use switchover_benches::stats::median;
use switchover_sim::campaign::play::play;
use switchover_sim::campaign::player::player;
use switchover_sim::campaign::{Seeds, Tally};
use switchover_sim::explore;
use switchover_sim::scenario::Scenario;

/// Aimed at: complete switchovers a second on one core.
const RUNS_AIM: f64 = 20_000.0;
/// Two threads against one.
const JOBS_AIM: f64 = 1.7;
/// States a second in the smallest world.
const STATES_AIM: f64 = 100_000.0;
/// Memory at ten times the seeds against once.
const MEMORY_AIM: f64 = 1.1;

/// Steps a second of a chain of multiplications, each of which needs the one before.
fn calibration() -> f64 {
    const STEPS: u64 = 50_000_000;
    let began = Instant::now();
    let mut x = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..STEPS {
        x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    black_box(x);
    STEPS as f64 / began.elapsed().as_secs_f64()
}

fn seeds(from: u64, count: u64) -> io::Result<Seeds> {
    Seeds::new(from, from + count).map_err(io::Error::other)
}

/// Plays, and gives the tally with runs a second.
fn timed(scenario: &Scenario, seeds: Seeds, jobs: usize) -> io::Result<(Tally, f64)> {
    let began = Instant::now();
    let tally = play(seeds, jobs, || player(scenario), |_| {}).map_err(io::Error::other)?;
    Ok((tally, seeds.len() as f64 / began.elapsed().as_secs_f64()))
}

/// The most memory that this process has had, in KiB.
fn peak_kib() -> io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("/proc/self/status does not tell VmHWM"))
}

/// Campaigns of the standard scenario, which has no faults.
pub fn sim(quick: bool, report: &mut Report) -> io::Result<()> {
    let scenario = Scenario::standard();
    let count = if quick { 5_000 } else { 40_000 };
    // First, while nothing else has made this process large.
    timed(&scenario, seeds(0, count / 10)?, 1)?;
    let once = peak_kib()?;
    timed(&scenario, seeds(0, count)?, 1)?;
    let tenfold = peak_kib()?;
    let (mut loops, mut one, mut two, mut gains) = (vec![], vec![], vec![], vec![]);
    for round in 0..5 {
        let seeds = seeds(round * count, count)?;
        loops.push(calibration());
        let (tally, alone) = timed(&scenario, seeds, 1)?;
        let (_, both) = timed(&scenario, seeds, 2)?;
        one.push(alone);
        two.push(both);
        gains.push(both / alone);
        if tally.violations.count > 0 || tally.outcomes.committed * 100 < tally.runs * 99 {
            return Err(io::Error::other("the standard scenario is to commit, and to keep every promise"));
        }
    }
    let (runs, steps) = (median(&one), median(&loops));
    report.row(Row {
        what: format!("simulated switchovers on one core: median of {}", one.len()),
        measured: format!("{runs:.0} a second"),
        against: format!("{RUNS_AIM:.0} a second"),
        ratio: runs / RUNS_AIM,
        target: Target::AtLeast(1.0),
    });
    report.row(Row {
        what: "simulated switchovers for a million steps of a counting loop".into(),
        measured: format!("{runs:.0} a second"),
        against: format!("{:.0} million steps a second", steps / 1e6),
        ratio: runs / (steps / 1e6),
        target: Target::Told,
    });
    report.row(Row {
        what: "simulated switchovers, two threads against one".into(),
        measured: format!("{:.0} a second", median(&two)),
        against: format!("{runs:.0} a second"),
        ratio: median(&gains),
        target: Target::AtLeast(JOBS_AIM),
    });
    report.row(Row {
        what: "memory of a campaign, ten times the seeds against once".into(),
        measured: format!("{tenfold:.0} KiB"),
        against: format!("{once:.0} KiB"),
        ratio: tenfold / once,
        target: Target::AtMost(MEMORY_AIM),
    });
    report.detail(
        "sim",
        json!({
            "runs_per_second": one, "runs_per_second_two_threads": two, "loop_steps_per_second": loops,
            "peak_kib": once, "peak_kib_tenfold": tenfold,
        }),
    );
    Ok(())
}

/// Every interleaving of the first of the standard worlds, which is the smallest.
pub fn walk(quick: bool, report: &mut Report) -> io::Result<()> {
    let world =
        explore::standard().first().ok_or_else(|| io::Error::other("there is no world to explore"))?;
    let (mut loops, mut rates, mut states) = (vec![], vec![], 0);
    for _ in 0..if quick { 1 } else { 5 } {
        loops.push(calibration());
        let began = Instant::now();
        let walked = explore::run(world, &mut |_| {});
        // The second walk, that everything recovers, is in the time and its states are not in the count.
        rates.push(walked.states as f64 / began.elapsed().as_secs_f64());
        states = walked.states;
        if !walked.holds() {
            return Err(io::Error::other("the smallest world is to keep every promise"));
        }
    }
    let (rate, steps) = (median(&rates), median(&loops));
    report.row(Row {
        what: format!("explored, world `{}` of {states} states", world.name),
        measured: format!("{rate:.0} states a second"),
        against: format!("{STATES_AIM:.0} states a second"),
        ratio: rate / STATES_AIM,
        target: Target::AtLeast(1.0),
    });
    report.row(Row {
        what: "explored states for a million steps of a counting loop".into(),
        measured: format!("{rate:.0} states a second"),
        against: format!("{:.0} million steps a second", steps / 1e6),
        ratio: rate / (steps / 1e6),
        target: Target::Told,
    });
    report.detail(
        "explore",
        json!({ "states_per_second": rates, "states": states, "loop_steps_per_second": loops }),
    );
    Ok(())
}
