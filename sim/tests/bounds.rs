//! Bounds against numbers that were worked by hand, and against what has to be said where there is none.

use std::path::Path;

use switchover_core::time::Ns;
use switchover_sim::bound::{Bound, bound};
use switchover_sim::scenario::{Scenario, shipped};

/// The example of `docs/TIMING.md`: everything constant.
const EXAMPLE: &str = include_str!("../scenarios/timing.toml");

fn of(text: &str) -> Bound {
    let scenario = Scenario::parse("example", text).expect("a scenario");
    let bound = bound(&scenario);
    println!("{bound}");
    bound
}

/// The example with these lines at its top level besides.
fn with(lines: &str) -> Bound {
    of(&EXAMPLE.replacen("[limits]", &format!("{lines}\n\n[limits]"), 1))
}

fn us(n: u64) -> Ns {
    Ns::from_micros(n)
}

/// Within so few nanoseconds that only rounding is between them.
fn near(value: Option<Ns>, worked: Ns) {
    let value = value.expect("it is bounded");
    let off = value.minus(worked).or_longer(worked.minus(value));
    assert!(off <= Ns::from_micros(8), "{value:?} is not {worked:?}");
}

/// The numbers of `docs/TIMING.md`: `Go` by 301.993 ms; worked there line by line.
#[test]
fn the_example_is_what_was_worked_by_hand() {
    let bound = of(EXAMPLE);
    let schedule = bound.schedule.expect("310 ms leave time");
    near(Some(schedule.go_by_ns), us(301_993));
    near(Some(schedule.lease_ns), us(6_502));
    near(Some(schedule.answer_ns), us(2_501));
    // go_by + delta 0.25 + need 3 x 1.001
    near(bound.commit.downtime_ns, us(301_993 + 250 + 3_003));
    // go_by + W_s 1 + R 2
    near(bound.abort.downtime_ns, us(301_993 + 1_000 + 2_000));
    near(bound.slack_ns, us(310_000 - 305_246));
    // stop 1, save 1, load 1, Ready 1, Go 0.5, J 1, Res 2; and for H the reserve of 8.007 on top of the work.
    near(Some(bound.smallest.downtime_limit_ns), us(7_504));
    near(Some(bound.smallest.hard_limit_ns), us(4_001 + 8_007));
    assert!(bound.admitted && bound.broken.is_empty() && bound.knowledge.is_empty());
}

/// What the page prints is what is printed.
#[test]
fn the_page_shows_what_is_printed() {
    let (page, printed) = (include_str!("../../docs/TIMING.md"), of(EXAMPLE).to_string());
    let shown = |start: &str| page.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    for start in ["worst commit ", "worst abort ", "  before Go ", "slack to H ", "smallest limits "] {
        let line = shown(start);
        assert!(!line.is_empty() && printed.lines().any(|printed| printed == line), "{line}\n{printed}");
    }
}

/// The smallest limits are admitted, and a nanosecond less is not: by the machine's own verdict.
#[test]
fn the_smallest_limits_are_the_smallest() {
    let scenario = |downtime: Ns, switchover: Ns| {
        let mut scenario = Scenario::parse("example", EXAMPLE).expect("a scenario");
        (scenario.limits.downtime, scenario.limits.switchover) = (downtime, switchover);
        bound(&scenario)
    };
    let smallest = scenario(us(300_000), us(10_000)).smallest;
    let (downtime, hard) = (smallest.downtime_limit_ns, smallest.hard_limit_ns);
    let more = hard.minus(downtime);
    assert!(scenario(downtime, more).admitted);
    assert!(!scenario(downtime.minus(Ns::new(1)), more.plus(Ns::new(1))).admitted);
    assert!(!scenario(downtime, more.minus(Ns::new(1))).admitted);
    let none = scenario(us(2_000), us(0));
    assert!(none.schedule.is_none() && none.steps.is_empty() && none.commit.downtime_ns == Some(Ns::ZERO));
}

/// Whatever gets stuck before `Go`, the bound is the same: `go_by` ends it.
#[test]
fn what_is_stuck_before_go_costs_nothing_beyond_it() {
    let calm = of(EXAMPLE);
    for phase in ["stop", "save", "load", "seal"] {
        let side = if phase == "load" { "destination" } else { "source" };
        let port = if phase == "seal" { "memory" } else { "vcpus" };
        let stuck = with(&format!(
            "faults = [{{ kind = \"stall\", side = \"{side}\", port = \"{port}\", phase = \"{phase}\", time = \"forever\" }}]"
        ));
        assert_eq!((stuck.abort.downtime_ns, stuck.broken.len()), (calm.abort.downtime_ns, 0), "{phase}");
    }
}

