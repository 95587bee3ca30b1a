//! Each trap of `docs/PROTOCOL.md`, played: what went wrong in the model when its rule was missing.
//!
//! Every test here was seen to fail once with the rule taken out of the machine; docs/TESTING.md lists the mutations.
//! A guest in world (a) dies with its agent; in world (b) it outlives it.

use switchover_core::action::Alarm;
use switchover_core::event::{DestinationEvent, Owner, SourceEvent};
use switchover_core::id::{ArbiterKey, GuestInstance, Incarnation, JournalId};
use switchover_core::journal::{
    DestinationGuest, DestinationJournal, RecordKind, SourceGuest, SourceJournal,
};
use switchover_core::port::{Op, Side};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{Envelope, Hello, Refusal, ToDestination, ToSource};
use switchover_shell::journal::{Durability, JournalFile};
use switchover_tests::machines::build::{DESTINATION, GUEST, SOURCE};
use switchover_tests::machines::host::On;
use switchover_tests::machines::lone::{LoneDestination, LoneSource, attempt, envelope, hello, seal};
use switchover_tests::machines::network::{Way, Word};
use switchover_tests::machines::pair::{Guest, Pair, Torn};
use switchover_tests::machines::show::{destination_action, state_of};
use switchover_tests::machines::{
    Shape, TestDestination, TestSource, destination_config, ms, source_config, us,
};

const ALWAYS: u32 = u32::MAX;

/// World (b).
fn outliving(shape: Shape) -> Pair {
    let mut pair = Pair::new(shape);
    pair.guest = Guest::OutlivesAgent;
    pair
}

