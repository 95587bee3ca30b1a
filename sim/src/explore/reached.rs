//! What must be reached: an exploration that finds nothing wrong proves nothing where nothing happens.

use switchover_core::action::{Alarm, DestinationAction, Note, SourceAction};
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::Op;
use switchover_core::wire::message::Refusal;

/// An outcome, or something on the way to one.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[expect(missing_docs, reason = "the first rows are the endings and reasons of those names")]
pub enum Reached {
    Committed,
    Lost,
    Cancelled,
    NotAdmitted,
    PeerLost,
    PeerChanged,
    Doomed,
    TooLate,
    PortFailed,
    JournalFailed,
    Digest,
    Fenced,
    ClaimWon,
    Restarted,
    RefusedBusy,
    RefusedOld,
    RefusedSuperseded,
    RefusedDigest,
    RefusedPortFailed,
    RefusedLimitReached,
    RefusedLeaseEnded,
    RefusedTooLate,
    RefusedClaimLost,
    RefusedJournalFailed,
    RefusedLinkLost,
    RefusedSilent,
    RefusedCancelled,
    RefusedAborted,
    RefusedAsked,
    RefusedNoRecord,
    RefusedOther,
    /// The source does not know where the guest runs.
    InDoubt,
    /// An attempt after the first committed.
    CommittedLater,
    /// A later attempt found the destination's memory warm.
    Warm,
    /// A `Running` record was superseded before any vCPU ran.
    Superseded,
    /// A restarted destination ran the guest of its record.
    RolledForward,
    /// A destination heard `Fin`.
    Finished,
    /// A destination gave the run back.
    Yielded,
    /// The source claimed and the destination had it.
    ClaimLost,
    /// The destination said that it was deciding.
    PeerDecides,
    /// The destination could not say: not its journal.
    Stranger,
    /// A cancel after `Go` was handed on as a request.
    CancelRequested,
    /// An operator's word came when it had no effect.
    Ineffective,
    /// `Running` was read where that cannot be, but for a false fence or an old message.
    RunsElsewhere,
    /// A device did not come back.
    DeviceLost,
    /// vCPUs did not come back at once.
    RollbackFailed,
    /// A restarted destination's guest did not run at once.
    ResumeFailed,
}

impl Reached {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::Committed,
        Self::Lost,
        Self::Cancelled,
        Self::NotAdmitted,
        Self::PeerLost,
        Self::PeerChanged,
        Self::Doomed,
        Self::TooLate,
        Self::PortFailed,
        Self::JournalFailed,
        Self::Digest,
        Self::Fenced,
        Self::ClaimWon,
        Self::Restarted,
        Self::RefusedBusy,
        Self::RefusedOld,
        Self::RefusedSuperseded,
        Self::RefusedDigest,
        Self::RefusedPortFailed,
        Self::RefusedLimitReached,
        Self::RefusedLeaseEnded,
        Self::RefusedTooLate,
        Self::RefusedClaimLost,
        Self::RefusedJournalFailed,
        Self::RefusedLinkLost,
        Self::RefusedSilent,
        Self::RefusedCancelled,
        Self::RefusedAborted,
        Self::RefusedAsked,
        Self::RefusedNoRecord,
        Self::RefusedOther,
        Self::InDoubt,
        Self::CommittedLater,
        Self::Warm,
        Self::Superseded,
        Self::RolledForward,
        Self::Finished,
        Self::Yielded,
        Self::ClaimLost,
        Self::PeerDecides,
        Self::Stranger,
        Self::CancelRequested,
        Self::Ineffective,
        Self::RunsElsewhere,
        Self::DeviceLost,
        Self::RollbackFailed,
        Self::ResumeFailed,
    ];
}

/// The most that there can be.
const MAX: usize = 64;

/// Where each was reached first.
#[derive(Clone)]
pub(super) struct Firsts([Option<u32>; MAX]);

impl Firsts {
    pub(super) const fn new() -> Self {
        Self([None; MAX])
    }

    /// Reached on the way out of that state.
    pub(super) fn at(&mut self, what: Reached, state: u32) {
        self.0[what as usize].get_or_insert(state);
    }

    /// All that was reached.
    pub(super) fn all(&self) -> Vec<Reached> {
        Reached::ALL.iter().copied().filter(|what| self.0[*what as usize].is_some()).collect()
    }

