//! The same fault in the shell's `demo` and in a scenario comes to the same: outcome, where it runs, reason and offender.
//!
//! What real processes make of each fault is in `tests/faults.txt`. Left out are three rows in which the worlds differ by
//! design: `drop-running` (a simulated fault ends, and the answer comes), `corrupt-device` (a real port notices before the
//! digest does) and `kill-destination-ready` (the real one dies before its `Ready` is sent, a simulated one may not).

use std::path::Path;

use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Blame, Port};
use switchover_core::wire::message::Refusal;
use switchover_sim::run::{Outcome, Run, RunsOn};
use switchover_sim::scenario::{Scenario, shipped};
use switchover_sim::world::World;

const TABLE: &str = include_str!("../../tests/faults.txt");
const APART: [&str; 3] = ["drop-running", "corrupt-device", "kill-destination-ready"];
const SEEDS: u64 = 100;

/// One run in the table's words: those of the record that a `demo` writes, whose parent also knows when a process is dead.
fn told(name: &str, run: &Run) -> String {
    let source_died = name.starts_with("kill-source");
    let (outcome, runs_on) = match (run.outcome, run.runs_on) {
        (Outcome::Committed, RunsOn::Destination) => ("committed", "destination"),
        (Outcome::Aborted, RunsOn::Source) => ("aborted", "source"),
        (Outcome::InDoubt, RunsOn::Destination) if source_died => ("committed", "destination"),
        (Outcome::InDoubt, RunsOn::Nowhere) if source_died => ("lost", "nowhere"),
        (Outcome::InDoubt, _) => ("in_doubt", "unknown"),
        _ => ("other", "other"),
    };
    let ended = run.attempts.last();
    let reason = match ended.map(|attempt| attempt.ending) {
        Some(Ending::Aborted(Reason::Doomed)) => "doomed",
        Some(Ending::Aborted(Reason::TooLate)) => "too_late",
        Some(Ending::Aborted(Reason::PeerLost)) => "peer_lost",
        Some(Ending::Aborted(Reason::Refused(Refusal::Digest))) => "refused_digest",
        Some(Ending::Aborted(Reason::Refused(Refusal::LeaseEnded))) => "refused_lease_ended",
        Some(Ending::Aborted(_)) => "other",
        Some(Ending::Committed | Ending::Lost) | None => "-",
    };
    let offender = ended.and_then(|attempt| attempt.offender).map_or("-".to_owned(), blamed);
    format!("{name} {outcome} {runs_on} {reason} {offender}")
}

fn blamed(blame: Blame) -> String {
    let port = match blame.port {
        Port::Vcpus(_) => "vcpus".to_owned(),
        port => format!("{port:?}").to_lowercase(),
    };
    format!("{:?}/{port}/{:?}", blame.side, blame.phase).to_lowercase()
}

#[test]
fn a_fault_comes_to_the_same_as_in_a_real_demo() {
    let rows: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
    for row in &rows {
        let name = row.split(' ').next().expect("a name");
        let scenario =
            Scenario::load(Path::new(&format!("faults/{name}"))).unwrap_or_else(|error| panic!("{error}"));
        let mut world = World::new(&scenario);
        for seed in 0..SEEDS {
            assert_eq!(&told(name, &world.run(seed)), row, "seed {seed}");
        }
    }
    for name in shipped::names().filter_map(|name| name.strip_prefix("faults/")) {
        let listed = rows.iter().any(|row| row.split(' ').next() == Some(name));
        assert!(listed != APART.contains(&name), "{name} is in tests/faults.txt, or apart");
    }
}
