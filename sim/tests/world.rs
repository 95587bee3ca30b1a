//! The timed world: the same seed gives the same run, and every shipped scenario keeps the promises.

use switchover_sim::scenario::{Scenario, shipped};
use switchover_sim::world::World;

#[test]
fn shipped_scenarios_keep_the_promises() {
    let seeds: u64 = std::env::var("SWITCHOVER_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    let mut broken = Vec::new();
    for name in shipped::names() {
        let text = shipped::text(name).expect("it is listed");
        let scenario = Scenario::parse(name, text).expect("a test reads every shipped scenario");
        let mut world = World::new(&scenario);
        let mut said = 0;
        let (mut counts, mut steps) = ([0_u32; 4], 0);
        for seed in 0..seeds {
            let run = world.run(seed);
            counts[run.outcome as usize] += 1;
            steps += run.steps;
            if !run.violations.is_empty() {
                said += 1;
                if said <= 2 {
                    broken.push(format!("{name} seed {seed}: {:?} {:?}", run.violations, run));
                }
            }
        }
        println!("{name}: {counts:?} broken {said} steps {}", u64::from(steps) / seeds);
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
