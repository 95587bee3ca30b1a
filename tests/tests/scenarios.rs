//! Switchovers from beginning to end between two real machines, and the holes that were found while building
//! (B1..B14 in `docs/PROTOCOL.md`).
//!
//! The traps of the model are in `traps.rs`; what a host adds is not tested here.

use switchover_core::action::{Alarm, Note};
use switchover_core::event::{DestinationEvent, Outcome, Owner, SourceEvent};
use switchover_core::id::{AttemptId, JournalId};
use switchover_core::journal::RecordKind;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Op, Port, Side};
use switchover_core::time::Ns;
use switchover_core::wire::message::{Envelope, Refusal, ToDestination, ToSource};
use switchover_tests::machines::build::destination;
use switchover_tests::machines::host::{Ends, Fate, On};
use switchover_tests::machines::lone::{LoneDestination, LoneSource, attempt, envelope, hello};
use switchover_tests::machines::network::{Way, Word};
use switchover_tests::machines::pair::Pair;
use switchover_tests::machines::show::state_of;
use switchover_tests::machines::{Shape, TestSource, ms, source_config};

const ALWAYS: u32 = u32::MAX;
const SHAPES: [Shape; 5] = [Shape::PLAIN, Shape::DEVICES, Shape::TWO_PORTS, Shape::ARBITER, Shape::FULL];

fn has(words: &[String], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

#[test]
fn without_trouble_it_commits() {
    for shape in SHAPES {
        let mut pair = Pair::new(shape);
        pair.begin();
        pair.run(ms(1_000));
        pair.runs_on(Side::Destination);
        assert!(pair.committed() && pair.blackout() <= ms(20), "{:?}", pair.blackout());
        assert!(pair.destination.alive().finished(), "Fin has arrived");
        assert!(!pair.doubted());
    }
}

/// [SW-13] [SW-26]
#[test]
fn an_aborted_attempt_is_followed_by_one_that_commits() {
    for shape in SHAPES {
        let mut pair = Pair::new(shape);
        pair.source.rule(On::Vcpus(Op::Save), Fate::Stuck, 1);
        pair.begin();
        assert!(pair.until(|pair| pair.ended().is_some()));
        pair.runs_on(Side::Source);
        assert!(pair.blackout() <= pair.hard_limit());
        pair.run(ms(1_000));
        pair.runs_on(Side::Destination);
        assert!(pair.committed());
    }
}

/// [SW-13]: three attempts, each after twice the wait, and then no more.
#[test]
fn attempts_are_capped_and_their_waits_double() {
    let mut s = LoneSource::idle(Shape::PLAIN);
    let mut waits = Vec::new();
    for _ in 0..3 {
        s = s.precopy();
        s.step(SourceEvent::MemoryFailed);
        waits.push(s.last.deadline.map(|at| at.since(s.now)));
        s.now = s.last.deadline.unwrap_or(s.now);
        // The next attempt opens by itself; `precopy` begins where a Begin has no effect.
        if s.last.deadline.is_some() {
            s.step(SourceEvent::Deadline);
            s.step(SourceEvent::LinkDown);
        }
    }
    assert_eq!(waits, [Some(ms(200)), Some(ms(400)), None]);
}

/// [SW-17]: slices are asked for one by one, and not after it is too late.
#[test]
fn a_large_state_is_saved_slice_by_slice() {
    let mut pair = Pair::new(Shape::DEVICES);
    pair.source.rule(On::Device(Op::Save), Fate::After(ms(1), Ends::More), 6);
    pair.destination.rule(On::Device(Op::Load), Fate::After(ms(1), Ends::More), 6);
    pair.begin();
    pair.run(ms(1_000));
    pair.runs_on(Side::Destination);

    let mut pair = Pair::new(Shape::DEVICES);
    pair.source.rule(On::Port(Port::Device(0), Op::Save), Fate::After(ms(7), Ends::More), ALWAYS);
    pair.begin();
    assert!(pair.until(|pair| pair.ended().is_some()));
    pair.runs_on(Side::Source);
    assert!(pair.blackout() <= pair.hard_limit());
    let ended = pair.ended().expect("it ended");
    assert_eq!(ended.ending, Ending::Aborted(Reason::Doomed));
    assert_eq!(ended.offender.map(|blame| blame.port), Some(Port::Device(0)));
}

/// [SW-22]: a port over its contract is named, and the attempt goes on while the rest fits.
#[test]
fn a_slow_phase_is_recorded_and_not_aborted() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.source.slow(On::Vcpus(Op::Save), ms(60));
    pair.begin();
    pair.run(ms(500));
    pair.runs_on(Side::Destination);
    let over = pair.notes.iter().any(|note| {
        matches!(note, Note::Phase { planned, measured, .. }
        if *planned == ms(3) && *measured >= ms(60))
    });
    assert!(over, "{}", pair.tail());
}

