//! The journal, as a restart, a crash in the middle of a write, and a second agent meet it.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use switchover_core::hal::Journal;
use switchover_core::id::{AttemptId, GuestInstance, Incarnation, JournalId};
use switchover_core::journal::{Record, RecordKind};
use switchover_shell::journal::{Durability, JournalError, JournalFile, JournalPort, SLOT, Summary};
use switchover_shell::wake::Wake;

/// A folder of this test's own, removed when it ends well.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("switchover-journal-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("test.journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn record(kind: RecordKind, journal: JournalId, counter: u32) -> Record {
    Record {
        kind,
        attempt: AttemptId { journal, counter },
        peer: JournalId(77),
        incarnation: Incarnation(88),
        instance: GuestInstance(u64::from(counter) + 1000),
    }
}

fn open(path: &std::path::Path) -> JournalFile {
    JournalFile::open(path, Durability::Process).expect("a journal")
}

#[test]
fn what_was_written_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let mut journal = open(&folder.journal());
    let identity = journal.summary().identity;
    assert_ne!(identity, JournalId(0));
    for kind in [RecordKind::Open, RecordKind::MayGo] {
        journal.append(&record(kind, identity, 1)).expect("written");
    }
    drop(journal);
    let journal = open(&folder.journal());
    let summary = journal.summary();
    assert_eq!((summary.identity, summary.floor, summary.records), (identity, 1, 2));
    assert_eq!(summary.source.open, Some(AttemptId { journal: identity, counter: 1 }));
    assert_eq!(summary.source.may_go, Some((JournalId(77), Incarnation(88))));
}

#[test]
fn a_torn_tail_is_as_if_never_written_and_is_written_over() {
    let folder = Folder::new("torn");
    let path = folder.journal();
    let mut journal = open(&path);
    let id = journal.summary().identity;
    for (kind, counter) in [(RecordKind::Open, 1), (RecordKind::Aborted, 1), (RecordKind::Open, 2)] {
        journal.append(&record(kind, id, counter)).expect("written");
    }
    drop(journal);
    let whole = fs::read(&path).expect("the file");
    for cut in 1..=SLOT {
        fs::write(&path, &whole[..whole.len() - cut]).expect("cut");
        let mut journal = open(&path);
        assert_eq!(journal.summary().floor, 1, "cut by {cut}: attempt 2 was never announced");
        journal.append(&record(RecordKind::Open, id, 2)).expect("written");
        drop(journal);
        assert_eq!(open(&path).summary().floor, 2, "cut by {cut}");
    }
    // A tail of the right length whose bytes are not right is torn as well.
    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&path, &damaged).expect("damage");
    assert_eq!(open(&path).summary().records, 2);
}

#[test]
fn damage_before_the_end_is_not_taken_for_a_torn_tail() {
    let folder = Folder::new("damaged");
    let path = folder.journal();
    let mut journal = open(&path);
    let id = journal.summary().identity;
    for counter in 1..=3 {
        journal.append(&record(RecordKind::Open, id, counter)).expect("written");
    }
    drop(journal);
    let file = fs::OpenOptions::new().write(true).open(&path).expect("the file");
    file.write_all_at(&[0xee], 2 * SLOT as u64 + 20).expect("damage");
    let error = JournalFile::open(&path, Durability::Process).expect_err("damage is an error");
    assert!(matches!(error, JournalError::Damaged { at: 128, .. }), "{error}");
    assert!(error.to_string().contains("find out where the guest runs"), "{error}");
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let folder = Folder::new("foreign");
    for contents in [&b"[contracts]\nvcpus = 3\n"[..], &[b'x'; 4096], &[0xff; 12]] {
        fs::write(folder.journal(), contents).expect("written");
        let error = JournalFile::open(&folder.journal(), Durability::Process).expect_err("not a journal");
        assert!(matches!(error, JournalError::Foreign { .. }), "{error}");
        assert_eq!(fs::read(folder.journal()).expect("still there"), contents);
    }
}

