//! Histories that are as they must be, and histories that are not.

use super::*;
use Side::{Destination as D, Source as S};

fn datagram(runner: Side, vcpu: u32, count: u64) -> Vec<u8> {
    format!(r#"{{"guest":"g","runner":"{runner}","vcpu":{vcpu},"count":{count}}}"#).into_bytes()
}

/// A beat each millisecond.
fn watch(beats: impl IntoIterator<Item = (Side, u32, u64)>) -> (Witness, Vec<Seen>) {
    let mut witness = Witness::new();
    let mut now = 0;
    let mut seen = Vec::new();
    for (runner, vcpu, count) in beats {
        now += 1_000_000;
        seen.push(witness.observe(now, &datagram(runner, vcpu, count)));
    }
    (witness, seen)
}

fn both(runner: Side, counts: std::ops::Range<u64>) -> impl Iterator<Item = (Side, u32, u64)> {
    counts.flat_map(move |count| [(runner, 0, count), (runner, 1, count)])
}

fn violations(seen: &[Seen]) -> Vec<Violation> {
    let violation = |seen: &Seen| match seen {
        Seen::Violated(violation) => Some(violation.clone()),
        _ => None,
    };
    seen.iter().filter_map(violation).collect()
}

#[test]
fn a_guest_that_moves_once_has_one_runner() {
    let (witness, seen) = watch(both(S, 1..50).chain(both(D, 50..100)));
    assert_eq!(violations(&seen), []);
    assert_eq!(witness.verdict(), Verdict::OneRunner);
    let report = witness.report(200_000_000);
    assert_eq!((report.guests[0].changes, report.guests[0].runner), (1, D));
    assert_eq!(
        report.guests[0].vcpus.iter().map(|vcpu| (vcpu.beats, vcpu.changes)).collect::<Vec<_>>(),
        [(99, 1); 2]
    );
    assert!(matches!(&seen[98], Seen::Handover { runner: D, gap_ns: Some(2_000_000), .. }), "{:?}", seen[98]);
}

#[test]
fn an_aborted_attempt_is_only_a_gap() {
    let mut witness = Witness::new();
    for (at, count) in [(0, 1), (1, 2), (311, 3), (312, 4)] {
        witness.observe(at * 1_000_000, &datagram(S, 0, count));
    }
    let report = witness.report(400_000_000);
    let vcpu = &report.guests[0].vcpus[0];
    assert_eq!((report.verdict, report.guests[0].changes), (Verdict::OneRunner, 0));
    let gap = GapReport { ns: 310_000_000, after_count: 2, until_count: 3, from: S, to: S };
    assert_eq!((vcpu.longest_gap_ns, vcpu.longest_gap, vcpu.silent_ns), (gap.ns, Some(gap), 88_000_000));
}

#[test]
fn beats_may_be_lost_and_are_counted() {
    let (witness, seen) = watch([(S, 0, 1), (S, 0, 5), (D, 0, 8)]);
    assert_eq!(violations(&seen), []);
    assert_eq!(witness.report(0).guests[0].vcpus[0].lost, 3 + 2);
}

#[test]
fn a_repeated_count_is_a_violation_whoever_sends_it() {
    for again in [S, D] {
        let (witness, seen) = watch([(S, 0, 7), (again, 0, 7)]);
        assert!(
            matches!(violations(&seen)[..], [Violation::RepeatedCount { count: 7, before: S, .. }]),
            "{seen:?}"
        );
        assert_eq!(witness.verdict(), Verdict::Violated);
    }
}

#[test]
fn a_count_that_goes_back_is_a_violation_whoever_sends_it() {
    for again in [S, D] {
        let (_, seen) = watch([(S, 0, 7), (S, 0, 9), (again, 0, 8), (again, 0, 10)]);
        assert!(
            matches!(violations(&seen)[..], [Violation::BackwardCount { count: 8, highest: 9, .. }]),
            "{seen:?}"
        );
    }
}

#[test]
fn vcpus_count_each_for_itself_and_guests_too() {
    let (witness, seen) = watch([(S, 0, 7), (S, 1, 3), (S, 0, 8), (S, 1, 4)]);
    assert_eq!(violations(&seen), []);
    let mut witness = witness;
    let other = br#"{"guest":5,"runner":"destination","vcpu":0,"count":1}"#;
    assert_eq!(witness.observe(9, other), Seen::First { guest: "5".into(), runner: D });
    assert_eq!(witness.verdict(), Verdict::OneRunner);
}

#[test]
fn the_source_going_on_after_the_destination_has_started_is_two_runners() {
    // From one state both count the same; even if no count is seen twice, they do not take turns.
    let (_, seen) = watch(both(S, 1..50).chain([(D, 0, 50), (D, 1, 50), (S, 0, 51), (S, 1, 51), (D, 0, 52)]));
    let found = violations(&seen);
    assert!(
        matches!(found[0], Violation::TwoRunners { runner: S, other: D, vcpu: 0, count: 51, .. }),
        "{found:?}"
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn one_vcpu_left_behind_on_the_source_is_two_runners() {
    let (_, seen) = watch(both(S, 1..50).chain((50..100).map(|count| (D, 0, count))).chain([(S, 1, 50)]));
    assert!(matches!(violations(&seen)[..], [Violation::TwoRunners { runner: S, vcpu: 1, .. }]), "{seen:?}");
}

#[test]
fn a_guest_may_be_moved_back_once_it_has_been_taken_over() {
    let taken_over = 50 + TENURE_BEATS;
    let (witness, seen) = watch(both(S, 1..50).chain(both(D, 50..taken_over)).chain(both(S, taken_over..90)));
    assert_eq!(violations(&seen), []);
    assert_eq!(witness.report(0).guests[0].changes, 2);
    let (_, seen) = watch(both(S, 1..50).chain(both(D, 50..taken_over - 1)).chain(both(S, taken_over..90)));
    assert_eq!(violations(&seen).len(), 1, "one beat sooner it is not");
}

#[test]
fn a_source_that_runs_again_from_before_the_commit_is_found_out() {
    let (_, seen) = watch(both(S, 1..50).chain(both(D, 50..90)).chain(both(S, 50..60)));
    assert_eq!(violations(&seen).len(), 20);
}

#[test]
fn garbage_is_ignored_and_counted_and_silence_shows_nothing() {
    let mut witness = Witness::new();
    assert_eq!(witness.verdict(), Verdict::NothingHeard);
    let long =
        format!(r#"{{"guest":"{}","runner":"source","vcpu":0,"count":1}}"#, "x".repeat(MOST_ID_BYTES + 1));
    for garbage in [
        &b""[..],
        b"\xff\xfe",
        b"{}",
        br#"{"guest":"g","runner":"peer","vcpu":0,"count":1}"#,
        br#"{"guest":"g","runner":"source","vcpu":-1,"count":1}"#,
        br#"{"guest":"g","runner":"source","vcpu":0,"count":1,"more":1}"#,
        br#"{"guest":"g","runner":"source","vcpu":0,"count":1}x"#,
        long.as_bytes(),
        br#"{"guest":"\u001b[2J","runner":"source","vcpu":0,"count":1}"#,
    ] {
        assert_eq!(witness.observe(1, garbage), Seen::Ignored);
    }
    let report = witness.report(1);
    assert_eq!((report.verdict, report.ignored), (Verdict::NothingHeard, 9));
    assert!(report.to_string().contains("--heartbeat"), "{report}");
}

#[test]
fn a_witness_is_not_filled_up_by_garbage() {
    let mut witness = Witness::new();
    for index in 0..=MOST_GUESTS as u64 {
        witness.observe(1, format!(r#"{{"guest":{index},"runner":"source","vcpu":0,"count":1}}"#).as_bytes());
        witness.observe(1, &datagram(S, index as u32, 1));
    }
    let report = witness.report(1);
    assert_eq!((report.guests.len(), report.verdict), (MOST_GUESTS, Verdict::OneRunner));
    for count in (0..=1000).rev() {
        witness.observe(1, &datagram(S, 0, count));
    }
    let report = witness.report(1);
    assert_eq!((report.violation_count, report.violations.len()), (1000, TOLD));
    assert!(report.to_string().contains("and 968 more"));
}

#[test]
fn the_table_fits_a_terminal() {
    let (witness, _) = watch(both(S, 1..50).chain(both(D, 50..100)));
    let text = witness.report(200_000_000).to_string();
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    assert!(text.contains("one runner at all times; it changed 1 times"), "{text}");
}

#[test]
fn the_report_is_json_with_the_published_words() {
    let (witness, _) = watch([(S, 0, 1), (D, 0, 1)]);
    let json = serde_json::to_value(witness.report(5_000_000)).expect("JSON");
    assert_eq!(json["verdict"], "violated");
    assert_eq!(json["violations"][0]["kind"], "repeated_count");
    assert_eq!(json["guests"][0]["changes"], 1);
    assert_eq!(json["guests"][0]["vcpus"][0]["longest_gap_ns"], 1_000_000);
}