/// P3: without an arbiter a partition after `Go` has no bound; with one it has, within H.
#[test]
fn a_partition_is_unbounded_without_an_arbiter_and_bounded_with_one() {
    let partition = "faults = [{ kind = \"partition\", time = \"2s\", after_message = \"go\" }]";
    let alone = with(partition);
    assert!(alone.abort.downtime_ns.is_none() && alone.slack_ns.is_none());
    assert!(alone.abort.unbounded.iter().any(|why| why.contains("partition") && why.contains("P3")));
    assert!(alone.to_string().contains("unbounded because"));
    // What never asked `Go`, and what commits, keeps its bound.
    // Pings may be lost too: then delta is what was declared, 0.25 ms, and go_by 0.5 ms later.
    near(alone.before_go.downtime_ns, us(302_493 + 3_000));
    // go_by - delta + L(1+rho)
    near(alone.commit.downtime_ns, us(302_493 - 250 + 6_259));

    let arbiter = format!("{partition}\n\n[arbiter]\nfrom_source = \"5ms\"\nfrom_destination = \"5ms\"");
    let asked = with(&arbiter);
    let hard = asked.hard_limit_ns;
    assert!(asked.abort.unbounded.is_empty(), "{:?}", asked.abort);
    // Everything as late as it may be ends exactly at H.
    let worst = asked.abort.downtime_ns.expect("bounded");
    assert!(worst <= hard && worst >= hard.minus(Ns::new(8)), "{worst:?}");
    let cut = "{ kind = \"no_arbiter\", side = \"source\", time = \"2s\", after_message = \"go\" }]";
    let cut = with(&arbiter.replacen("]\n", &format!(", {cut}\n"), 1));
    assert!(cut.abort.downtime_ns.is_none(), "nobody is left to ask");
}

#[test]
fn a_dead_process_and_lost_messages_are_unbounded() {
    for side in ["source", "destination"] {
        let dead = with(&format!("faults = [{{ kind = \"kill\", side = \"{side}\", at = \"go\" }}]"));
        assert!(dead.abort.unbounded.iter().any(|why| why.contains(side) && why.contains("die")), "{side}");
    }
    let running = with("faults = [{ kind = \"drop\", message = \"running\" }]");
    assert!(running.commit.downtime_ns.is_some() && !running.knowledge.is_empty());
    let go = with("faults = [{ kind = \"drop\", message = \"go\" }]");
    // Refused by itself, and heard: within H.
    let worst = go.abort.downtime_ns.expect("bounded");
    assert!(worst <= go.hard_limit_ns && worst > us(306_000), "{worst:?}");
}

/// A contract that is not kept is named, and what it costs is in the number.
#[test]
fn broken_contracts_are_named() {
    let calm = of(EXAMPLE);
    let slow = with(
        "faults = [{ kind = \"stall\", side = \"source\", port = \"vcpus\", phase = \"rollback\", time = \"50ms\" }]",
    );
    assert!(slow.broken.iter().any(|what| what.starts_with("R: vCPUs")), "{:?}", slow.broken);
    let (worst, before) = (slow.abort.downtime_ns, calm.abort.downtime_ns);
    assert_eq!(worst.zip(before).map(|(worst, before)| worst.minus(before)), Some(us(50_000)));
    assert!(slow.slack_ns.is_none());
    let never = with(
        "faults = [{ kind = \"stall\", side = \"destination\", port = \"vcpus\", phase = \"resume\", time = \"forever\" }]",
    );
    assert!(never.broken.iter().any(|what| what.starts_with("Res") && what.contains("never ends")));
    assert!(never.commit.downtime_ns.is_none());
}

#[test]
fn it_is_read_back_from_json() {
    let bound = with("faults = [{ kind = \"partition\", time = \"2s\", after_message = \"go\" }]");
    let text = serde_json::to_string_pretty(&bound).expect("written");
    assert_eq!(serde_json::from_str::<Bound>(&text).expect("read"), bound);
}

/// Every shipped scenario has a bound, or says why it has none, and whoever has one that exceeds H says what is broken.
#[test]
fn every_shipped_scenario_is_bounded_or_says_why_not() {
    for name in shipped::names() {
        let bound = bound(&Scenario::load(Path::new(name)).expect("shipped"));
        println!("{bound}");
        for case in [&bound.commit, &bound.before_go, &bound.abort] {
            assert_eq!(case.downtime_ns.is_none(), !case.unbounded.is_empty(), "{name}");
            let exceeds = case.downtime_ns.is_some_and(|time| time > bound.hard_limit_ns);
            assert!(!exceeds || !bound.broken.is_empty(), "{name}\n{bound}");
        }
        assert!(bound.schedule.is_some(), "{name}");
    }
}
