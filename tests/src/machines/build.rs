//! Configurations and contracts that hold together, small enough to compute with in one's head.
//!
//! Every contract is whole milliseconds. With the defaults H = 110 ms.

use switchover_core::config::{Cadence, DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::destination::Destination;
use switchover_core::id::{ArbiterKey, GuestInstance, Incarnation, JournalId};
use switchover_core::source::Source;
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};

/// The source with the capacities that the tests use: 2 vCPU ports, 2 devices, 4 attempts.
pub type TestSource = Source<2, 2, 4>;
/// The destination with the same capacities, and room for 4 source journals.
pub type TestDestination = Destination<2, 2, 4>;

/// The source's journal.
pub const SOURCE: JournalId = JournalId(0x5);
/// The destination's journal.
pub const DESTINATION: JournalId = JournalId(0xd);
/// The destination's first incarnation; each restart counts up.
pub const FIRST: Incarnation = Incarnation(1);
/// The guest that the destination's records name.
pub const GUEST: GuestInstance = GuestInstance(7);

/// `n` milliseconds.
pub const fn ms(n: u64) -> Ns {
    Ns::from_millis(n)
}

/// `n` microseconds.
pub const fn us(n: u64) -> Ns {
    Ns::from_micros(n)
}

/// What kind of guest and host a test is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// vCPU ports, 1 or 2.
    pub vcpu_ports: u8,
    /// Devices, 0 to 2.
    pub devices: u8,
    /// Whether both sides use an arbiter.
    pub arbiter: bool,
}

impl Shape {
    /// The smallest guest: one vCPU port, nothing else.
    pub const PLAIN: Self = Self { vcpu_ports: 1, devices: 0, arbiter: false };
    /// One vCPU port and two devices.
    pub const DEVICES: Self = Self { devices: 2, ..Self::PLAIN };
    /// Two vCPU ports.
    pub const TWO_PORTS: Self = Self { vcpu_ports: 2, ..Self::PLAIN };
    /// One vCPU port, and an arbiter.
    pub const ARBITER: Self = Self { arbiter: true, ..Self::PLAIN };
    /// Everything at once.
    pub const FULL: Self = Self { vcpu_ports: 2, devices: 2, arbiter: true };

    fn layout(self) -> Layout {
        Layout {
            page_size: 4096,
            memory: Bytes::from_mib(64),
            vcpu_ports: self.vcpu_ports,
            devices: self.devices,
        }
    }

    fn key(self) -> Option<ArbiterKey> {
        self.arbiter.then_some(ArbiterKey(9))
    }
}

/// Repetition in tests: often enough to matter within a blackout.
pub const CADENCE: Cadence =
    Cadence { ping: Ns::from_millis(20), again: Ns::from_millis(10), silence: Ns::from_millis(500) };

/// The declared drift of either host.
pub const DRIFT: u32 = 500;

fn drift() -> Ppm {
    Ppm::new(DRIFT).expect("500 ppm is a drift")
}

/// The source's settings.
pub fn source_config(shape: Shape) -> SourceConfig<2, 2> {
    let term = |n| Term::declared(ms(n));
    let vcpus = SourceTerms { quiesce: Term::default(), stop: term(1), save: term(3), rollback: term(2) };
    let device = SourceTerms { quiesce: term(2), stop: term(2), save: term(4), rollback: term(4) };
    SourceConfig {
        limits: Limits { downtime: ms(100), switchover: ms(10) },
        retry: Retry { attempts: 3, backoff: ms(200), blackout_budget: ms(330), precopy_limit: ms(5_000) },
        cadence: CADENCE,
        drift: drift(),
        layout: shape.layout(),
        arbiter: shape.key(),
        hold_on_lost_device: false,
        contracts: SourceContracts {
            vcpus: (0..shape.vcpu_ports).map(|_| vcpus).collect(),
            devices: (0..shape.devices).map(|_| device).collect(),
            seal: term(1),
            journal: term(1),
            timer: term(1),
            claim: term(5),
            link: LinkTerms {
                delay: term(1),
                rate: BytesPerSecond::new(1_000_000_000),
                rate_origin: Origin::Declared,
            },
        },
    }
}

/// The destination's settings.
pub fn destination_config(shape: Shape) -> DestinationConfig<2, 2> {
    let term = |n| Term::declared(ms(n));
    let vcpus = DestinationTerms { load: term(2), settle: Term::default(), resume: term(1) };
    let device = DestinationTerms { load: term(3), settle: term(2), resume: term(2) };
    DestinationConfig {
        cadence: CADENCE,
        drift: drift(),
        layout: shape.layout(),
        arbiter: shape.key(),
        instance: GUEST,
        contracts: DestinationContracts {
            vcpus: (0..shape.vcpu_ports).map(|_| vcpus).collect(),
            devices: (0..shape.devices).map(|_| device).collect(),
            verify: term(2),
            journal: term(1),
            timer: term(1),
            claim: term(5),
        },
    }
}

/// A fresh source whose guest runs.
pub fn source(shape: Shape) -> TestSource {
    Source::new(source_config(shape), SOURCE, 0).expect("the settings hold together")
}

/// A fresh destination with an empty journal.
pub fn destination(shape: Shape) -> TestDestination {
    Destination::new(destination_config(shape), DESTINATION, FIRST).expect("the settings hold together")
}
