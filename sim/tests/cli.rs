//! The command itself, as a CI server runs it: exit codes, what is refused, what goes where.

mod made;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use made::campaign;

/// A folder of this test's own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("switchover-sim-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sim(line: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_switchover-sim")).args(line.split_whitespace()).output();
    output.expect("the command runs")
}

/// Runs it, expects that exit code, and gives stdout and stderr.
fn ends(line: &str, code: i32) -> (String, String) {
    let output = sim(line);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{line}\n{out}\n{err}");
    (out, err)
}

#[test]
fn kept_promises_end_with_0_and_a_missed_gate_with_3() {
    let (out, err) = ends("campaign standard --seeds 0..300 --jobs 2 --max-downtime 310ms --min-slack 0", 0);
    assert!(
        out.contains("promises: kept in every run") && out.contains("--max-downtime 310ms: holds"),
        "{out}"
    );
    assert!(out.contains("again: switchover-sim campaign standard --seeds 0..300"), "{out}");
    assert!(err.contains("standard: seeds 0..300"), "{err}");
    let (out, _) = ends("campaign standard --seeds 0..300 --max-p50 1ns", 3);
    assert!(out.contains("--max-p50 1ns: MISSED"), "{out}");
    ends("campaign standard --seeds 0..10 --json --max-p50 1ns", 3);
}

#[test]
fn a_broken_promise_ends_with_1() {
    let scratch = Scratch::new("broken");
    let seeds = "0..20000".parse().expect("seeds");
    fs::write(scratch.path("made-up.json"), campaign(seeds, seeds, 1, true).to_json()).expect("written");
    let (out, _) = ends(&format!("merge {} --max-p50 1ns", scratch.0.display()), 1);
    assert!(out.contains("promises: BROKEN: P1") && out.contains("the guest runs on both sides"), "{out}");
    assert!(out.contains("look: switchover-sim run made-up --seed 3 --trace"), "{out}");
}

#[test]
fn what_cannot_be_judged_ends_with_2_and_the_remedy() {
    let scratch = Scratch::new("usage");
    let empty = scratch.path("");
    for (line, says) in [
        ("campaign standart --seeds 0..9".to_string(), "did you mean `standard`?"),
        ("run standart".into(), "did you mean `standard`?"),
        ("bound nothing-like-it".into(), "or give the path of a file"),
        ("run missing.toml".into(), "missing.toml"),
        ("campaign standard --seeds 5..5".into(), "write `5..6`"),
        ("campaign standard --seeds 9..3".into(), "write `3..9`"),
        (
            "campaign standard --seeds 0..9 --junit /nowhere/a.xml".into(),
            "cannot write `--junit /nowhere/a.xml`",
        ),
        ("scenarios standart".into(), "did you mean `standard`?"),
        ("merge missing.json".into(), "missing.json"),
        (format!("merge {empty}"), "no shard in it"),
        ("explore nothing-like-it".into(), "is not a world"),
        ("replay missing.jsonl".into(), "missing.jsonl"),
    ] {
        let (out, err) = ends(&line, 2);
        assert!(err.contains(says) && out.is_empty(), "{line}\n{out}\n{err}");
    }
}

#[test]
fn the_result_is_the_same_on_any_number_of_threads_and_machines() {
    let scratch = Scratch::new("same");
    let (whole, _) = ends("campaign standard --seeds 7..1207 --jobs 1 --json", 0);
    for jobs in [2, 3] {
        let (again, _) = ends(&format!("campaign standard --seeds 7..1207 --jobs {jobs} --json"), 0);
        assert!(again == whole, "{jobs} jobs");
    }
    let folder = scratch.path("shards");
    for shard in 1..=3 {
        let (out, err) =
            ends(&format!("campaign standard --seeds 7..1207 --shard {shard}/3 --out {folder}"), 0);
        assert!(out.contains("a part of 7..1207") && err.contains("kept in"), "{out}\n{err}");
    }
    let (merged, _) = ends(&format!("merge {folder} --json"), 0);
    assert!(merged == whole);
    // And once more, from what the merge kept.
    let joined = scratch.path("joined");
    ends(&format!("merge {folder} --out {joined}"), 0);
    let (again, _) = ends(&format!("merge {joined}/standard-7-1207.json --json"), 0);
    assert!(again == whole);
}