/// [SW-11]
#[test]
fn a_limit_without_time_for_work_is_refused_with_one_that_would_do() {
    let refused = |downtime: Ns| {
        let mut config = source_config(Shape::PLAIN);
        config.limits.downtime = downtime;
        config.limits.switchover = Ns::ZERO;
        let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
        let mut pair = Pair::with(Shape::PLAIN, machine, destination(Shape::PLAIN), 0, 0);
        pair.begin();
        pair.run(ms(100));
        pair.check();
        match pair.ended().map(|ended| ended.ending) {
            Some(Ending::Aborted(Reason::LimitTooSmall(least))) => Some(least),
            _ => None,
        }
    };
    let least = refused(ms(5)).expect("5 ms cannot do");
    assert!(refused(least.minus(Ns::new(1))).is_some() && refused(least).is_none(), "{least:?}");
}

/// [SW-12]
#[test]
fn what_is_never_admitted_is_never_stopped() {
    let mut config = source_config(Shape::PLAIN);
    config.retry.precopy_limit = ms(300);
    config.limits.downtime = ms(16);
    config.limits.switchover = ms(100);
    let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
    let mut pair = Pair::with(Shape::PLAIN, machine, destination(Shape::PLAIN), 0, 0);
    // Loading takes longer than is planned for: it would fit H, and not the plan.
    pair.network.delay = ms(3);
    pair.begin();
    pair.run(ms(1_000));
    pair.runs_on(Side::Source);
    assert_eq!(pair.ended().map(|e| e.ending), Some(Ending::Aborted(Reason::NotAdmitted)));
    assert!(pair.judge.spans.is_empty());
}

/// [SW-14] [SW-15]
#[test]
fn a_silent_peer_is_dead_before_and_after_its_welcome() {
    for word in [Word::Welcome, Word::Pong] {
        let mut pair = Pair::new(Shape::PLAIN);
        pair.network.rule(word, Way::Lost, ALWAYS);
        pair.begin();
        assert!(pair.until(|pair| pair.ended().is_some()));
        pair.runs_on(Side::Source);
        // Whichever side notices first.
        let silent = [Reason::PeerLost, Reason::Refused(Refusal::Silent)].map(Ending::Aborted);
        assert!(pair.ended().is_some_and(|e| silent.contains(&e.ending)), "{word:?} {:?}", pair.ended());
        assert!(pair.judge.spans.is_empty());
    }
}

/// [SW-38]: cancel in every state before `Go` leaves the guest where it is.
#[test]
fn cancel_before_go_takes_effect_at_once() {
    for state in ["Opening", "Greeting", "Precopy", "Stopping", "Saving", "Sealing", "Sealed", "RollingBack"]
    {
        let mut pair = Pair::new(Shape::FULL);
        if state == "RollingBack" {
            pair.source.fail(On::Vcpus(Op::Save), Ends::Failed);
        }
        pair.begin();
        pair.until_source(state);
        pair.source(SourceEvent::Cancel);
        pair.run(ms(2_000));
        pair.runs_on(Side::Source);
        assert!(!pair.said_go(), "{state}");
        // An attempt that is being undone has its own reason already.
        let reason = if state == "RollingBack" { Reason::PortFailed } else { Reason::Cancelled };
        assert_eq!(pair.ended().map(|e| e.ending), Some(Ending::Aborted(reason)), "{state}");
        assert_eq!(state_of(pair.source.alive()), "Idle");
    }
}

/// [SW-24] [SW-72]
#[test]
fn what_arrived_differently_is_refused_and_sent_anew() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.corrupt = true;
    pair.begin();
    assert!(pair.until(|pair| pair.ended().is_some()));
    pair.runs_on(Side::Source);
    assert_eq!(pair.ended().map(|e| e.ending), Some(Ending::Aborted(Reason::Refused(Refusal::Digest))));
    pair.run(ms(1_000));
    pair.runs_on(Side::Destination);
}