fn has(words: &[String], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

/// [SW-18] [SW-19] [SW-39]
#[test]
fn h01_no_go_before_may_go_is_durable_and_a_restart_asks() {
    // The record is not durable: nothing may have gone out, so a restart may take the guest back.
    let mut pair = outliving(Shape::PLAIN);
    pair.source.stick(On::Write(RecordKind::MayGo));
    pair.network.rule(Word::Go, Way::Held, ALWAYS);
    pair.begin();
    pair.until_destination("Ready");
    pair.run(ms(3));
    pair.crash_silently(Side::Source, Torn::Lost);
    pair.restart(Side::Source);
    pair.run(ms(2));
    assert!(!pair.deliver(Word::Go), "Go was said without a durable record");
    pair.run(ms(100));
    pair.runs_on(Side::Source);

    // It is durable: a Go may be out, so a restarted source must not run the guest before it knows.
    let mut pair = outliving(Shape::PLAIN);
    pair.network.rule(Word::Go, Way::Held, ALWAYS);
    pair.begin();
    pair.until_source("GoSent");
    pair.crash_silently(Side::Source, Torn::Lost);
    pair.restart(Side::Source);
    assert!(pair.deliver(Word::Go));
    pair.run(ms(100));
    pair.runs_on(Side::Destination);
    assert!(!pair.judge.source_copy(), "the source has learnt of it and let go");
}

/// [SW-20] [SW-21]
#[test]
fn h02_a_stuck_may_go_write_ends_at_go_by_and_rollback_waits_for_no_write() {
    for shape in [Shape::PLAIN, Shape::FULL] {
        let mut pair = Pair::new(shape);
        pair.source.stick(On::Write(RecordKind::MayGo));
        pair.source.stick(On::Write(RecordKind::Aborted));
        // The destination's own end of the lease would save it; that is not what is tested.
        pair.network.rule(Word::Refused, Way::Lost, ALWAYS);
        pair.begin();
        pair.until_source("Sealed");
        pair.run(ms(120));
        pair.runs_on(Side::Source);
        assert!(!pair.said_go() && pair.blackout() <= pair.hard_limit());
    }
}

/// [SW-33] [SW-47] [SW-58]
#[test]
fn h03_whatever_is_lost_is_asked_for() {
    // Go and the one Refused are lost.
    let mut pair = Pair::new(Shape::PLAIN);
    pair.network.rule(Word::Go, Way::Lost, ALWAYS);
    pair.network.rule(Word::Refused, Way::Lost, 1);
    pair.begin();
    pair.until_source("InDoubt");
    pair.run(ms(100));
    pair.runs_on(Side::Source);

    // Go is lost, and the destination restarts.
    let mut pair = Pair::new(Shape::PLAIN);
    pair.network.rule(Word::Go, Way::Lost, ALWAYS);
    pair.begin();
    pair.until_source("GoSent");
    pair.crash(Side::Destination, Torn::Lost);
    pair.restart(Side::Destination);
    pair.run(ms(150));
    pair.runs_on(Side::Source);

    // Running is lost with its connection, and everything that would say it again.
    let mut pair = Pair::new(Shape::PLAIN);
    pair.begin();
    pair.until_destination("Running");
    pair.cut();
    pair.until_source("InDoubt");
    pair.mend();
    pair.network.rule(Word::Running, Way::Lost, 1);
    pair.run(ms(100));
    pair.runs_on(Side::Destination);
    assert!(pair.committed());

    // A question met before the decision is the decision.
    let mut d = LoneDestination::idle(Shape::PLAIN).ready();
    d.hear(ToDestination::Query);
    assert!(has(&d.words(), "-> Refused(Asked"), "{:?}", d.words());
    d.hear(ToDestination::Go);
    assert!(has(&d.words(), "-> Refused") && d.state() == "Refusing");
}

/// [SW-47] [SW-65]
#[test]
fn h04_a_destination_that_hears_no_go_says_so_in_time() {
    let late = |pair: &mut Pair| {
        pair.network.rule(Word::Go, Way::Lost, ALWAYS);
        // An answer to a question would come too late.
        pair.network.rule(Word::Query, Way::Lost, ALWAYS);
    };
    for shape in [Shape::PLAIN, Shape::DEVICES] {
        let mut pair = Pair::latest_go(late, || Pair::new(shape));
        pair.run(ms(50));
        pair.runs_on(Side::Source);
        assert!(pair.blackout() <= pair.hard_limit(), "{:?}", pair.blackout());
    }
}

/// [SW-31] [SW-54] [SW-59]
#[test]
fn h05_a_guest_that_died_between_record_and_resume_is_lost_and_nothing_else() {
    for torn in [Torn::Lost, Torn::Kept] {
        let mut pair = Pair::new(Shape::PLAIN);
        pair.destination.slow(On::Vcpus(Op::Resume), ms(2));
        pair.begin();
        pair.until_destination("Resuming");
        pair.crash(Side::Destination, torn);
        pair.restart(Side::Destination);
        pair.run(ms(500));
        pair.check();
        assert_eq!(state_of(pair.source.alive()), "Held");
        assert!(pair.judge.source_copy() && !pair.judge.runs_on_source());
    }
}

/// [SW-59]
#[test]
fn h06_a_restarted_destination_rolls_its_recorded_guest_forward() {
    let mut pair = outliving(Shape::FULL);
    pair.destination.slow(On::Vcpus(Op::Resume), ms(50));
    pair.begin();
    pair.until_destination("Resuming");
    pair.crash(Side::Destination, Torn::Lost);
    pair.destination.calm();
    // However late.
    pair.run(ms(300));
    pair.restart(Side::Destination);
    pair.run(ms(200));
    pair.runs_on(Side::Destination);
    assert!(pair.committed());
}

/// [SW-51] [SW-59]
#[test]
fn h07_a_record_speaks_of_the_guest_that_it_names() {
    let journal =
        DestinationJournal { identity: DESTINATION, running: Some((attempt(1), GUEST)), claiming: None };
    let other = GuestInstance(GUEST.0 + 1);
    for guest in [DestinationGuest::Paused(other), DestinationGuest::Running(other), DestinationGuest::Gone] {
        let config = destination_config(Shape::PLAIN);
        let (machine, step) =
            TestDestination::restart(config, journal, guest, Incarnation(2), At::from_ns(1))
                .expect("settings");
        let actions: Vec<_> = step.actions.iter().map(destination_action).collect();
        assert!(!has(&actions, "Resume"), "{guest:?}: {actions:?}");
        let mut d = LoneDestination::of(machine, Shape::PLAIN);
        d.hear(ToDestination::Query);
        assert_eq!(d.words(), ["-> Lost"], "{guest:?}");
    }
}

/// [SW-4] [SW-60]
#[test]
fn h08_a_restarted_destination_adopts_nothing() {
    let mut pair = outliving(Shape::PLAIN);
    pair.network.rule(Word::Go, Way::Held, 1);
    pair.begin();
    pair.until_source("GoSent");
    pair.crash_silently(Side::Destination, Torn::Lost);
    pair.restart(Side::Destination);
    // What it finds loaded is dropped, and Go for the earlier incarnation moves nothing.
    assert!(pair.deliver(Word::Go));
    pair.run(ms(5));
    assert!(!pair.judge.destination_copy(), "what was found loaded is still there\n{}", pair.tail());
    pair.run(ms(100));
    pair.runs_on(Side::Source);
}

/// [SW-2] [SW-4] [SW-5] [SW-6]
#[test]
fn h09_a_refused_attempt_is_taken_by_no_later_incarnation() {
    // Attempt 1 was refused by incarnation 1; everything that the source then said comes again, late.
    let journal = DestinationJournal { identity: DESTINATION, ..DestinationJournal::default() };
    let gone = DestinationGuest::Gone;
    let config = destination_config(Shape::PLAIN);
    let (machine, _) =
        TestDestination::restart(config, journal, gone, Incarnation(2), At::from_ns(1)).expect("settings");
    let mut d = LoneDestination::of(machine, Shape::PLAIN).verifying();
    d.ports(Op::Load, |all| all);
    d.step(DestinationEvent::Verified(seal()));
    d.hear(ToDestination::Go);
    assert_eq!(d.state(), "Loading", "old messages moved a new incarnation");

    // In the same incarnation the number itself is used up.
    let mut d = LoneDestination::idle(Shape::PLAIN).refusing();
    d.ports(Op::Unload, |all| all);
    let d = d.loading();
    assert_eq!(d.state(), "Idle");
    assert_eq!(d.words(), ["-> Refused(Old)"]);

    // And a source that meets a new incarnation before Go takes its guest back.
    let mut s = LoneSource::idle(Shape::PLAIN).unready();
    let ready = s.ready();
    s.step(SourceEvent::Message(Envelope { incarnation: Incarnation(2), ..envelope(1) }, ready));
    assert_eq!(s.state(), "RollingBack");
}

/// [SW-2] [SW-3] [SW-32]
#[test]
fn h10_another_journal_cannot_say() {
    // The guest runs on the destination, nobody knows, and the destination's journal is replaced.
    let mut pair = outliving(Shape::PLAIN);
    pair.network.rule(Word::Running, Way::Lost, ALWAYS);
    pair.begin();
    pair.until_destination("Running");
    pair.crash(Side::Destination, Torn::Lost);
    pair.identity = JournalId(0xbad);
    pair.destination.journal.clear();
    pair.restart(Side::Destination);
    pair.run(ms(500));
    pair.check();
    assert_eq!(state_of(pair.source.alive()), "InDoubt");

    // Both halves of the rule: the stranger says that it is one,
    let stranger = Envelope { peer: JournalId(0xbad), ..envelope(1) };
    for asks in [ToDestination::Go, ToDestination::Query] {
        for mut d in [LoneDestination::idle(Shape::PLAIN), LoneDestination::idle(Shape::PLAIN).ready()] {
            d.step(DestinationEvent::Message(stranger, asks));
            assert_eq!(d.words(), ["-> Stranger"]);
        }
    }
    // and an answer under another name is none.
    let refused = ToSource::Refused { reason: Refusal::NoRecord, offender: None };
    for answer in [refused, ToSource::Running(Default::default()), ToSource::Lost] {
        let mut s = LoneSource::idle(Shape::PLAIN).in_doubt();
        s.step(SourceEvent::Message(stranger, answer));
        assert_eq!(s.state(), "InDoubt", "{answer:?}");
    }
}

/// [SW-29] [SW-55]
#[test]
fn h11_the_record_is_kept_until_fin_and_fin_waits_for_the_copy() {
    let mut pair = outliving(Shape::PLAIN);
    pair.source.slow(On::Write(RecordKind::Committed), ms(40));
    pair.source.slow(On::Release, ms(40));
    pair.begin();
    pair.until_source("Committing");
    pair.run(ms(20));
    // Not durable: the destination has to be able to say it again, after a restart too.
    pair.crash(Side::Destination, Torn::Lost);
    pair.restart(Side::Destination);
    pair.run(ms(20));
    assert_eq!(state_of(pair.destination.alive()), "Running");
    assert!(!pair.destination.alive().finished() && !pair.destination.has(RecordKind::Finished, attempt(1)));
    pair.run(ms(50));
    pair.runs_on(Side::Destination);
    assert!(pair.committed());
}

/// [SW-1] [SW-2]
#[test]
fn h12_names_are_durable_before_they_are_heard_and_never_used_again() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.source.stick(On::Write(RecordKind::Open));
    pair.network.rule(Word::Hello, Way::Held, ALWAYS);
    pair.begin();
    pair.run(ms(500));
    assert!(!pair.deliver(Word::Hello), "Hello was said under a name that is not durable");

    let journal = SourceJournal { identity: SOURCE, open: Some(attempt(3)), ..SourceJournal::default() };
    let config = source_config(Shape::PLAIN);
    let (machine, _) =
        TestSource::restart(config, journal, SourceGuest::Running, At::from_ns(1)).expect("settings");
    let s = LoneSource::of(machine, Shape::PLAIN).opening();
    assert_eq!(s.machine.attempt(), Some(attempt(4)));

    // A message of another attempt never acts, whatever the state.
    let refused = ToSource::Refused { reason: Refusal::Asked, offender: None };
    for message in [refused, ToSource::Running(Default::default()), ToSource::Lost] {
        let idle = || LoneSource::idle(Shape::PLAIN);
        for mut s in [idle().precopy(), idle().sealed(), idle().go_sent(), idle().in_doubt()] {
            let before = s.machine.clone();
            s.step(SourceEvent::Message(envelope(7), message));
            assert_eq!(s.machine, before, "{message:?}");
        }
    }
}

