//! Recorded switchovers run again: the shell's journals of both sides, and the two traces of the RFC's thread.
//!
//! The samples under `tests/samples` are two runs of `switchover demo --events FILE`: one that committed, and one whose
//! destination stalls for a second in its first attempt's load. They are made again when the form of the file changes.

use std::path::{Path, PathBuf};

use switchover_core::port::Side;
use switchover_core::time::Ns;
use switchover_sim::replay::{Asked, Fate, JournalReplay, ReplayError, Replayed, Ruling, replay};

fn here(folder: &str, name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name)
}

fn ms(n: u64) -> Ns {
    Ns::from_millis(n)
}

fn journal(name: &str, downtime: Option<Ns>) -> JournalReplay {
    let switchover = downtime.map(|_| Ns::ZERO);
    let replayed = replay(&here("tests/samples", name), Asked { downtime, switchover }).expect("a journal");
    println!("{replayed}");
    match replayed.replayed {
        Replayed::Journal(journal) => journal,
        Replayed::Trace(_) => panic!("{name} is no trace"),
    }
}

fn fates(name: &str, downtime: Option<Ns>) -> Vec<Fate> {
    journal(name, downtime).what_if.expect("a source's").attempts
}

fn rulings(name: &str) -> Vec<Ruling> {
    let replayed = replay(&here("fixtures", name), Asked::default()).expect("a trace");
    println!("{replayed}");
    match replayed.replayed {
        Replayed::Trace(trace) => trace.rulings,
        Replayed::Journal(_) => panic!("{name} is no journal"),
    }
}

/// Writes `text` where only this test looks, and replays it.
fn refused(name: &str, text: &str) -> String {
    let path = std::env::temp_dir().join(format!("switchover-replay-{name}-{}", std::process::id()));
    std::fs::write(&path, text).expect("written");
    let error: ReplayError = replay(&path, Asked::default()).expect_err("it cannot be replayed");
    std::fs::remove_file(&path).expect("removed");
    let error = error.to_string();
    assert!(error.contains(&path.display().to_string()) && error.contains("line "), "{error}");
    error
}

fn text(folder: &str, name: &str) -> String {
    std::fs::read_to_string(here(folder, name)).expect("a sample")
}

#[test]
fn the_same_events_give_the_same_actions_on_both_sides() {
    for name in ["committed", "aborted"] {
        for side in ["source", "destination"] {
            let journal = journal(&format!("{name}.{side}.events"), None);
            assert_eq!((journal.difference, journal.gap), (None, None));
            assert!(journal.events > 10);
        }
    }
}

#[test]
fn the_first_line_that_differs_is_named() {
    let text = text("tests/samples", "committed.source.events");
    let changed = text.replacen("\"LinkUp\"", "\"LinkDown\"", 1);
    let line = text.lines().position(|line| line.contains("\"LinkUp\"")).expect("it connected") + 1;
    let path = std::env::temp_dir().join(format!("switchover-replay-differs-{}", std::process::id()));
    std::fs::write(&path, changed).expect("written");
    let replayed = replay(&path, Asked::default()).expect("a journal");
    std::fs::remove_file(&path).expect("removed");
    assert!(!replayed.agrees());
    let Replayed::Journal(journal) = &replayed.replayed else { panic!("a journal") };
    assert_eq!(journal.difference.as_ref().map(|difference| difference.line), Some(line));
    assert!(replayed.to_string().contains(&format!("line {line} differs")), "{replayed}");
}

#[test]
fn the_recorded_limit_gives_what_was_recorded() {
    let fates = fates("aborted.source.events", None);
    let outcomes: Vec<&str> = fates.iter().map(|fate| fate.outcome.as_str()).collect();
    assert_eq!(outcomes, ["aborted", "committed"]);
    assert!(fates.iter().all(|fate| fate.held == Some(true)));
    let blamed = fates[0].offender.expect("the load stalled").to_string();
    assert_eq!(blamed, "destination/vcpus/load");
}

#[test]
fn another_limit_is_held_earlier_or_was_never_admitted() {
    // Half the limit: it aborts in half the time, because of the same port.
    let half = &fates("aborted.source.events", Some(ms(50)))[0];
    assert_eq!((half.outcome.as_str(), half.held), ("aborted", Some(true)));
    let downtime = half.downtime_ns.expect("it was stopped");
    assert!(downtime > ms(30) && downtime <= ms(50), "{downtime:?}");
    assert_eq!(half.offender.map(|blamed| blamed.to_string()).as_deref(), Some("destination/vcpus/load"));
    // A millisecond is less than what lease, answer and rollback take.
    let none = &fates("committed.source.events", Some(ms(1)))[0];
    assert_eq!((none.outcome.as_str(), none.reason.as_deref()), ("never stopped", Some("limit_too_small")));
    assert_eq!(none.downtime_ns, Some(Ns::ZERO));
    assert!(none.heaviest.is_some());
    // More time than the recorded attempt had: what the load would have done next is not in the file.
    let more = &fates("aborted.source.events", Some(ms(2_000)))[0];
    assert_eq!((more.outcome.as_str(), more.held), ("unknown", None));
}

/// The thread's numbers: 483 ms, of which QEMU's own rule says nothing; the RFC's destination counts 310 ms when the
/// guest has been stopped for 457.
#[test]
fn one_vf_under_three_rules() {
    let [stock, rfc, told, fence] = &rulings("qemu-33g-1vf.trace")[..] else { panic!("four rulings") };
    assert_eq!((stock.felt_ns, stock.held), (Ns::from_micros(482_354), false));
    assert_eq!((rfc.outcome.as_str(), rfc.by, rfc.held), ("aborted", Some(Side::Destination), false));
    assert_eq!(rfc.decided_ns, Some(Ns::from_micros(457_846)));
    assert_eq!((told.outcome.as_str(), told.felt_ns, told.held), ("not admitted", Ns::ZERO, true));
    assert_eq!((fence.outcome.as_str(), fence.held), ("aborted", true));
    assert!(fence.felt_ns <= ms(310) && fence.felt_ns > ms(290), "{fence:?}");
    assert!(
        fence.blamed.starts_with("destination/device0/load") && fence.blamed.contains("vfio"),
        "{fence:?}"
    );
}

