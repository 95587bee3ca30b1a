//! Every journal that a restart can find, with every guest that it can find, for both machines.
//!
//! What is expected is written out here from the protocol ([SW-39], [SW-58], [SW-59], [SW-60]), not computed from the
//! machines. Restarts inside whole switchovers are in `traps.rs`.

use switchover_core::action::{DestinationAction, SourceAction};
use switchover_core::event::{DestinationEvent, Outcome, SourceEvent};
use switchover_core::id::{AttemptId, GuestInstance, Incarnation, JournalId};
use switchover_core::journal::{DestinationGuest, DestinationJournal, SourceGuest, SourceJournal};
use switchover_core::port::{Op, Port};
use switchover_core::wire::message::{Envelope, ToDestination, ToSource};
use switchover_tests::machines::build::{DESTINATION, FIRST, GUEST, SOURCE};
use switchover_tests::machines::lone::{LoneDestination, LoneSource, START, attempt, envelope, hello};
use switchover_tests::machines::show::{destination_action, source_action};
use switchover_tests::machines::{Shape, TestDestination, TestSource, destination_config, source_config};

const SHAPES: [Shape; 3] = [Shape::PLAIN, Shape::ARBITER, Shape::FULL];

/// A source that finds these, and the words of its first step.
fn source(shape: Shape, journal: SourceJournal, guest: SourceGuest) -> (LoneSource, Vec<String>) {
    let (machine, step) = TestSource::restart(source_config(shape), journal, guest, START).expect("settings");
    let words = step.actions.iter().map(source_action).collect();
    let mut s = LoneSource::of(machine, shape);
    s.last = step;
    (s, words)
}

/// A destination that finds these, and the words of its first step.
fn destination(
    shape: Shape,
    journal: DestinationJournal,
    guest: DestinationGuest,
) -> (LoneDestination, Vec<String>) {
    let config = destination_config(shape);
    let (machine, step) =
        TestDestination::restart(config, journal, guest, Incarnation(2), START).expect("settings");
    let words = step.actions.iter().map(destination_action).collect();
    let mut d = LoneDestination::of(machine, shape);
    d.last = step;
    (d, words)
}

fn has(words: &[String], start: &str) -> bool {
    words.iter().any(|word| word.starts_with(start))
}

/// Every combination of records that a source's journal can hold of its latest attempt.
fn source_journals() -> Vec<SourceJournal> {
    let mut all = vec![SourceJournal { identity: SOURCE, ..SourceJournal::default() }];
    for bits in 0..8 {
        all.push(SourceJournal {
            identity: SOURCE,
            open: Some(attempt(3)),
            may_go: (bits & 1 != 0).then_some((DESTINATION, FIRST)),
            committed: bits & 2 != 0,
            fenced: bits & 4 != 0,
        });
    }
    all
}

/// [SW-39]
#[test]
fn a_source_does_what_guest_and_records_say() {
    for shape in SHAPES {
        for journal in source_journals() {
            for guest in [SourceGuest::Running, SourceGuest::Stopped, SourceGuest::Gone] {
                let (s, words) = source(shape, journal, guest);
                let open = journal.open.is_some();
                let expected = match guest {
                    SourceGuest::Running => "Idle",
                    SourceGuest::Gone if open => "Committed",
                    SourceGuest::Gone => "Idle",
                    SourceGuest::Stopped if journal.fenced => "RollingBack",
                    SourceGuest::Stopped if journal.committed => "Releasing",
                    SourceGuest::Stopped if journal.may_go.is_some() => "InDoubt",
                    SourceGuest::Stopped => "RollingBack",
                };
                let what = format!("{journal:?} {guest:?}: {words:?}");
                assert_eq!(s.state(), expected, "{what}");
                assert!(s.machine.invariant());
                // Nothing is run, destroyed or claimed but where the state says so.
                assert_eq!(has(&words, "Rollback"), expected == "RollingBack", "{what}");
                assert_eq!(has(&words, "release"), expected == "Releasing", "{what}");
                assert_eq!(has(&words, "claim"), expected == "InDoubt" && shape.arbiter, "{what}");
                let asks = matches!(expected, "InDoubt" | "Releasing" | "Committed");
                assert_eq!(has(&words, "connect"), asks, "{what}");
            }
        }
    }
}

/// [SW-1]: whatever was found, the next attempt has a new name.
#[test]
fn a_restarted_source_goes_on_counting() {
    for journal in source_journals() {
        let (mut s, _) = source(Shape::PLAIN, journal, SourceGuest::Running);
        s.step(SourceEvent::Begin);
        let next = journal.open.map_or(1, |open| open.counter + 1);
        assert_eq!(s.machine.attempt(), Some(attempt(next)));
    }
}

