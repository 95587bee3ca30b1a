//! Each row of the table of faults, as the two processes would tell it.

use super::*;
use crate::record::{RunsOn, Scheduling, attempt_id};
use crate::words::Port;

const LIMIT: u64 = 310;
const SIGKILL: i32 = 9;

fn attempt(counter: u64, outcome: Outcome) -> AttemptRecord {
    AttemptRecord::new(attempt_id(7, counter), outcome)
}

fn stopped_for(counter: u64, outcome: Outcome, ns: u64) -> AttemptRecord {
    attempt(counter, outcome).with_downtime(ns, LIMIT)
}

fn run(attempts: Vec<AttemptRecord>) -> RunRecord {
    RunRecord::new(attempts.last().expect("an attempt").outcome, LIMIT, attempts)
}

fn row(side: Side, port: Port, phase: Phase, planned: u64, measured: u64) -> PhaseRecord {
    PhaseRecord {
        side,
        port,
        phase,
        start_ns: Some(1),
        planned_ns: Some(planned),
        measured_ns: Some(measured),
    }
}

/// A process that said its last word.
fn finished(standing: Standing, record: RunRecord) -> Told {
    let exit = record.outcome.into();
    Told {
        standing: Some(standing),
        record: Some(record),
        finished: Some(exit),
        end: Some(End::Exited(u8::from(exit).into())),
    }
}

/// One that the parent ended, as it ends a destination.
fn dismissed(standing: Standing, record: Option<RunRecord>) -> Told {
    Told { standing: Some(standing), record, finished: None, end: Some(End::Dismissed) }
}

/// One that was killed after it last said this.
fn killed(standing: Option<Standing>, record: Option<RunRecord>) -> Told {
    Told { standing, record, finished: None, end: Some(End::Killed(SIGKILL)) }
}

fn outcome(record: &RunRecord) -> (Outcome, RunsOn, ExitCode) {
    (record.outcome, record.runs_on, record.outcome.into())
}

const COMMITTED: (Outcome, RunsOn, ExitCode) = (Outcome::Committed, RunsOn::Destination, ExitCode::Committed);
const LOST: (Outcome, RunsOn, ExitCode) = (Outcome::Lost, RunsOn::Nowhere, ExitCode::Lost);
const IN_DOUBT: (Outcome, RunsOn, ExitCode) = (Outcome::InDoubt, RunsOn::Unknown, ExitCode::InDoubt);
const ABORTED: (Outcome, RunsOn, ExitCode) = (Outcome::Aborted, RunsOn::Source, ExitCode::Aborted);

#[test]
fn a_commit_has_the_destinations_own_rows() {
    let fifo = |side| Scheduling {
        side,
        fifo_priority: Some(50),
        memory_locked: true,
        pinned_cpu: None,
        notes: vec![],
    };
    let mut ours = stopped_for(1, Outcome::Committed, 100);
    ours.phases = vec![
        row(Side::Destination, Port::Vcpus, Phase::Resume, 10, 0),
        row(Side::Destination, Port::Peer, Phase::Resume, 0, 9),
        row(Side::Source, Port::Vcpus, Phase::Stop, 5, 4),
        row(Side::Destination, Port::Device(0), Phase::Load, 3, 3),
    ];
    (ours.stolen_ns, ours.verified, ours.scheduling) = (2, Some(true), vec![fifo(Side::Source)]);
    ours.faults_injected = vec!["stall:load:1us".into()];
    let mut theirs = stopped_for(1, Outcome::Committed, 90);
    theirs.phases = vec![row(Side::Destination, Port::Vcpus, Phase::Resume, 10, 7)];
    (theirs.stolen_ns, theirs.scheduling) = (3, vec![fifo(Side::Destination)]);
    theirs.faults_injected = vec!["stall:load:1us".into(), "drop:running:once".into()];

    let source = finished(Standing::Gone, run(vec![ours.clone()]).with_estimate(98, 2));
    let destination = dismissed(Standing::Runs, Some(run(vec![theirs])));
    let record = merge(&source, &destination, LIMIT);
    assert_eq!(outcome(&record), COMMITTED);
    // The source's clock is the one that counts.
    assert_eq!((record.downtime_ns, record.within_limit), (Some(100), true));
    assert_eq!((record.downtime_estimate_ns, record.downtime_estimate_error_ns), (Some(98), Some(2)));
    let merged = &record.attempts[0];
    let resume: Vec<_> = merged.phases.iter().filter(|row| row.phase == Phase::Resume).collect();
    assert_eq!(resume.iter().map(|row| row.measured_ns).collect::<Vec<_>>(), [Some(7)]);
    assert_eq!(merged.phases.len(), 3, "what only the source knows stays");
    assert_eq!(merged.faults_injected, ["stall:load:1us", "drop:running:once"]);
    assert_eq!(merged.scheduling, [fifo(Side::Source), fifo(Side::Destination)]);
    assert_eq!((merged.stolen_ns, merged.verified, merged.offender), (3, Some(true), None));
}