/// [SW-45] [SW-46]
#[test]
fn h13_a_repeated_ready_does_not_begin_the_lease_again() {
    let mut d = LoneDestination::idle(Shape::PLAIN).ready();
    // need = J + Res = 2 ms: Go is taken until 18 ms after Ready, and not a tick later.
    for (passed, left) in [(10, 10), (7, 3)] {
        d.pass(ms(passed));
        d.step(DestinationEvent::Deadline);
        let said = d.words();
        assert!(said.is_empty() || said == [format!("-> Ready(left {left})")], "{said:?}");
    }
    let mut late = d.clone();
    d.pass(ms(1)).hear(ToDestination::Go);
    assert_eq!(d.state(), "Writing");
    late.pass(ms(1).plus(Ns::new(1))).hear(ToDestination::Go);
    assert_eq!(late.state(), "Refusing");

    // Nor does the source count it again: when it is in doubt depends on the first Ready.
    let again = |extra: Ns| {
        let mut s = LoneSource::idle(Shape::PLAIN).unwritten();
        let ready = s.ready();
        s.pass(extra);
        s.hear(ready);
        s.written(RecordKind::MayGo);
        let read = s.now.minus(extra);
        s.pass(ms(5));
        while s.state() == "GoSent" {
            s.now = s.last.deadline.unwrap_or(s.now).or_later(s.now);
            s.step(SourceEvent::Deadline);
        }
        s.now.since(read)
    };
    assert_eq!(again(Ns::ZERO), again(ms(3)));
}

