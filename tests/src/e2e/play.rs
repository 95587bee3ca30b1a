//! Whole runs: a `demo`, or a source and a destination of their own, under a witness.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use switchover_shell::exit_code::ExitCode;
use switchover_shell::record::{AttemptRecord, RunRecord};
use switchover_shell::units::short_duration;

use super::baseline::Life;
use super::{Baseline, Process, Scratch, Seen, Watch};

/// Within which any run of these tests ends. Only a hang takes longer: it is no measurement.
pub const LONG: Duration = Duration::from_secs(90);

/// A guest that is quickly made and quickly moved, and busy.
pub const BUSY: &[&str] =
    &["--memory", "256MiB", "--working-set", "16MiB", "--dirty-rate", "50MiB/s", "--vcpus", "2"];

/// A run that has ended.
pub struct Ended {
    /// Its exit code.
    pub exit: i32,
    /// Its record.
    pub record: RunRecord,
    /// What it said on standard output.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
    /// What the witness saw of its guest.
    pub seen: Seen,
    /// What a gap may be longer than a blackout, as measured beside it: see [`Baseline::allowance`].
    pub allowance: Duration,
}

impl Ended {
    /// In one line, for a person.
    pub fn summary(&self) -> String {
        let ns = |ns: Option<u64>| ns.map_or("?".into(), |ns| short_duration(Duration::from_nanos(ns)));
        let attempt = |attempt: &AttemptRecord| {
            let blame = attempt.offender.map_or(String::new(), |offender| format!(" by {offender}"));
            let reason =
                attempt.reason.as_deref().map_or(String::new(), |reason| format!(" ({reason}{blame})"));
            format!("{}{reason} {}", attempt.outcome, ns(attempt.downtime_ns))
        };
        format!(
            "{}, runs on {}, exit {}, downtime {}, within limit {}; attempts: {}; {}; allowance {}",
            self.record.outcome,
            self.record.runs_on,
            self.exit,
            ns(self.record.downtime_ns),
            self.record.within_limit,
            self.record.attempts.iter().map(attempt).collect::<Vec<_>>().join(", "),
            self.seen.summary(),
            short_duration(self.allowance)
        )
    }

    /// Panics, with everything that is known, unless `holds`.
    ///
    /// # Panics
    /// See above.
    pub fn expect(&self, holds: bool, what: &str) {
        assert!(holds, "{what}\n{}\n{:#?}\n{}{}", self.summary(), self.record, self.seen.report, self.stderr);
    }

    /// The last attempt.
    ///
    /// # Panics
    /// When there was none.
    pub fn last(&self) -> &AttemptRecord {
        self.record.attempts.last().unwrap_or_else(|| panic!("an attempt\n{}", self.stderr))
    }

    /// What holds of every run, whatever came of it.
    fn check(&self, scratch: &Scratch) {
        println!("  {}", self.summary());
        let expected = u8::from(ExitCode::from(self.record.outcome));
        self.expect(self.exit == i32::from(expected), "the exit code is the outcome's");
        self.expect(
            self.record.runs_on == self.record.outcome.runs_on(),
            "the guest runs where the outcome says",
        );
        // A source that died before its first Welcome had no guest yet.
        if !self.record.attempts.is_empty() || self.seen.beats() > 0 {
            self.seen.assert_one_runner();
        }
        self.expect(self.record.self_check_failures.unwrap_or(0) == 0, "the guest's self-check is clean");
        self.expect(!self.stderr.contains("alarm"), "no alarm");
        let left = scratch.processes();
        self.expect(left.is_empty(), &format!("no process is left behind: {left:?}"));
    }
}