/// B1 [SW-64]: a source journal that takes all of its contract ends no attempt.
#[test]
fn b01_the_lease_covers_the_wait_for_may_go() {
    let mut config = source_config(Shape::PLAIN);
    config.contracts.journal.time = ms(30);
    let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
    let mut pair = Pair::with(Shape::PLAIN, machine, destination(Shape::PLAIN), 500, -500);
    pair.source.slow(On::Write(RecordKind::MayGo), ms(30));
    pair.begin();
    pair.run(ms(150));
    pair.runs_on(Side::Destination);
    assert!(pair.committed());
}

/// B2 [SW-7] [SW-57]
#[test]
fn b02_a_duplicate_hello_never_ends_its_own_attempt() {
    let idle = || LoneDestination::idle(Shape::FULL);
    let states = [
        idle().loading(),
        idle().told(),
        idle().verifying(),
        idle().settling(),
        idle().ready(),
        idle().gone(),
        idle().writing(),
        idle().resuming(),
        idle().vcpus_asked(),
        idle().superseding(),
        idle().running(),
        idle().finished(),
    ];
    for mut d in states {
        let before = d.state();
        let of = Envelope { attempt: attempt(1), ..Envelope::default() };
        d.step(DestinationEvent::Message(of, ToDestination::Hello(hello(Shape::FULL))));
        assert_eq!(d.state(), before);
        assert!(!has(&d.words(), "-> Refused"), "{before}: {:?}", d.words());
    }
}

/// B3 [SW-6]
#[test]
fn b03_busy_is_for_good() {
    let mut d = LoneDestination::idle(Shape::PLAIN).loading();
    let other = |counter| Envelope {
        attempt: AttemptId { journal: JournalId(0x77), counter },
        ..Envelope::default()
    };
    let hello = ToDestination::Hello(hello(Shape::PLAIN));
    d.step(DestinationEvent::Message(other(5), hello));
    assert_eq!(d.words(), ["-> Refused(Busy)"]);
    d.hear(ToDestination::Abort { offender: None });
    d.step(DestinationEvent::Port(Port::Vcpus(0), Op::Unload, Outcome::Done));
    assert_eq!(d.state(), "Idle");
    // A delayed copy of what was refused, and anything older of that source.
    for counter in [5, 4] {
        d.step(DestinationEvent::Message(other(counter), hello));
        assert_eq!(d.words(), ["-> Refused(Old)"]);
    }
    d.step(DestinationEvent::Message(other(6), hello));
    assert_eq!(d.state(), "Loading");
}

/// [SW-5]: no floor is ever forgotten; with the table full, newcomers are refused.
#[test]
fn floors_are_never_forgotten() {
    let mut d = LoneDestination::idle(Shape::PLAIN);
    let of = |journal, counter| Envelope {
        attempt: AttemptId { journal: JournalId(journal), counter },
        ..Envelope::default()
    };
    let hello = ToDestination::Hello(hello(Shape::PLAIN));
    for journal in 1..=4 {
        d.step(DestinationEvent::Message(of(journal, 9), hello));
        assert_eq!(d.state(), "Loading");
        d.step(DestinationEvent::Cancel);
        d.step(DestinationEvent::Port(Port::Vcpus(0), Op::Unload, Outcome::Done));
    }
    d.step(DestinationEvent::Message(of(5, 1), hello));
    assert_eq!((d.state().as_str(), d.words()), ("Idle", vec!["-> Refused(Busy)".to_string()]));
    for journal in 1..=4 {
        d.step(DestinationEvent::Message(of(journal, 9), hello));
        assert_eq!(d.words(), ["-> Refused(Old)"]);
    }
    d.step(DestinationEvent::Message(of(4, 10), hello));
    assert_eq!(d.state(), "Loading");
}

