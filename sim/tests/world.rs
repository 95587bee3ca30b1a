//! The timed world: the same seed gives the same run, and every shipped scenario keeps the promises.

use switchover_core::digest::{Digest, Piece};
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::Port;
use switchover_core::wire::message::Refusal;
use switchover_sim::run::{Outcome, Run, RunsOn};
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

fn of(text: &str) -> Scenario {
    let text = format!("version = 1\nbase = \"standard\"\nabout = \"of a test\"\n{text}");
    Scenario::parse("test", &text).expect("the test's scenario holds together")
}

/// Runs of the seeds below that, and whether any of them is as asked.
fn any(scenario: &Scenario, seeds: u64, is: impl Fn(&Run) -> bool) -> bool {
    let mut world = World::new(scenario);
    (0..seeds).any(|seed| {
        let run = world.run(seed);
        assert!(run.violations.is_empty(), "seed {seed}: {:?}", run.violations);
        is(&run)
    })
}

fn reason(run: &Run) -> Option<Reason> {
    match run.attempts.first()?.ending {
        Ending::Aborted(reason) => Some(reason),
        Ending::Committed | Ending::Lost => None,
    }
}

/// A text of traces that does not depend on the build: every step of every run.
fn traces(name: &str, seeds: std::ops::Range<u64>) -> Digest {
    let scenario = Scenario::parse(name, shipped::text(name).expect("it is listed")).expect("it is read");
    let (mut world, mut digest) = (World::new(&scenario), Digest::EMPTY);
    for seed in seeds {
        let (run, trace) = world.run_traced(seed);
        trace.lines().iter().for_each(|line| digest.update(Piece::Device(0), line.as_bytes()));
        digest.update(Piece::Device(1), format!("{run:?}").as_bytes());
    }
    digest
}

#[test]
fn the_same_seed_is_the_same_run() {
    for name in ["standard", "arbiter", "lossy-wan", "dying-destination", "stolen-cpu", "datagrams"] {
        let here = traces(name, 0..20);
        assert_eq!(here, traces(name, 0..20), "{name}");
        // On another thread, and by a world that has played others before.
        let there = std::thread::spawn(move || {
            traces(name, 20..40);
            traces(name, 0..20)
        });
        assert_eq!(here, there.join().expect("it plays"), "{name} on another thread");
    }
}

#[test]
fn a_world_that_is_used_again_is_as_new() {
    for name in shipped::names() {
        let scenario = Scenario::parse(name, shipped::text(name).expect("it is listed")).expect("it is read");
        let mut used = World::new(&scenario);
        for seed in 0..30 {
            assert_eq!(used.run(seed), World::new(&scenario).run(seed), "{name} seed {seed}");
        }
    }
}

/// Debug, `ci` and release builds are held to the same bytes by one number each. A change to a machine, to the world or to
/// one of these scenarios changes it: compare a few traces by eye, then write down what the failure prints.
#[test]
fn every_build_plays_the_same() {
    let pinned = [
        ("standard", "6cf0231f6b12fc4663dad630b86945cc"),
        ("arbiter", "868f35716b85ba1e5b8b0affdb8a0186"),
        ("outliving-guest", "2d6266725d959124336d7e3b8f889421"),
        ("partition", "27188655e848aa66f837c0712a59a807"),
    ];
    let played = pinned.map(|(name, _)| {
        let text = shipped::text(name).expect("it is listed");
        let mut world = World::new(&Scenario::parse(name, text).expect("it is read"));
        let mut digest = Digest::EMPTY;
        for seed in 0..10 {
            let (run, trace) = world.run_traced(seed);
            digest.update(Piece::Device(0), trace.diagram().as_bytes());
            digest.update(Piece::Device(1), format!("{run:?}").as_bytes());
        }
        (name, format!("{:032x}", digest.value()))
    });
    assert_eq!(played, pinned.map(|(name, digest)| (name, digest.to_owned())));
}

