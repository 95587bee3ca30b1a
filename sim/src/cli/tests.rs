//! What a command line means, and what is refused.

use std::path::PathBuf;

use switchover_core::time::Ns;

use super::*;
use crate::campaign::{Gate, Share};
use crate::replay::Asked;

fn parse_line(line: &str) -> Result<Options, clap::Error> {
    parse(std::iter::once("switchover-sim").chain(line.split_whitespace()))
}

fn campaign(line: &str) -> CampaignOptions {
    match parse_line(&format!("campaign {line}")) {
        Ok(Options::Campaign(options)) => options,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_command_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn what_is_given_is_what_is_meant() {
    let options = campaign("standard");
    assert_eq!((options.scenario.as_str(), options.seeds, options.shard), ("standard", None, None));
    assert_eq!((options.jobs, options.gates), (None, vec![]));
    let options = campaign(
        "my.toml --seeds 5..9 --jobs 3 --shard 2/4 --out shards --junit a.xml --html a.html --json \
         --max-p50 1ms --max-p90 2ms --max-p99 290 --max-p999 300ms --max-downtime 310ms --min-slack 1us \
         --min-committed 99.5% --max-in-doubt 0 --max-lost 1",
    );
    assert_eq!(options.seeds, Some("5..9".parse().expect("seeds")));
    assert_eq!(options.jobs.map(usize::from), Some(3));
    let reports = Reports { json: true, junit: Some("a.xml".into()), html: Some("a.html".into()) };
    assert_eq!(options.reports, reports);
    let downtime = |share, ms| Gate::Downtime(share, Ns::from_millis(ms));
    let expected = [
        downtime(Share::P50, 1),
        downtime(Share::P90, 2),
        downtime(Share::P99, 290),
        downtime(Share::P999, 300),
        downtime(Share::ALL, 310),
        Gate::Slack(Ns::from_micros(1)),
        Gate::Committed("99.5%".parse().expect("a share")),
        Gate::InDoubt(0),
        Gate::Lost(1),
    ];
    assert_eq!(options.gates, expected);
    // A gate is told as it was given.
    let told: Vec<String> = expected.iter().map(Gate::to_string).collect();
    assert_eq!(told[2], "--max-p99 290ms");
    assert_eq!(told[3], "--max-p999 300ms");
    let again = format!("my.toml {}", told.join(" "));
    assert_eq!(campaign(&again).gates, expected);
}

#[test]
fn the_other_commands_are_understood() {
    let run = RunOptions { scenario: "standard".into(), seed: Some(42), trace: true, json: false };
    assert_eq!(parse_line("run standard --seed 42 --trace").expect("run"), Options::Run(run));
    let bound = BoundOptions { scenario: "standard".into(), json: true };
    assert_eq!(parse_line("bound standard --json").expect("bound"), Options::Bound(bound));
    let asked = Asked { downtime: Some(Ns::from_millis(100)), switchover: None };
    let replay = ReplayOptions { file: "events.jsonl".into(), asked, json: false };
    let line = "replay events.jsonl --downtime-limit 100ms";
    assert_eq!(parse_line(line).expect("replay"), Options::Replay(replay));
    let explore = ExploreOptions { world: Some("untimed".into()), json: false };
    assert_eq!(parse_line("explore untimed").expect("explore"), Options::Explore(explore));
    assert_eq!(
        parse_line("scenarios").expect("scenarios"),
        Options::Scenarios(ScenariosOptions { show: None })
    );
    let merge = MergeOptions {
        shards: ["a.json", "shards"].map(PathBuf::from).into(),
        out: None,
        reports: Reports::default(),
        gates: vec![],
    };
    assert_eq!(parse_line("merge a.json shards").expect("merge"), Options::Merge(merge));
}

#[test]
fn what_cannot_be_meant_is_refused_with_the_remedy() {
    for (line, says) in [
        ("campaign standard --seeds 5..5", "write `5..6`"),
        ("campaign standard --seeds 9..3", "write `3..9`"),
        ("campaign standard --seeds many", "FIRST..END"),
        ("campaign standard --shard 1/4 --out d", "--shard needs --seeds"),
        ("campaign standard --seeds 0..9 --shard 1/4", "--shard needs --out"),
        ("campaign standard --seeds 0..3 --shard 1/4 --out d", "at most 3 shards"),
        ("campaign standard --seeds 0..9 --shard 5/4 --out d", "from 1 to 4"),
        ("campaign standard --jobs 0", "--jobs"),
        ("campaign standard --max-p99 290msec", "not a unit"),
        ("campaign standard --min-committed 101%", "from 0% to 100%"),
        ("campaign standard --junit a --html a", "give each its own file"),
        ("merge", "SHARD"),
        ("run standard --seed=-1", "--seed"),
        ("run standard --trace --json", "cannot be used with"),
        ("run", "SCENARIO"),
        ("rum standard", "run"),
    ] {
        let error = parse_line(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(says), "{line}: {error}");
    }
}

#[test]
fn every_help_names_the_exit_codes() {
    for command in ["run", "campaign", "merge", "explore", "bound", "replay"] {
        let help = parse_line(&format!("{command} --help")).expect_err("help");
        assert_eq!(help.exit_code(), 0);
        assert!(
            help.to_string().contains("3  every promise was kept, and a stated gate"),
            "{command}: {help}"
        );
    }
}
