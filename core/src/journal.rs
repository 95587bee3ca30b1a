//! The few records that make a decision durable before it is acted upon.
//!
//! A journal is a host's: it makes records durable in the order in which they were
//! asked for, and on a restart reads them back into a [`SourceJournal`] or a
//! [`DestinationJournal`]. What "durable" means (the process's death, the host's) is
//! the host's choice and statement.

use serde::{Deserialize, Serialize};

use crate::id::{AttemptId, GuestInstance, Incarnation, JournalId};

/// What a record says.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum RecordKind {
    /// Source: attempt n exists; before its Hello.
    Open,
    /// Source: n may run on the destination; before Go.
    MayGo,
    /// Source: n runs on the destination; before Fin.
    Committed,
    /// Source: an operator fenced the destination's host; before that rollback.
    Fenced,
    /// Source: n was aborted; for the log only, nothing waits for it.
    Aborted,
    /// Destination: n runs here; before the first vCPU executes.
    Running,
    /// Destination: supersedes Running; no vCPU has executed.
    Refused,
    /// Destination: a claim for n is about to be sent; a restart has to yield it.
    Claiming,
    /// Destination: the source has let go; the record of n may be forgotten.
    Finished,
}

/// One fixed-size record.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Record {
    /// What it says.
    pub kind: RecordKind,
    /// Of which attempt.
    pub attempt: AttemptId,
    /// The destination's journal, as far as the writer knows it.
    pub peer: JournalId,
    /// The destination's incarnation, likewise.
    pub incarnation: Incarnation,
    /// Destination: the guest the record speaks of.
    pub instance: GuestInstance,
}

/// What a source's journal says after a restart: the latest `Open` and what followed it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SourceJournal {
    /// The journal's identity.
    pub identity: JournalId,
    /// The latest attempt, if any.
    pub open: Option<AttemptId>,
    /// With whom, if `MayGo` was written for it.
    pub may_go: Option<(JournalId, Incarnation)>,
    /// `Committed` was written for it.
    pub committed: bool,
    /// `Fenced` was written for it.
    pub fenced: bool,
}

/// What a destination's journal says after a restart.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DestinationJournal {
    /// The journal's identity.
    pub identity: JournalId,
    /// A `Running` record that neither `Refused` superseded nor `Finished` ended.
    pub running: Option<(AttemptId, GuestInstance)>,
    /// A claim that was about to be sent for an attempt that has no such record.
    pub claiming: Option<AttemptId>,
}

/// What a restarted source sees of its guest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum SourceGuest {
    /// It runs.
    Running,
    /// It exists, stopped.
    Stopped,
    /// It does not exist.
    Gone,
}

/// What a restarted destination sees of its guest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum DestinationGuest {
    /// That instance runs.
    Running(GuestInstance),
    /// That instance exists and has not run, or is paused.
    Paused(GuestInstance),
    /// There is none.
    Gone,
}
