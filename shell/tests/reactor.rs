//! Both machines in their real loops, with real sockets, journals and timers between them, and ports that do as told.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use heapless::Vec as Bounded;
use switchover_core::action::{Note, SourceAction};
use switchover_core::config::{Cadence, DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::destination::Destination;
use switchover_core::event::{Pass, SourceEvent};
use switchover_core::hal::destination::DestinationPorts;
use switchover_core::hal::source::SourcePorts;
use switchover_core::hal::{
    self, DestinationDriver, Failed, NoArbiter, NoDevice, Observer, ResumeFailed, Slice, SourceDriver,
};
use switchover_core::id::{AttemptId, GuestInstance, Incarnation};
use switchover_core::journal::RecordKind;
use switchover_core::outcome::Ending;
use switchover_core::port::Phase;
use switchover_core::source::Source;
use switchover_core::time::{At, Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};
use switchover_core::wire::message::{Seal, ToDestination, ToSource};
use switchover_core::wire::version::Offer;
use switchover_shell::clock::HostClock;
use switchover_shell::journal::{Durability, JournalFile, JournalPort};
use switchover_shell::link::connector::{Connector, Target};
use switchover_shell::link::control::{Caller, ControlLink};
use switchover_shell::link::lobby::{Lobby, LobbySettings};
use switchover_shell::reactor::{LINK, Reactor, Turns};
use switchover_shell::realtime::{Wish, apply};
use switchover_shell::wake::Wake;
use switchover_shell::words::Side;

const H: Duration = Duration::from_millis(200);

/// Work on a helper thread that takes as long as it is told.
struct Slow {
    work: Sender<Duration>,
    done: Receiver<()>,
    under_way: bool,
}

impl Slow {
    fn new(wake: Wake) -> Self {
        let (work, jobs) = channel::<Duration>();
        let (tell, done) = channel();
        std::thread::spawn(move || {
            for length in jobs {
                std::thread::sleep(length);
                let _ = tell.send(());
                wake.wake();
            }
        });
        Slow { work, done, under_way: false }
    }

    fn take(&mut self, length: Duration) -> nb::Result<(), Failed> {
        if !self.under_way {
            self.work.send(length).map_err(|_| nb::Error::Other(Failed))?;
            self.under_way = true;
        }
        match self.done.try_recv() {
            Err(TryRecvError::Empty) => Err(nb::Error::WouldBlock),
            _ => {
                self.under_way = false;
                Ok(())
            }
        }
    }
}

struct SourceVcpus {
    helper: Slow,
    save: Duration,
}

impl hal::source::Vcpus for SourceVcpus {
    fn stop(&mut self) -> nb::Result<(), Failed> {
        Ok(())
    }
    fn save(&mut self) -> nb::Result<Slice, Failed> {
        self.helper.take(self.save).map(|()| Slice::Last)
    }
    fn rollback(&mut self) -> nb::Result<(), Failed> {
        Ok(())
    }
}

struct DestinationVcpus;

impl hal::destination::Vcpus for DestinationVcpus {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        Ok(Slice::Last)
    }
    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        Ok(())
    }
    fn unload(&mut self) -> nb::Result<(), Failed> {
        Ok(())
    }
}

/// Memory with nothing in it.
struct Nothing;

impl hal::source::Memory for Nothing {
    fn round(&mut self, _: AttemptId, _: bool) -> nb::Result<Pass, Failed> {
        Ok(Pass::default())
    }
    fn last_pages(&mut self) -> nb::Result<Pass, Failed> {
        Ok(Pass::default())
    }
    fn seal(&mut self) -> nb::Result<Seal, Failed> {
        Ok(Seal::default())
    }
    fn keep(&mut self) {}
    fn release(&mut self) -> nb::Result<(), std::convert::Infallible> {
        Ok(())
    }
}

impl hal::destination::Memory for Nothing {
    fn expect(&mut self, _: AttemptId, _: bool) {}
    fn drain(&mut self, _: u64) -> nb::Result<(), Failed> {
        Ok(())
    }
    fn verify(&mut self, seal: &Seal) -> nb::Result<Seal, Failed> {
        Ok(*seal)
    }
    fn discard(&mut self) {}
}

