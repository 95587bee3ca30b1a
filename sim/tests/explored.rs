//! Where everything is explored, the bound is reached: to within one tick of the clock, in every timed world.
//!
//! The standard worlds; all of them with `SWITCHOVER_ALL=1`.

use switchover_core::time::Ns;
use switchover_sim::bound::timed::timed;
use switchover_sim::explore::{self, Timing, World};

/// What so many ticks are on the source's clock, as a report tells it.
fn on_source(timing: &Timing, ticks: u64) -> Ns {
    Ns::new(ticks * u64::from(timing.gains[0]) / u64::from(timing.per))
}

/// Where the source's clock is the slower one everything ends earlier: the bound is for the worst of both extremes.
fn close(world: &World, case: &str, explored: Option<Ns>, bound: Ns, timing: &Timing) {
    let worst_rates = timing.gains[0] >= timing.gains[1];
    let explored = explored.unwrap_or_default();
    println!("{}: worst {case} {explored:?}, bound {bound:?}", world.name);
    assert!(explored <= bound, "{}: {case} {explored:?} exceeds {bound:?}", world.name);
    let reached = explored.plus(timing.tick()) >= bound;
    assert!(reached || !worst_rates, "{}: {case} {explored:?} is far from {bound:?}", world.name);
}

#[test]
fn the_explorer_reaches_the_bound_to_within_a_tick() {
    let all = std::env::var_os("SWITCHOVER_ALL").is_some();
    let worlds: Vec<&World> =
        if all { explore::worlds().collect() } else { explore::standard().iter().collect() };
    let mut compared = 0;
    for world in worlds {
        let (Some(timing), Some(bound)) = (world.timing, timed(world)) else { continue };
        let report = explore::run(world, &mut |_| {});
        let ns = |ticks| on_source(&timing, ticks);
        if report.worst_commit.unwrap_or_default() == Ns::ZERO {
            // No `Go` was ever sent: only an abort before it has a worst case.
            close(world, "abort before Go", report.worst_abort, ns(bound.before_go), &timing);
        } else {
            close(world, "commit", report.worst_commit, ns(bound.commit), &timing);
            close(world, "abort", report.worst_abort, ns(bound.abort), &timing);
        }
        compared += 1;
    }
    assert!(compared > 0, "a world has clocks");
}
