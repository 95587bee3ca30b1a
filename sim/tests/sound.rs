//! No simulated run exceeds its bound: a sample of seeds over every shipped scenario, a million with `SWITCHOVER_ALL=1`.
//!
//! The seed is printed; `SWITCHOVER_SEED=N` draws the same runs again. How close the runs come is printed as well.

use std::path::Path;

use switchover_core::outcome::Ending;
use switchover_core::time::Ns;
use switchover_sim::bound::bound;
use switchover_sim::bound::form::{Bound, Case};
use switchover_sim::run::{Attempt, Run};
use switchover_sim::scenario::{Scenario, shipped};
use switchover_sim::world::World;

/// Runs in all.
const SAMPLE: u64 = 20_000;
const ALL: u64 = 1_000_000;

/// The grain of the simulator: an operation ends at a whole nanosecond of true time, at which a clock that gains has passed
/// the reading that it was to end at. So many operations follow each other after the last deadline, at most.
const GRAIN: Ns = Ns::new(8);

fn seed() -> u64 {
    let given = std::env::var("SWITCHOVER_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::from(std::process::id()) * 0x9e37_79b9);
    println!("seed: SWITCHOVER_SEED={seed}");
    seed
}

/// The longest that was seen of each case.
#[derive(Default)]
struct Seen {
    commit: Ns,
    before_go: Ns,
    abort: Ns,
    attempts: u64,
}

impl Seen {
    fn attempt(&mut self, bound: &Bound, attempt: &Attempt, run: &Run) {
        let (seen, case, name) = match (attempt.ending, attempt.go) {
            (Ending::Committed, _) => (&mut self.commit, &bound.commit, "commit"),
            (Ending::Aborted(_), false) => (&mut self.before_go, &bound.before_go, "abort before Go"),
            (Ending::Aborted(_), true) => (&mut self.abort, &bound.abort, "abort"),
            (Ending::Lost, _) => return,
        };
        *seen = seen.or_longer(attempt.seen);
        self.attempts += 1;
        within(case, attempt.seen, &format!("{} {name}: {attempt:?}\n{run:?}\n{bound}", bound.scenario));
    }
}

fn within(case: &Case, seen: Ns, what: &str) {
    let exceeded = case.downtime_ns.is_some_and(|bound| seen > bound.plus(GRAIN));
    assert!(!exceeded, "{seen:?} exceeds the bound: {what}");
}

#[test]
fn no_run_exceeds_its_bound() {
    let first = seed();
    let runs = if std::env::var_os("SWITCHOVER_ALL").is_some() { ALL } else { SAMPLE };
    let names: Vec<&str> = shipped::names().collect();
    let each = runs.div_ceil(names.len() as u64);
    for name in names {
        let scenario = Scenario::load(Path::new(name)).expect("shipped");
        let bound = bound(&scenario);
        let mut world = World::new(&scenario);
        let mut seen = Seen::default();
        for seed in first..first + each {
            let run = world.run(seed);
            run.attempts.iter().for_each(|attempt| seen.attempt(&bound, attempt, &run));
        }
        let of = |case: &Case| case.downtime_ns.map_or("unbounded".to_owned(), |time| format!("{time:?}"));
        println!(
            "{name}: {} attempts; commit {:?} of {}, abort before Go {:?} of {}, after it {:?} of {}",
            seen.attempts,
            seen.commit,
            of(&bound.commit),
            seen.before_go,
            of(&bound.before_go),
            seen.abort,
            of(&bound.abort)
        );
    }
}

/// A scenario of constants and extremes, with up to three faults: worst cases are met to the nanosecond far more often than
/// in one that varies.
fn drawn(mut throw: impl FnMut(u64) -> u64) -> String {
    let mut us = |most: u64| throw(most) * throw(2).max(throw(2));
    let host = |us: &mut dyn FnMut(u64) -> u64| {
        let (timer, journal, seal) = (us(2_000), us(4_000), us(2_000));
        format!(
            "declared_drift = \"500ppm\"\ndrift = \"500ppm\"\ntimer = \"{timer}us\"\njournal = \"{journal}us\"\nseal = \"{seal}us\"\n"
        )
    };
    let (source, destination) = (host(&mut us), host(&mut us));
    let way = 1 + us(1_000);
    let times = |us: &mut dyn FnMut(u64) -> u64, words: &[&str]| -> String {
        words.iter().map(|word| format!("{word} = \"{}us\"\n", us(3_000))).collect()
    };
    let guest = times(&mut us, &["stop", "save", "load", "resume", "rollback"]);
    let device = times(&mut us, &["quiesce", "stop", "save", "load", "settle", "resume", "rollback"]);
    let device = if us(2) == 0 {
        String::new()
    } else {
        format!("[[devices]]\nname = \"d\"\nstate = \"64KiB\"\n[devices.times]\n{device}")
    };
    let arbiter = if us(3) == 0 {
        String::new()
    } else {
        format!(
            "[arbiter]\nfrom_source = \"{}us\"\nfrom_destination = \"{}us\"\n",
            1 + us(5_000),
            1 + us(5_000)
        )
    };
    let faults: Vec<String> =
        (0..throw(4)).map(|_| fault(&mut throw, !device.is_empty(), !arbiter.is_empty())).collect();
    format!(
        "version = 1\nabout = \"drawn\"\nfaults = [{}]\n[limits]\ndowntime = \"{}ms\"\nswitchover = \"{}ms\"\n\
         [source]\n{source}[destination]\n{destination}[link]\nreconnect = \"1ms\"\n\
         [link.control]\nbandwidth = \"100Gb/s\"\nlatency = \"{way}us\"\n[link.bulk]\nbandwidth = \"100Gb/s\"\nlatency = \"{way}us\"\n\
         [guest]\nmemory = \"64MiB\"\nworking_set = \"1MiB\"\ndirty = [{{ rate = \"1MiB/s\", time = \"1s\" }}]\nvcpus = 1\nstate = \"4KiB\"\n\
         [guest.times]\n{guest}{device}{arbiter}",
        faults.join(", "),
        40 + throw(40),
        throw(10)
    )
}

fn fault(throw: &mut dyn FnMut(u64) -> u64, device: bool, arbiter: bool) -> String {
    let side = ["source", "destination"][throw(2) as usize];
    let time = ["forever".to_owned(), format!("{}ms", 1 + throw(200)), format!("{}us", 1 + throw(5_000))]
        [throw(3) as usize]
        .clone();
    let finite = if time == "forever" { "90ms".to_owned() } else { time.clone() };
    let message = ["ready", "go", "running", "refused", "sealed", "stopping"][throw(6) as usize];
    let port = if device && throw(2) == 0 { "device0" } else { "vcpus" };
    let own = ["stop", "save", "rollback"][throw(3) as usize];
    let theirs = ["load", "resume"][throw(2) as usize];
    match throw(9) {
        0 => format!(
            "{{ kind = \"stall\", side = \"source\", port = \"{port}\", phase = \"{own}\", time = \"{time}\" }}"
        ),
        1 => format!(
            "{{ kind = \"stall\", side = \"destination\", port = \"{port}\", phase = \"{theirs}\", time = \"{time}\" }}"
        ),
        2 => format!("{{ kind = \"fail\", side = \"destination\", port = \"{port}\", phase = \"resume\" }}"),
        3 => format!("{{ kind = \"drop\", message = \"{message}\", once = {} }}", throw(2) == 0),
        4 => format!(
            "{{ kind = \"partition\", from = \"{side}\", time = \"{finite}\", after_message = \"{message}\" }}"
        ),
        5 => format!("{{ kind = \"stall_link\", time = \"{finite}\", before_message = \"{message}\" }}"),
        6 => format!(
            "{{ kind = \"pause\", side = \"{side}\", time = \"{finite}\", after_message = \"{message}\" }}"
        ),
        7 => format!("{{ kind = \"cancel\", side = \"{side}\", after_message = \"{message}\" }}"),
        _ if arbiter => format!(
            "{{ kind = \"no_arbiter\", side = \"{side}\", time = \"{finite}\", after_message = \"go\" }}"
        ),
        _ => format!("{{ kind = \"partition\", time = \"{finite}\", after_message = \"{message}\" }}"),
    }
}

fn parsed(text: &str) -> Scenario {
    Scenario::parse("drawn", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The same with a load that stalls until `Go` is sent at the last moment, if it is sent at all.
fn pushed(text: &str) -> String {
    let with = |load: u64| {
        let stall = format!(
            "{{ kind = \"stall\", side = \"destination\", port = \"vcpus\", phase = \"load\", time = \"{load}ns\" }}, "
        );
        text.replacen("faults = [", &format!("faults = [{stall}"), 1).replacen(", ]", "]", 1)
    };
    let gone = |load: u64| {
        let run = World::new(&parsed(&with(load))).run(0);
        run.attempts.first().is_some_and(|attempt| attempt.go)
    };
    with(last(gone))
}

#[test]
fn no_run_of_a_drawn_scenario_exceeds_its_bound() {
    let first = seed();
    let many = if std::env::var_os("SWITCHOVER_ALL").is_some() { 20_000 } else { 1_000 };
    let (mut closest, mut bounded) = ([u64::MAX; 3], 0);
    for number in first..first + many {
        let mut dice = oorandom::Rand64::new(u128::from(number));
        let text = drawn(|below| dice.rand_range(0..below.max(1)));
        let text = if number % 2 == 0 { text } else { pushed(&text) };
        let scenario = parsed(&text);
        let bound = bound(&scenario);
        let mut world = World::new(&scenario);
        let mut seen = Seen::default();
        for seed in 0..8 {
            let run = world.run(seed);
            for attempt in &run.attempts {
                let was = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    seen.attempt(&bound, attempt, &run)
                }));
                assert!(was.is_ok(), "seed {seed} of scenario {number}:\n{text}");
            }
        }
        bounded += u64::from(bound.abort.downtime_ns.is_some());
        let cases =
            [(seen.commit, &bound.commit), (seen.before_go, &bound.before_go), (seen.abort, &bound.abort)];
        for (closest, (seen, case)) in closest.iter_mut().zip(cases) {
            if let Some(time) = case.downtime_ns.filter(|_| seen > Ns::ZERO) {
                *closest = (*closest).min(time.plus(GRAIN).minus(seen).get());
            }
        }
    }
    println!(
        "{many} scenarios, {bounded} with a bound for every abort; {closest:?} ns from the bounds and the grain"
    );
}

