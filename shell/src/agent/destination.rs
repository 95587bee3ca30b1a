//! The destination's agent.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use heapless::Vec as Bounded;
use switchover_core::action::DestinationAction;
use switchover_core::config::DestinationConfig;
use switchover_core::contract::DestinationContracts;
use switchover_core::destination::Destination;
use switchover_core::event::DestinationEvent;
use switchover_core::hal::destination::{DestinationPorts, Device, Vcpus};
use switchover_core::hal::{DestinationDriver, NoArbiter};
use switchover_core::id::Incarnation;
use switchover_core::time::At;
use switchover_core::wire::message::{ToDestination, ToSource};

use super::source::{StartError, gone};
use super::tap::DestinationTap;
use super::{ATTEMPTS, DEVICES, NoteReceiver, Standing, StandingCell, VCPU_PORTS, notes};
use crate::clock::HostClock;
use crate::events::EventLog;
use crate::faults::{AttemptNumber, Faults, FaultyLink, Injection, StallingMemory, StallingVcpus};
use crate::guest::memory::GuestMemory;
use crate::journal::{JournalFile, JournalHint, JournalPort};
use crate::link::bulk::{ReceiverConfig, StateInbox};
use crate::link::control::{Caller, ControlLink};
use crate::link::lobby::Served;
use crate::link::session::Arrival;
use crate::memory::{DestinationBulk, DestinationMemory};
use crate::reactor::{ClockFailed, Commands, LINK, Machine, Reactor};
use crate::realtime::{self, Movers, Wish};
use crate::record::Scheduling;
use crate::wake::Wake;
use crate::words::Side;

type DestinationLink = FaultyLink<ControlLink<ToSource, ToDestination, DestinationBulk>>;

type Driver<P, E> = DestinationDriver<
    HostClock,
    DestinationLink,
    StallingVcpus<P>,
    E,
    StallingMemory<DestinationMemory>,
    JournalPort,
    NoArbiter,
    DestinationTap,
    VCPU_PORTS,
    DEVICES,
    ATTEMPTS,
>;

/// The destination's machine on its loop.
pub struct DestinationMachine<P: Vcpus, E: Device> {
    driver: Driver<P, E>,
    standing: StandingCell,
    journal: JournalHint,
}

impl<P: Vcpus, E: Device> DestinationMachine<P, E> {
    /// Where the guest is.
    pub fn standing(&self) -> Standing {
        self.driver.machine().standing().into()
    }
}

impl<P: Vcpus, E: Device> Machine for DestinationMachine<P, E> {
    type Event = DestinationEvent;

    fn poll(&mut self) -> Result<Option<At>, ClockFailed> {
        let deadline = self.driver.poll()?;
        // It is on its way by now, and has its way there and back to go.
        if std::mem::take(&mut self.driver.observer.ready) {
            self.journal.soon();
        }
        self.standing.set(self.driver.machine().standing());
        Ok(deadline)
    }

    fn event(&mut self, event: DestinationEvent) -> Result<(), ClockFailed> {
        Ok(self.driver.event(event)?)
    }
}

/// What a destination's agent is made of, besides its vCPUs and devices.
pub struct DestinationSetup {
    /// The machine's settings.
    pub config: DestinationConfig<VCPU_PORTS, DEVICES>,
    /// This run's nonce, as the lobby announces it.
    pub incarnation: Incarnation,
    /// Sessions that the lobby has set up.
    pub arrivals: Receiver<Arrival>,
    /// How the lobby hears that one has ended.
    pub served: Served,
    /// The journal, open.
    pub journal: JournalFile,
    /// Guest memory, empty.
    pub memory: GuestMemory,
    /// What is to go wrong on this side.
    pub faults: Faults,
    /// What the real-time thread asks of the host.
    pub wish: Wish,
    /// Sees every event and its actions.
    pub log: Option<EventLog<DestinationEvent, DestinationAction>>,
}

/// A loop that ports can be made for, and that is not started yet.
pub struct DestinationLoop<P: Vcpus, E: Device> {
    reactor: Reactor<DestinationMachine<P, E>>,
}

