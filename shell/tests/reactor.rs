//! The real-time loop: it keeps deadlines while ports are stuck, dates inputs when they are read, and takes commands.

mod loops;

use std::time::{Duration, Instant};

use loops::{H, switch_over};
use switchover_core::action::{Note, SourceAction};
use switchover_core::event::SourceEvent;
use switchover_core::journal::RecordKind;
use switchover_core::outcome::Ending;
use switchover_core::port::Phase;
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{ToDestination, ToSource};
use switchover_shell::clock::HostClock;
use switchover_shell::reactor::Reactor;
use switchover_shell::realtime::{Wish, apply};
use switchover_shell::words::Side;

fn never(_: &SourceEvent) -> Option<Duration> {
    None
}

#[test]
fn a_switchover_commits_through_two_loops() {
    let outcome = switch_over("commits", Duration::ZERO, never);
    assert_eq!(outcome.ending(), Ending::Committed, "{:#?}", outcome.steps);
    let stopped = outcome.at(|note| *note == Note::Stopping).expect("it stopped");
    let ended = outcome.at(|note| matches!(note, Note::Ended(_))).expect("it ended");
    println!("from t = 0 to committed: {} us; {:?}", ended.since(stopped).get() / 1000, outcome.turns);
    assert!(ended.since(stopped).get() < H.as_nanos() as u64);
}

// [SW-17]
#[test]
fn the_deadline_fires_while_a_port_is_stuck_on_its_helper() {
    let began = Instant::now();
    let outcome = switch_over("stuck", Duration::from_secs(3), never);
    assert!(matches!(outcome.ending(), Ending::Aborted(_)), "{:?}", outcome.ending());
    let offender = outcome.notes().find_map(|(_, note)| match note {
        Note::Aborting { offender, .. } => offender,
        _ => None,
    });
    assert_eq!(offender.map(|blame| blame.phase), Some(Phase::Save));
    println!("blackout {} us, loop {:?}", outcome.blackout().get() / 1000, outcome.turns);
    assert!(outcome.blackout().get() <= H.as_nanos() as u64, "{:?}", outcome.blackout());
    assert!(began.elapsed() < Duration::from_secs(3), "nobody waited for the stuck port");
    assert!(outcome.turns.deadlines >= 1);
}

/// Holds the source's loop up right after it has sealed, until long after `go_by`. Ready lies in the socket then.
fn until_ready_is_late(event: &SourceEvent) -> Option<Duration> {
    matches!(event, SourceEvent::Written(RecordKind::MayGo, _)).then_some(H)
}

// [SW-70]
#[test]
fn h14_a_ready_that_lay_in_the_socket_is_dated_when_it_is_read() {
    // The hold-up begins with MayGo durable, and most runs have Ready after that. Where Ready came first, Go went
    // out with it, and there was nothing to see: the run is repeated.
    for _ in 0..20 {
        let outcome = switch_over("late-ready", Duration::ZERO, until_ready_is_late);
        let ready = outcome
            .steps
            .iter()
            .find(|(_, event, _)| matches!(event, SourceEvent::Message(_, ToSource::Ready { .. })));
        let (read_at, _, actions) = ready.expect("Ready was read, before the deadline was judged");
        let stopped = outcome.at(|note| *note == Note::Stopping).expect("it stopped");
        let durable = outcome.steps.iter().find(|(_, event, _)| until_ready_is_late(event).is_some());
        let (durable_at, ..) = durable.expect("MayGo was durable");
        if read_at < durable_at {
            continue;
        }
        assert!(read_at.since(stopped).get() >= H.as_nanos() as u64, "dated when read, not when it came");
        let sends_go = |action: &SourceAction| matches!(action, SourceAction::Send(_, ToDestination::Go));
        assert!(!actions.iter().any(sends_go), "too late for Go: {actions:?}");
        assert!(matches!(outcome.ending(), Ending::Aborted(_)), "{:?}", outcome.ending());
        return;
    }
    panic!("Ready always came before MayGo was durable");
}

