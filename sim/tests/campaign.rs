//! What is kept of many runs: the same whoever played them, and joined without loss or not at all.

mod made;

use std::fs;
use std::path::PathBuf;

use made::{campaign, one};
use switchover_core::time::Ns;
use switchover_sim::campaign::file::ReadError;
use switchover_sim::campaign::gates::Gate;
use switchover_sim::campaign::merge::{MergeError, Shard, merge};
use switchover_sim::campaign::play::play;
use switchover_sim::campaign::{Campaign, Seeds, Share, Tally};

fn seeds(text: &str) -> Seeds {
    text.parse().expect(text)
}

/// A shard of a made-up campaign.
fn shard(seeds: &str, of: &str) -> Shard {
    let (seeds, of): (Seeds, Seeds) = (seeds.parse().expect(seeds), of.parse().expect(of));
    Shard { path: PathBuf::from(format!("{seeds}.json")), campaign: campaign(seeds, of, 1, false) }
}

/// A folder of this test's own, gone at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("switchover-sim-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let whole = seeds("1000..9000");
    let one = campaign(whole, whole, 1, true).to_json();
    for jobs in [2, 3, 8] {
        assert!(campaign(whole, whole, jobs, true).to_json() == one, "{jobs} jobs");
    }
}

#[test]
fn shards_joined_in_any_order_are_the_whole_to_the_byte() {
    let of = "1000..9000";
    let whole = campaign(seeds(of), seeds(of), 2, false).to_json();
    let shards = || ["1000..1001", "1001..4000", "4000..8999", "8999..9000"].map(|part| shard(part, of));
    let mut backwards = shards();
    backwards.reverse();
    for shards in [shards(), backwards] {
        assert!(merge(shards.into()).expect("one campaign").to_json() == whole);
    }
}

#[test]
fn campaigns_side_by_side_are_one_campaign() {
    let joined = merge(vec![shard("0..100", "0..100"), shard("100..300", "100..300")]).expect("one campaign");
    assert_eq!((joined.seeds, joined.tally.runs), (seeds("0..300"), 300));
    // What was joined can be joined again.
    let again = Shard { path: "joined.json".into(), campaign: joined };
    let more = merge(vec![shard("300..310", "300..310"), again]).expect("one campaign");
    assert_eq!(more.seeds, seeds("0..310"));
}

#[test]
fn shards_that_are_not_one_campaign_are_refused_by_name() {
    let refused = |shards: Vec<_>| merge(shards).expect_err("refused").to_string();
    assert_eq!(merge(vec![]), Err(MergeError::None));

    let error = refused(vec![shard("0..100", "0..300"), shard("90..300", "0..300")]);
    assert!(error.contains("0..100.json") && error.contains("90..300.json"), "{error}");
    assert!(error.contains("both have seeds 90..100") && error.contains("leave one of them out"), "{error}");
    let error = refused(vec![shard("0..100", "0..100"), shard("0..100", "0..100")]);
    assert!(error.contains("both have seeds 0..100"), "{error}");

    for (shards, missing) in [
        (vec![shard("0..100", "0..300"), shard("200..300", "0..300")], "100..200"),
        (vec![shard("100..300", "0..300")], "0..100"),
        (vec![shard("0..200", "0..300")], "200..300"),
        (vec![shard("0..10", "0..10"), shard("20..30", "20..30")], "10..20"),
    ] {
        let error = refused(shards);
        assert!(error.contains(&format!("seeds {missing} of")), "{error}");
        assert!(error.contains(&format!("campaign made-up --seeds {missing} --out")), "{error}");
    }

    let mut other = shard("100..200", "0..200");
    other.campaign.scenario.digest = "ffff".into();
    let error = refused(vec![shard("0..100", "0..200"), other]);
    assert!(
        error.contains("0..100.json") && error.contains("ffff") && error.contains("one scenario"),
        "{error}"
    );

    let mut other = shard("100..200", "0..200");
    other.campaign.program = "switchover-sim 9.9.9".into();
    let error = refused(vec![shard("0..100", "0..200"), other]);
    assert!(error.contains("switchover-sim 9.9.9") && error.contains("one version"), "{error}");
}

