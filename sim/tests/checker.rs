//! The checker sees each way in which a promise can break: every kind of violation, played by hand.

use switchover_core::event::Owner;
use switchover_core::id::AttemptId;
use switchover_core::outcome::{Ended, Ending, Reason};
use switchover_core::port::{Blame, Phase, Port, PortSet, Side};
use switchover_core::record::AttemptRecord;
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{Measured, Refusal, ToDestination, ToSource};
use switchover_sim::check::{Broken, Checker, Excuse, Knows, Memory, Rules};

const V0: Port = Port::Vcpus(0);
const V1: Port = Port::Vcpus(1);
const D0: Port = Port::Device(0);
const H: Ns = Ns::from_millis(100);

fn rules() -> Rules {
    Rules {
        ports: PortSet::of(2, 1),
        hard_limit: Some(H),
        attempts: 2,
        backoff: Ns::from_millis(500),
        blackout_budget: Ns::from_millis(200),
        hold_on_lost_device: false,
        drift_kept: true,
        datagrams: false,
    }
}

fn ms(n: u64) -> At {
    At::from_ns(n * 1_000_000)
}

fn hello() -> ToDestination {
    ToDestination::Hello(switchover_core::wire::message::Hello {
        version: 1,
        downtime_limit: H,
        switchover_limit: Ns::ZERO,
        page_size: 4096,
        memory: 0,
        vcpu_ports: 2,
        devices: 1,
        drift: Default::default(),
        warm: false,
        arbiter: None,
    })
}

fn refused() -> ToSource {
    ToSource::Refused { reason: Refusal::Aborted, offender: None }
}

fn ready() -> ToSource {
    ToSource::Ready { digest: Default::default(), lease_left: Ns::ZERO }
}

/// Stopped at 0 for attempt 1.
fn stopped() -> Checker {
    let mut checker = Checker::new(rules());
    checker.source_says(1, &hello(), ms(0));
    checker.stopping(1, ms(0));
    [D0, V0, V1].into_iter().for_each(|port| checker.source_stopped(port));
    checker
}

/// The same, and loaded whole on the destination.
fn loaded() -> Checker {
    let mut checker = stopped();
    checker.loads(1);
    let generation = checker.generation();
    [D0, V0, V1].into_iter().for_each(|port| checker.loaded(1, port, generation, false));
    checker.memory(Memory::Same);
    checker
}

/// The same, and `Go` was said.
fn gone() -> Checker {
    let mut checker = loaded();
    checker.destination_says(1, &ready(), ms(1));
    checker.source_says(1, &ToDestination::Go, ms(2));
    checker
}

fn committed() -> Checker {
    let mut checker = gone();
    [V0, V1].into_iter().for_each(|port| checker.destination_runs(port, ms(3)));
    checker
}

fn rolled_back(mut checker: Checker, at: At) -> Checker {
    [D0, V0, V1].into_iter().for_each(|port| checker.source_runs(port, at));
    checker
}

#[track_caller]
fn breaks(checker: &Checker, what: Broken) {
    let seen: Vec<_> = checker.violations().iter().map(|violation| violation.what).collect();
    assert_eq!(seen.first(), Some(&what), "{seen:?}");
    assert_eq!(checker.violation().map(|violation| violation.promise), Some(what.promise()));
}

#[track_caller]
fn keeps(checker: &Checker) {
    assert_eq!(checker.violations(), []);
}

#[test]
fn a_sound_commit_and_a_sound_abort_break_nothing() {
    let mut checker = committed();
    checker.destination_says(1, &ToSource::Running(Measured::default()), ms(3));
    checker.source_released(ms(4));
    checker.source_says(1, &ToDestination::Fin, ms(4));
    checker.judge_settled(Knows::There, ms(5));
    keeps(&checker);
    let mut checker = rolled_back(stopped(), ms(100));
    checker.judge_settled(Knows::Here, ms(101));
    keeps(&checker);
}