/// Runs `switchover demo` with these arguments in `scratch`, watched.
///
/// # Panics
/// When what holds of every run does not: exit code, schema, one runner, a clean guest, no process left behind.
pub fn demo(scratch: &Scratch, args: &[&str]) -> Ended {
    let (watch, baseline) = (Watch::start(), Baseline::start(Life::of(args)));
    // Each run has a journal of its own: what an earlier one left in doubt is not this one's.
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let journal = scratch.arg(&format!("journal.{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let (record, heartbeat) = (scratch.arg("record.json"), watch.target());
    let _ = fs::remove_file(&record);
    let mut all = vec!["demo", "--journal", &journal, "--record", &record, "--heartbeat", &heartbeat];
    all.extend(args);
    let mut process = Process::start(scratch, "demo", &all);
    let exit = process.exit(LONG);
    let seen = watch.seen();
    let (stdout, stderr) = (process.stdout(), process.stderr());
    assert!(Path::new(&record).exists(), "no record was written; exit {exit}:\n{stderr}");
    let ended = Ended {
        exit,
        record: read_record(Path::new(&record)),
        stdout,
        stderr,
        seen,
        allowance: baseline.allowance(),
    };
    ended.check(scratch);
    ended
}

/// A destination that listens, and a source that moves its guest there.
pub struct Pair {
    /// The destination.
    pub destination: Process,
    /// The source.
    pub source: Process,
    /// The witness.
    pub watch: Watch,
    baseline: Baseline,
}

/// Starts `switchover destination`; returns it with the address that it listens on.
///
/// # Panics
/// When it does not come to listen.
pub fn destination(scratch: &Scratch, heartbeat: &str, args: &[&str]) -> (Process, String) {
    let (journal, record) = (scratch.arg("destination.journal"), scratch.arg("destination.json"));
    let mut all = vec!["destination", "--listen", "127.0.0.1:0", "--journal", &journal, "--record", &record];
    all.extend(["--heartbeat", heartbeat]);
    all.extend(args);
    let mut process = Process::start(scratch, "destination", &all);
    let address = process.says("listening on ", LONG);
    (process, address)
}

/// Starts `switchover source`.
pub fn source(scratch: &Scratch, address: &str, heartbeat: &str, args: &[&str]) -> Process {
    let (journal, record) = (scratch.arg("source.journal"), scratch.arg("source.json"));
    let mut all = vec!["source", "--connect", address, "--journal", &journal, "--record", &record];
    all.extend(["--heartbeat", heartbeat]);
    all.extend(args);
    Process::start(scratch, "source", &all)
}

impl Pair {
    /// Starts both.
    ///
    /// # Panics
    /// When the destination does not come to listen.
    pub fn start(scratch: &Scratch, source_args: &[&str], destination_args: &[&str]) -> Self {
        let (watch, baseline) = (Watch::start(), Baseline::start(Life::of(source_args)));
        let (destination, address) = destination(scratch, &watch.target(), destination_args);
        let source = source(scratch, &address, &watch.target(), source_args);
        Pair { destination, source, watch, baseline }
    }

    /// Waits for the end of both; returns the source's view, and the destination's record with its exit code.
    ///
    /// # Panics
    /// As for [`demo`]; `destination` is told to end once the source has.
    pub fn end(mut self, scratch: &Scratch) -> (Ended, RunRecord, i32) {
        let exit = self.source.exit(LONG);
        // Some beats under the new runner are seen before it ends.
        std::thread::sleep(Duration::from_millis(100));
        self.destination.signal("TERM");
        let there = self.destination.exit(LONG);
        let stderr = format!("{}\n-- destination:\n{}", self.source.stderr(), self.destination.stderr());
        let ended = Ended {
            exit,
            record: read_record(&scratch.file("source.json")),
            stdout: self.source.stdout(),
            stderr,
            seen: self.watch.seen(),
            allowance: self.baseline.allowance(),
        };
        ended.check(scratch);
        (ended, read_record(&scratch.file("destination.json")), there)
    }
}

/// Reads a record, and holds it against the published schema.
///
/// # Panics
/// When it is not there, or not as published.
pub fn read_record(path: &Path) -> RunRecord {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse_record(&text)
}

/// Reads a record from text, and holds it against the published schema.
///
/// # Panics
/// When it is not as published.
pub fn parse_record(text: &str) -> RunRecord {
    let value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let schema =
        serde_json::from_str(include_str!("../../../docs/record.schema.json")).expect("the schema is JSON");
    let validator = jsonschema::validator_for(&schema).expect("the schema is a schema");
    if let Err(error) = validator.validate(&value) {
        panic!("{error} at {}\n{value:#}", error.instance_path());
    }
    serde_json::from_value(value).expect("what the schema lets pass is a record")
}
