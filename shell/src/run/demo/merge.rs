//! The record of a run from what both processes said and how each of them ended. Pure.
//!
//! | source | destination | the run |
//! |---|---|---|
//! | had its last word | ended as told, or died after an abort, or in doubt | as the source says, with the destination's rows |
//! | had its last word: committed | died since | lost: the guest was in it |
//! | died | runs the guest | committed; its downtime is the destination's |
//! | died | does not run it, or died too | lost: neither process is there to run it |
//!
//! The destination's downtime of a run whose source died goes from `Stopping` read to the guest running: less than the
//! guest felt by the way of one message, a lower bound.
//!
//! A guest lives in a process, and the parent has seen each of them end: so a guest whose last process died is lost, not
//! in doubt, whatever was under way.

use crate::exit_code::ExitCode;
use crate::record::{AttemptRecord, Offender, Outcome, PhaseRecord, RunRecord};
use crate::report::{Report, Standing};
use crate::words::{Phase, Side};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself, with this code.
    Exited(i32),
    /// Because it was told to, when all had been said.
    Dismissed,
    /// By a signal that nobody here sent.
    Killed(i32),
}

/// What a process said, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Its last snapshot's standing.
    pub standing: Option<Standing>,
    /// The record as it last told it.
    pub record: Option<RunRecord>,
    /// The exit code that it announced, if it came to that.
    pub finished: Option<ExitCode>,
    /// How it ended; `None` while it has not.
    pub end: Option<End>,
}

impl Told {
    /// Takes a report in.
    pub fn take(&mut self, report: Report) {
        match report {
            Report::Listening { .. } => {}
            Report::Snapshot { standing, record, .. } => {
                self.standing = Some(standing);
                self.record = Some(*record);
            }
            Report::Finished { record, exit } => {
                self.record = Some(*record);
                self.finished = Some(exit);
            }
        }
    }

    /// Whether it died before it was done: its last report is not its last word.
    pub fn died(&self) -> bool {
        match self.end {
            Some(End::Killed(_)) => true,
            Some(End::Exited(_)) => self.finished.is_none(),
            Some(End::Dismissed) | None => false,
        }
    }

    /// Whether the guest runs in this process, as far as it said.
    pub fn runs(&self) -> bool {
        self.standing == Some(Standing::Runs)
    }
}

/// What both said, as one.
pub(super) fn merge(source: &Told, destination: &Told, hard_limit_ns: u64) -> RunRecord {
    let there = !destination.died() && destination.runs();
    let (outcome, mut attempts) = if source.died() {
        let outcome = if there { Outcome::Committed } else { Outcome::Lost };
        (outcome, without_source(source, destination, outcome, hard_limit_ns))
    } else {
        let said = source.record.as_ref();
        // Without a word there was no attempt, and the guest is where it was.
        let outcome = said.map_or(Outcome::Aborted, |record| record.outcome);
        let attempts = said.map_or(Vec::new(), |record| record.attempts.clone());
        match outcome {
            Outcome::Committed if destination.died() => {
                (Outcome::Lost, ended_as(attempts, Outcome::Lost, "destination_died", None))
            }
            // Cannot be. If it is, nobody may read that all is well.
            Outcome::Aborted if there && last_committed(destination) => {
                (Outcome::InDoubt, ended_as(attempts, Outcome::InDoubt, "both_run_it", None))
            }
            outcome => (outcome, attempts),
        }
    };
    for attempt in &mut attempts {
        let theirs = destination.record.as_ref().and_then(|record| same(record, attempt));
        if let Some(theirs) = theirs {
            enrich(attempt, theirs);
        }
        blame(attempt, theirs);
    }
    let mut record = RunRecord::new(outcome, hard_limit_ns, attempts);
    if matches!(outcome, Outcome::Lost | Outcome::InDoubt) {
        // Also without an attempt to say so.
        (record.downtime_ns, record.blackout_ns) = (None, None);
    }
    if outcome == Outcome::Committed
        && let Some(said) = source.record.as_ref().filter(|said| said.outcome == Outcome::Committed)
    {
        record.downtime_estimate_ns = said.downtime_estimate_ns;
        record.downtime_estimate_error_ns = said.downtime_estimate_error_ns;
    }
    // Failures are counted in the guest's memory, which goes along: who had it last has the larger number.
    let failures = |told: &Told| told.record.as_ref().and_then(|record| record.self_check_failures);
    record.self_check_failures = failures(source).max(failures(destination));
    record
}

fn same<'a>(record: &'a RunRecord, attempt: &AttemptRecord) -> Option<&'a AttemptRecord> {
    record.attempts.iter().rfind(|theirs| theirs.id == attempt.id)
}