/// Holds the source's loop up for long enough that messages and deadlines pile up.
fn for_a_while(event: &SourceEvent) -> Option<Duration> {
    matches!(event, SourceEvent::Written(RecordKind::MayGo, _)).then_some(Duration::from_millis(30))
}

// [SW-70]
#[test]
fn h14_all_inputs_are_taken_before_a_deadline_is_judged() {
    let outcome = switch_over("drained", Duration::ZERO, for_a_while);
    // Whatever else happened in that time, the loop came back to several inputs at once and judged none by an old clock.
    let mut last = At::default();
    for (now, ..) in &outcome.steps {
        assert!(*now >= last, "the clock is read after each input");
        last = *now;
    }
    let late = outcome.steps.iter().position(|(_, event, _)| for_a_while(event).is_some());
    let after = &outcome.steps[late.expect("MayGo was written") + 1..];
    let deadline = after.iter().position(|(_, event, _)| *event == SourceEvent::Deadline);
    let message = after.iter().position(|(_, event, _)| matches!(event, SourceEvent::Message(..)));
    assert!(message.is_some_and(|message| deadline.is_none_or(|deadline| message < deadline)), "{after:#?}");
}

#[test]
fn an_operator_cancels_from_another_thread_and_ends_the_loop() {
    struct Idle(Vec<u8>);
    impl switchover_shell::reactor::Machine for Idle {
        type Event = u8;
        fn poll(&mut self) -> Result<Option<At>, switchover_shell::reactor::ClockFailed> {
            Ok(None)
        }
        fn event(&mut self, event: u8) -> Result<(), switchover_shell::reactor::ClockFailed> {
            self.0.push(event);
            Ok(())
        }
    }
    let mut reactor = Reactor::<Idle>::new().expect("a loop");
    let commands = reactor.commands();
    let operator = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        commands.event(1);
        commands.with(|machine| machine.0.push(2));
        commands.clone().event(3);
        commands.stop();
    });
    let mut machine = Idle(Vec::new());
    reactor.run(&mut machine, |_| false).expect("the loop");
    operator.join().expect("no panic");
    assert_eq!(machine.0, [1, 2, 3]);
    assert!(reactor.turns().wakes <= 4, "it slept meanwhile: {:?}", reactor.turns());
}

#[test]
fn the_timer_calls_at_the_deadline_and_never_before() {
    struct Clocked {
        next: At,
        late: Vec<u64>,
    }
    impl switchover_shell::reactor::Machine for Clocked {
        type Event = ();
        fn poll(&mut self) -> Result<Option<At>, switchover_shell::reactor::ClockFailed> {
            let now = HostClock.now();
            if now >= self.next {
                self.late.push(now.since(self.next).get());
                self.next = now.plus(Ns::from_micros(1_500));
            }
            Ok(Some(self.next))
        }
        fn event(&mut self, (): ()) -> Result<(), switchover_shell::reactor::ClockFailed> {
            Ok(())
        }
    }
    let mut reactor = Reactor::<Clocked>::new().expect("a loop");
    let mut machine = Clocked { next: HostClock.now().plus(Ns::from_millis(1)), late: Vec::new() };
    let thread = std::thread::spawn(move || {
        let got = apply(Side::Source, Wish { lock_memory: false, ..Wish::for_loop(Side::Source) });
        reactor.run(&mut machine, |machine| machine.late.len() >= 200).expect("the loop");
        (machine.late, reactor.turns(), got)
    });
    let (mut late, turns, got) = thread.join().expect("no panic");
    late.sort_unstable();
    println!(
        "lateness of 200 deadlines: median {} us, worst {} us; {got:?}",
        late[100] / 1000,
        late[199] / 1000
    );
    assert!(turns.wakes < 250, "a wake for each deadline, and hardly any for nothing: {turns:?}");
}