type Seen<E, A> = Arc<Mutex<Vec<(At, E, Vec<A>)>>>;

/// Keeps every step; may hold the loop's thread up at one of them, as an overloaded host does.
struct Watch<E, A> {
    seen: Seen<E, A>,
    hold_up: fn(&E) -> Option<Duration>,
}

impl<E: Copy, A: Copy> Observer<E, A> for Watch<E, A> {
    fn step(&mut self, now: At, event: &E, actions: &[A]) {
        self.seen.lock().expect("no panic").push((now, *event, actions.to_vec()));
        if let Some(length) = (self.hold_up)(event) {
            std::thread::sleep(length);
        }
    }
}

type SourceSide = SourceDriver<
    HostClock,
    ControlLink<ToDestination, ToSource, ()>,
    SourceVcpus,
    NoDevice,
    Nothing,
    JournalPort,
    NoArbiter,
    Watch<SourceEvent, SourceAction>,
    1,
    1,
    2,
>;
type DestinationSide = DestinationDriver<
    HostClock,
    ControlLink<ToSource, ToDestination, ()>,
    DestinationVcpus,
    NoDevice,
    Nothing,
    JournalPort,
    NoArbiter,
    (),
    1,
    1,
    2,
>;

fn ms(n: u64) -> Term {
    Term::calibrated(Ns::from_millis(n))
}

const LAYOUT: Layout = Layout { page_size: 4096, memory: Bytes::from_mib(1), vcpu_ports: 1, devices: 0 };

fn source_config() -> SourceConfig<1, 1> {
    let vcpus = SourceTerms { quiesce: ms(0), stop: ms(1), save: ms(2), rollback: ms(2) };
    let link = LinkTerms { delay: ms(5), rate: BytesPerSecond::new(1 << 30), rate_origin: Origin::Declared };
    let contracts = SourceContracts {
        vcpus: Bounded::from_array([vcpus]),
        devices: Bounded::new(),
        seal: ms(1),
        journal: ms(5),
        timer: ms(5),
        claim: ms(0),
        link,
    };
    let limits = Limits { downtime: Ns::from_millis(190), switchover: Ns::from_millis(10) };
    SourceConfig {
        limits,
        retry: Retry {
            attempts: 1,
            backoff: Ns::from_millis(50),
            blackout_budget: Ns::from_secs(1),
            precopy_limit: Ns::from_secs(5),
        },
        cadence: Cadence::default(),
        drift: Ppm::new(500).expect("small"),
        layout: LAYOUT,
        arbiter: None,
        hold_on_lost_device: false,
        contracts,
    }
}

fn destination_config() -> DestinationConfig<1, 1> {
    let vcpus = DestinationTerms { load: ms(1), settle: ms(0), resume: ms(2) };
    let contracts = DestinationContracts {
        vcpus: Bounded::from_array([vcpus]),
        devices: Bounded::new(),
        verify: ms(1),
        journal: ms(5),
        timer: ms(5),
        claim: ms(0),
    };
    DestinationConfig {
        cadence: Cadence::default(),
        drift: Ppm::new(500).expect("small"),
        layout: LAYOUT,
        arbiter: None,
        instance: GuestInstance(1),
        contracts,
    }
}

struct Outcome {
    steps: Vec<(At, SourceEvent, Vec<SourceAction>)>,
    turns: Turns,
}

impl Outcome {
    fn notes(&self) -> impl Iterator<Item = (At, Note)> + '_ {
        self.steps.iter().flat_map(|(now, _, actions)| {
            actions.iter().filter_map(|action| match action {
                SourceAction::Note(note) => Some((*now, *note)),
                _ => None,
            })
        })
    }

    fn at(&self, wanted: impl Fn(&Note) -> bool) -> Option<At> {
        self.notes().find(|(_, note)| wanted(note)).map(|(at, _)| at)
    }

    fn ending(&self) -> Ending {
        let ended = self.notes().find_map(|(_, note)| match note {
            Note::Ended(ended) => Some(ended.ending),
            _ => None,
        });
        ended.expect("an end")
    }

    /// From t = 0 until the guest ran again here.
    fn blackout(&self) -> Ns {
        let stopped = self.at(|note| *note == Note::Stopping).expect("it stopped");
        self.at(|note| *note == Note::Runs).expect("it ran again here").since(stopped)
    }
}

