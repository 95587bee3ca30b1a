//! The source's agent.

use std::io;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use heapless::Vec as Bounded;
use switchover_core::action::SourceAction;
use switchover_core::config::{ConfigError, SourceConfig};
use switchover_core::contract::SourceContracts;
use switchover_core::event::SourceEvent;
use switchover_core::hal::source::{Device, SourcePorts, Vcpus};
use switchover_core::hal::{NoArbiter, SourceDriver};
use switchover_core::learn::Learner;
use switchover_core::source::Source;
use switchover_core::time::At;
use switchover_core::wire::message::{ToDestination, ToSource};

use super::start::{GuestStart, StartingLink};
use super::tap::SourceTap;
use super::{ATTEMPTS, DEVICES, NoteReceiver, Standing, StandingCell, VCPU_PORTS, notes};
use crate::clock::HostClock;
use crate::dirty::DirtySource;
use crate::events::EventLog;
use crate::faults::{AttemptNumber, Faults, FaultyLink, Injection, StallingVcpus};
use crate::guest::memory::GuestMemory;
use crate::journal::JournalPort;
use crate::link::bulk::{BulkHandle, SenderConfig};
use crate::link::connector::{Connector, Target};
use crate::link::control::{Caller, ControlLink};
use crate::link::session::Session;
use crate::memory::SourceMemory;
use crate::reactor::{ClockFailed, Commands, LINK, Machine, Reactor};
use crate::realtime::{self, Movers, Wish};
use crate::record::Scheduling;
use crate::wake::Wake;
use crate::words::Side;

type SourceLink = FaultyLink<StartingLink<ControlLink<ToDestination, ToSource, BulkHandle>>>;

type Driver<P, E> = SourceDriver<
    HostClock,
    SourceLink,
    StallingVcpus<P>,
    E,
    SourceMemory,
    JournalPort,
    NoArbiter,
    SourceTap,
    VCPU_PORTS,
    DEVICES,
    ATTEMPTS,
>;

/// The source's machine on its loop.
pub struct SourceMachine<P: Vcpus, E: Device> {
    driver: Driver<P, E>,
    standing: StandingCell,
}

impl<P: Vcpus, E: Device> SourceMachine<P, E> {
    /// Where the guest is.
    pub fn standing(&self) -> Standing {
        self.driver.machine().standing().into()
    }
}

impl<P: Vcpus, E: Device> Machine for SourceMachine<P, E> {
    type Event = SourceEvent;

    fn poll(&mut self) -> Result<Option<At>, ClockFailed> {
        let deadline = self.driver.poll()?;
        let machine = self.driver.machine();
        let standing = machine.standing();
        self.standing.set(standing);
        if self.driver.observer.learned
            && matches!(
                standing,
                switchover_core::source::Standing::Rests | switchover_core::source::Standing::Waits
            )
        {
            self.driver.observer.learned = false;
            let contracts = self.driver.observer.learner.contracts().clone();
            // What was learned cannot be longer than the limits allow, or the attempt would not have been measured; if
            // it is, the machine keeps what it knew.
            let _kept = self.driver.machine_mut().set_contracts(contracts);
            // A replay needs to know what the machine knew.
            if let Some(log) = &self.driver.observer.log
                && let Ok(settings) = serde_json::to_value(&self.driver.machine().config().contracts)
            {
                log.settings(settings);
            }
        }
        Ok(deadline)
    }

    fn event(&mut self, event: SourceEvent) -> Result<(), ClockFailed> {
        Ok(self.driver.event(event)?)
    }
}

/// What a source's agent is made of, besides its vCPUs and devices.
pub struct SourceSetup {
    /// The machine's settings.
    pub config: SourceConfig<VCPU_PORTS, DEVICES>,
    /// Where to, and as whom.
    pub target: Target,
    /// A session that is there already: the first connect is answered with it.
    pub first: Option<Session>,
    /// How the guest is started, at the first `Welcome`; none if it runs already.
    pub start: Option<GuestStart>,
    /// The journal, open.
    pub journal: crate::journal::JournalFile,
    /// Guest memory.
    pub memory: GuestMemory,
    /// Who knows what of it was written.
    pub dirty: Box<dyn DirtySource>,
    /// Whether everything is hashed on both sides while stopped.
    pub verify: bool,
    /// Bytes a second in pre-copy.
    pub max_bandwidth: Option<u64>,
    /// What is to go wrong on this side.
    pub faults: Faults,
    /// What the real-time thread asks of the host.
    pub wish: Wish,
    /// Sees every event and its actions.
    pub log: Option<EventLog<SourceEvent, SourceAction>>,
}

/// Why an agent cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot hold together.
    #[error("the settings cannot hold together: {0:?}; see the documentation of each")]
    Config(ConfigError),
    /// The system has no more threads or descriptors.
    #[error("cannot start the agent: {0}")]
    Io(#[from] io::Error),
}

/// A loop that ports can be made for, and that is not started yet.
pub struct SourceLoop<P: Vcpus, E: Device> {
    reactor: Reactor<SourceMachine<P, E>>,
}