#[test]
fn a_journal_whose_making_was_cut_short_is_made_again() {
    let folder = Folder::new("unmade");
    let whole = {
        open(&folder.journal());
        fs::read(folder.journal()).expect("the file")
    };
    for length in [0, 3, 10, 40, SLOT - 1] {
        fs::write(folder.journal(), &whole[..length]).expect("cut");
        assert_eq!(open(&folder.journal()).summary().records, 0, "{length} bytes");
    }
}

// [SW-9]
#[test]
fn h23_a_second_agent_on_the_same_journal_is_refused_and_told_by_whom() {
    let folder = Folder::new("h23");
    let first = open(&folder.journal());
    let error = JournalFile::open(&folder.journal(), Durability::Process).expect_err("locked");
    let text = error.to_string();
    assert!(matches!(error, JournalError::InUse { .. }), "{text}");
    assert!(text.contains(&format!("by process {}", std::process::id())), "{text}");
    assert!(text.contains("--journal"), "{text}");
    drop(first);
    drop(open(&folder.journal()));
}

#[test]
fn h23_a_journal_replaced_under_its_agent_takes_no_more_records() {
    let folder = Folder::new("replaced");
    let mut journal = open(&folder.journal());
    let id = journal.summary().identity;
    journal.append(&record(RecordKind::Open, id, 1)).expect("written");
    fs::remove_file(folder.journal()).expect("removed");
    let second = open(&folder.journal());
    assert_ne!(second.summary().identity, id, "another journal, and so another name");
    let error = journal.append(&record(RecordKind::MayGo, id, 1)).expect_err("nobody would find it");
    assert!(matches!(error, JournalError::Replaced { .. }), "{error}");
}

// [SW-3]
#[test]
fn h10_a_lost_journal_comes_back_with_another_identity() {
    let folder = Folder::new("h10");
    let before = open(&folder.journal()).summary().identity;
    fs::remove_file(folder.journal()).expect("removed");
    assert_ne!(open(&folder.journal()).summary().identity, before);
}

// [SW-1]
#[test]
fn h12_a_long_journal_is_compacted_and_forgets_no_number() {
    let folder = Folder::new("compact");
    let mut journal = open(&folder.journal());
    let id = journal.summary().identity;
    for counter in 1..=2500 {
        journal.append(&record(RecordKind::Open, id, counter)).expect("written");
        journal.append(&record(RecordKind::Aborted, id, counter)).expect("written");
    }
    journal.append(&record(RecordKind::Running, JournalId(5), 9)).expect("written");
    drop(journal);
    let before = fs::metadata(folder.journal()).expect("there").len();
    let mut journal = open(&folder.journal());
    let after = fs::metadata(folder.journal()).expect("there").len();
    assert!(after < 8 * SLOT as u64 && before > 5000 * SLOT as u64, "{before} to {after} bytes");
    assert_eq!((journal.summary().identity, journal.summary().floor), (id, 2500));
    assert_eq!(journal.summary().source.open.map(|open| open.counter), Some(2500));
    assert_eq!(journal.summary().destination.running.map(|(attempt, _)| attempt.counter), Some(9));
    assert!(JournalFile::open(&folder.journal(), Durability::Process).is_err(), "still locked");
    journal.append(&record(RecordKind::Open, id, 2501)).expect("written");
    drop(journal);
    assert_eq!(open(&folder.journal()).summary().floor, 2501);
}