fn journal(name: &str, wake: Wake) -> (JournalPort, PathBuf) {
    let path = std::env::temp_dir().join(format!("switchover-reactor-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let file = JournalFile::open(&path, Durability::Process).expect("a journal");
    (JournalPort::start(file, wake).expect("a helper"), path)
}

/// One attempt, from its beginning until the source is finished with it.
fn switch_over(name: &str, save: Duration, hold_up: fn(&SourceEvent) -> Option<Duration>) -> Outcome {
    let (address, stop_destination, destination) = start_destination(name);
    let mut reactor = Reactor::<SourceSide>::new().expect("a loop");
    let (journal, path) = journal(&format!("{name}-source"), reactor.wake());
    let identity = journal.summary().identity;
    let target = Target {
        address,
        journal: identity,
        descriptor: vec![],
        offer: Offer::OURS,
        patience: Duration::from_secs(2),
        dead_after: Duration::from_secs(1),
    };
    let (connector, arrivals) = Connector::start(target, None, reactor.wake()).expect("a helper");
    let registry = reactor.registry().expect("a registry");
    let link = ControlLink::new(registry, LINK, arrivals, Caller::Source(connector), ());
    let ports = SourcePorts {
        clock: HostClock,
        link,
        vcpus: Bounded::from_array([SourceVcpus { helper: Slow::new(reactor.wake()), save }]),
        devices: Bounded::new(),
        memory: Nothing,
        journal,
        arbiter: NoArbiter,
    };
    let machine = Source::new(source_config(), identity, 0).expect("settings");
    let seen: Seen<SourceEvent, SourceAction> = Arc::default();
    let watch = Watch { seen: Arc::clone(&seen), hold_up };
    let mut driver = SourceDriver::new(machine, ports, watch);
    let commands = reactor.commands();
    commands.event(SourceEvent::Begin);
    // The loop of a test must end even if the machine's does not.
    let alarm = commands.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(20));
        alarm.stop();
    });
    let looked = Arc::clone(&seen);
    let finished = move |_: &mut SourceSide| {
        let steps = looked.lock().expect("no panic");
        steps
            .iter()
            .flat_map(|(_, _, actions)| actions)
            .any(|action| *action == SourceAction::Note(Note::Finished))
    };
    let thread = std::thread::spawn(move || {
        let _ = apply(Side::Source, Wish { lock_memory: false, ..Wish::for_loop(Side::Source) });
        reactor.run(&mut driver, finished).expect("the loop");
        reactor.turns()
    });
    let turns = thread.join().expect("no panic");
    stop_destination();
    destination.join().expect("no panic");
    let _ = std::fs::remove_file(path);
    let steps = std::mem::take(&mut *seen.lock().expect("no panic"));
    Outcome { steps, turns }
}

fn start_destination(name: &str) -> (String, impl FnOnce() + use<>, JoinHandle<()>) {
    let mut reactor = Reactor::<DestinationSide>::new().expect("a loop");
    let (journal, path) = journal(&format!("{name}-destination"), reactor.wake());
    let (identity, incarnation) = (journal.summary().identity, Incarnation(5));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let settings = LobbySettings::new(identity, incarnation, Box::new(|_| Ok(())), Box::new(|_| {}));
    let (lobby, arrivals) = Lobby::open(listener, settings, reactor.wake()).expect("a door");
    let registry = reactor.registry().expect("a registry");
    let link = ControlLink::new(registry, LINK, arrivals, Caller::Destination(lobby.served()), ());
    let ports = DestinationPorts {
        clock: HostClock,
        link,
        vcpus: Bounded::from_array([DestinationVcpus]),
        devices: Bounded::new(),
        memory: Nothing,
        journal,
        arbiter: NoArbiter,
    };
    let machine = Destination::new(destination_config(), identity, incarnation).expect("settings");
    let mut driver = DestinationDriver::new(machine, ports, ());
    let (address, commands) = (lobby.address().to_string(), reactor.commands());
    let thread = std::thread::spawn(move || {
        reactor.run(&mut driver, |_| false).expect("the loop");
        drop(lobby);
        let _ = std::fs::remove_file(path);
    });
    (address, move || commands.stop(), thread)
}

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