/// B4 [SW-34]: a lost claim is made again, at its pace; a failing arbiter is not asked in a loop.
#[test]
fn b04_a_claim_is_made_again_at_its_pace() {
    let mut s = LoneSource::idle(Shape::ARBITER).in_doubt();
    let answers = [
        SourceEvent::Claimed(attempt(1), Owner::Destination),
        SourceEvent::NotClaimed(attempt(1)),
        SourceEvent::Claimed(attempt(1), Owner::Destination),
    ];
    for answer in answers {
        s.pass(ms(1));
        s.step(answer);
        assert!(s.words().is_empty(), "asked in a loop: {:?}", s.words());
        s.now = s.last.deadline.expect("it asks again");
        s.step(SourceEvent::Deadline);
        assert!(has(&s.words(), "claim#1"), "{:?}", s.words());
    }
    // Somebody has yielded meanwhile.
    s.step(SourceEvent::Claimed(attempt(1), Owner::Source));
    assert_eq!(s.state(), "RollingBack");
}

/// B5 [SW-42] [SW-63]
#[test]
fn b05_need_includes_the_claim_and_welcome_says_so() {
    for (shape, need) in [(Shape::PLAIN, ms(2)), (Shape::ARBITER, ms(7)), (Shape::FULL, ms(9))] {
        let terms = LoneSource::idle(shape).terms();
        assert_eq!(terms.need(), need);
        let last = ms(20).minus(need);
        let mut d = LoneDestination::idle(shape).claimable();
        d.pass(last);
        d.step(DestinationEvent::Deadline);
        assert_eq!(d.state(), "Ready");
        d.pass(Ns::new(1));
        d.step(DestinationEvent::Deadline);
        assert_eq!(d.state(), "Refusing", "{shape:?}");
    }
}

/// B6 [SW-53]
#[test]
fn b06_one_port_that_fails_does_not_speak_for_one_that_runs() {
    let resumed = |first, second| {
        let mut d = LoneDestination::idle(Shape::TWO_PORTS).resuming();
        d.step(DestinationEvent::Port(Port::Vcpus(1), Op::Resume, first));
        assert_eq!(d.state(), "Resuming", "the other port has not answered");
        d.step(DestinationEvent::Port(Port::Vcpus(0), Op::Resume, second));
        d.state()
    };
    use Outcome::{Done, Failed, FailedRunning};
    for (first, second, state) in [
        (Done, Done, "Running"),
        (Failed, Done, "Running"),
        (Done, Failed, "Running"),
        (FailedRunning, Failed, "Running"),
        (Failed, FailedRunning, "Running"),
        (Failed, Failed, "Superseding"),
    ] {
        assert_eq!(resumed(first, second), state, "{first:?} {second:?}");
    }
}

/// B7 [SW-46]
#[test]
fn b07_ready_is_said_again_with_what_is_left() {
    let mut config = source_config(Shape::PLAIN);
    config.contracts.journal.time = ms(30);
    let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
    let mut pair = Pair::with(Shape::PLAIN, machine, destination(Shape::PLAIN), 0, 0);
    pair.network.rule(Word::Ready, Way::Lost, 2);
    pair.begin();
    pair.run(ms(150));
    pair.runs_on(Side::Destination);

    let mut d = LoneDestination::idle(Shape::PLAIN).ready();
    assert!(has(&d.words(), "-> Ready(left 20)"), "{:?}", d.words());
    d.pass(ms(10));
    d.step(DestinationEvent::Deadline);
    assert_eq!(d.words(), ["-> Ready(left 10)"]);
}

/// B9 [SW-36]
#[test]
fn b09_running_while_a_fence_is_written_changes_nothing_but_is_told() {
    let mut s = LoneSource::idle(Shape::PLAIN).fencing();
    s.hear(ToSource::Running(Default::default()));
    assert_eq!((s.state().as_str(), s.words()), ("Fencing", vec!["[ALARM RunsElsewhere]".to_string()]));
    s.written(RecordKind::Fenced);
    assert_eq!(s.state(), "RollingBack");
    s.hear(ToSource::Running(Default::default()));
    assert_eq!((s.state().as_str(), s.words()), ("RollingBack", vec!["[ALARM RunsElsewhere]".to_string()]));
    let mut pair = Pair::new(Shape::PLAIN);
    pair.source(SourceEvent::Message(envelope(1), ToSource::Running(Default::default())));
    assert!(pair.alarmed(Alarm::RunsElsewhere));
}