#[test]
fn work_that_is_slow_fails_or_lies_ends_an_attempt_by_name() {
    let port = "side = \"source\", port = \"device0\", phase = \"save\", at = \"save\"";
    let by_device = |run: &Run| {
        run.attempts
            .first()
            .and_then(|attempt| attempt.offender)
            .is_some_and(|blame| blame.port == Port::Device(0))
    };
    let stuck = of(&format!("faults = [{{ kind = \"stall\", time = \"forever\", {port} }}]"));
    assert!(any(&stuck, 5, |run| reason(run) == Some(Reason::Doomed) && by_device(run)));
    let slow = of(&format!("faults = [{{ kind = \"stall\", time = \"1s\", {port} }}]"));
    assert!(any(&slow, 5, |run| reason(run) == Some(Reason::Doomed) && by_device(run)));
    let fails = of(&format!("faults = [{{ kind = \"fail\", {port} }}]"));
    assert!(any(&fails, 5, |run| reason(run) == Some(Reason::PortFailed) && by_device(run)));
    let lies = of(&format!("faults = [{{ kind = \"lie\", percent = 2000, {port} }}]"));
    assert!(any(&lies, 5, |run| reason(run) == Some(Reason::Doomed) && by_device(run)));
}

#[test]
fn links_that_lose_stall_break_and_damage() {
    let fault = |fault: &str| of(&format!("faults = [{{ {fault} }}]"));
    let drop = fault("kind = \"drop\", message = \"ready\", once = false, before_message = \"ready\"");
    assert!(any(&drop, 5, |run| matches!(reason(run), Some(Reason::Refused(_) | Reason::TooLate))));
    let once = fault("kind = \"drop\", message = \"ready\", once = true, before_message = \"ready\"");
    assert!(any(&once, 5, |run| run.outcome == Outcome::Committed && run.attempts.len() == 1));
    let cut = fault("kind = \"partition\", time = \"1s\", after_message = \"go\"");
    assert!(any(&cut, 5, |run| run.attempts.first().is_some_and(|attempt| attempt.in_doubt)));
    let one_way =
        fault("kind = \"partition\", from = \"destination\", time = \"1s\", after_message = \"go\"");
    assert!(any(&one_way, 5, |run| run.outcome == Outcome::Committed && run.attempts[0].in_doubt));
    let reset = fault("kind = \"reset\", after_message = \"stopping\"");
    assert!(any(&reset, 5, |run| reason(run) == Some(Reason::PeerLost)));
    let stall = fault("kind = \"stall_link\", time = \"2s\", after_message = \"stopping\"");
    assert!(any(&stall, 5, |run| matches!(reason(run), Some(Reason::Doomed | Reason::TooLate))));
    let corrupt = fault("kind = \"corrupt\", after_message = \"stopping\"");
    assert!(any(&corrupt, 5, |run| reason(run) == Some(Reason::Refused(Refusal::Digest))));
}

#[test]
fn processes_that_die_stand_still_or_are_cancelled() {
    let fault = |fault: &str| of(&format!("faults = [{{ {fault} }}]"));
    let dies = fault("kind = \"kill\", side = \"source\", after_message = \"stopping\"");
    assert!(any(&dies, 5, |run| run.runs_on == RunsOn::Nowhere));
    let back = "kind = \"kill\", side = \"source\", restart = \"20ms\", after_message = \"sealed\"";
    let outlives = of(&format!("faults = [{{ {back} }}]\n[guest]\noutlives_agent = true"));
    assert!(any(&outlives, 5, |run| run.runs_on == RunsOn::Source || run.runs_on == RunsOn::Destination));
    let theirs = "kind = \"kill\", side = \"destination\", restart = \"20ms\", at = \"resume\"";
    assert!(any(&fault(theirs), 50, |run| run.outcome != Outcome::Committed || run.attempts.len() > 1));
    let pause =
        fault("kind = \"pause\", side = \"destination\", time = \"1s\", after_message = \"stopping\"");
    assert!(any(&pause, 5, |run| reason(run).is_some()));
    let cancel = fault("kind = \"cancel\", side = \"source\", after_message = \"stopping\"");
    assert!(any(&cancel, 5, |run| reason(run) == Some(Reason::Cancelled)));
    let theirs = fault("kind = \"cancel\", side = \"destination\", after_message = \"stopping\"");
    assert!(any(&theirs, 5, |run| reason(run) == Some(Reason::Refused(Refusal::Cancelled))));
}

#[test]
fn an_arbiter_that_is_silent_is_asked_again() {
    let text = "faults = [{ kind = \"no_arbiter\", time = \"300ms\", before_message = \"go\" }]\n\
                [arbiter]\nfrom_source = \"1ms\"\nfrom_destination = \"1ms\"";
    assert!(any(&of(text), 20, |run| reason(run).is_some()));
}