/// [SW-67] [SW-70]; the host's part is tested where the loop is.
#[test]
fn h14_a_deadline_is_strict_and_judged_after_the_input() {
    // In doubt: not at answer_by, but a tick later; and an answer that is read then still counts.
    let doubt = LoneSource::idle(Shape::PLAIN).in_doubt();
    let mut s = LoneSource::idle(Shape::PLAIN).go_sent();
    s.now = doubt.now.minus(Ns::new(1));
    s.step(SourceEvent::Deadline);
    assert_eq!(s.state(), "GoSent");
    s.pass(Ns::new(1));
    let mut late = s.clone();
    s.step(SourceEvent::Deadline);
    assert_eq!(s.state(), "InDoubt");
    late.hear(ToSource::Running(Default::default()));
    assert_eq!(late.state(), "Committing");

    // Go: at go_by, and not a tick later, however early Ready was on its way.
    let mut s = LoneSource::idle(Shape::PLAIN).unready();
    let after = s.last.deadline.expect("go_by bounds it");
    let ready = s.ready();
    s.now = after.minus(Ns::new(1));
    let mut late = s.clone();
    s.hear(ready);
    assert_eq!(s.state(), "GoSent");
    late.pass(Ns::new(1)).hear(ready);
    assert_eq!(late.state(), "RollingBack");
}

