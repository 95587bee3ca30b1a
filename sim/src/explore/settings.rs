//! The settings of small worlds: one vCPU port, at most one device, and times that are small whole numbers.
//!
//! Two sets. *Untimed*: every contract is a nanosecond and every pause is longer than what it could repeat within,
//! so that a deadline is one step and not a row of repetitions; nothing but safety is judged. *Timed*: the contracts
//! of a [`Timing`], in nanoseconds that are the ticks of the world.

use switchover_core::config::{Cadence, DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::destination::Destination;
use switchover_core::id::{ArbiterKey, GuestInstance, JournalId};
use switchover_core::source::Source;
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};

use super::world::{Timing, World};

/// The source's machine at its smallest: one vCPU port, one device, two attempts.
pub type SmallSource = Source<1, 1, 2>;
/// The destination's machine at its smallest: one source journal besides.
pub type SmallDestination = Destination<1, 1, 2>;

/// The source's journal.
pub(super) const SOURCE: JournalId = JournalId(0x5);
/// The destination's journal, and the one that takes its place if it is lost.
pub(super) const DESTINATIONS: [JournalId; 2] = [JournalId(0xd), JournalId(0xe)];

/// A contract of an untimed world.
const SHORT: Ns = Ns::new(1);
/// No repetition within a lease, and none of a ping within a pre-copy: a message that was said once can come twice all
/// the same, since an untimed network repeats what it likes.
const RARELY: Cadence = Cadence { ping: Ns::new(500), again: Ns::new(400), silence: Ns::new(200) };
/// Moves what little there is in a nanosecond.
const FAST: BytesPerSecond = BytesPerSecond::new(1_000_000_000_000);

fn layout(world: &World) -> Layout {
    Layout { devices: world.devices, ..Layout::new(Bytes::new(4096), 1) }
}

fn arbiter(world: &World) -> Option<ArbiterKey> {
    world.arbiter.then_some(ArbiterKey(9))
}

fn drift(timing: Option<&Timing>) -> Ppm {
    timing.and_then(|timing| Ppm::new(timing.drift_ppm)).unwrap_or_default()
}

/// What the source's machine is told.
#[must_use]
pub fn source(world: &World) -> SourceConfig<1, 1> {
    let t = world.timing.as_ref();
    let term = |of: fn(&Timing) -> u64| Term::declared(t.map_or(SHORT, |t| Ns::new(of(t))));
    let vcpus = SourceTerms {
        quiesce: Term::default(),
        stop: term(|t| t.work),
        save: term(|t| t.work),
        rollback: term(|t| t.rollback),
    };
    let device = SourceTerms { quiesce: term(|t| t.work), ..vcpus };
    let contracts = SourceContracts {
        vcpus: [vcpus].into_iter().collect(),
        devices: (0..world.devices).map(|_| device).collect(),
        seal: Term::default(),
        journal: term(|t| t.source_journal),
        timer: term(|t| t.source_timer),
        claim: term(|t| t.claim),
        // Untimed: none, so that a round trip that is measured as none teaches nothing.
        link: LinkTerms {
            delay: Term::declared(t.map_or(Ns::ZERO, |t| Ns::new(t.delay))),
            rate: FAST,
            rate_origin: Origin::Declared,
        },
    };
    let limits = t.map_or(Limits { downtime: Ns::new(90), switchover: Ns::new(10) }, |t| Limits {
        downtime: Ns::new(t.hard_limit),
        switchover: Ns::ZERO,
    });
    let mut config = SourceConfig::new(layout(world), contracts);
    config.limits = limits;
    config.retry = Retry {
        attempts: world.retries,
        backoff: Ns::new(50),
        blackout_budget: Ns::from_secs(1),
        precopy_limit: Ns::new(300),
    };
    config.cadence = cadence(t);
    config.drift = drift(t);
    config.arbiter = arbiter(world);
    #[cfg(feature = "mutants")]
    {
        config.mutant = world.mutant;
    }
    config
}

/// What the destination's machine is told; `instance` counts the hosts that its guest has had.
#[must_use]
pub fn destination(world: &World, instance: u8) -> DestinationConfig<1, 1> {
    let t = world.timing.as_ref();
    let term = |of: fn(&Timing) -> u64| Term::declared(t.map_or(SHORT, |t| Ns::new(of(t))));
    let vcpus =
        DestinationTerms { load: term(|t| t.work), settle: Term::default(), resume: term(|t| t.resume) };
    let device = DestinationTerms { settle: term(|t| t.work), ..vcpus };
    let contracts = DestinationContracts {
        vcpus: [vcpus].into_iter().collect(),
        devices: (0..world.devices).map(|_| device).collect(),
        verify: term(|t| t.work),
        journal: term(|t| t.journal),
        timer: term(|t| t.timer),
        claim: term(|t| t.claim),
    };
    let mut config = DestinationConfig::new(layout(world), GuestInstance(u64::from(instance)), contracts);
    config.cadence = cadence(t);
    config.drift = drift(t);
    config.arbiter = arbiter(world);
    #[cfg(feature = "mutants")]
    {
        config.mutant = world.mutant;
    }
    config
}

fn cadence(timing: Option<&Timing>) -> Cadence {
    timing.map_or(RARELY, |t| Cadence { again: Ns::new(t.again), ..RARELY })
}