    /// What an action of the source's shows; `counter` is that of its attempt.
    pub(super) fn source(&mut self, action: &SourceAction, counter: u32, state: u32) {
        let note = match action {
            SourceAction::Note(note) => note,
            SourceAction::Round { fresh: false, .. } => return self.at(Reached::Warm, state),
            _ => return,
        };
        let what = match note {
            Note::Ended(ended) => match ended.ending {
                Ending::Committed => {
                    if counter > 1 {
                        self.at(Reached::CommittedLater, state);
                    }
                    Reached::Committed
                }
                Ending::Lost => Reached::Lost,
                Ending::Aborted(reason) => of_reason(reason),
            },
            Note::InDoubt => Reached::InDoubt,
            Note::PeerDecides => Reached::PeerDecides,
            Note::DeviceLost(_) => Reached::DeviceLost,
            Note::Alarm(alarm) => of_alarm(*alarm),
            _ => return,
        };
        self.at(what, state);
    }

    /// What an action of the destination's shows.
    pub(super) fn destination(&mut self, action: &DestinationAction, state: u32) {
        use switchover_core::journal::RecordKind;
        let what = match action {
            DestinationAction::Write(record) if record.kind == RecordKind::Refused => Reached::Superseded,
            DestinationAction::Note(Note::Finished) => Reached::Finished,
            DestinationAction::Note(Note::Alarm(alarm)) => of_alarm(*alarm),
            _ => return,
        };
        self.at(what, state);
    }

    /// A restarted destination's first actions.
    pub(super) fn restarted(&mut self, actions: &[DestinationAction], state: u32) {
        if actions.iter().any(|action| matches!(action, DestinationAction::Ask(Op::Resume, _))) {
            self.at(Reached::RolledForward, state);
        }
    }
}

fn of_alarm(alarm: Alarm) -> Reached {
    match alarm {
        Alarm::RunsElsewhere => Reached::RunsElsewhere,
        Alarm::Ineffective => Reached::Ineffective,
        Alarm::RollbackFailed => Reached::RollbackFailed,
        Alarm::ResumeFailed => Reached::ResumeFailed,
        Alarm::JournalFailed => Reached::JournalFailed,
    }
}

fn of_reason(reason: Reason) -> Reached {
    match reason {
        Reason::Cancelled => Reached::Cancelled,
        Reason::NotAdmitted | Reason::LimitTooSmall(_) => Reached::NotAdmitted,
        Reason::PeerLost => Reached::PeerLost,
        Reason::PeerChanged => Reached::PeerChanged,
        Reason::Doomed => Reached::Doomed,
        Reason::TooLate => Reached::TooLate,
        Reason::PortFailed => Reached::PortFailed,
        Reason::JournalFailed => Reached::JournalFailed,
        Reason::Digest => Reached::Digest,
        Reason::Fenced => Reached::Fenced,
        Reason::ClaimWon => Reached::ClaimWon,
        Reason::Restarted => Reached::Restarted,
        Reason::Refused(refusal) => of_refusal(refusal),
    }
}

fn of_refusal(refusal: Refusal) -> Reached {
    match refusal {
        Refusal::Busy => Reached::RefusedBusy,
        Refusal::Old => Reached::RefusedOld,
        Refusal::Superseded => Reached::RefusedSuperseded,
        Refusal::Digest => Reached::RefusedDigest,
        Refusal::PortFailed => Reached::RefusedPortFailed,
        Refusal::LimitReached => Reached::RefusedLimitReached,
        Refusal::LeaseEnded => Reached::RefusedLeaseEnded,
        Refusal::TooLate => Reached::RefusedTooLate,
        Refusal::ClaimLost => Reached::RefusedClaimLost,
        Refusal::JournalFailed => Reached::RefusedJournalFailed,
        Refusal::LinkLost => Reached::RefusedLinkLost,
        Refusal::Silent => Reached::RefusedSilent,
        Refusal::Cancelled => Reached::RefusedCancelled,
        Refusal::Aborted => Reached::RefusedAborted,
        Refusal::Asked => Reached::RefusedAsked,
        Refusal::NoRecord => Reached::RefusedNoRecord,
        Refusal::Version | Refusal::Layout | Refusal::Arbiter | Refusal::Incarnation | Refusal::Protocol => {
            Reached::RefusedOther
        }
    }
}