/// The rules of a restart, read straight off the list of records and not as the summary computes them.
fn expected(records: &[Record], id: JournalId) -> Summary {
    let of = |kind: RecordKind, attempt: AttemptId| {
        records.iter().rev().find(|r| r.kind == kind && r.attempt == attempt)
    };
    let after = |kind: RecordKind, attempt: AttemptId| {
        records.iter().rposition(|r| r.kind == kind && r.attempt == attempt)
    };
    let mut summary = Summary { identity: id, records: records.len() as u64, ..Summary::default() };
    summary.floor =
        records.iter().filter(|r| r.attempt.journal == id).map(|r| r.attempt.counter).max().unwrap_or(0);
    summary.source.identity = id;
    summary.destination.identity = id;
    if let Some(open) = records.iter().rev().find(|r| r.kind == RecordKind::Open).map(|r| r.attempt) {
        let since = records.iter().rposition(|r| r.kind == RecordKind::Open).unwrap_or(0);
        let tail = &records[since..];
        let said = |kind| tail.iter().rev().find(|r: &&Record| r.kind == kind && r.attempt == open);
        summary.source.open = Some(open);
        summary.source.may_go = said(RecordKind::MayGo).map(|r| (r.peer, r.incarnation));
        summary.source.committed = said(RecordKind::Committed).is_some();
        summary.source.fenced = said(RecordKind::Fenced).is_some();
    }
    if let Some(running) = records.iter().rev().find(|r| r.kind == RecordKind::Running) {
        let at = after(RecordKind::Running, running.attempt);
        let ended =
            [RecordKind::Refused, RecordKind::Finished].into_iter().any(|k| after(k, running.attempt) > at);
        if !ended {
            summary.destination.running = Some((running.attempt, running.instance));
        }
    }
    if let Some(claim) = records.iter().rev().find(|r| r.kind == RecordKind::Claiming).map(|r| r.attempt) {
        let finished = after(RecordKind::Finished, claim) > after(RecordKind::Claiming, claim);
        let runs = summary.destination.running.is_some_and(|(attempt, _)| attempt == claim);
        if !finished && !runs {
            summary.destination.claiming = of(RecordKind::Claiming, claim).map(|r| r.attempt);
        }
    }
    summary
}

#[test]
fn every_combination_of_records_is_read_back_by_the_rules() {
    use RecordKind as K;
    let id = JournalId(42);
    let kinds = [
        K::Open,
        K::MayGo,
        K::Committed,
        K::Fenced,
        K::Aborted,
        K::Running,
        K::Refused,
        K::Claiming,
        K::Finished,
    ];
    // Up to four records, each of one of two attempts: 18 + 18^2 + 18^3 + 18^4 sequences.
    let alphabet: Vec<Record> =
        kinds.into_iter().flat_map(|kind| [1, 2].map(|counter| record(kind, id, counter))).collect();
    let mut checked = 0_u32;
    for length in 0..=4_u32 {
        for number in 0..alphabet.len().pow(length) {
            let records: Vec<Record> = (0..length)
                .map(|place| alphabet[number / alphabet.len().pow(place) % alphabet.len()])
                .collect();
            let summary = Summary::of(id, 0, &records);
            assert_eq!(summary, expected(&records, id), "{records:?}");
            checked += 1;
        }
    }
    println!("{checked} sequences");
}

#[test]
fn the_port_posts_and_answers_once_the_record_is_in_the_file() {
    let folder = Folder::new("port");
    let file = open(&folder.journal());
    let id = file.summary().identity;
    let mut port = JournalPort::start(file, Wake::none()).expect("a helper");
    let began = Instant::now();
    for counter in 1..=3 {
        let open = record(RecordKind::Open, id, counter);
        while port.write(&open) == Err(nb::Error::WouldBlock) {
            assert!(began.elapsed() < Duration::from_secs(5), "stuck");
            std::thread::yield_now();
        }
        assert_eq!(
            fs::metadata(folder.journal()).expect("there").len(),
            (u64::from(counter) + 1) * SLOT as u64
        );
    }
    fs::remove_file(folder.journal()).expect("removed");
    let lost = record(RecordKind::MayGo, id, 3);
    let result = loop {
        match port.write(&lost) {
            Err(nb::Error::WouldBlock) => std::thread::yield_now(),
            result => break result,
        }
    };
    assert!(result.is_err());
    assert!(port.last_error().is_some_and(|text| text.contains("removed or replaced")));
}