#[test]
fn shards_that_are_not_one_campaign_are_refused() {
    let scratch = Scratch::new("refused");
    let folder = scratch.path("shards");
    for seeds in ["0..100", "50..150", "300..400"] {
        ends(&format!("campaign standard --seeds {seeds} --out {folder}"), 0);
    }
    let shard = |name: &str| Path::new(&folder).join(name).display().to_string();
    let (first, second, third) =
        (shard("standard-0-100.json"), shard("standard-50-150.json"), shard("standard-300-400.json"));
    let (_, err) = ends(&format!("merge {first} {second}"), 2);
    assert!(
        err.contains(&first) && err.contains(&second) && err.contains("both have seeds 50..100"),
        "{err}"
    );
    let (_, err) = ends(&format!("merge {first} {third}"), 2);
    assert!(err.contains("seeds 100..300") && err.contains("campaign standard --seeds 100..300"), "{err}");
    let text = fs::read_to_string(&first).expect("a shard");
    fs::write(&first, &text[..text.len() - 40]).expect("torn");
    let (_, err) = ends(&format!("merge {first}"), 2);
    assert!(err.contains(&first) && err.contains("not a whole shard") && err.contains(": line "), "{err}");
    fs::write(&first, text.replacen("\"version\": 1", "\"version\": 7", 1)).expect("newer");
    let (_, err) = ends(&format!("merge {first}"), 2);
    assert!(err.contains("of version 7") && err.contains("one version"), "{err}");
}

#[test]
fn reports_are_written_where_they_were_asked_for() {
    let scratch = Scratch::new("reports");
    let (junit, html) = (scratch.path("a.xml"), scratch.path("a.html"));
    ends(&format!("campaign standard --seeds 0..200 --junit {junit} --html {html} --max-p99 310ms"), 0);
    let junit = fs::read_to_string(junit).expect("a report");
    assert!(junit.contains("name=\"--max-p99 310ms\"") && junit.contains("failures=\"0\""), "{junit}");
    let html = fs::read_to_string(html).expect("a report");
    assert!(html.contains("The worst run: seed") && !html.contains("http"), "the page is whole");
}

#[test]
fn a_seed_that_is_not_given_is_printed() {
    let (_, err) = ends("run standard", 0);
    let seed = err.trim().rsplit(' ').next().expect("a seed").to_string();
    let (first, _) = ends(&format!("run standard --seed {seed} --trace"), 0);
    let (second, _) = ends(&format!("run standard --seed {seed} --trace"), 0);
    assert!(first == second && first.contains("every promise was kept"), "{first}");
    let (json, _) = ends(&format!("run standard --seed {seed} --json"), 0);
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{json}");
}

#[test]
fn what_is_shipped_is_listed_and_can_be_started_from() {
    let scratch = Scratch::new("shipped");
    let (list, _) = ends("scenarios", 0);
    assert!(list.starts_with("standard "), "{list}");
    let own = scratch.path("own.toml");
    fs::write(&own, ends("scenarios standard", 0).0).expect("written");
    ends(&format!("campaign {own} --seeds 0..50"), 0);
    let (bound, _) = ends(&format!("bound {own} --json"), 0);
    assert!(serde_json::from_str::<serde_json::Value>(&bound).is_ok(), "{bound}");
}

#[test]
fn help_and_version_are_no_mistakes() {
    for line in ["--help", "--version", "campaign --help", "help merge"] {
        let (out, _) = ends(line, 0);
        assert!(out.contains("switchover-sim"), "{out}");
    }
    ends("", 2);
}
