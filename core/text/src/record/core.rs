//! The core's record of an attempt, in the words of the JSON record.

use switchover_core::admission::Verdict;
use switchover_core::contract::Origin;
use switchover_core::id::AttemptId;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::Blame;
use switchover_core::record::{AttemptRecord as Kept, PhaseRow};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::Refusal;

use super::{Admission, AttemptRecord, Offender, Outcome, PhaseRecord, Term, attempt_id};
use crate::contracts::Provenance;

/// The name of an attempt, for records and people.
#[must_use]
pub fn id(attempt: AttemptId) -> String {
    attempt_id(attempt.journal.0, attempt.counter.into())
}

impl From<Origin> for Provenance {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Declared => Self::Declared,
            Origin::Calibrated => Self::Calibrated,
            Origin::Learned => Self::Learned,
        }
    }
}

impl From<Provenance> for Origin {
    fn from(provenance: Provenance) -> Self {
        match provenance {
            Provenance::Declared => Self::Declared,
            Provenance::Calibrated => Self::Calibrated,
            Provenance::Learned => Self::Learned,
        }
    }
}

impl From<Blame> for Offender {
    fn from(blame: Blame) -> Self {
        Offender { side: blame.side.into(), port: blame.port.into(), phase: blame.phase.into() }
    }
}

impl AttemptRecord {
    /// What was kept of an attempt, as of `now` on the keeper's clock: one that goes on is in doubt, or is told as it
    /// would be if it ended here.
    #[must_use]
    pub fn of<const P: usize>(kept: &Kept<P>, hard_limit: Ns, now: At) -> Self {
        let (outcome, reason, offender) = match kept.ended {
            Some(ended) => match ended.ending {
                Ending::Committed => (Outcome::Committed, None, ended.offender),
                Ending::Aborted(reason) => (Outcome::Aborted, Some(self::reason(reason)), ended.offender),
                Ending::Lost => (Outcome::Lost, Some("lost"), ended.offender),
            },
            None if kept.go.is_some() && kept.runs.is_none() => (Outcome::InDoubt, Some("no_answer"), None),
            None => {
                let (reason, offender) = kept
                    .aborting
                    .map_or((None, None), |(reason, offender)| (Some(self::reason(reason)), offender));
                (Outcome::Aborted, reason, offender)
            }
        };
        let mut record = AttemptRecord::new(id(kept.attempt), outcome);
        record.reason = reason.map(String::from);
        record.phases = kept.phases.iter().map(|row| phase(row, kept)).collect();
        // Told in the order of time; rows come in the order in which they ended.
        record.phases.sort_by_key(|row| (row.start_ns, row.phase));
        record.admission = kept.verdict.as_ref().map(admission);
        if let Some(stopping) = kept.stopping {
            record.go_by_ns = kept.verdict.map(|verdict| verdict.go_by.get());
            match outcome {
                // Its end is not known.
                Outcome::InDoubt | Outcome::Lost => record.downtime_ns = None,
                Outcome::Committed | Outcome::Aborted => {
                    let blackout =
                        if kept.ended.is_some() { kept.blackout(now) } else { now.since(stopping) };
                    record = record.with_downtime(blackout.get(), hard_limit.get());
                }
            }
        }
        // A commit within the limit has nobody to blame, whoever was slower than planned.
        let broke = record.slack_ns.is_some_and(|slack| slack < 0);
        record.offender = offender.filter(|_| outcome != Outcome::Committed || broke).map(Offender::from);
        record.bytes = kept.precopied.plus(kept.last_pages).get();
        record.stop_copy_bytes = kept.last_pages.get();
        record.rounds = kept.rounds;
        record
    }
}

fn phase<const P: usize>(row: &PhaseRow, kept: &Kept<P>) -> PhaseRecord {
    let start = kept.stopping.map(|t0| {
        let began = i128::from(row.ended.as_ns()) - i128::from(row.measured.get()) - i128::from(t0.as_ns());
        i64::try_from(began).unwrap_or(i64::MIN)
    });
    PhaseRecord {
        side: row.side.into(),
        port: row.port.into(),
        phase: row.phase.into(),
        start_ns: start,
        planned_ns: Some(row.planned.get()).filter(|planned| *planned > 0),
        measured_ns: Some(row.measured.get()),
    }
}

/// A verdict, written out.
#[must_use]
pub fn admission(verdict: &Verdict) -> Admission {
    let peer = verdict.peer_origin.into();
    let delay = verdict.traffic.delay_origin.into();
    let transfer = Term {
        bytes: Some(verdict.traffic.left.get()),
        bytes_per_second: Some(verdict.traffic.rate.get()),
        ..Term::time("transfer", verdict.transfer.get(), verdict.traffic.rate_origin.into())
    };
    Admission {
        admitted: verdict.fits,
        predicted_ns: verdict.downtime().get(),
        downtime_limit_ns: verdict.limit.get(),
        terms: vec![
            Term::time("stop", verdict.stop.get(), verdict.stop_origin.into()),
            Term::time("save", verdict.save.get(), verdict.save_origin.into()),
            transfer,
            Term::time("load", verdict.load.get(), peer),
            Term::time("seal", verdict.own_seal.plus(verdict.seal).get(), peer),
            Term::time("ready", verdict.ready.get(), delay),
            Term::time("go", verdict.go.get(), delay),
            Term::time("resume", verdict.resume.get(), peer),
        ],
    }
}

/// A reason in one word; a refusal of the destination's carries its own.
#[must_use]
pub fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Cancelled => "cancelled",
        Reason::NotAdmitted => "not_admitted",
        Reason::LimitTooSmall(_) => "limit_too_small",
        Reason::PeerLost => "peer_lost",
        Reason::PeerChanged => "peer_changed",
        Reason::Doomed => "doomed",
        Reason::TooLate => "too_late",
        Reason::PortFailed => "port_failed",
        Reason::JournalFailed => "journal_failed",
        Reason::Digest => "digest_mismatch",
        Reason::Fenced => "fenced",
        Reason::ClaimWon => "claim_won",
        Reason::Restarted => "restarted",
        Reason::Refused(refusal) => match refusal {
            Refusal::Busy => "refused_busy",
            Refusal::Old => "refused_old",
            Refusal::Version => "refused_version",
            Refusal::Layout => "refused_layout",
            Refusal::Arbiter => "refused_arbiter",
            Refusal::Incarnation => "refused_incarnation",
            Refusal::Superseded => "refused_superseded",
            Refusal::Digest => "refused_digest",
            Refusal::PortFailed => "refused_port_failed",
            Refusal::LimitReached => "refused_limit_reached",
            Refusal::LeaseEnded => "refused_lease_ended",
            Refusal::TooLate => "refused_too_late",
            Refusal::ClaimLost => "refused_claim_lost",
            Refusal::JournalFailed => "refused_journal_failed",
            Refusal::LinkLost => "refused_link_lost",
            Refusal::Silent => "refused_silent",
            Refusal::Cancelled => "refused_cancelled",
            Refusal::Aborted => "refused_aborted",
            Refusal::Asked => "refused_asked",
            Refusal::NoRecord => "refused_no_record",
            Refusal::Protocol => "refused_protocol",
        },
    }
}