/// [SW-49] [SW-52] [SW-63]
#[test]
fn h15_the_destination_counts_its_journal_and_looks_again() {
    // A write that takes all of J still ends in time; Go comes as late as it may.
    for (shape, need) in [(Shape::PLAIN, 2), (Shape::FULL, 9)] {
        let last = ms(20 - need);
        let mut d = LoneDestination::idle(shape).claimable();
        let mut late = d.clone();
        d.pass(last).hear(ToDestination::Go);
        assert_ne!(d.state(), "Refusing", "{need}");
        late.pass(last.plus(Ns::new(1))).hear(ToDestination::Go);
        assert_eq!(late.state(), "Refusing", "{need}");
    }
    // The write overruns: nothing runs, and Refused is durable before it is said.
    let mut pair = Pair::new(Shape::PLAIN);
    pair.destination.slow(On::Write(RecordKind::Running), ms(40));
    pair.destination.slow(On::Write(RecordKind::Refused), ms(10));
    pair.begin();
    pair.until_destination("Superseding");
    pair.run(ms(5));
    assert!(!pair.judge.runs_on_source(), "Refused is not durable, and yet it was said");
    assert!(pair.until(|pair| pair.judge.runs_on_source()));
    assert!(pair.destination.has(RecordKind::Refused, attempt(1)));
    pair.runs_on(Side::Source);
}

/// [SW-66]
#[test]
fn h16_with_an_arbiter_the_claim_and_the_timer_are_inside_the_limit() {
    let late = |pair: &mut Pair| {
        pair.network.rule(Word::Go, Way::Lost, ALWAYS);
        pair.network.rule(Word::Refused, Way::Lost, ALWAYS);
        pair.source.lateness = ms(1);
        pair.destination.lateness = ms(1);
        // C = 5 ms, there and back.
        pair.source.slow(On::Claim, us(2_500));
        pair.source.slow(On::Claimed, us(2_500));
        pair.source.slow(On::Vcpus(Op::Rollback), ms(2));
    };
    let mut pair = Pair::latest_go(late, || Pair::new(Shape::ARBITER));
    pair.run(ms(50));
    pair.runs_on(Side::Source);
    assert!(pair.blackout() <= pair.hard_limit(), "{:?}", pair.blackout());
}

/// [SW-34]
#[test]
fn h17_a_lost_claim_is_not_knowledge() {
    let mut pair = Pair::new(Shape::ARBITER);
    pair.destination.stick(On::Write(RecordKind::Running));
    pair.begin();
    pair.until_destination("Writing");
    pair.cut();
    pair.crash(Side::Destination, Torn::Lost);
    pair.run(ms(300));
    pair.check();
    assert_eq!(pair.owners.get(&attempt(1)), Some(&Owner::Destination));
    assert!(pair.judge.source_copy(), "the copy was let go for a claim");
    // It goes on asking, and is told in the end.
    pair.destination.calm();
    pair.restart(Side::Destination);
    pair.run(ms(100));
    pair.runs_on(Side::Source);
}

/// [SW-30] [SW-50] [SW-56]
#[test]
fn h18_refused_counts_whoever_owns_the_token_and_a_refusal_yields_it() {
    // Granted, the reply lost, the lease ends: Refused gets through, the token does not matter.
    let mut pair = Pair::new(Shape::ARBITER);
    pair.destination.stick(On::Claimed);
    pair.destination.stick(On::Yield);
    pair.begin();
    pair.until_destination("Refusing");
    pair.run(ms(100));
    pair.runs_on(Side::Source);
    assert_eq!(pair.owners.get(&attempt(1)), Some(&Owner::Destination));

    // The same with nothing heard at all: the yield lets the source's claim win, after a restart too.
    for restarts in [false, true] {
        let mut pair = Pair::new(Shape::ARBITER);
        pair.destination.stick(On::Claimed);
        pair.network.rule(Word::Refused, Way::Lost, ALWAYS);
        pair.begin();
        pair.until_destination("Claiming");
        pair.run(ms(2));
        pair.cut();
        if restarts {
            pair.crash(Side::Destination, Torn::Lost);
            pair.restart(Side::Destination);
        }
        pair.run(ms(100));
        pair.runs_on(Side::Source);
    }
}

/// [SW-8]
#[test]
fn h19_both_sides_use_the_same_arbiter_or_none() {
    let other = Some(ArbiterKey(10));
    for (shape, arbiter) in [(Shape::PLAIN, other), (Shape::ARBITER, None), (Shape::ARBITER, other)] {
        let mut d = LoneDestination::idle(shape);
        let of = Envelope { attempt: attempt(1), ..Envelope::default() };
        let hello = Hello { arbiter, ..hello(shape) };
        d.step(DestinationEvent::Message(of, ToDestination::Hello(hello)));
        assert_eq!(d.words(), ["-> Refused(Arbiter)"]);
        assert_eq!(d.state(), "Idle");
    }
}