/// [SW-33] [SW-37]: what it says once its link is up.
#[test]
fn a_restarted_source_asks_or_finishes() {
    for journal in source_journals().into_iter().filter(|journal| journal.may_go.is_some()) {
        for guest in [SourceGuest::Stopped, SourceGuest::Gone] {
            let (mut s, _) = source(Shape::PLAIN, journal, guest);
            let state = s.state();
            s.step(SourceEvent::LinkUp);
            let said: Vec<_> = s
                .last
                .actions
                .iter()
                .filter_map(|action| match action {
                    SourceAction::Send(of, message) => Some((*of, *message)),
                    _ => None,
                })
                .collect();
            let of = Envelope { attempt: attempt(3), peer: DESTINATION, incarnation: FIRST };
            match state.as_str() {
                "InDoubt" => assert_eq!(said, [(of, ToDestination::Query)]),
                "Committed" => assert_eq!(said, [(of, ToDestination::Fin)]),
                _ => assert!(said.is_empty(), "{state}: {said:?}"),
            }
            if state == "Committed" {
                s.step(SourceEvent::Message(of, ToSource::Running(Default::default())));
                assert_eq!(s.words(), ["-> Fin"]);
            }
        }
    }
}

/// [SW-29] [SW-33]: a link that cannot be made is tried again, and not in a loop.
#[test]
fn a_restarted_source_tries_its_link_again() {
    for (guest, committed) in
        [(SourceGuest::Stopped, false), (SourceGuest::Gone, true), (SourceGuest::Gone, false)]
    {
        let may_go = Some((DESTINATION, FIRST));
        let journal =
            SourceJournal { identity: SOURCE, open: Some(attempt(3)), may_go, committed, fenced: false };
        let (mut s, _) = source(Shape::PLAIN, journal, guest);
        for _ in 0..3 {
            s.step(SourceEvent::LinkDown);
            assert!(!has(&s.words(), "connect"));
            s.now = s.last.deadline.expect("it tries again");
            s.step(SourceEvent::Deadline);
            assert!(has(&s.words(), "connect"), "{guest:?}");
        }
    }
}

const OTHER: GuestInstance = GuestInstance(GUEST.0 + 1);

/// What a destination is expected to be after a restart.
fn expected(running: Option<GuestInstance>, guest: DestinationGuest) -> &'static str {
    match (running, guest) {
        (Some(named), DestinationGuest::Running(found)) if found == named => "Running",
        (Some(named), DestinationGuest::Paused(found)) if found == named => "Resuming",
        (Some(_), _) => "Lost",
        (None, DestinationGuest::Running(_)) => "Running",
        (None, DestinationGuest::Paused(_)) => "Refusing",
        (None, DestinationGuest::Gone) => "Idle",
    }
}

const GUESTS: [DestinationGuest; 5] = [
    DestinationGuest::Running(GUEST),
    DestinationGuest::Running(OTHER),
    DestinationGuest::Paused(GUEST),
    DestinationGuest::Paused(OTHER),
    DestinationGuest::Gone,
];

/// [SW-59] [SW-60] [SW-56]
#[test]
fn a_destination_does_what_record_and_guest_say() {
    for shape in SHAPES {
        for named in [None, Some(GUEST)] {
            for claiming in [None, Some(attempt(3))] {
                for guest in GUESTS {
                    let running = named.map(|guest| (attempt(3), guest));
                    let journal = DestinationJournal { identity: DESTINATION, running, claiming };
                    let (d, words) = destination(shape, journal, guest);
                    let what = format!("{journal:?} {guest:?}: {words:?}");
                    let state = expected(named, guest);
                    assert_eq!(d.state(), state, "{what}");
                    assert!(d.machine.invariant());
                    assert_eq!(has(&words, "Resume"), state == "Resuming", "{what}");
                    // A paused guest that no record names is dropped; nothing that runs ever is.
                    let paused = matches!(guest, DestinationGuest::Paused(_));
                    assert_eq!(has(&words, "Unload"), paused && state != "Resuming", "{what}");
                    // What is recorded as running is never given away.
                    assert_eq!(has(&words, "yield#3"), claiming.is_some() && named.is_none(), "{what}");
                }
            }
        }
    }
}

/// [SW-3] [SW-57] [SW-58]: the answer to a source that asks after the restart, whatever it asks.
#[test]
fn a_restarted_destination_answers_truly() {
    for named in [None, Some(GUEST)] {
        for guest in GUESTS {
            for asks in [ToDestination::Go, ToDestination::Query] {
                let running = named.map(|guest| (attempt(1), guest));
                let journal = DestinationJournal { identity: DESTINATION, running, claiming: None };
                let (mut d, _) = destination(Shape::PLAIN, journal, guest);
                let answer = match (named.is_some(), expected(named, guest)) {
                    (true, "Running") => "-> Running",
                    (true, "Resuming") => "-> Pending",
                    (true, _) => "-> Lost",
                    // No record: it never ran here, whatever else does.
                    (false, _) => "-> Refused(Incarnation",
                };
                // The source knows it by its first incarnation.
                d.step(DestinationEvent::Message(envelope(1), asks));
                let words = d.words();
                assert!(words.len() == 1 && has(&words, answer), "{named:?} {guest:?} {asks:?}: {words:?}");
                let stranger = Envelope { peer: SOURCE, ..envelope(1) };
                d.step(DestinationEvent::Message(stranger, asks));
                assert_eq!(d.words(), ["-> Stranger"]);
            }
        }
    }
}

