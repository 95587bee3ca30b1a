//! What a parent must be able to rely on, and what no parent may do to a child.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::*;
use crate::record::{AttemptRecord, Outcome};

fn record() -> RunRecord {
    RunRecord::new(Outcome::Aborted, 310, vec![AttemptRecord::new("0:1".into(), Outcome::Aborted)])
}

#[test]
fn reports_arrive_as_they_were_made_and_in_order() {
    let (read, write) = std::io::pipe().expect("a pipe");
    let reporter = Reporter::to(write).expect("a thread");
    let address = "127.0.0.1:7000".parse().expect("an address");
    reporter.listening(address);
    reporter.snapshot(Side::Destination, &record(), Standing::Waits);
    reporter.finished(&record(), ExitCode::Aborted);
    drop(reporter);
    let reports: Vec<Report> = Reports::new(read).map(|report| report.expect("a report")).collect();
    let record = Box::new(record());
    assert_eq!(
        reports,
        [
            Report::Listening { address },
            Report::Snapshot { side: Side::Destination, standing: Standing::Waits, record: record.clone() },
            Report::Finished { record, exit: ExitCode::Aborted },
        ]
    );
}

#[test]
fn a_line_cut_by_death_is_no_report_and_a_bad_line_does_not_hide_the_next() {
    let good = serde_json::to_string(&Report::Finished { record: Box::new(record()), exit: ExitCode::Lost });
    let good = good.expect("plain data");
    let text = format!("{good}\nnonsense\n{good}\n{}", &good[..good.len() - 1]);
    let seen: Vec<bool> = Reports::new(text.as_bytes()).map(|report| report.is_ok()).collect();
    assert_eq!(seen, [true, false, true]);
}

#[test]
fn a_parent_that_is_gone_or_does_not_read_holds_nobody_up() {
    let (read, write) = std::io::pipe().expect("a pipe");
    let reporter = Reporter::to(write).expect("a thread");
    let begun = Instant::now();
    // Far more than a pipe holds.
    for _ in 0..1000 {
        reporter.snapshot(Side::Source, &record(), Standing::Runs);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    drop(read);
    reporter.flush(Duration::from_secs(5));
    reporter.finished(&record(), ExitCode::Aborted);
    Reporter::silent().finished(&record(), ExitCode::Aborted);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn all_that_was_handed_over_is_written_before_a_flush_returns() {
    let (mut read, write) = std::io::pipe().expect("a pipe");
    let keep_open = write.try_clone().expect("another end");
    let reporter = Reporter::to(write).expect("a thread");
    reporter.snapshot(Side::Source, &record(), Standing::InDoubt);
    reporter.flush(Duration::from_secs(5));
    (&keep_open).write_all(b"end").expect("room");
    let mut seen = vec![0; 1 << 16];
    let length = read.read(&mut seen).expect("bytes");
    assert!(seen[..length].ends_with(b"\nend"));
}