/// B10 [SW-48]
#[test]
fn b10_a_destination_lets_go_of_its_load_at_the_hard_limit() {
    for lost in [Word::Sealed, Word::RoundEnd] {
        let mut pair = Pair::new(Shape::DEVICES);
        pair.network.rule(lost, Way::Lost, ALWAYS);
        pair.network.rule(Word::Abort, Way::Lost, ALWAYS);
        pair.begin();
        pair.until_source(if lost == Word::Sealed { "Sealed" } else { "Precopy" });
        pair.crash_silently(Side::Source, switchover_tests::machines::Torn::Lost);
        pair.run(ms(600));
        assert_eq!(state_of(pair.destination.alive()), "Idle", "{}", pair.tail());
        assert!(!pair.judge.destination_copy());
    }
    for d in
        [LoneDestination::idle(Shape::DEVICES).verifying(), LoneDestination::idle(Shape::DEVICES).settling()]
    {
        let mut d = d;
        d.pass(ms(200));
        d.step(DestinationEvent::Deadline);
        assert!(has(&d.words(), "-> Refused(LimitReached"), "{:?}", d.words());
    }
}

/// B11 [SW-25]
#[test]
fn b11_vcpus_do_not_wait_for_a_device_beyond_the_limit() {
    let stuck = |hold: bool| {
        let mut config = source_config(Shape::DEVICES);
        config.hold_on_lost_device = hold;
        let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
        let mut pair = Pair::with(Shape::DEVICES, machine, destination(Shape::DEVICES), 0, 0);
        pair.source.rule(On::Port(Port::Device(1), Op::Rollback), Fate::Stuck, ALWAYS);
        pair.source.slow(On::Vcpus(Op::Rollback), ms(2));
        pair.source.lateness = ms(1);
        pair.destination.stick(On::Verify);
        pair.begin();
        pair.until_source("RollingBack");
        pair.run(ms(100));
        pair
    };
    let pair = stuck(false);
    pair.runs_on(Side::Source);
    assert!(pair.blackout() <= pair.hard_limit(), "{:?}", pair.blackout());
    let lost = pair.notes.iter().any(|note| matches!(note, Note::DeviceLost(set) if set.len() == 1));
    assert!(lost, "{}", pair.tail());
    assert!(!stuck(true).judge.runs_on_source(), "held for its devices, as it was told to be");
}

/// [SW-25]: after a long doubt H is past anyway, and no device that keeps its contract is given up for it.
#[test]
fn devices_come_back_first_after_a_long_doubt_too() {
    let mut pair = Pair::new(Shape::DEVICES);
    pair.network.rule(Word::Go, Way::Lost, ALWAYS);
    pair.begin();
    pair.until_source("GoSent");
    pair.cut();
    pair.run(ms(1_000));
    pair.source.slow(On::Device(Op::Rollback), ms(4));
    pair.mend();
    assert!(pair.until(|pair| pair.ended().is_some()));
    pair.runs_on(Side::Source);
    let lost = pair.notes.iter().any(|note| matches!(note, Note::DeviceLost(_)));
    assert!(!lost, "{}", pair.tail());
}

/// [SW-25]: held for its devices, the guest runs when the failing one comes back: it is asked again.
#[test]
fn a_device_that_the_guest_is_held_for_is_asked_again() {
    let mut config = source_config(Shape::DEVICES);
    config.hold_on_lost_device = true;
    let machine = TestSource::new(config, attempt(0).journal, 0).expect("settings");
    let mut pair = Pair::with(Shape::DEVICES, machine, destination(Shape::DEVICES), 0, 0);
    pair.source.rule(On::Port(Port::Device(1), Op::Rollback), Fate::After(ms(1), Ends::Failed), 3);
    pair.source.fail(On::Vcpus(Op::Save), Ends::Failed);
    pair.begin();
    assert!(pair.until(|pair| pair.ended().is_some()), "{}", pair.tail());
    pair.runs_on(Side::Source);
}

/// [SW-29] [SW-37]: a link that breaks before `Fin` is brought up again for it.
#[test]
fn fin_arrives_after_a_broken_link() {
    let mut pair = Pair::new(Shape::PLAIN);
    pair.begin();
    pair.until_source("Releasing");
    pair.cut();
    pair.run(ms(100));
    assert!(pair.committed() && !pair.destination.alive().finished());
    pair.mend();
    pair.run(ms(100));
    pair.runs_on(Side::Destination);
    assert!(pair.destination.alive().finished(), "{}", pair.tail());
}
