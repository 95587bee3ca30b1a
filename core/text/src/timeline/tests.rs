//! What a person must be able to see.

use super::*;
use crate::contracts::Provenance;
use crate::record::{Admission, Term, attempt_id};
use crate::words::{Port, Side};

const MS: u64 = 1_000_000;

fn phase(side: Side, port: Port, phase: Phase, start_ms: i64, planned: u64, measured: u64) -> PhaseRecord {
    PhaseRecord {
        side,
        port,
        phase,
        start_ns: Some(start_ms * MS as i64),
        planned_ns: Some(planned * MS),
        measured_ns: Some(measured * MS),
    }
}

fn committed() -> RunRecord {
    let attempt = AttemptRecord {
        phases: vec![
            phase(Side::Destination, Port::Vcpus, Phase::Resume, 90, 10, 10),
            phase(Side::Source, Port::Vcpus, Phase::Stop, 0, 20, 10),
            phase(Side::Source, Port::Memory, Phase::Transfer, 10, 70, 80),
            phase(Side::Source, Port::Memory, Phase::Precopy, -900, 0, 900),
        ],
        admission: Some(Admission {
            admitted: true,
            predicted_ns: 121 * MS,
            downtime_limit_ns: 300 * MS,
            terms: (0..6).map(|_| Term::time("save", 20 * MS, Provenance::Calibrated)).collect(),
        }),
        go_by_ns: Some(280 * MS),
        bytes: 1 << 30,
        stop_copy_bytes: 212 << 20,
        rounds: 3,
        ..AttemptRecord::new(attempt_id(1, 1), Outcome::Committed)
    };
    let attempt = attempt.with_downtime(100 * MS, 310 * MS);
    RunRecord::new(Outcome::Committed, 310 * MS, vec![attempt]).with_estimate(99 * MS, MS)
}

fn row<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.contains(word)).unwrap_or_else(|| panic!("no {word} in\n{text}"))
}

#[test]
fn a_commit_shows_what_was_used_and_who_took_how_long() {
    let text = timeline(&committed(), Paint::Plain);
    assert!(
        text.starts_with("attempt 1 of 1: committed; the guest stood still for 100ms of 310ms\n"),
        "{text}"
    );
    // 100 of 310 ms are 18 of 58 cells, and go_by 280 ms lies in cell 52.
    let bar = row(&text, "  0 [");
    assert_eq!(bar.matches('#').count(), 19, "{bar}");
    assert_eq!(bar.find(':'), Some("  0 [".len() + 52), "{bar}");
    assert!(bar.ends_with("] 310ms"), "{bar}");
    // Stop, transfer and resume follow each other without overlap and fill the blackout.
    let cells = |word| row(&text, word).match_indices('=').map(|(at, _)| at).collect::<Vec<_>>();
    let (stop, transfer, resume) = (cells("stop "), cells("transfer "), cells("resume "));
    assert!(stop.last() <= transfer.first() && transfer.last() <= resume.first(), "{text}");
    assert_eq!(resume.last().copied(), row(&text, "resume ").find(']').map(|at| at - 1), "{text}");
    assert!(row(&text, "precopy").contains("while the guest ran"), "{text}");
    // Only what took longer than planned is marked.
    assert!(row(&text, "transfer ").ends_with("80ms of 70ms !"), "{text}");
    assert!(row(&text, "stop ").ends_with("10ms of 20ms"), "{text}");
    assert!(text.contains("committed: the guest runs on the destination; downtime 100ms <= 310ms"), "{text}");
    assert!(text.contains("\n210ms of the limit left\n"), "{text}");
    assert!(text.contains("99ms +- 1ms"), "{text}");
}