/// [SW-47] [SW-68]
#[test]
fn h20_an_answer_is_allowed_both_timers_and_needs_no_record() {
    let late = |pair: &mut Pair| {
        pair.network.rule(Word::Go, Way::Lost, ALWAYS);
        // Measured as 1 ms there and back, which stands for one way.
        pair.network.rule(Word::Refused, Way::Takes(ms(1)), ALWAYS);
        pair.source.lateness = ms(1);
        pair.destination.lateness = ms(1);
        pair.source.slow(On::Vcpus(Op::Rollback), ms(2));
        pair.destination.stick(On::Write(RecordKind::Refused));
    };
    let mut pair = Pair::latest_go(late, || Pair::new(Shape::PLAIN));
    pair.run(ms(50));
    pair.runs_on(Side::Source);
    assert!(!pair.doubted(), "in doubt on a sound link\n{}", pair.tail());
    assert!(pair.blackout() <= pair.hard_limit(), "{:?}", pair.blackout());
}

/// [SW-27] [SW-28] [SW-38]
#[test]
fn h21_after_go_neither_cancel_nor_time_brings_the_guest_back() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.network.rule(Word::Running, Way::Held, ALWAYS);
    pair.network.rule(Word::Abort, Way::Lost, ALWAYS);
    pair.begin();
    pair.until_source("GoSent");
    pair.source(SourceEvent::Cancel);
    pair.run(ms(300));
    pair.source(SourceEvent::Cancel);
    pair.run(ms(300));
    pair.check();
    assert!(pair.doubted() && !pair.judge.runs_on_source());
    assert!(pair.deliver(Word::Running));
    pair.run(ms(50));
    pair.runs_on(Side::Destination);
    // The request itself goes out, and before the decision it is heard.
    let mut s = LoneSource::idle(Shape::PLAIN).go_sent();
    s.step(SourceEvent::Cancel);
    assert_eq!(s.words(), ["-> Abort"]);
}

/// [SW-35] [SW-36]
#[test]
fn h22_a_fence_is_durable_before_it_is_acted_upon() {
    let doubtful = || {
        let mut pair = outliving(Shape::PLAIN);
        pair.begin();
        pair.until_destination("Resuming");
        pair.cut();
        pair.until_source("InDoubt");
        pair
    };
    // Not durable: nothing happens, and after a crash it is as if it had not been said.
    let mut pair = doubtful();
    pair.source.stick(On::Write(RecordKind::Fenced));
    pair.fence();
    pair.run(ms(100));
    assert!(!pair.judge.runs_on_source(), "the guest runs by a fence that is not durable");
    pair.crash(Side::Source, Torn::Lost);
    pair.restart(Side::Source);
    assert_eq!(state_of(pair.source.alive()), "InDoubt");

    // Durable: a crash before the rollback ends does not forget it.
    let mut pair = doubtful();
    pair.source.stick(On::Vcpus(Op::Rollback));
    pair.fence();
    pair.until_source("RollingBack");
    pair.crash(Side::Source, Torn::Lost);
    pair.source.calm();
    pair.restart(Side::Source);
    pair.run(ms(50));
    pair.runs_on(Side::Source);

    // A fence that was false is not hidden.
    let mut s = LoneSource::idle(Shape::PLAIN).fencing();
    s.hear(ToSource::Running(Default::default()));
    assert_eq!(s.words(), ["[ALARM RunsElsewhere]"]);
    let mut pair = doubtful();
    pair.fence();
    pair.run(ms(50));
    pair.source(SourceEvent::Message(envelope(1), ToSource::Running(Default::default())));
    assert!(pair.alarmed(Alarm::RunsElsewhere));
}

/// [SW-9]; the machines cannot see a second agent, so the lock is their host's.
#[test]
fn h23_a_second_agent_does_not_get_the_journal() {
    let path = std::env::temp_dir().join(format!("switchover-h23-{}", std::process::id()));
    let first = JournalFile::open(&path, Durability::Process).expect("a new journal");
    assert!(JournalFile::open(&path, Durability::Process).is_err(), "two agents hold one journal");
    drop(first);
    assert!(JournalFile::open(&path, Durability::Process).is_ok(), "the lock ends with its holder");
    let _ = std::fs::remove_file(&path);
}
