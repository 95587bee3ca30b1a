//! Every promise, over every shipped scenario, with other seeds each time.
//!
//! `make test` plays a thousandth of a million runs and `make test-all` a million: half of them of the standard scenario,
//! the rest spread over all that are shipped. The seeds begin at `SWITCHOVER_SEED`, or are drawn; either way they are
//! printed, and a failure names the command that shows it again.

use std::thread;

use switchover_sim::campaign::play::play;
use switchover_sim::campaign::player::player;
use switchover_sim::campaign::{Seeds, Share, Tally};
use switchover_sim::scenario::{Scenario, shipped};

fn all() -> bool {
    std::env::var("SWITCHOVER_ALL").is_ok_and(|value| value == "1")
}

/// Where the seeds begin.
fn first_seed() -> u64 {
    let told = std::env::var("SWITCHOVER_SEED").ok().and_then(|seed| seed.parse().ok());
    told.unwrap_or_else(|| u64::from(getrandom::u32().expect("a seed")))
}

/// Plays so many seeds from `from`, and holds every run to every promise.
fn kept(name: &str, from: u64, count: u64) -> Tally {
    let scenario = Scenario::load(name.as_ref()).expect(name);
    let seeds = Seeds::new(from, from + count).expect("seeds");
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let again = |seed| format!("switchover-sim run {name} --seed {seed} --trace");
    let tally = match play(seeds, jobs, || player(&scenario), |_| {}) {
        Ok(tally) => tally,
        Err(crash) => panic!("{name}: {crash}\n  {}", again(crash.seed)),
    };
    if let Some(first) = tally.violations.first.first() {
        panic!("{name}: seed {}: {} {}\n  {}", first.seed, first.promise, first.what, again(first.seed));
    }
    assert_eq!(tally.runs, count);
    tally
}

#[test]
fn the_standard_scenario_keeps_every_promise_and_commits() {
    let (from, count) = (first_seed(), if all() { 500_000 } else { 500 });
    let tally = kept("standard", from, count);
    let longest = tally.longest.at_among(Share::ALL, tally.runs);
    println!("standard: seeds {from}..{}: {:?}, the longest {longest:?}", from + count, tally.outcomes);
    assert!(tally.outcomes.committed * 100 >= tally.runs * 99, "{:?}", tally.outcomes);
}

#[test]
fn every_shipped_scenario_keeps_every_promise() {
    let names: Vec<&str> = shipped::names().collect();
    let (from, count) = (first_seed(), if all() { 500_000 } else { 500 });
    let each = count / names.len() as u64;
    let mut whole = Tally::default();
    for name in &names {
        let tally = kept(name, from, each);
        println!("{name}: seeds {from}..{}: {:?}", from + each, tally.outcomes);
        whole.add(&tally);
    }
    // What it is there for has to have happened.
    let (outcomes, reasons) = (whole.outcomes, &whole.reasons);
    assert!(outcomes.committed > 0 && outcomes.aborted > 0, "{outcomes:?}");
    assert!(reasons.len() >= 5 && !whole.offenders.is_empty(), "{reasons:?}");
}