#[test]
fn the_offender_is_pointed_at() {
    let mut record = committed();
    let attempt = &mut record.attempts[0];
    attempt.outcome = Outcome::Aborted;
    attempt.reason = Some("deadline".into());
    attempt.offender = Some(Offender { side: Side::Source, port: Port::Memory, phase: Phase::Transfer });
    attempt.faults_injected = vec!["stall:link:2s".into()];
    let text = timeline(&record, Paint::Plain);
    assert!(text.contains("  offender: source/memory/transfer\n"), "{text}");
    assert!(text.contains("of the limit left; because of source/memory/transfer\n"), "{text}");
    assert!(text.contains("  reason: deadline\n") && text.contains("  injected: stall:link:2s\n"), "{text}");
    assert!(row(&text, "memory    transfer").ends_with("80ms of 70ms <-"), "{text}");
}

#[test]
fn a_broken_limit_is_seen() {
    let attempt = AttemptRecord::new(attempt_id(1, 1), Outcome::Aborted).with_downtime(620 * MS, 310 * MS);
    let text = timeline(&RunRecord::new(Outcome::Aborted, 310 * MS, vec![attempt]), Paint::Plain);
    let bar = row(&text, "  0 [");
    assert_eq!(bar.find('H'), Some("  0 [".len() + 29), "the limit is in the middle: {bar}");
    assert!(bar.ends_with("] 620ms"), "{bar}");
    assert!(text.contains("downtime 620ms > 310ms\n310ms over the limit\n"), "{text}");
}

#[test]
fn what_is_not_known_is_not_drawn() {
    let mut attempt = AttemptRecord::new(attempt_id(1, 1), Outcome::InDoubt);
    attempt.downtime_ns = None;
    let unknown = PhaseRecord {
        start_ns: None,
        planned_ns: None,
        measured_ns: None,
        ..committed().attempts[0].phases[0]
    };
    attempt.phases = vec![unknown];
    let text = timeline(&RunRecord::new(Outcome::InDoubt, 310 * MS, vec![attempt]), Paint::Plain);
    assert!(!text.contains('#') && !text.contains('='), "{text}");
    assert!(text.contains("in doubt: it is not known where the guest runs"), "{text}");
    let never = AttemptRecord::new(attempt_id(1, 1), Outcome::Aborted);
    let text = timeline(&RunRecord::new(Outcome::Aborted, 310 * MS, vec![never]), Paint::Plain);
    assert!(text.contains("it never stood still") && !text.contains('#'), "{text}");
}

#[test]
fn it_fits_80_columns_whatever_is_in_the_record() {
    let mut record = committed();
    let attempt = &mut record.attempts[0];
    let widest = |start_ns, ns| PhaseRecord {
        side: Side::Destination,
        port: Port::Device(255),
        phase: Phase::Transfer,
        start_ns,
        planned_ns: ns,
        measured_ns: ns,
    };
    attempt.phases.extend([
        widest(Some(i64::MAX), Some(u64::MAX)),
        widest(Some(i64::MIN), Some(u64::MAX)),
        widest(None, None),
        widest(Some(0), Some(999_000_000)),
    ]);
    attempt.offender =
        Some(Offender { side: Side::Destination, port: Port::Device(255), phase: Phase::Transfer });
    attempt.reason = Some("a_very_long_reason_".repeat(9));
    attempt.faults_injected = vec!["stall:rollback:123456789us#all".into(); 9];
    attempt.downtime_ns = Some(1_234_567_891);
    (attempt.bytes, attempt.stop_copy_bytes, attempt.rounds) = (u64::MAX, u64::MAX, u32::MAX);
    record.downtime_ns = Some(u64::MAX);
    record.attempts = vec![record.attempts[0].clone(); 12];
    for hard_limit in [0, 1, 310 * MS, 2_000_000 * MS] {
        record.hard_limit_ns = hard_limit;
        let text = timeline(&record, Paint::Plain);
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{}: {line}", line.chars().count());
        }
    }
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    let (plain, coloured) = (timeline(&committed(), Paint::Plain), timeline(&committed(), Paint::Coloured));
    assert!(!plain.contains('\x1b') && coloured.contains("\x1b[31m"));
    let mut stripped = coloured;
    for code in ["\x1b[31m", "\x1b[1m", "\x1b[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, plain);
}
