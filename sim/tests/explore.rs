//! Every behaviour of the standard small worlds: no promise is broken, every state recovers, and no state is lost
//! unnoticed. `SWITCHOVER_ALL=1` explores the large worlds too.

use switchover_core::time::Ns;
use switchover_sim::explore::{Report, World, run, standard, world, worlds};

fn explored(world: &World) -> Report {
    let report = run(world, &mut |_| {});
    let way = report.counterexample.as_ref().map_or("", |way| way.diagram.as_str());
    assert!(report.counterexample.is_none(), "{}: {way}", world.name);
    assert!(report.holds(), "{}: {:?}", world.name, report.recovery);
    assert!(report.missing.is_empty(), "{}: never reached {:?}", world.name, report.missing);
    println!("{}: {} states, {} moves", world.name, report.states, report.moves);
    report
}

/// [SW-71]: the key of a state is its machines at one instant; a count that moves is a change of behaviour.
#[test]
fn standard_worlds_keep_every_promise() {
    let mut moved = Vec::new();
    for world in standard() {
        let states = explored(world).states;
        if states != world.states {
            moved.push((world.name, world.states, states));
        }
    }
    assert!(moved.is_empty(), "worlds that have other states than before (name, before, now): {moved:?}");
}

#[test]
fn large_worlds_keep_every_promise() {
    if std::env::var_os("SWITCHOVER_ALL").is_none() {
        println!("left to SWITCHOVER_ALL=1: the large worlds");
        return;
    }
    for world in worlds().skip(standard().len()) {
        let report = explored(world);
        assert!(world.states == 0 || report.states == world.states, "{}: {}", world.name, report.states);
    }
}

/// P2 is kept to the last tick, and not with time to spare: the worst abort comes within a tick of H.
#[test]
fn the_bound_is_reached() {
    for (name, hard_limit) in [("timed", 36), ("timed-arbiter", 44)] {
        let report = explored(world(name).expect("a standard world"));
        let worst = report.worst_abort.expect("timed");
        assert!(worst <= Ns::new(hard_limit), "{name}: {worst:?}");
        assert!(worst >= Ns::new(hard_limit - 1), "{name}: {worst:?} is far from {hard_limit}");
    }
}