impl<P: Vcpus + Send + 'static, E: Device + Send + 'static> SourceLoop<P, E> {
    /// A loop.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(SourceLoop { reactor: Reactor::new()? })
    }

    /// Wakes the loop: for ports whose helper threads have something to say.
    pub fn wake(&self) -> Wake {
        self.reactor.wake()
    }

    /// Starts the agent's thread. `ports` makes the vCPU ports and devices, in the order of the contracts, given what
    /// their states are sent with.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        mut self,
        setup: SourceSetup,
        ports: impl FnOnce(&BulkHandle) -> (Vec<P>, Vec<E>),
    ) -> Result<SourceAgent<P, E>, StartError> {
        let wake = self.reactor.wake();
        let injection = Injection {
            faults: setup.faults.on_side(Side::Source),
            attempt: AttemptNumber::default(),
            wake: wake.clone(),
        };
        let movers = Movers::default();
        let memory_config =
            SenderConfig { max_bandwidth: setup.max_bandwidth, on_thread: Some(movers.on_thread()) };
        let memory = SourceMemory::new(setup.memory, setup.dirty, wake.clone(), setup.verify, memory_config)?;
        let bulk = memory.bulk().clone();
        let (vcpus, devices) = ports(&bulk);
        let stalling = |inner| StallingVcpus::new(inner, injection.clone());
        let vcpus: Bounded<_, VCPU_PORTS> = vcpus.into_iter().map(stalling).collect();
        let devices: Bounded<_, DEVICES> = devices.into_iter().collect();
        let summary = *setup.journal.summary();
        let machine =
            Source::new(setup.config, summary.identity, summary.floor).map_err(StartError::Config)?;
        let (connector, arrivals) = Connector::start(setup.target, setup.first, wake.clone())?;
        let caller = Caller::Source(connector);
        let link = ControlLink::new(self.reactor.registry()?, LINK, arrivals, caller, bulk.clone());
        let silence = Duration::from_nanos(machine.config().cadence.silence.get());
        let link = StartingLink::new(link, setup.start, silence);
        let (sender, notes) = notes();
        let tap = SourceTap {
            notes: sender,
            learner: Learner::new(machine.config().contracts.clone()),
            learned: false,
            injection: injection.clone(),
            bulk: bulk.clone(),
            movers,
            log: setup.log,
        };
        let ports = SourcePorts {
            clock: HostClock,
            link: FaultyLink::new(link, Side::Source, injection),
            vcpus,
            devices,
            memory,
            journal: JournalPort::start(setup.journal, wake)?,
            arbiter: NoArbiter,
        };
        let standing = StandingCell::new(Standing::Runs);
        let commands = self.reactor.commands();
        let cell = standing.clone();
        let wish = setup.wish;
        let (tell, told) = channel();
        let thread = std::thread::Builder::new().name("switchover-rt".into()).spawn(move || {
            // The starter waits for this.
            let _ = tell.send(realtime::apply(Side::Source, wish));
            let mut machine =
                SourceMachine { driver: SourceDriver::new(machine, ports, tap), standing: cell };
            let ran = self.reactor.run(&mut machine, |_| false);
            ran.map(|()| machine.driver.observer.learner.contracts().clone())
        })?;
        let scheduling = told.recv().map_err(|_| gone())?;
        Ok(SourceAgent { commands, notes, standing, bulk, scheduling, thread })
    }
}

/// The agent's thread ended without a word.
pub(super) fn gone() -> io::Error {
    io::Error::other("the agent's thread panicked")
}

/// A running agent.
pub struct SourceAgent<P: Vcpus, E: Device> {
    commands: Commands<SourceMachine<P, E>>,
    notes: NoteReceiver,
    standing: StandingCell,
    bulk: BulkHandle,
    scheduling: Scheduling,
    thread: JoinHandle<io::Result<SourceContracts<VCPU_PORTS, DEVICES>>>,
}

impl<P: Vcpus, E: Device> SourceAgent<P, E> {
    /// The way to the machine: `Begin`, `Cancel`, `Fence`.
    pub fn commands(&self) -> &Commands<SourceMachine<P, E>> {
        &self.commands
    }

    /// What happens.
    pub fn notes(&self) -> &NoteReceiver {
        &self.notes
    }

    /// Where the guest is.
    pub fn standing(&self) -> &StandingCell {
        &self.standing
    }

    /// The bulk connection's counters, for whoever shows progress.
    pub fn bulk(&self) -> &BulkHandle {
        &self.bulk
    }

    /// What the host permitted the real-time thread.
    pub fn scheduling(&self) -> &Scheduling {
        &self.scheduling
    }

    /// Whether the loop goes on. One that has ended without being told to has failed, and [`SourceAgent::stop`] says how.
    pub fn goes_on(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the loop and waits for its thread; the guest stays as it is. Returns what was learned.
    ///
    /// # Errors
    /// The loop failed, or its thread panicked.
    pub fn stop(self) -> io::Result<SourceContracts<VCPU_PORTS, DEVICES>> {
        self.commands.stop();
        self.thread.join().map_err(|_| gone())?
    }
}