fn last_committed(told: &Told) -> bool {
    told.record
        .as_ref()
        .and_then(|record| record.attempts.last())
        .is_some_and(|last| last.outcome == Outcome::Committed)
}

/// The attempts of a run whose source died in the last of them, or after it.
fn without_source(
    source: &Told,
    destination: &Told,
    outcome: Outcome,
    hard_limit_ns: u64,
) -> Vec<AttemptRecord> {
    let mut attempts = source.record.as_ref().map_or(Vec::new(), |record| record.attempts.clone());
    let theirs = destination.record.as_ref().and_then(|record| record.attempts.last());
    if let Some(theirs) = theirs
        && (attempts.is_empty() || outcome == Outcome::Committed)
        && !attempts.iter().any(|attempt| attempt.id == theirs.id)
    {
        // The source died before it could tell of this one.
        attempts.push(theirs.clone());
    }
    match outcome {
        Outcome::Committed => {
            let downtime_ns = theirs.and_then(|theirs| theirs.downtime_ns);
            let mut attempts = ended_as(attempts, outcome, "", downtime_ns);
            if let (Some(last), Some(downtime_ns)) = (attempts.last_mut(), downtime_ns) {
                *last = last.clone().with_downtime(downtime_ns, hard_limit_ns);
            }
            attempts
        }
        // It had been aborted, and the guest ran on the source again: that attempt ended as it did.
        _ if source.runs() && attempts.last().is_some_and(|last| last.reason.is_some()) => attempts,
        _ => ended_as(attempts, outcome, "source_died", None),
    }
}

/// With another end of the last attempt. A commit has no reason.
fn ended_as(
    mut attempts: Vec<AttemptRecord>,
    outcome: Outcome,
    reason: &str,
    downtime_ns: Option<u64>,
) -> Vec<AttemptRecord> {
    if let Some(last) = attempts.last_mut() {
        last.outcome = outcome;
        last.reason = Some(reason.into()).filter(|_| outcome != Outcome::Committed);
        last.offender = None;
        (last.downtime_ns, last.slack_ns) = (downtime_ns, None);
    }
    attempts
}

/// Adds what only the destination knows: its own phases, its own host.
fn enrich(attempt: &mut AttemptRecord, theirs: &AttemptRecord) {
    let own = |row: &&PhaseRecord| row.side == Side::Destination;
    let known = |row: &PhaseRecord| theirs.phases.iter().filter(own).any(|other| other.phase == row.phase);
    // The source's rows of that side are what it waited for or was told in a message.
    attempt.phases.retain(|row| row.side != Side::Destination || !known(row));
    attempt.phases.extend(theirs.phases.iter().filter(own));
    attempt.phases.sort_by_key(|row| (row.start_ns, row.phase));
    for fault in &theirs.faults_injected {
        if !attempt.faults_injected.contains(fault) {
            attempt.faults_injected.push(fault.clone());
        }
    }
    for scheduling in &theirs.scheduling {
        if !attempt.scheduling.contains(scheduling) {
            attempt.scheduling.push(scheduling.clone());
        }
    }
    // One host below both: the larger number is the better measured one.
    attempt.stolen_ns = attempt.stolen_ns.max(theirs.stolen_ns);
    attempt.verified = match (attempt.verified, theirs.verified) {
        (Some(ours), Some(theirs)) => Some(ours && theirs),
        (ours, theirs) => ours.or(theirs),
    };
}

/// Names who broke the limit of a commit. The source sees only that `Go` was answered late; the destination's rows say
/// what took so long there.
fn blame(attempt: &mut AttemptRecord, theirs: Option<&AttemptRecord>) {
    let broke = attempt.slack_ns.is_some_and(|slack| slack < 0);
    if attempt.outcome != Outcome::Committed || !broke {
        return;
    }
    let waited = |offender: &Offender| matches!(offender.phase, Phase::Ready | Phase::Go);
    if attempt.offender.is_some_and(|offender| !waited(&offender)) {
        return;
    }
    let said = theirs.and_then(|theirs| theirs.offender).filter(|offender| !waited(offender));
    let over =
        |row: &&PhaseRecord| row.measured_ns.zip(row.planned_ns).is_some_and(|(took, plan)| took > plan);
    let by = |row: &&PhaseRecord| row.measured_ns.unwrap_or(0).saturating_sub(row.planned_ns.unwrap_or(0));
    let of = |row: &PhaseRecord| Offender { side: row.side, port: row.port, phase: row.phase };
    let longest = attempt.phases.iter().filter(over).filter(|row| !waited(&of(row))).max_by_key(by).map(of);
    attempt.offender = said.or(longest).or(attempt.offender);
}

#[cfg(test)]
mod tests;
