//! Holes that a review of the rules found, each played as its shortest scenario (B15 and later in `docs/PROTOCOL.md`).

use switchover_core::action::{DestinationAction, Note};
use switchover_core::contract::Term;
use switchover_core::event::{DestinationEvent, Owner, SourceEvent};
use switchover_core::id::{AttemptId, Incarnation, JournalId};
use switchover_core::journal::RecordKind;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Op, Phase, Port, Side};
use switchover_core::time::Ns;
use switchover_core::wire::message::{Envelope, Refusal, ToDestination, ToSource};
use switchover_tests::machines::build::{CADENCE, DESTINATION, FIRST, destination, source};
use switchover_tests::machines::host::{Ends, Fate, On};
use switchover_tests::machines::lone::{LoneDestination, LoneSource, attempt, hello};
use switchover_tests::machines::network::{Way, Word};
use switchover_tests::machines::pair::Pair;
use switchover_tests::machines::{Shape, TestDestination, TestSource, destination_config, ms, source_config};

const ALWAYS: u32 = u32::MAX;

fn has(words: &[String], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

/// B15 [SW-10]: where the round trip is longer than the pause between pings, it is known all the same.
#[test]
fn a_round_trip_longer_than_the_pause_between_pings_is_learned() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.network.delay = CADENCE.ping.times(2);
    pair.begin();
    pair.run(ms(500));
    let learned = pair.notes.iter().find_map(|note| match note {
        Note::Verdict(verdict) => Some(verdict.traffic.delay),
        _ => None,
    });
    assert!(learned.is_some_and(|learned| learned >= ms(80)), "{learned:?}\n{}", pair.tail());
    // 110 ms do not hold three ways of 40 ms.
    assert!(!pair.notes.contains(&Note::Stopping), "{}", pair.tail());
    pair.runs_on(Side::Source);
}

/// B16 [SW-38]: after `Go` a cancel is a request, but it says that the guest is to stay: if the
/// destination refuses, no further attempt begins.
#[test]
fn a_cancel_at_any_time_is_followed_by_no_attempt() {
    for state in ["Precopy", "Stopping", "Saving", "Sealed", "GoSent", "InDoubt", "RollingBack", "Parting"] {
        let mut pair = Pair::new(Shape::DEVICES);
        match state {
            "GoSent" | "InDoubt" => pair.network.rule(Word::Go, Way::Lost, ALWAYS),
            "RollingBack" | "Parting" => pair.source.fail(On::LastPages, Ends::Failed),
            _ => {}
        }
        pair.begin();
        if state == "InDoubt" {
            pair.until_source("GoSent");
            pair.cut();
        }
        pair.until_source(state);
        pair.source(SourceEvent::Cancel);
        pair.mend();
        pair.run(ms(2_000));
        pair.runs_on(Side::Source);
        let attempts = pair.notes.iter().filter(|note| matches!(note, Note::Began(_))).count();
        assert_eq!(attempts, 1, "{state}\n{}", pair.tail());
        assert!(pair.notes.contains(&Note::Finished), "{state}");
    }
}

/// [SW-25]: a guest that goes on without a device is not stopped again by itself.
#[test]
fn no_attempt_follows_a_lost_device() {
    for fate in [Fate::Stuck, Fate::After(ms(1), Ends::Failed)] {
        let mut pair = Pair::new(Shape::DEVICES);
        pair.source.rule(On::Port(Port::Device(1), Op::Rollback), fate, ALWAYS);
        pair.source.fail(On::LastPages, Ends::Failed);
        pair.begin();
        pair.run(ms(2_000));
        pair.runs_on(Side::Source);
        let attempts = pair.notes.iter().filter(|note| matches!(note, Note::Began(_))).count();
        assert_eq!(attempts, 1, "{}", pair.tail());
    }
}