/// The example with a load that stalls for so long, and what goes wrong after it.
fn latest(fault: &str, arbiter: bool, load: u64) -> Scenario {
    // Timers that are on time: a late one that repeats something is called again before its last deadline.
    let text = include_str!("../scenarios/timing.toml");
    let text = text.replace("timer = \"1ms\"", "timer = \"0\"\ndrift = \"500ppm\"");
    let stall = format!(
        "{{ kind = \"stall\", side = \"destination\", port = \"vcpus\", phase = \"load\", time = \"{load}ns\" }}"
    );
    let faults = if fault.is_empty() { stall } else { format!("{stall}, {fault}") };
    let text = text.replacen("[limits]", &format!("faults = [{faults}]\n\n[limits]"), 1);
    let arbiter = if arbiter { "[arbiter]\nfrom_source = \"5ms\"\nfrom_destination = \"5ms\"\n" } else { "" };
    Scenario::parse("latest", &format!("{text}\n{arbiter}")).expect("a scenario")
}

/// The largest number below 310 ms for which it holds; it holds for 0, and not again after it first does not.
fn last(holds: impl Fn(u64) -> bool) -> u64 {
    let (mut yes, mut no) = (0, 310_000_000);
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        *(if holds(middle) { &mut yes } else { &mut no }) = middle;
    }
    yes
}

