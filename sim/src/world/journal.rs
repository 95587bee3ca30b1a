//! A host's journal: what its records amount to, and those that wait to be written.

use heapless::Deque;
use switchover_core::id::{AttemptId, GuestInstance, JournalId};
use switchover_core::journal::{DestinationJournal, Record, RecordKind, SourceJournal};
use switchover_core::limits::RECORDS_MAX;

/// Records asked for and not begun: what a host holds, and one a decision more for a restart.
const WAITING: usize = 2 * RECORDS_MAX;

/// One journal.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    identity: JournalId,
    waiting: Deque<Record, WAITING>,
    source: SourceJournal,
    running: Option<(AttemptId, GuestInstance)>,
    claiming: Option<AttemptId>,
    /// What it amounted to before the latest record.
    before: (SourceJournal, Option<(AttemptId, GuestInstance)>, Option<AttemptId>),
}

impl Journal {
    pub(super) fn new(identity: JournalId) -> Self {
        Self {
            identity,
            waiting: Deque::new(),
            source: SourceJournal { identity, ..SourceJournal::default() },
            running: None,
            claiming: None,
            before: (SourceJournal { identity, ..SourceJournal::default() }, None, None),
        }
    }

    /// A record is asked for. Returns `false` when there is no room for it: it is then as if it could not be written.
    pub(super) fn ask(&mut self, record: Record) -> bool {
        self.waiting.push_back(record).is_ok()
    }

    /// The next record to write.
    pub(super) fn next(&mut self) -> Option<Record> {
        self.waiting.pop_front()
    }

    /// What waits is lost with its process.
    pub(super) fn drop_waiting(&mut self) {
        self.waiting.clear();
    }

    /// A record is durable.
    pub(super) fn take(&mut self, record: &Record) {
        self.before = (self.source, self.running, self.claiming);
        let attempt = record.attempt;
        let latest = self.source.open == Some(attempt);
        let runs = self.running.is_some_and(|(running, _)| running == attempt);
        match record.kind {
            RecordKind::Open => {
                self.source = SourceJournal {
                    identity: self.identity,
                    open: Some(attempt),
                    ..SourceJournal::default()
                };
            }
            RecordKind::MayGo if latest => self.source.may_go = Some((record.peer, record.incarnation)),
            RecordKind::Committed if latest => self.source.committed = true,
            RecordKind::Fenced if latest => self.source.fenced = true,
            RecordKind::MayGo | RecordKind::Committed | RecordKind::Fenced | RecordKind::Aborted => {}
            RecordKind::Running => self.running = Some((attempt, record.instance)),
            RecordKind::Refused if runs => self.running = None,
            RecordKind::Refused => {}
            RecordKind::Claiming => self.claiming = Some(attempt),
            RecordKind::Finished => {
                if runs {
                    self.running = None;
                }
                if self.claiming == Some(attempt) {
                    self.claiming = None;
                }
            }
        }
    }

    /// The latest record was not durable after all.
    pub(super) fn lose_latest(&mut self) {
        (self.source, self.running, self.claiming) = self.before;
    }

    /// For a source that starts.
    pub(super) fn for_source(&self) -> SourceJournal {
        self.source
    }

    /// For a destination that starts. A claim is settled by the `Running` record of its attempt.
    pub(super) fn for_destination(&self) -> DestinationJournal {
        let runs = self.running.map(|(attempt, _)| attempt);
        DestinationJournal {
            identity: self.identity,
            running: self.running,
            claiming: self.claiming.filter(|attempt| Some(*attempt) != runs),
        }
    }
}