#[test]
fn a_late_resume_is_the_destinations() {
    let mut ours = stopped_for(1, Outcome::Committed, 2100);
    ours.phases = vec![row(Side::Source, Port::Peer, Phase::Go, 20, 2050)];
    ours.offender = Some(Offender { side: Side::Source, port: Port::Peer, phase: Phase::Go });
    let mut theirs = stopped_for(1, Outcome::Committed, 2080);
    theirs.phases = vec![
        row(Side::Destination, Port::Journal, Phase::Go, 1, 3),
        row(Side::Destination, Port::Vcpus, Phase::Resume, 10, 2010),
        row(Side::Destination, Port::Vcpus, Phase::Load, 4, 9),
    ];
    let source = finished(Standing::Gone, run(vec![ours]));
    let record = merge(&source, &dismissed(Standing::Runs, Some(run(vec![theirs]))), LIMIT);
    assert_eq!(outcome(&record), COMMITTED);
    assert!(!record.within_limit);
    let offender = record.attempts[0].offender.map(|offender| offender.to_string());
    assert_eq!(offender.as_deref(), Some("destination/vcpus/resume"));
}

#[test]
fn an_abort_and_a_doubt_are_as_the_source_tells_them_whatever_became_of_the_destination() {
    let aborted = finished(Standing::Runs, run(vec![stopped_for(1, Outcome::Aborted, 300)]));
    let mut doubtful = attempt(1, Outcome::InDoubt);
    doubtful.downtime_ns = None;
    let in_doubt = finished(Standing::InDoubt, run(vec![doubtful.clone()]));
    for destination in [
        killed(Some(Standing::Waits), None),
        killed(None, None),
        killed(Some(Standing::Stopped), Some(run(vec![attempt(1, Outcome::Aborted)]))),
        dismissed(Standing::Waits, Some(run(vec![attempt(1, Outcome::Aborted)]))),
    ] {
        let record = merge(&aborted, &destination, LIMIT);
        assert_eq!((outcome(&record), record.downtime_ns, record.within_limit), (ABORTED, Some(300), true));
        let record = merge(&in_doubt, &destination, LIMIT);
        assert_eq!((outcome(&record), record.downtime_ns, record.within_limit), (IN_DOUBT, None, false));
    }
    // Its answers were lost: the source's host cannot know, and neither does the run.
    let runs = dismissed(Standing::Runs, Some(run(vec![stopped_for(1, Outcome::Committed, 80)])));
    assert_eq!(outcome(&merge(&in_doubt, &runs, LIMIT)), IN_DOUBT);
    // One that would not end is taken at its last report.
    let stuck = dismissed(Standing::InDoubt, Some(run(vec![doubtful])));
    assert_eq!(outcome(&merge(&stuck, &runs, LIMIT)), IN_DOUBT);
}

#[test]
fn a_source_that_died_before_go_took_the_guest_with_it() {
    let mut under_way = stopped_for(2, Outcome::Aborted, 40);
    under_way.bytes = 77;
    let before = run(vec![stopped_for(1, Outcome::Aborted, 300), under_way]);
    for (standing, destination) in [
        (Standing::Stopped, dismissed(Standing::Waits, Some(run(vec![attempt(2, Outcome::Aborted)])))),
        (Standing::Runs, dismissed(Standing::Waits, None)),
        // It held everything, and `Go` never came.
        (Standing::Stopped, dismissed(Standing::Stopped, None)),
    ] {
        let record = merge(&killed(Some(standing), Some(before.clone())), &destination, LIMIT);
        assert_eq!(outcome(&record), LOST);
        assert_eq!((record.downtime_ns, record.blackout_ns, record.within_limit), (None, None, false));
        assert_eq!(record.attempts.len(), 2);
        let last = &record.attempts[1];
        assert_eq!((last.outcome, last.reason.as_deref()), (Outcome::Lost, Some("source_died")));
        assert_eq!((last.bytes, last.downtime_ns), (77, None));
        assert_eq!(record.attempts[0].downtime_ns, Some(300), "what was over is over");
    }
    // It never said a word.
    let record = merge(&killed(None, None), &dismissed(Standing::Waits, None), LIMIT);
    assert_eq!((outcome(&record), record.attempts.len(), record.downtime_ns), (LOST, 0, None));
}