/// B17 [SW-10]: a round's end, or its echo, is lost: it is said again, and does not cost the pre-copy limit.
#[test]
fn a_lost_end_of_a_round_is_said_again() {
    for lost in [Word::RoundEnd, Word::Pong] {
        let mut pair = Pair::new(Shape::PLAIN);
        pair.network.rule(lost, Way::Lost, 2);
        pair.begin();
        pair.run(ms(500));
        pair.runs_on(Side::Destination);
    }
}

/// [SW-30]: a refusal makes the fence unnecessary, whose record may take for ever.
#[test]
fn a_refusal_ends_a_fence_that_is_being_written() {
    let mut s = LoneSource::idle(Shape::PLAIN).fencing();
    s.hear(ToSource::Refused { reason: Refusal::NoRecord, offender: None });
    assert_eq!(s.state(), "RollingBack");
    s.written(RecordKind::Fenced);
    assert_eq!(s.state(), "RollingBack");
    // What is said to be lost there may have run: then the operator's word is all there is.
    let mut s = LoneSource::idle(Shape::PLAIN).held();
    s.step(SourceEvent::Fence);
    s.hear(ToSource::Refused { reason: Refusal::NoRecord, offender: None });
    assert_eq!(s.state(), "Fencing");
}

/// [SW-14] [SW-7]: a source that says its Hello again lives.
#[test]
fn a_repeated_hello_is_a_sign_of_life() {
    let mut d = LoneDestination::idle(Shape::PLAIN).loading();
    let said = Envelope { attempt: attempt(1), ..Envelope::default() };
    for _ in 0..10 {
        d.pass(ms(100));
        d.step(DestinationEvent::Message(said, ToDestination::Hello(hello(Shape::PLAIN))));
        assert!(has(&d.words(), "-> Welcome"), "{:?}", d.words());
    }
}

/// B19 [SW-56]: a claim that is still to be yielded is not forgotten over the next attempt's.
#[test]
fn nothing_is_taken_up_before_a_claim_is_yielded() {
    let mut d = LoneDestination::idle(Shape::ARBITER).gone();
    d.step(DestinationEvent::NotClaimed(attempt(1)));
    assert!(has(&d.words(), "yield#1"), "{:?}", d.words());
    d.ports(Op::Unload, |all| all);
    assert_eq!(d.state(), "Idle");
    let other = AttemptId { journal: JournalId(0x77), counter: 1 };
    let said = Envelope { attempt: other, ..Envelope::default() };
    let said = DestinationEvent::Message(said, ToDestination::Hello(hello(Shape::ARBITER)));
    d.step(said);
    assert_eq!((d.state().as_str(), d.words()), ("Idle", vec![]));
    d.step(DestinationEvent::Yielded(attempt(1)));
    d.step(said);
    assert_eq!(d.state(), "Loading");
}

/// B18 [SW-52]: a device that never comes back in the resume keeps nobody waiting: no vCPU has executed.
#[test]
fn a_device_stuck_in_its_resume_is_named_and_the_guest_goes_on_at_the_source() {
    let mut pair = Pair::new(Shape::FULL);
    pair.destination.rule(On::Port(Port::Device(1), Op::Resume), Fate::Stuck, ALWAYS);
    pair.begin();
    assert!(pair.until(|pair| pair.ended().is_some()), "{}", pair.tail());
    pair.runs_on(Side::Source);
    let ended = pair.ended().expect("it ended");
    assert_eq!(ended.ending, Ending::Aborted(Reason::Refused(Refusal::TooLate)));
    assert_eq!(ended.offender.map(|blame| (blame.port, blame.phase)), Some((Port::Device(1), Phase::Resume)));
    assert!(!pair.doubted() || pair.blackout() <= pair.hard_limit(), "{}", pair.tail());
}

/// [SW-11]: a delay that an earlier attempt met is no reason to refuse the limit for good.
#[test]
fn a_learned_delay_makes_no_limit_too_small() {
    let mut config = source_config(Shape::PLAIN);
    config.contracts.link.delay = Term::learned(ms(90));
    let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
    let mut pair = Pair::with(Shape::PLAIN, machine, destination(Shape::PLAIN), 0, 0);
    pair.begin();
    pair.run(ms(2_000));
    pair.runs_on(Side::Destination);
}