#[test]
fn p1_one_runner() {
    let mut checker = committed();
    checker.source_hears(1, &refused());
    [D0, V0].into_iter().for_each(|port| checker.source_runs(port, ms(4)));
    breaks(&checker, Broken::BothRun);

    let mut checker = committed();
    checker.destination_pauses();
    checker.source_hears(1, &refused());
    [D0, V0].into_iter().for_each(|port| checker.source_runs(port, ms(4)));
    breaks(&checker, Broken::SourceRunsPast);

    let mut checker = stopped();
    checker.source_dies();
    checker.source_runs(D0, ms(4));
    breaks(&checker, Broken::SourceRunsNothing);

    let mut checker = rolled_back(loaded(), ms(3));
    checker.stopping(2, ms(600));
    [D0, V0, V1].into_iter().for_each(|port| checker.source_stopped(port));
    checker.destination_runs(V0, ms(601));
    breaks(&checker, Broken::StaleRuns);
}

#[test]
fn p2_bounded_to_the_nanosecond_and_only_without_an_excuse() {
    let late = At::from_ns(H.get() + 1);
    keeps(&rolled_back(stopped(), ms(100)));
    breaks(&rolled_back(stopped(), late), Broken::LateOnSource);
    let mut checker = stopped();
    checker.excuse(Excuse::Rollback);
    keeps(&rolled_back(checker, late));
    // The link is no excuse before Go.
    let mut checker = stopped();
    checker.excuse(Excuse::Link);
    breaks(&rolled_back(checker, late), Broken::LateOnSource);

    let mut checker = gone();
    [V0, V1].into_iter().for_each(|port| checker.destination_runs(port, late));
    breaks(&checker, Broken::LateCommit);

    let mut checker = gone();
    checker.source_claimed(1, Owner::Source);
    breaks(&rolled_back(checker, late), Broken::LateAnswer);
    let mut checker = gone();
    checker.source_claimed(1, Owner::Source);
    checker.excuse(Excuse::Link);
    keeps(&rolled_back(checker, late));

    let mut checker = stopped();
    checker.judge_dark(ms(100));
    keeps(&checker);
    checker.judge_dark(late);
    breaks(&checker, Broken::LateNowhere);
}

#[test]
fn p3_honest() {
    let mut checker = rolled_back(gone(), ms(4));
    breaks(&checker, Broken::Guessed);
    checker = gone();
    checker.fence_durable(1);
    keeps(&rolled_back(checker, ms(4)));

    let mut checker = loaded();
    checker.source_says(1, &ToDestination::Abort { offender: None }, ms(1));
    checker.source_says(1, &ToDestination::Go, ms(2));
    breaks(&checker, Broken::GoAfterAbort);

    let mut checker = gone();
    checker.destination_says(1, &ToSource::Running(Measured::default()), ms(3));
    breaks(&checker, Broken::FalseRunning);

    let mut checker = committed();
    checker.destination_says(1, &refused(), ms(4));
    breaks(&checker, Broken::FalseRefused);

    let mut checker = gone();
    checker.destination_says(1, &refused(), ms(3));
    checker.destination_runs(V0, ms(4));
    breaks(&checker, Broken::RefusedRan);

    let mut checker = committed();
    checker.destination_says(1, &ToSource::Lost, ms(4));
    breaks(&checker, Broken::FalseLost);

    let mut checker = committed();
    checker.source_says(1, &ToDestination::Fin, ms(4));
    breaks(&checker, Broken::FinTooEarly);

    let mut checker = gone();
    checker.source_released(ms(4));
    breaks(&checker, Broken::OnlyCopyGone);

    let mut checker = committed();
    checker.unloaded(ms(4));
    breaks(&checker, Broken::DroppedGuest);
}

#[test]
fn p4_exact() {
    let mut checker = stopped();
    checker.destination_says(1, &ready(), ms(1));
    breaks(&checker, Broken::FalseReady);

    let mut checker = stopped();
    checker.destination_runs(V0, ms(1));
    assert!(checker.violations().iter().any(|violation| violation.what == Broken::RunsNothing));

    let mut checker = gone();
    let generation = checker.generation();
    checker.loaded(1, D0, generation, true);
    checker.destination_runs(V0, ms(3));
    breaks(&checker, Broken::InexactState);

    let mut checker = gone();
    checker.memory(Memory::Other);
    checker.destination_runs(V0, ms(3));
    breaks(&checker, Broken::InexactMemory);
}

