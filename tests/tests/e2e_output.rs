//! What a run puts out, and what it leaves behind: `--json`, `--record`, `--events`, and nothing else.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use switchover_shell::record::Outcome;
use switchover_tests::e2e::play::{BUSY, LONG, parse_record, read_record};
use switchover_tests::e2e::{Process, Scratch, demo};
use switchover_tests::host::{alone, kvm_or_skip, switchover_bin};

fn guarded(test: &str, body: impl FnOnce(&Scratch)) {
    if kvm_or_skip(test) {
        let _alone = alone();
        body(&Scratch::new("output"));
    }
}

#[test]
fn json_is_the_record_and_nothing_else() {
    guarded("json_is_the_record_and_nothing_else", |scratch| {
        for (outcome, exit, more) in [
            (Outcome::Committed, 0, &["--linger", "100ms"][..]),
            (Outcome::Aborted, 3, &["--linger", "100ms", "--attempts", "1", "--fault", "stall:save:1s"]),
        ] {
            let plain = demo(scratch, &[BUSY, more].concat());
            let json = demo(scratch, &[BUSY, more, &["--json"]].concat());
            for ended in [&plain, &json] {
                ended.expect((ended.record.outcome, ended.exit) == (outcome, exit), "the same comes of both");
            }
            assert_eq!(json.stdout.trim_end().lines().count(), 1, "one line: {}", json.stdout);
            assert_eq!(parse_record(&json.stdout), json.record, "the object is what --record has");
            assert!(parse_record_fails(&plain.stdout), "without --json a person reads: {}", plain.stdout);
            assert!(plain.stdout.contains("attempt 1"), "the timeline is on stdout: {}", plain.stdout);
            assert!(json.stderr.contains("attempt 1"), "and on stderr with --json: {}", json.stderr);
        }
    });
}

fn parse_record_fails(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_err()
}

#[test]
fn a_demo_leaves_no_process_and_no_file_behind_however_it_ends() {
    guarded("a_demo_leaves_no_process_and_no_file_behind_however_it_ends", |scratch| {
        let temporary = scratch.file("tmp");
        fs::create_dir(&temporary).expect("made");
        let start = |more: &[&str]| {
            let mut command = Command::new(switchover_bin());
            command.arg("demo").args(BUSY).args(more).env("TMPDIR", &temporary);
            Process::start_command(scratch, "demo", command)
        };
        let nothing_runs = || {
            let left = scratch.processes();
            assert!(left.is_empty(), "left behind: {left:?}");
        };
        let kept = |path: &Path| fs::read_dir(path).expect("list").count();

        assert_eq!(start(&["--linger", "100ms"]).exit(LONG), 0);
        nothing_runs();
        assert_eq!(kept(&temporary), 0, "journals of a committed demo are gone");

        let mut aborted = start(&["--linger", "100ms", "--attempts", "1", "--fault", "drop:ready"]);
        assert_eq!(aborted.exit(LONG), 3);
        nothing_runs();
        assert!(aborted.stderr().contains("journals of both sides: "), "kept, and said where");
        assert_eq!(kept(&temporary), 1);

        // Killed in the middle: its children go along.
        let mut killed = start(&["--linger", "forever"]);
        killed.says("the guest runs here", LONG);
        // The source ends at the same time, and may be on its way out still.
        let begun = Instant::now();
        while scratch.processes().len() > 1 && begun.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(scratch.processes().len(), 1, "the destination is there: {:?}", scratch.processes());
        killed.signal("KILL");
        std::thread::sleep(Duration::from_millis(500));
        nothing_runs();
    });
}

#[test]
fn events_of_both_sides_are_written_and_versioned() {
    guarded("events_of_both_sides_are_written_and_versioned", |scratch| {
        let events = scratch.arg("events");
        let ended = demo(scratch, &[BUSY, &["--linger", "100ms", "--events", &events]].concat());
        ended.expect(ended.exit == 0, "committed");
        for side in ["", ".destination"] {
            let text = fs::read_to_string(format!("{events}{side}")).expect("written");
            let mut lines =
                text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
            let header = lines.next().expect("a header");
            assert!(header["version"].is_u64(), "{header}");
            let steps = lines.count();
            println!("{side} {steps} steps");
            assert!(steps > 10, "the whole of it");
        }
        // Written by the parent alone, once.
        assert_eq!(read_record(&scratch.file("record.json")), ended.record);
    });
}