#[test]
fn many_vcpus_under_three_rules() {
    let [stock, rfc, told, fence] = &rulings("qemu-384vcpu-12t.trace")[..] else { panic!("four rulings") };
    assert_eq!((stock.felt_ns, stock.held), (Ns::from_micros(4_240_757), false));
    // After the unit that it waits for, and not a millisecond before.
    assert_eq!((rfc.by, rfc.decided_ns), (Some(Side::Source), Some(Ns::from_micros(3_738_095))));
    assert_eq!((told.outcome.as_str(), told.felt_ns), ("not admitted", Ns::ZERO));
    assert!(fence.held && fence.felt_ns <= ms(310), "{fence:?}");
    // The stop alone has taken the most of it.
    assert_eq!(fence.blamed, "source/vcpus/stop");
}

#[test]
fn under_a_limit_that_it_fits_every_rule_commits() {
    let asked = Asked { downtime: Some(ms(500)), switchover: None };
    let replayed = replay(&here("fixtures", "qemu-33g-1vf.trace"), asked).expect("a trace");
    let Replayed::Trace(trace) = replayed.replayed else { panic!("a trace") };
    assert!(trace.rulings.iter().all(|ruling| ruling.outcome == "committed" && ruling.held));
}

/// What `-trace` writes without `-msg timestamp=on`, and what newer versions write with it.
#[test]
fn times_may_be_written_in_two_ways_and_have_to_be_there() {
    let trace = text("fixtures", "qemu-384vcpu-12t.trace");
    let iso = trace
        .replace("4711@1719308400.", "2024-06-25T09:40:00.")
        .replace("4711@1719308403.", "2024-06-25T09:40:03.");
    let iso = iso.replace("4711@1719308404.", "2024-06-25T09:40:04.").replace(":vmstate", "Z vmstate");
    let path = std::env::temp_dir().join(format!("switchover-replay-iso-{}", std::process::id()));
    std::fs::write(&path, iso).expect("written");
    let replayed = replay(&path, Asked::default()).expect("a trace");
    std::fs::remove_file(&path).expect("removed");
    let Replayed::Trace(replayed) = replayed.replayed else { panic!("a trace") };
    assert_eq!(replayed.downtime_ns, Ns::from_micros(4_240_757));
    let bare: String = trace
        .lines()
        .filter_map(|line| line.split_once(":vmstate"))
        .map(|(_, event)| format!("vmstate{event}\n"))
        .collect();
    let error = refused("bare", &bare);
    assert!(error.contains("line 1") && error.contains("timestamp=on"), "{error}");
}

#[test]
fn bad_files_are_named_with_line_and_remedy() {
    let journal = text("tests/samples", "committed.source.events");
    let error = refused("version", &journal.replacen("\"version\":1", "\"version\":2", 1));
    assert!(error.contains("line 1") && error.contains("version 2") && error.contains("wrote it"), "{error}");
    let error = refused("settings", &journal.replacen("\"limits\"", "\"limit\"", 1));
    assert!(error.contains("line 1") && error.contains("limits"), "{error}");
    let broken: Vec<&str> =
        journal.lines().enumerate().map(|(n, line)| if n == 3 { "{\"step\":7}" } else { line }).collect();
    let error = refused("broken", &broken.join("\n"));
    assert!(error.contains("line 4"), "{error}");

    let trace = text("fixtures", "qemu-33g-1vf.trace");
    for cut in [trace.len() - 5, trace.len() - 30, trace.len() - 45] {
        let error = refused("torn", &trace[..cut]);
        assert!(
            error.contains(&format!("line {}", trace.lines().count())) && error.contains("torn"),
            "{cut}: {error}"
        );
    }
    let missing: String = trace
        .lines()
        .filter(|line| !line.contains("src-vm-stopped"))
        .map(|line| format!("{line}\n"))
        .collect();
    let error = refused("missing", &missing);
    assert!(error.contains("src-vm-stopped") && error.contains("trace again"), "{error}");

    for (name, other) in
        [("empty", ""), ("toml", "[limits]\ndowntime = \"300ms\"\n"), ("json", "{\"a\":1}\n")]
    {
        let error = refused(name, other);
        assert!(error.contains("neither") && error.contains("--events"), "{error}");
    }
    let error = replay(Path::new("no/such/file"), Asked::default()).expect_err("there is none").to_string();
    assert!(error.contains("no/such/file"), "{error}");
}

/// The page's table of both traces is what comes out.
#[test]
fn the_page_shows_what_is_replayed() {
    let page = include_str!("../../docs/TIMING.md");
    for name in ["qemu-33g-1vf.trace", "qemu-384vcpu-12t.trace"] {
        for ruling in rulings(name) {
            let tenths = |time: Ns| {
                let tenths = (time.get() + 50_000) / 100_000;
                format!("{}.{} ms", tenths / 10, tenths % 10)
            };
            let decided = ruling.decided_ns.map(tenths);
            let felt = (ruling.felt_ns > Ns::ZERO).then(|| tenths(ruling.felt_ns));
            for shown in decided.into_iter().chain(felt) {
                assert!(page.contains(&shown), "{name}, {}: {shown}", ruling.rule);
            }
        }
    }
}