/// B21 [SW-66] [SW-67]: `answer_by` is strict, so the claim begins a tick after it: with everything as late as its
/// contract allows, the guest runs at the very end of H, and not a tick beyond.
#[test]
fn a_claim_after_the_latest_go_ends_by_the_hard_limit() {
    let latest = |s: LoneSource| {
        let (mut s, after) = (s.clone(), s.last.deadline.expect("go_by bounds it"));
        s.now = after.minus(Ns::new(1));
        let ready = s.ready();
        s.hear(ready);
        assert_eq!(s.state(), "GoSent");
        s
    };
    let sealed = LoneSource::idle(Shape::ARBITER).unready();
    // When it is in doubt if its timer is on time; then once more with a timer that is W_s late.
    let mut early = latest(sealed.clone());
    while early.state() == "GoSent" {
        early.now = early.last.deadline.expect("Go is said again");
        early.step(SourceEvent::Deadline);
    }
    let mut s = latest(sealed);
    s.now = early.now.plus(ms(1));
    s.step(SourceEvent::Deadline);
    assert!(has(&s.words(), "claim#1"), "{:?}", s.words());
    let id = attempt(1);
    s.pass(ms(5)).step(SourceEvent::Claimed(id, Owner::Source));
    s.pass(ms(2)).ports(Op::Rollback, |all| all);
    let took = s.machine.ended()[0].blackout;
    assert!(took <= ms(110) && took >= ms(110).minus(Ns::new(4)), "{took:?}");
}

/// B22 [SW-64]: with an arbiter the destination's record that it may claim is written while `Ready` and `Go` are on
/// their way. A journal that is slower than both, within its contract, does not end every attempt at the lease.
#[test]
fn a_slow_destination_journal_does_not_eat_the_lease_of_an_arbiter() {
    let mut config = destination_config(Shape::ARBITER);
    config.contracts.journal = Term::declared(ms(15));
    let machine = TestDestination::new(config, DESTINATION, FIRST).expect("settings");
    let mut pair = Pair::with(Shape::ARBITER, source(Shape::ARBITER), machine, 0, 0);
    for kind in [RecordKind::Claiming, RecordKind::Running] {
        pair.destination.slow(On::Write(kind), ms(15));
    }
    pair.begin();
    pair.run(ms(2_000));
    pair.runs_on(Side::Destination);
    assert!(pair.blackout() <= pair.hard_limit(), "{:?}", pair.blackout());
    let attempts = pair.notes.iter().filter(|note| matches!(note, Note::Began(_))).count();
    assert_eq!(attempts, 1, "{}", pair.tail());
}

/// B24 [SW-4] [SW-30] [SW-58]: after `Go`, only the word of the incarnation that it was sent to rolls back.
#[test]
fn the_word_of_another_incarnation_does_not_roll_back() {
    let refused = ToSource::Refused { reason: Refusal::Silent, offender: None };
    let own = Envelope { attempt: attempt(1), peer: DESTINATION, incarnation: FIRST };
    let other = Envelope { incarnation: Incarnation(9), ..own };
    for state in [LoneSource::go_sent, LoneSource::in_doubt, LoneSource::fencing] {
        let mut s = state(LoneSource::idle(Shape::PLAIN));
        let before = s.state();
        s.step(SourceEvent::Message(other, refused));
        assert_eq!(s.state(), before);
        s.step(SourceEvent::Message(own, refused));
        assert_eq!(s.state(), "RollingBack");
    }

    // A destination without a record says so of the incarnation that was asked for.
    let mut d = LoneDestination::idle(Shape::PLAIN);
    d.step(DestinationEvent::Message(other, ToDestination::Query));
    let said = |action: &DestinationAction| match action {
        DestinationAction::Send(from, ToSource::Refused { .. }) => Some(*from),
        _ => None,
    };
    assert_eq!(d.last.actions.iter().find_map(said), Some(other));
}
