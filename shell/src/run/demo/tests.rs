//! The parent with children of shell: what it does with processes, not with guests.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::cli::{self, Options};
use crate::record::{AttemptRecord, Outcome, RunRecord};
use crate::report::{Report, Standing};
use crate::words::Side;

const QUICK: Patience = Patience {
    first_word: Duration::from_secs(5),
    end: Duration::from_secs(2),
    aftermath: Duration::from_millis(200),
    decision: Duration::from_secs(2),
    doubt: Duration::from_millis(100),
    between_signals: Duration::from_millis(50),
    tick: Duration::from_millis(5),
};

/// A directory with a program in it that does what `source` or `destination` say, in the shell's language; `say TEXT`
/// reports.
struct Stage {
    directory: PathBuf,
}

impl Stage {
    fn new(name: &str, source: &str, destination: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("switchover-stage-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("directory");
        let listen = r#"say '{"report":"listening","address":"127.0.0.1:7000"}'"#;
        let script = format!(
            "#!/bin/sh\nfor arg; do case $arg in --report-fd=*) fd=${{arg#*=}};; esac; done\n\
             say() {{ printf '%s\\n' \"$1\" >/proc/$$/fd/$fd; }}\n\
             case $1 in\nsource)\n{source}\n;;\ndestination)\n{listen}\n{destination}\n;;\nesac\n"
        );
        let stage = Stage { directory };
        fs::write(stage.program(), script).expect("script");
        fs::set_permissions(stage.program(), fs::Permissions::from_mode(0o755)).expect("executable");
        stage
    }

    fn program(&self) -> PathBuf {
        self.directory.join("actor")
    }

    fn play(&self) -> Result<(ExitCode, RunRecord)> {
        let record = self.directory.join("record.json");
        let exit = self.play_with_record(&record)?;
        Ok((exit, serde_json::from_slice(&fs::read(record).expect("a record")).expect("its form")))
    }

    fn play_with_record(&self, record: &Path) -> Result<ExitCode> {
        let line = format!("switchover demo --linger 50ms --record {}", record.display());
        let Ok(Options::Demo(options)) = cli::parse(line.split_whitespace()) else { panic!("{line}") };
        demo_of(&self.program(), options, QUICK)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn run(outcome: Outcome, downtime_ns: Option<u64>) -> Box<RunRecord> {
    let attempt = AttemptRecord { downtime_ns, ..AttemptRecord::new("0:1".into(), outcome) };
    Box::new(RunRecord::new(outcome, 310_000_000, vec![attempt]))
}

fn say(report: &Report) -> String {
    format!("say '{}'\n", serde_json::to_string(report).expect("plain data"))
}

fn snapshot(side: Side, standing: Standing, record: Box<RunRecord>) -> String {
    say(&Report::Snapshot { side, standing, record })
}

fn finished(outcome: Outcome, downtime_ns: Option<u64>) -> String {
    say(&Report::Finished { record: run(outcome, downtime_ns), exit: outcome.into() })
}

const STAY: &str = "trap 'exit 0' TERM\nwhile :; do sleep 0.02; done\n";

#[test]
fn a_commit_ends_with_the_destinations_dismissal() {
    let runs = snapshot(Side::Destination, Standing::Runs, run(Outcome::Committed, Some(90)));
    let source = finished(Outcome::Committed, Some(100)) + "exit 0";
    let (exit, record) = Stage::new("commit", &source, &(runs + STAY)).play().expect("a run");
    assert_eq!((exit, record.downtime_ns), (ExitCode::Committed, Some(100)));
}

#[test]
fn a_killed_source_is_told_from_one_whose_go_arrived() {
    let stopped = snapshot(Side::Source, Standing::Stopped, run(Outcome::Aborted, Some(50)));
    let source = stopped + "kill -9 $$";
    let (exit, record) = Stage::new("lost", &source, STAY).play().expect("a run");
    assert_eq!((exit, record.outcome), (ExitCode::Lost, Outcome::Lost));
    // The destination is about to run it when the source dies.
    let ready = snapshot(Side::Destination, Standing::Stopped, run(Outcome::Aborted, Some(60)));
    let runs = snapshot(Side::Destination, Standing::Runs, run(Outcome::Committed, Some(90)));
    let destination = format!("{ready}sleep 0.6\n{runs}{STAY}");
    let (exit, record) = Stage::new("at-go", &source, &destination).play().expect("a run");
    assert_eq!((exit, record.downtime_ns), (ExitCode::Committed, Some(90)));
}

#[test]
fn a_doubt_that_nothing_will_end_is_ended_as_a_person_would() {
    let in_doubt = snapshot(Side::Source, Standing::InDoubt, run(Outcome::InDoubt, None));
    let last = finished(Outcome::InDoubt, None).replace('\n', "");
    let source = format!(
        "trap 'n=$((n + 1))' INT\nn=0\n{in_doubt}while [ $n -lt 2 ]; do sleep 0.01; done\n{last}\nexit 4"
    );
    for (name, destination) in [
        ("died", "kill -9 $$".to_owned()),
        ("mute", snapshot(Side::Destination, Standing::Runs, run(Outcome::Committed, Some(9))) + STAY),
    ] {
        let (exit, record) = Stage::new(name, &source, &destination).play().expect("a run");
        assert_eq!((exit, record.downtime_ns), (ExitCode::InDoubt, None), "{name}");
    }
}

#[test]
fn whoever_does_not_get_as_far_as_an_attempt_is_named() {
    let error = |name, source: &str, destination: &str| {
        let played = Stage::new(name, source, destination).play();
        format!("{:#}", played.expect_err("nothing began"))
    };
    // `listening` is said before the destination's part: so this one ends, and the source cannot connect.
    assert!(error("no-source", "exit 1", STAY).contains("the source ended with exit code 1"));
    let stage = Stage::new("no-destination", "exit 0", "");
    let script =
        fs::read_to_string(stage.program()).expect("script").replace("say '{\"report\":\"lis", "exit 1 #");
    fs::write(stage.program(), script).expect("script");
    let error = format!("{:#}", stage.play().expect_err("nothing began"));
    assert!(error.contains("the destination ended with exit code 1"), "{error}");
}

#[test]
fn a_process_that_does_not_end_is_ended() {
    let begun = Instant::now();
    let source = finished(Outcome::Aborted, Some(100)) + "exit 3";
    let destination = "trap '' TERM\nwhile :; do sleep 0.02; done";
    let (exit, _) = Stage::new("stubborn", &source, destination).play().expect("a run");
    assert_eq!(exit, ExitCode::Aborted);
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_record_that_cannot_be_kept_is_known_before_anything_starts() {
    let stage = Stage::new("no-place", "exit 0", STAY);
    let error = stage.play_with_record(Path::new("/nowhere/at/all.json")).expect_err("no such directory");
    assert!(format!("{error:#}").contains("give a file in a directory"), "{error:#}");
}