#[test]
fn a_source_that_died_after_an_abort_was_over_leaves_that_attempt_as_it_was() {
    let mut over = stopped_for(1, Outcome::Aborted, 40);
    over.reason = Some("doomed".into());
    let source = killed(Some(Standing::Runs), Some(run(vec![over.clone()])));
    let record = merge(&source, &dismissed(Standing::Waits, None), LIMIT);
    assert_eq!((outcome(&record), &record.attempts), (LOST, &vec![over]));
}

#[test]
fn a_source_that_died_at_go_is_not_missed_if_the_destination_runs_the_guest() {
    let mut theirs = stopped_for(1, Outcome::Committed, 80);
    theirs.phases = vec![row(Side::Destination, Port::Vcpus, Phase::Resume, 10, 7)];
    let destination = dismissed(Standing::Runs, Some(run(vec![theirs])));
    let mut ours = stopped_for(1, Outcome::Aborted, 60);
    ours.phases = vec![row(Side::Source, Port::Vcpus, Phase::Stop, 5, 4)];
    ours.offender = Some(Offender { side: Side::Source, port: Port::Vcpus, phase: Phase::Stop });
    // Its word that `Go` was sent may not have left the process any more.
    for (standing, record) in [
        (Some(Standing::InDoubt), Some(run(vec![ours.clone()]))),
        (Some(Standing::Stopped), Some(run(vec![ours.clone()]))),
        (None, None),
    ] {
        let phases = if record.is_some() { 2 } else { 1 };
        let record = merge(&killed(standing, record), &destination, LIMIT);
        assert_eq!(outcome(&record), COMMITTED);
        assert_eq!((record.downtime_ns, record.within_limit), (Some(80), true));
        let last = &record.attempts[0];
        assert_eq!((last.outcome, last.reason.as_deref(), last.offender), (Outcome::Committed, None, None));
        assert_eq!((last.slack_ns, last.phases.len()), (Some(230), phases));
        assert_eq!(record.downtime_estimate_ns, None);
    }
}

#[test]
fn a_guest_whose_process_died_is_nowhere() {
    let committed = run(vec![stopped_for(1, Outcome::Committed, 80)]);
    let source = finished(Standing::Gone, committed.clone());
    let record = merge(&source, &killed(Some(Standing::Runs), Some(committed.clone())), LIMIT);
    assert_eq!(outcome(&record), LOST);
    assert_eq!(record.attempts[0].reason.as_deref(), Some("destination_died"));
    let record = merge(
        &killed(Some(Standing::InDoubt), Some(committed.clone())),
        &killed(Some(Standing::Runs), Some(committed)),
        LIMIT,
    );
    assert_eq!(outcome(&record), LOST);
    // One that ended without its last word died as well.
    let mut panicked = killed(Some(Standing::Stopped), None);
    panicked.end = Some(End::Exited(101));
    assert_eq!(outcome(&merge(&panicked, &dismissed(Standing::Waits, None), LIMIT)), LOST);
}

#[test]
fn two_runners_are_never_called_well() {
    let source = finished(Standing::Runs, run(vec![stopped_for(1, Outcome::Aborted, 80)]));
    let destination = dismissed(Standing::Runs, Some(run(vec![stopped_for(1, Outcome::Committed, 80)])));
    let record = merge(&source, &destination, LIMIT);
    assert_eq!(outcome(&record), IN_DOUBT);
    assert_eq!(record.attempts[0].reason.as_deref(), Some("both_run_it"));
}

#[test]
fn reports_are_taken_in_as_they_come() {
    let mut told = Told::default();
    let record = Box::new(run(vec![attempt(1, Outcome::Aborted)]));
    told.take(Report::Snapshot { side: Side::Source, standing: Standing::Stopped, record: record.clone() });
    assert_eq!((told.standing, told.finished), (Some(Standing::Stopped), None));
    told.take(Report::Finished { record, exit: ExitCode::Aborted });
    told.end = Some(End::Exited(3));
    assert!(!told.died() && told.record.is_some());
    told.end = Some(End::Killed(SIGKILL));
    assert!(told.died(), "a last word does not make up for a guest that died afterwards");
}