/// The bound is reached. The load is stalled until `Go` is sent in its very last nanosecond, and each way that an attempt
/// can end then is as far from its bound as rounding, and the queue of four frames that a message is given, make it.
#[test]
fn the_latest_go_reaches_the_bound() {
    let first = |scenario: &Scenario, seed| World::new(scenario).run(seed).attempts.first().copied();
    let gone = |fault: &str, arbiter, seed| {
        last(|load| first(&latest(fault, arbiter, load), seed).is_some_and(|attempt| attempt.go))
    };
    let committed = |scenario: &Scenario, seed| {
        first(scenario, seed).is_some_and(|attempt| attempt.ending == Ending::Committed)
    };
    let lost = "{ kind = \"drop\", message = \"go\" }";
    let cut = "{ kind = \"partition\", time = \"2s\", before_message = \"go\" }";
    let held =
        |time: u64| format!("{{ kind = \"stall_link\", time = \"{time}ns\", before_message = \"go\" }}");
    let way = |name: &str, arbiter: bool, fault: &dyn Fn(u64, u64) -> String| {
        // Both clocks are at their extremes in one of sixteen seeds.
        let closest = (0..64).map(|seed| {
            let load = gone(&fault(0, seed), arbiter, seed);
            let scenario = latest(&fault(load, seed), arbiter, load);
            let bound = bound(&scenario);
            let attempt = first(&scenario, seed).expect("it ended");
            let run = World::new(&scenario).run(seed);
            Seen::default().attempt(&bound, &attempt, &run);
            let case = if attempt.ending == Ending::Committed { &bound.commit } else { &bound.abort };
            case.downtime_ns.map_or(u64::MAX, |worst| worst.plus(GRAIN).minus(attempt.seen).get())
        });
        let closest = closest.min().unwrap_or(u64::MAX);
        println!("{name}, arbiter {arbiter}: {closest} ns from the bound");
        assert!(closest < 1_500, "{name}, arbiter {arbiter}: {closest} ns");
    };
    for arbiter in [false, true] {
        way("taken", arbiter, &|_, _| String::new());
        // The link stands still for as long as the destination can just still run the guest.
        way("leased", arbiter, &|load, seed| {
            held(last(|time| committed(&latest(&held(time), arbiter, load), seed)))
        });
    }
    way("refused", false, &|_, _| lost.to_owned());
    way("claimed", true, &|_, _| cut.to_owned());
}
