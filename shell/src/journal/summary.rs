//! What a journal's records amount to, for a machine that starts from them.

use std::collections::BTreeMap;

use switchover_core::id::{AttemptId, JournalId};
use switchover_core::journal::{DestinationJournal, Record, RecordKind, SourceJournal};

/// A journal, read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// The journal's identity.
    pub identity: JournalId,
    /// The highest attempt counter that this journal has ever given out: the next one is above it (\[SW-1\]).
    pub floor: u32,
    /// For a source.
    pub source: SourceJournal,
    /// For a destination.
    pub destination: DestinationJournal,
    /// Records that are in the file.
    pub records: u64,
}

impl Summary {
    /// What `records`, in their order, amount to in a journal of that identity.
    #[must_use]
    pub fn of(identity: JournalId, floor: u32, records: &[Record]) -> Self {
        let mut summary = Summary { identity, floor, records: records.len() as u64, ..Summary::default() };
        summary.source.identity = identity;
        summary.destination.identity = identity;
        let mut claimed = None;
        for record in records {
            summary.take(record, &mut claimed);
        }
        // A claim is settled by the Running record of its attempt; a Refused record that superseded it leaves the
        // claim to be yielded.
        let runs = summary.destination.running.map(|(attempt, _)| attempt);
        summary.destination.claiming = claimed.filter(|attempt| Some(*attempt) != runs);
        summary
    }

    fn take(&mut self, record: &Record, claimed: &mut Option<AttemptId>) {
        let attempt = record.attempt;
        if attempt.journal == self.identity {
            self.floor = self.floor.max(attempt.counter);
        }
        let latest = self.source.open == Some(attempt);
        let runs = self.destination.running.is_some_and(|(running, _)| running == attempt);
        match record.kind {
            RecordKind::Open => {
                self.source =
                    SourceJournal { identity: self.identity, open: Some(attempt), ..SourceJournal::default() }
            }
            RecordKind::MayGo if latest => self.source.may_go = Some((record.peer, record.incarnation)),
            RecordKind::Committed if latest => self.source.committed = true,
            RecordKind::Fenced if latest => self.source.fenced = true,
            RecordKind::MayGo | RecordKind::Committed | RecordKind::Fenced | RecordKind::Aborted => {}
            RecordKind::Running => self.destination.running = Some((attempt, record.instance)),
            RecordKind::Refused if runs => self.destination.running = None,
            RecordKind::Claiming => *claimed = Some(attempt),
            RecordKind::Finished => {
                if runs {
                    self.destination.running = None;
                }
                if *claimed == Some(attempt) {
                    *claimed = None;
                }
            }
            RecordKind::Refused => {}
        }
    }
}

/// The records that a compacted journal keeps: those that [`Summary::of`] still hears something from.
pub(super) fn essential(summary: &Summary, records: &[Record]) -> Vec<Record> {
    let attempts = [
        summary.source.open,
        summary.destination.running.map(|(attempt, _)| attempt),
        summary.destination.claiming,
    ];
    let mut last_of: BTreeMap<(AttemptId, u8), usize> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        if attempts.contains(&Some(record.attempt)) {
            // One of each kind is enough, the last: repeats say nothing more.
            last_of.insert((record.attempt, record.kind as u8), index);
        }
    }
    let mut kept: Vec<usize> = last_of.into_values().collect();
    kept.sort_unstable();
    kept.into_iter().filter_map(|index| records.get(index).copied()).collect()
}