impl<P: Vcpus + Send + 'static, E: Device + Send + 'static> DestinationLoop<P, E> {
    /// A loop.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(DestinationLoop { reactor: Reactor::new()? })
    }

    /// Wakes the loop: for the lobby, and for ports whose helper threads have something to say.
    pub fn wake(&self) -> Wake {
        self.reactor.wake()
    }

    /// Starts the agent's thread. `ports` makes the vCPU ports and devices, in the order of the contracts, given where
    /// their states arrive.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        mut self,
        setup: DestinationSetup,
        ports: impl FnOnce(&StateInbox) -> (Vec<P>, Vec<E>),
    ) -> Result<DestinationAgent<P, E>, StartError> {
        let wake = self.reactor.wake();
        let injection = Injection {
            faults: setup.faults.on_side(Side::Destination),
            attempt: AttemptNumber::default(),
            wake: wake.clone(),
        };
        let layout = setup.config.layout;
        let movers = Movers::default();
        let receiver = ReceiverConfig {
            vcpu_ports: layout.vcpu_ports.into(),
            devices: layout.devices.into(),
            on_thread: Some(movers.on_thread()),
        };
        let memory = DestinationMemory::new(setup.memory, wake.clone(), receiver)?;
        let (vcpus, devices) = ports(memory.inbox());
        let stalling = |inner| StallingVcpus::new(inner, injection.clone());
        let vcpus: Bounded<_, VCPU_PORTS> = vcpus.into_iter().map(stalling).collect();
        let devices: Bounded<_, DEVICES> = devices.into_iter().collect();
        let identity = setup.journal.summary().identity;
        let machine =
            Destination::new(setup.config, identity, setup.incarnation).map_err(StartError::Config)?;
        let caller = Caller::Destination(setup.served);
        let link = ControlLink::new(self.reactor.registry()?, LINK, setup.arrivals, caller, memory.bulk());
        let bulk = memory.bulk();
        let (sender, notes) = notes();
        let tap = DestinationTap {
            notes: sender,
            movers,
            injection: injection.clone(),
            ready: false,
            log: setup.log,
        };
        let journal = JournalPort::start(setup.journal, wake)?;
        let hint = journal.hint();
        let ports = DestinationPorts {
            clock: HostClock,
            link: FaultyLink::new(link, Side::Destination, injection.clone()),
            vcpus,
            devices,
            memory: StallingMemory::new(memory, injection),
            journal,
            arbiter: NoArbiter,
        };
        let standing = StandingCell::new(Standing::Waits);
        let commands = self.reactor.commands();
        let cell = standing.clone();
        let wish = setup.wish;
        let (tell, told) = channel();
        let thread = std::thread::Builder::new().name("switchover-rt".into()).spawn(move || {
            // The starter waits for this.
            let _ = tell.send(realtime::apply(Side::Destination, wish));
            let driver = DestinationDriver::new(machine, ports, tap);
            let mut machine = DestinationMachine { driver, standing: cell, journal: hint };
            let ran = self.reactor.run(&mut machine, |_| false);
            ran.map(|()| machine.driver.machine().config().contracts.clone())
        })?;
        let scheduling = told.recv().map_err(|_| gone())?;
        Ok(DestinationAgent { commands, notes, standing, bulk, scheduling, thread })
    }
}

/// A running agent.
pub struct DestinationAgent<P: Vcpus, E: Device> {
    commands: Commands<DestinationMachine<P, E>>,
    notes: NoteReceiver,
    standing: StandingCell,
    bulk: DestinationBulk,
    scheduling: Scheduling,
    thread: JoinHandle<io::Result<DestinationContracts<VCPU_PORTS, DEVICES>>>,
}

impl<P: Vcpus, E: Device> DestinationAgent<P, E> {
    /// The way to the machine: `Cancel`.
    pub fn commands(&self) -> &Commands<DestinationMachine<P, E>> {
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

    /// Bytes of memory and state that came over all bulk connections, framing included.
    pub fn received(&self) -> u64 {
        self.bulk.counters().snapshot().bytes
    }

    /// What the host permitted the real-time thread.
    pub fn scheduling(&self) -> &Scheduling {
        &self.scheduling
    }

    /// Whether the loop goes on. One that has ended without being told to has failed, and [`DestinationAgent::stop`] says
    /// how.
    pub fn goes_on(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Ends the loop and waits for its thread; the guest stays as it is. Returns what was planned with.
    ///
    /// # Errors
    /// The loop failed, or its thread panicked.
    pub fn stop(self) -> io::Result<DestinationContracts<VCPU_PORTS, DEVICES>> {
        self.commands.stop();
        self.thread.join().map_err(|_| gone())?
    }
}