#[test]
fn p5_retryable() {
    let mut checker = gone();
    checker.memory(Memory::Forgotten);
    checker.destination_runs(V0, ms(3));
    breaks(&checker, Broken::PagesForgotten);

    let mut checker = stopped();
    checker.source_runs(V0, ms(3));
    breaks(&checker, Broken::DeviceLeft);
    let mut checker = stopped();
    checker.device_lost(D0, ms(3));
    [V0, V1].into_iter().for_each(|port| checker.source_runs(port, ms(3)));
    keeps(&checker);

    let mut checker = rolled_back(stopped(), ms(3));
    checker.source_says(2, &hello(), ms(502));
    breaks(&checker, Broken::TooSoon);
    let mut checker = rolled_back(stopped(), ms(3));
    checker.source_says(2, &hello(), ms(503));
    keeps(&checker);
    checker.source_says(3, &hello(), ms(5_000));
    breaks(&checker, Broken::TooManyAttempts);

    let mut checker = stopped();
    checker.excuse(Excuse::Rollback);
    let mut checker = rolled_back(checker, ms(101));
    checker.source_says(2, &hello(), ms(5_000));
    breaks(&checker, Broken::OverBudget);
}

/// The record of attempt 1, aborted.
fn record(ending: Ending, blackout: Ns, offender: Option<Blame>) -> AttemptRecord {
    let attempt = AttemptId { counter: 1, ..AttemptId::default() };
    AttemptRecord {
        attempt,
        stopping: Some(ms(0)),
        ended: Some(Ended { attempt, ending, offender, blackout }),
        ..AttemptRecord::default()
    }
}

#[test]
fn p6_explained() {
    let aborted = Ending::Aborted(Reason::Doomed);
    let told = |record: &AttemptRecord, prepare: fn(&mut Checker)| {
        let mut checker = rolled_back(stopped(), ms(40));
        prepare(&mut checker);
        checker.explained(record, Ns::ZERO, 0, ms(40));
        checker
    };
    let took = Ns::from_millis(40);
    keeps(&told(&record(aborted, took, None), |_| ()));
    breaks(&told(&AttemptRecord::default(), |_| ()), Broken::NoRecord);
    breaks(&told(&record(Ending::Committed, took, None), |_| ()), Broken::WrongOutcome);
    breaks(&told(&record(aborted, Ns::from_millis(39), None), |_| ()), Broken::WrongDowntime);
    breaks(&told(&record(aborted, Ns::from_millis(41), None), |_| ()), Broken::WrongDowntime);
    let device = Blame { side: Side::Source, port: D0, phase: Phase::Save };
    breaks(&told(&record(aborted, took, Some(device)), |_| ()), Broken::WrongOffender);
    keeps(&told(&record(aborted, took, Some(device)), |checker| checker.overran(Side::Source, D0)));
    let mut long = record(aborted, took, None);
    let row = switchover_core::record::PhaseRow {
        side: Side::Source,
        port: D0,
        phase: Phase::Save,
        planned: Ns::ZERO,
        measured: Ns::from_millis(50),
        ended: ms(40),
    };
    long.phases.push(row).expect("there is room");
    breaks(&told(&long, |_| ()), Broken::WrongPhase);
}

#[test]
fn liveness() {
    let mut checker = gone();
    checker.judge_settled(Knows::Not, ms(50));
    breaks(&checker, Broken::RunsNowhere);
    let mut checker = committed();
    checker.judge_settled(Knows::Not, ms(50));
    breaks(&checker, Broken::SourceDoesNotKnow);
}

#[test]
fn nothing_depends_on_when_time_began() {
    let mut checker = stopped();
    checker.rebase(1_000_000);
    let later = |n: u64| At::from_ns(ms(n).as_ns() + 1_000_000);
    keeps(&rolled_back(checker.clone(), later(100)));
    breaks(&rolled_back(checker, later(101)), Broken::LateOnSource);
}