#[test]
fn a_shard_is_read_back_as_it_was_written() {
    let scratch = Scratch::new("shard");
    for breaks in [false, true] {
        let written = campaign(seeds("0..5000"), seeds("0..9000"), 1, breaks);
        assert_eq!(written.tally.violations.count > 0, breaks);
        let path = scratch.write(&written.file_name(), &written.to_json());
        assert!(path.ends_with("made-up-0-5000.json"), "{}", path.display());
        assert!(Campaign::read(&path).expect("read") == written);
    }
}

#[test]
fn a_file_that_is_no_whole_shard_is_refused_with_its_line() {
    let scratch = Scratch::new("torn");
    let text = campaign(seeds("0..500"), seeds("0..500"), 1, false).to_json();
    let refused = |name: &str, text: &str| {
        let path = scratch.write(name, text);
        let error = Campaign::read(&path).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
        error
    };
    let torn = refused("torn.json", &text[..text.len() / 2]);
    assert!(matches!(torn, ReadError::Form { line, .. } if line > 1), "{torn}");
    assert!(torn.to_string().contains("run that shard again"), "{torn}");
    refused("empty.json", "");
    refused("other.json", "{\"name\": \"something else\"}");
    refused("unknown.json", &text.replacen("\"given\"", "\"gegeben\"", 1));
    let newer = refused("newer.json", &text.replacen("\"version\": 1", "\"version\": 2", 1));
    assert!(matches!(newer, ReadError::Version { found: 2, .. }), "{newer}");
    let edited = refused("edited.json", &text.replacen("\"runs\": 500", "\"runs\": 501", 1));
    assert!(matches!(edited, ReadError::Contradicts { .. }), "{edited}");
    refused("backwards.json", &text.replacen("\"from\": 0", "\"from\": 900", 1));
    let missing = Campaign::read(&scratch.0.join("missing.json")).expect_err("missing").to_string();
    assert!(missing.contains("missing.json"), "{missing}");
}

#[test]
fn a_gate_holds_or_is_missed_with_what_was_found() {
    let campaign = campaign(seeds("0..20000"), seeds("0..20000"), 2, false);
    let p99 = campaign.tally.longest.at_among(Share::P99, campaign.tally.runs).expect("a value");
    for (gate, holds, says) in [
        (Gate::Downtime(Share::P99, p99), true, "p99 of the downtime"),
        (Gate::Downtime(Share::P99, p99.minus(Ns::new(1))), false, "p99 of the downtime"),
        // Some runs are in doubt: there is no longest downtime.
        (Gate::Downtime(Share::ALL, Ns::from_secs(999)), false, "no end"),
        (Gate::Slack(Ns::ZERO), false, "still stands still"),
        (Gate::Committed("99%".parse().expect("a share")), true, "of 20000 runs"),
        (Gate::Committed("100%".parse().expect("a share")), false, "of 20000 runs"),
        (Gate::InDoubt(0), false, "ended in doubt"),
        (Gate::InDoubt(1000), true, "ended in doubt"),
        (Gate::Lost(0), true, "0 runs ended lost"),
    ] {
        let verdict = gate.judge(&campaign);
        assert_eq!(verdict.holds, holds, "{verdict}");
        assert!(verdict.found.contains(says) && verdict.to_string().starts_with("--m"), "{verdict}");
    }
}

#[test]
fn a_crash_is_told_with_the_smallest_seed() {
    let broken = |seed: u64, tally: &mut Tally| {
        assert!(seed % 1000 != 777, "a rule of its own");
        one(seed, false, tally);
    };
    for jobs in [1, 2, 4] {
        let crash = play(seeds("0..20000"), jobs, || broken, |_| {}).expect_err("a crash");
        assert_eq!(crash.seed, 777);
        assert!(crash.to_string().contains("a rule of its own"), "{crash}");
    }
}

#[test]
fn whoever_watches_is_told_of_the_last_seed() {
    let mut told = Vec::new();
    let play = play(
        seeds("5..4005"),
        2,
        || |seed, tally: &mut Tally| one(seed, false, tally),
        |done| told.push(done),
    );
    assert_eq!(play.expect("no crash").runs, 4000);
    assert_eq!(told.last(), Some(&4000));
    assert!(told.is_sorted());
}
