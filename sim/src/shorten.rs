//! Makes a failing scenario smaller while it still fails: what is left is what matters.
//!
//! Greedy: faults, devices, the arbiter, attempts and everything that varies are taken away one after the other, again and
//! again until nothing more can go. A change moves the dice, so a few more seeds are tried for each. The result breaks the
//! same promise; it need not break it in the same way, or by the same way there.

use switchover_core::config::Retry;
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::Bytes;

use crate::check::Promise;
use crate::run::Run;
use crate::scenario::model::{Host, Times, What, Where};
use crate::scenario::{Dist, Scenario};
use crate::world::World;

/// Seeds that are tried for each change, besides the one that failed.
const SEEDS: u64 = 16;
/// Rounds over all changes, at most: each that goes on has taken something away.
const ROUNDS: usize = 64;

/// A failing run, made small.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Short {
    /// What is left.
    pub scenario: Scenario,
    /// The run of it that fails; its seed is in it.
    pub run: Run,
}

/// Shortens `scenario`, whose run of `seed` breaks a promise; `None` if it does not.
#[must_use]
pub fn shorten(scenario: &Scenario, seed: u64) -> Option<Short> {
    let run = World::new(scenario).run(seed);
    let promise = run.violations.first()?.promise;
    let mut short = Short { scenario: scenario.clone(), run };
    for _ in 0..ROUNDS {
        let Some(shorter) = shorter(&short, promise) else { break };
        short = shorter;
    }
    Some(short)
}

/// The first change that keeps it failing, if any does.
fn shorter(short: &Short, promise: Promise) -> Option<Short> {
    let faults = 0..short.scenario.faults.len();
    let fewer = faults.map(|index| {
        let mut scenario = short.scenario.clone();
        scenario.faults.remove(index);
        scenario
    });
    let changed = CHANGES.iter().map(|change| {
        let mut scenario = short.scenario.clone();
        change(&mut scenario);
        scenario
    });
    let candidates = fewer.chain(changed).filter(|scenario| *scenario != short.scenario);
    candidates.into_iter().find_map(|scenario| fails(scenario, short.run.seed, promise))
}

/// A run of the scenario that breaks the promise, the given seed's first.
fn fails(scenario: Scenario, seed: u64, promise: Promise) -> Option<Short> {
    let mut world = World::new(&scenario);
    let run = std::iter::once(seed).chain(0..SEEDS).find_map(|seed| {
        let run = world.run(seed);
        run.violations.iter().any(|violation| violation.promise == promise).then_some(run)
    })?;
    Some(Short { scenario, run })
}

/// What can be taken away besides a fault, the coarse first.
const CHANGES: &[fn(&mut Scenario)] = &[
    |s| without_device(s),
    |s| s.arbiter = None,
    |s| s.link.datagrams = None,
    |s| s.source.stolen = None,
    |s| s.destination.stolen = None,
    |s| fewer_attempts(s),
    |s| s.faults.iter_mut().for_each(|fault| fault.chance = 1_000_000),
    |s| s.guest.dirty.iter_mut().for_each(|stretch| stretch.idle = true),
    |s| s.guest.burst_after_read = Bytes::ZERO,
    |s| s.source.drift = Ppm::default(),
    |s| s.destination.drift = Ppm::default(),
    |s| s.devices.iter_mut().for_each(|device| device.slices = 1),
    |s| steady_host(&mut s.source),
    |s| steady_host(&mut s.destination),
    |s| steady_times(&mut s.guest.times),
    |s| s.devices.iter_mut().for_each(|device| steady_times(&mut device.times)),
    |s| {
        [&mut s.link.control.latency, &mut s.link.bulk.latency, &mut s.link.reconnect]
            .into_iter()
            .for_each(steady)
    },
];

/// Takes the last device away, with its contracts and faults. The last one stays: without any, rules change.
fn without_device(scenario: &mut Scenario) {
    let Some(last) = scenario.devices.len().checked_sub(1).filter(|last| *last > 0) else { return };
    scenario.devices.truncate(last);
    scenario.source_contracts.devices.truncate(last);
    scenario.destination_contracts.devices.truncate(last);
    scenario.faults.retain(|fault| match fault.what {
        What::Stall { port: Where::Device(index), .. }
        | What::Fail { port: Where::Device(index), .. }
        | What::Lie { port: Where::Device(index), .. } => usize::from(index) < last,
        _ => true,
    });
}

fn fewer_attempts(scenario: &mut Scenario) {
    let retry = scenario.retry;
    if retry.attempts > 1 {
        scenario.retry = Retry { attempts: retry.attempts - 1, ..retry };
    }
}

fn steady_host(host: &mut Host) {
    [&mut host.timer, &mut host.journal, &mut host.seal].into_iter().for_each(steady);
}

fn steady_times(times: &mut Times) {
    let Times { quiesce, stop, save, load, settle, resume, rollback } = times;
    [quiesce, stop, save, load, settle, resume, rollback].into_iter().for_each(steady);
}

/// Always the least: the worst is what contracts are made from, and may not be admitted.
fn steady(dist: &mut Dist) {
    let least: Ns = dist.least();
    *dist = Dist::Constant(least);
}