/// [SW-41] [SW-60]: nothing new is loaded over what was found, before that is gone.
#[test]
fn what_was_found_is_gone_before_anything_is_taken_up() {
    let journal = DestinationJournal { identity: DESTINATION, ..DestinationJournal::default() };
    let (mut d, _) = destination(Shape::FULL, journal, DestinationGuest::Paused(GUEST));
    let hello = ToDestination::Hello(hello(Shape::FULL));
    let of = Envelope { attempt: attempt(4), ..Envelope::default() };
    d.step(DestinationEvent::Message(of, hello));
    assert!(d.words().is_empty(), "{:?}", d.words());
    for port in [Port::Vcpus(0), Port::Vcpus(1), Port::Device(0), Port::Device(1)] {
        assert_eq!(d.state(), "Refusing");
        d.step(DestinationEvent::Port(port, Op::Unload, Outcome::Done));
    }
    // The source says its Hello again until it is welcome.
    d.step(DestinationEvent::Message(of, hello));
    assert_eq!(d.state(), "Loading");
}

/// [SW-59]: the guest may have executed before it was paused, and may be the only copy. It is never refused.
#[test]
fn rolling_forward_is_tried_until_it_works() {
    let running = Some((attempt(1), GUEST));
    let journal = DestinationJournal { identity: DESTINATION, running, claiming: None };
    for shape in SHAPES {
        let (mut d, _) = destination(shape, journal, DestinationGuest::Paused(GUEST));
        for (round, outcome) in [Outcome::Failed, Outcome::Failed, Outcome::Done].into_iter().enumerate() {
            let asked: Vec<_> = d.last.actions.iter().copied().collect();
            let mut next = Vec::new();
            for action in asked {
                if let DestinationAction::Ask(op, ports) = action {
                    assert_eq!(op, Op::Resume, "round {round}");
                    ports.for_each(|port| {
                        d.step(DestinationEvent::Port(port, op, outcome));
                        next.extend(d.last.actions.iter().copied());
                    });
                }
            }
            let dropped = next.iter().any(|action| {
                matches!(action, DestinationAction::Write(_) | DestinationAction::Ask(Op::Unload, _))
            });
            assert!(!dropped, "{next:?}");
            if outcome == Outcome::Failed {
                d.now = d.last.deadline.expect("it tries again");
                d.step(DestinationEvent::Deadline);
            } else {
                // Devices first, then vCPUs.
                let vcpus = d.machine.config().contracts.ports().vcpus();
                if shape.devices > 0 {
                    vcpus.for_each(|port| {
                        d.step(DestinationEvent::Port(port, Op::Resume, Outcome::Done));
                    });
                }
                assert_eq!(d.state(), "Running");
            }
        }
    }
}

/// B20 [SW-41] [SW-60]: a lost attempt ends when its source begins another, and what was found goes first.
#[test]
fn a_lost_attempt_gives_way_to_the_next_of_its_source() {
    let journal = DestinationJournal {
        identity: DESTINATION,
        running: Some((attempt(1), GUEST)),
        ..DestinationJournal::default()
    };
    let said = |id| {
        let of = Envelope { attempt: id, ..Envelope::default() };
        DestinationEvent::Message(of, ToDestination::Hello(hello(Shape::FULL)))
    };
    let stranger = AttemptId { journal: JournalId(0x77), counter: 9 };
    for guest in [DestinationGuest::Paused(OTHER), DestinationGuest::Gone] {
        let (mut d, _) = destination(Shape::FULL, journal, guest);
        d.step(said(stranger));
        assert!(has(&d.words(), "-> Refused(Busy"), "{:?}", d.words());
        d.step(said(attempt(2)));
        assert!(has(&d.words(), "write Finished#1") && has(&d.words(), "Unload"), "{:?}", d.words());
        d.step(said(attempt(2)));
        assert!(d.words().is_empty() && d.state() == "Refusing", "{:?}", d.words());
        d.ports(Op::Unload, |all| all);
        // Held back since before the restart: it ran, or was to run, and never will again.
        d.step(said(attempt(1)));
        assert!(has(&d.words(), "-> Refused(Old"), "{:?}", d.words());
        d.step(said(attempt(2)));
        assert_eq!(d.state(), "Loading");
    }
    // A guest that runs in its place stays there.
    let (mut d, _) = destination(Shape::FULL, journal, DestinationGuest::Running(OTHER));
    d.step(said(attempt(2)));
    assert!(has(&d.words(), "-> Refused(Busy"), "{:?}", d.words());
    d.hear(ToDestination::Fin);
    assert_eq!((d.state().as_str(), d.words()), ("Running", vec!["write Finished#1".to_string()]));
    d.step(said(attempt(3)));
    assert!(has(&d.words(), "-> Refused(Busy"), "{:?}", d.words());
}
