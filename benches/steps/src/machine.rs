//! The machines under one face, at the capacities and with the ports that are measured.

use heapless::Vec as Bounded;
use switchover_core::config::{Cadence, DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::id::{ArbiterKey, AttemptId, GuestInstance, Incarnation, JournalId};
use switchover_core::limits::PAGE_SIZE;
use switchover_core::source::Source;
use switchover_core::time::{At, Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};

/// The source's journal.
pub const SOURCE: JournalId = JournalId(1);
/// The destination's.
pub const DESTINATION: JournalId = JournalId(2);
/// Its incarnation.
pub const INCARNATION: Incarnation = Incarnation(3);

/// Ports and arbiter of one measured pair.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// vCPU ports.
    pub vcpus: u8,
    /// Devices.
    pub devices: u8,
    /// Whether there is an arbiter.
    pub arbiter: bool,
}

/// What is measured: nothing beside the vCPU, a usual machine, and all that default capacities hold.
pub const SHAPES: [Shape; 4] = [
    Shape { vcpus: 1, devices: 0, arbiter: false },
    Shape { vcpus: 2, devices: 3, arbiter: true },
    Shape { vcpus: 4, devices: 8, arbiter: false },
    Shape { vcpus: 4, devices: 8, arbiter: true },
];

/// A machine as the walk sees it.
pub trait Machine: Clone + PartialEq + std::fmt::Debug {
    /// Its events.
    type Event: Copy + std::fmt::Debug;

    /// One that has just started.
    fn start(shape: Shape) -> Self;
    /// One step; the actions in words.
    fn step(&mut self, now: At, event: Self::Event) -> Vec<String>;
    /// The same without the words.
    fn advance(&mut self, now: At, event: Self::Event);
    /// The same, counted.
    fn counted(&mut self, now: At, event: Self::Event);
    /// When it wants to be called.
    fn deadline(&self) -> Option<At>;
    /// The attempt it is at.
    fn attempt(&self) -> AttemptId;
    /// All events, about this attempt and another.
    fn events(shape: Shape, attempt: AttemptId) -> Vec<Self::Event>;
}

/// The source at default capacities.
pub type S = Source<4, 8, 8>;
/// The destination at default capacities.
pub type D = Destination<4, 8, 8>;

impl Machine for S {
    type Event = SourceEvent;

    fn start(shape: Shape) -> Self {
        Source::new(source(shape), SOURCE, 0).expect("the settings hold together")
    }

    fn step(&mut self, now: At, event: SourceEvent) -> Vec<String> {
        Source::step(self, now, event).actions.iter().map(words).collect()
    }

    fn advance(&mut self, now: At, event: SourceEvent) {
        let _ = Source::step(self, now, event);
    }

    fn counted(&mut self, now: At, event: SourceEvent) {
        counted(|| Source::step(self, now, event).actions.len());
    }

    fn deadline(&self) -> Option<At> {
        Source::deadline(self)
    }

    fn attempt(&self) -> AttemptId {
        Source::attempt(self).unwrap_or(AttemptId { journal: SOURCE, counter: 1 })
    }

    fn events(shape: Shape, attempt: AttemptId) -> Vec<SourceEvent> {
        crate::events::source(shape, attempt)
    }
}

impl Machine for D {
    type Event = DestinationEvent;

    fn start(shape: Shape) -> Self {
        Destination::new(destination(shape), DESTINATION, INCARNATION).expect("the settings hold together")
    }

    fn step(&mut self, now: At, event: DestinationEvent) -> Vec<String> {
        Destination::step(self, now, event).actions.iter().map(words).collect()
    }

    fn advance(&mut self, now: At, event: DestinationEvent) {
        let _ = Destination::step(self, now, event);
    }

    fn counted(&mut self, now: At, event: DestinationEvent) {
        counted(|| Destination::step(self, now, event).actions.len());
    }

    fn deadline(&self) -> Option<At> {
        Destination::deadline(self)
    }

    fn attempt(&self) -> AttemptId {
        Destination::attempt(self).unwrap_or(AttemptId { journal: SOURCE, counter: 1 })
    }

    fn events(shape: Shape, attempt: AttemptId) -> Vec<DestinationEvent> {
        crate::events::destination(shape, attempt)
    }
}

/// What valgrind counts: one step, and the call around it.
#[inline(never)]
fn counted(step: impl FnOnce() -> usize) {
    std::hint::black_box(step());
}

fn words<A: std::fmt::Debug>(action: &A) -> String {
    format!("{action:?}")
}

fn limits() -> Limits {
    Limits { downtime: Ns::from_millis(300), switchover: Ns::from_millis(10) }
}

fn layout(shape: Shape) -> Layout {
    let memory = Bytes::from_mib(1024);
    Layout { page_size: PAGE_SIZE as u32, memory, vcpu_ports: shape.vcpus, devices: shape.devices }
}

fn all<T: Copy, const N: usize>(of: T, n: u8) -> Bounded<T, N> {
    (0..n).map(|_| of).collect()
}

fn source(shape: Shape) -> SourceConfig<4, 8> {
    let ms = |n| Term::calibrated(Ns::from_millis(n));
    let terms = SourceTerms { quiesce: ms(1), stop: ms(1), save: ms(2), rollback: ms(2) };
    let rate = BytesPerSecond::new(2_000_000_000);
    SourceConfig {
        limits: limits(),
        retry: Retry {
            attempts: 3,
            backoff: Ns::from_millis(500),
            blackout_budget: limits().hard().times(3),
            precopy_limit: Ns::from_secs(60),
        },
        cadence: Cadence::default(),
        drift: Ppm::new(500).unwrap_or_default(),
        layout: layout(shape),
        arbiter: shape.arbiter.then_some(ArbiterKey(9)),
        hold_on_lost_device: false,
        contracts: SourceContracts {
            vcpus: all(terms, shape.vcpus),
            devices: all(terms, shape.devices),
            seal: ms(1),
            journal: ms(1),
            timer: ms(1),
            claim: ms(5),
            link: LinkTerms { delay: ms(1), rate, rate_origin: Origin::Declared },
        },
    }
}

/// The destination's settings: what its Welcome announces.
pub(crate) fn destination(shape: Shape) -> DestinationConfig<4, 8> {
    let ms = |n| Term::calibrated(Ns::from_millis(n));
    let terms = DestinationTerms { load: ms(2), settle: ms(1), resume: ms(1) };
    DestinationConfig {
        cadence: Cadence::default(),
        drift: Ppm::new(500).unwrap_or_default(),
        layout: layout(shape),
        arbiter: shape.arbiter.then_some(ArbiterKey(9)),
        instance: GuestInstance(7),
        contracts: DestinationContracts {
            vcpus: all(terms, shape.vcpus),
            devices: all(terms, shape.devices),
            verify: ms(1),
            journal: ms(1),
            timer: ms(1),
            claim: ms(5),
        },
    }
}
