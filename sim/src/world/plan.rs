//! A scenario as the world uses it: what does not change from run to run, worked out once.

use switchover_core::destination::Destination;
use switchover_core::id::{GuestInstance, Incarnation, JournalId};
use switchover_core::limits::FRAME_MAX;
use switchover_core::port::{Op, Port, Side};
use switchover_core::source::Source;
use switchover_core::time::Ns;
use switchover_core::units::Bytes;

use crate::check::Rules;
use crate::scenario::model::{ATTEMPTS, DEVICES, Host, Times, VCPU_PORTS, What, Where};
use crate::scenario::{Dist, Scenario};

/// The source's machine.
pub(super) type SimSource = Source<VCPU_PORTS, DEVICES, ATTEMPTS>;
/// The destination's machine.
pub(super) type SimDestination = Destination<VCPU_PORTS, DEVICES, ATTEMPTS>;

/// The source's journal.
pub(super) const SOURCE: JournalId = JournalId(0x5);
/// The destination's journal.
pub(super) const DESTINATION: JournalId = JournalId(0xd);
/// The guest that the destination's records name.
pub(super) const GUEST: GuestInstance = GuestInstance(7);
/// The destination's first incarnation; each restart counts up.
pub(super) const FIRST: Incarnation = Incarnation(1);

/// What a run needs of its scenario.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub scenario: Scenario,
    pub source: SimSource,
    pub destination: SimDestination,
    pub rules: Rules,
    /// By how much both clocks may differ, in parts per million.
    pub drift: u32,
    /// What a control message takes on the wire.
    pub frame: u64,
    /// Some fault is about a port.
    pub ports_fail: bool,
    /// Some fault may lose a message or a partition may swallow it.
    pub drops: bool,
}

impl Plan {
    /// Of a scenario that was validated.
    ///
    /// # Panics
    /// If its settings do not hold together, which a validated scenario's do.
    pub(super) fn new(scenario: &Scenario) -> Self {
        let config = scenario.source_config();
        let limits = config.limits;
        let ports = config.contracts.ports();
        let rules = Rules {
            ports,
            hard_limit: Some(limits.hard()),
            attempts: config.retry.attempts,
            backoff: config.retry.backoff,
            blackout_budget: config.retry.blackout_budget,
            hold_on_lost_device: scenario.hold_on_lost_device,
            drift_kept: scenario.source.drift <= scenario.source.declared_drift
                && scenario.destination.drift <= scenario.destination.declared_drift,
            datagrams: scenario.link.datagrams.is_some(),
        };
        let source = Source::new(config, SOURCE, 0).expect("a validated scenario's settings hold together");
        let destination = Destination::new(scenario.destination_config(GUEST), DESTINATION, FIRST)
            .expect("a validated scenario's settings hold together");
        let frame = scenario.link.control.bandwidth.time_for(Bytes::new(FRAME_MAX as u64)).get();
        let of = |is: fn(&What) -> bool| scenario.faults.iter().any(|fault| is(&fault.what));
        let ports_fail = of(|what| matches!(what, What::Stall { .. } | What::Fail { .. } | What::Lie { .. }));
        let drops = of(|what| matches!(what, What::Drop { .. }));
        let drift = scenario.source.drift.relative(scenario.destination.drift).get();
        Self { scenario: scenario.clone(), source, destination, rules, drift, frame, ports_fail, drops }
    }

    pub(super) fn host(&self, side: Side) -> &Host {
        match side {
            Side::Source => &self.scenario.source,
            Side::Destination => &self.scenario.destination,
        }
    }

    fn times(&self, port: Port) -> Option<&Times> {
        match port {
            Port::Vcpus(_) => Some(&self.scenario.guest.times),
            Port::Device(i) => self.scenario.devices.get(usize::from(i)).map(|device| &device.times),
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        }
    }

    /// How long a port takes for an operation; for a save or a load, the whole of it.
    pub(super) fn time(&self, port: Port, op: Op) -> Option<&Dist> {
        self.times(port).map(|times| times.of(op))
    }

    /// How long a port may take; `None`: nothing was promised.
    pub(super) fn contract(&self, side: Side, port: Port, op: Op) -> Option<Ns> {
        match (side, op) {
            (_, Op::Unload) => None,
            (Side::Source, _) => Some(self.scenario.source_contracts.of(port, op)),
            (Side::Destination, _) => Some(self.scenario.destination_contracts.of(port, op)),
        }
    }

    /// In how many slices a port's state goes, and the bytes of each.
    pub(super) fn slices(&self, port: Port) -> (u32, Bytes) {
        match port {
            Port::Device(i) => {
                let device = self.scenario.devices.get(usize::from(i));
                device.map_or((1, Bytes::ZERO), |device| {
                    let slices = device.slices.max(1);
                    (slices, Bytes::new(device.state.get() / u64::from(slices)))
                })
            }
            _ => (1, self.scenario.guest.state),
        }
    }

    /// The timer's contract.
    pub(super) fn timer(&self, side: Side) -> Ns {
        match side {
            Side::Source => self.scenario.source_contracts.timer.time,
            Side::Destination => self.scenario.destination_contracts.timer.time,
        }
    }

    /// The journal's contract.
    pub(super) fn journal(&self, side: Side) -> Ns {
        match side {
            Side::Source => self.scenario.source_contracts.journal.time,
            Side::Destination => self.scenario.destination_contracts.journal.time,
        }
    }

    /// The claim's contract.
    pub(super) fn claim(&self, side: Side) -> Ns {
        match side {
            Side::Source => self.scenario.source_contracts.claim.time,
            Side::Destination => self.scenario.destination_contracts.claim.time,
        }
    }
}

/// The port of a slot.
pub(super) const fn port_of(slot: usize) -> Port {
    if slot < 2 { Port::Vcpus(slot as u8) } else { Port::Device((slot - 2) as u8) }
}

/// Whether a scenario's word means that port.
pub(super) fn means(word: Where, port: Port) -> bool {
    match (word, port) {
        (Where::Vcpus, Port::Vcpus(_)) | (Where::Memory, Port::Memory) | (Where::Journal, Port::Journal) => {
            true
        }
        (Where::Device(word), Port::Device(port)) => word == port,
        _ => false,
    }
}
