//! Both machines in their real loops, with real sockets, journals and timers between them, and ports that do as told.
#![allow(dead_code, reason = "each test file that includes this uses a part of it")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

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
use switchover_core::outcome::Ending;
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

pub const H: Duration = Duration::from_millis(200);

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

pub fn source_config() -> SourceConfig<1, 1> {
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

pub struct Outcome {
    pub steps: Vec<(At, SourceEvent, Vec<SourceAction>)>,
    pub turns: Turns,
}

impl Outcome {
    pub fn notes(&self) -> impl Iterator<Item = (At, Note)> + '_ {
        self.steps.iter().flat_map(|(now, _, actions)| {
            actions.iter().filter_map(|action| match action {
                SourceAction::Note(note) => Some((*now, *note)),
                _ => None,
            })
        })
    }

    pub fn at(&self, wanted: impl Fn(&Note) -> bool) -> Option<At> {
        self.notes().find(|(_, note)| wanted(note)).map(|(at, _)| at)
    }

    pub fn ending(&self) -> Ending {
        let ended = self.notes().find_map(|(_, note)| match note {
            Note::Ended(ended) => Some(ended.ending),
            _ => None,
        });
        ended.expect("an end")
    }

    /// From t = 0 until the guest ran again here.
    pub fn blackout(&self) -> Ns {
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
pub fn switch_over(name: &str, save: Duration, hold_up: fn(&SourceEvent) -> Option<Duration>) -> Outcome {
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
