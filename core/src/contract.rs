//! Time contracts: the worst cases a port declares, or that were calibrated or learned.
//!
//! A contract is early warning and blame, never a second limit: a phase over its own
//! contract is recorded; only what no longer fits before `go_by` ends an attempt (\[SW-22\]).
//! The machines read contracts and never change them: a host learns outside
//! ([`Learner`](crate::learn::Learner)) and hands the result in between attempts.

use heapless::Vec;
use serde::{Deserialize, Serialize};

use crate::port::{Op, Port, PortSet};
use crate::time::{Ns, Ppm};
use crate::units::BytesPerSecond;

/// Where a number comes from; printed with every verdict.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Origin {
    /// Somebody wrote it down.
    #[default]
    Declared,
    /// Measured at start, before the guest runs.
    Calibrated,
    /// Measured in pre-copy or in an earlier attempt.
    Learned,
}

/// One worst case and where it comes from.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Term {
    /// The time.
    pub time: Ns,
    /// Where it comes from.
    pub origin: Origin,
}

impl Term {
    /// A declared time.
    pub const fn declared(time: Ns) -> Self {
        Self { time, origin: Origin::Declared }
    }

    /// A calibrated time.
    pub const fn calibrated(time: Ns) -> Self {
        Self { time, origin: Origin::Calibrated }
    }

    /// A learned time.
    pub const fn learned(time: Ns) -> Self {
        Self { time, origin: Origin::Learned }
    }

    /// The longer of two terms.
    #[must_use]
    pub const fn or_longer(self, other: Self) -> Self {
        if self.time.get() >= other.time.get() { self } else { other }
    }
}

/// What one port on the source may take.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct SourceTerms {
    /// Devices: to quiesce.
    pub quiesce: Term,
    /// To stop.
    pub stop: Term,
    /// To hand all of its state over.
    pub save: Term,
    /// To run again after an abort.
    pub rollback: Term,
}

/// What one port on the destination may take.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct DestinationTerms {
    /// To load its state, counted from when all of it has arrived.
    pub load: Term,
    /// Devices: to leave RESUMING.
    pub settle: Term,
    /// To run.
    pub resume: Term,
}

/// The link's worst case, learned from pre-copy.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct LinkTerms {
    /// A message's way, one direction (delta). The whole round trip is a safe value for it.
    pub delay: Term,
    /// How fast the last pages move, sender to memory.
    pub rate: BytesPerSecond,
    /// Where the rate comes from.
    pub rate_origin: Origin,
}

/// Everything the source's ports may take.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SourceContracts<const V: usize, const D: usize> {
    /// Each vCPU port.
    pub vcpus: Vec<SourceTerms, V>,
    /// Each device.
    pub devices: Vec<SourceTerms, D>,
    /// Sealing what was sent; with `--verify`, hashing all memory.
    pub seal: Term,
    /// A journal write (J_s).
    pub journal: Term,
    /// How late a timer may call (W_s).
    pub timer: Term,
    /// A claim at the arbiter (C), where there is one.
    pub claim: Term,
    /// The link, as far as it is known before the first attempt.
    pub link: LinkTerms,
}

impl<const V: usize, const D: usize> SourceContracts<V, D> {
    /// All ports.
    pub fn ports(&self) -> PortSet {
        PortSet::of(self.vcpus.len(), self.devices.len())
    }

    /// The contract of one operation of one port; zero for one that is not there.
    pub fn of(&self, port: Port, op: Op) -> Ns {
        let terms = match port {
            Port::Vcpus(i) => self.vcpus.get(usize::from(i)),
            Port::Device(i) => self.devices.get(usize::from(i)),
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        };
        let Some(terms) = terms else { return Ns::ZERO };
        match op {
            Op::Quiesce => terms.quiesce.time,
            Op::Stop => terms.stop.time,
            Op::Save => terms.save.time,
            Op::Rollback => terms.rollback.time,
            Op::Load | Op::Settle | Op::Resume | Op::Unload => Ns::ZERO,
        }
    }

    /// The slowest of a set doing one thing at the same time.
    pub fn slowest(&self, ports: PortSet, op: Op) -> Ns {
        ports.map(|port| self.of(port, op)).fold(Ns::ZERO, Ns::or_longer)
    }

    /// Where stop and save of the first vCPU port come from: they stand for all in a verdict.
    pub fn origins(&self) -> (Origin, Origin) {
        let first = self.vcpus.first();
        first.map_or_else(Default::default, |terms| (terms.stop.origin, terms.save.origin))
    }

    /// Quiesce, vCPU stop, device stop: one after the other, ports of one kind at once.
    pub fn stop(&self) -> Ns {
        let quiesce = longest(&self.devices, |terms| terms.quiesce);
        let vcpus = longest(&self.vcpus, |terms| terms.stop);
        quiesce.plus(vcpus).plus(longest(&self.devices, |terms| terms.stop))
    }

    /// Taking all states, ports at the same time.
    pub fn save(&self) -> Ns {
        longest(&self.vcpus, |terms| terms.save).or_longer(longest(&self.devices, |terms| terms.save))
    }

    /// R: devices run again, then vCPUs.
    pub fn rollback(&self) -> Ns {
        longest(&self.devices, |terms| terms.rollback).plus(longest(&self.vcpus, |terms| terms.rollback))
    }

    /// All of these.
    pub fn sums(&self) -> SourceSums {
        SourceSums { stop: self.stop(), save: self.save(), rollback: self.rollback() }
    }
}

/// What the source's contracts come to. A verdict needs these sums over all ports, and a step judges at most once;
/// a machine computes them when it is handed contracts.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SourceSums {
    /// [`SourceContracts::stop`].
    pub stop: Ns,
    /// [`SourceContracts::save`].
    pub save: Ns,
    /// [`SourceContracts::rollback`].
    pub rollback: Ns,
}

/// Everything the destination's ports may take.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DestinationContracts<const V: usize, const D: usize> {
    /// Each vCPU port.
    pub vcpus: Vec<DestinationTerms, V>,
    /// Each device.
    pub devices: Vec<DestinationTerms, D>,
    /// Verifying memory once everything has arrived.
    pub verify: Term,
    /// A journal write (J).
    pub journal: Term,
    /// How late a timer may call (W_d).
    pub timer: Term,
    /// A claim at the arbiter (C), where there is one.
    pub claim: Term,
}

impl<const V: usize, const D: usize> DestinationContracts<V, D> {
    /// All ports.
    pub fn ports(&self) -> PortSet {
        PortSet::of(self.vcpus.len(), self.devices.len())
    }

    /// The contract of one operation of one port; zero for one that is not there.
    pub fn of(&self, port: Port, op: Op) -> Ns {
        let terms = match port {
            Port::Vcpus(i) => self.vcpus.get(usize::from(i)),
            Port::Device(i) => self.devices.get(usize::from(i)),
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        };
        let Some(terms) = terms else { return Ns::ZERO };
        match op {
            Op::Load => terms.load.time,
            Op::Settle => terms.settle.time,
            Op::Resume => terms.resume.time,
            Op::Quiesce | Op::Stop | Op::Save | Op::Rollback | Op::Unload => Ns::ZERO,
        }
    }

    /// The slowest of a set doing one thing at the same time.
    pub fn slowest(&self, ports: PortSet, op: Op) -> Ns {
        ports.map(|port| self.of(port, op)).fold(Ns::ZERO, Ns::or_longer)
    }

    /// Res: devices run, then vCPUs.
    pub fn resume(&self) -> Ns {
        longest(&self.devices, |terms| terms.resume).plus(longest(&self.vcpus, |terms| terms.resume))
    }

    /// C, which is part of the decision where there is an arbiter.
    const fn claimed(&self, arbiter: bool) -> Ns {
        if arbiter { self.claim.time } else { Ns::ZERO }
    }

    /// `need` = C + J + Res: what [`PeerTerms::need`] says of the announced terms, without the others.
    pub fn need(&self, arbiter: bool) -> Ns {
        self.claimed(arbiter).plus(self.journal.time).plus(self.resume())
    }

    /// What the source is told in Welcome; `arbiter` says whether a claim is part of the decision.
    // [SW-42]
    pub fn announced(&self, drift: Ppm, arbiter: bool) -> PeerTerms {
        let load = longest(&self.vcpus, |terms| terms.load);
        PeerTerms {
            load: load.or_longer(longest(&self.devices, |terms| terms.load)),
            seal: self.verify.time.plus(longest(&self.devices, |terms| terms.settle)),
            claim: self.claimed(arbiter),
            journal: self.journal.time,
            resume: self.resume(),
            timer: self.timer.time,
            drift,
            origin: self.vcpus.first().map_or(Origin::Declared, |terms| terms.resume.origin),
        }
    }
}

/// The slowest of ports that do one thing at the same time. These sums are asked for in steps, so they go
/// straight through the table; a set of ports ([`SourceContracts::slowest`]) costs three times as much.
fn longest<T>(ports: &[T], term: impl Fn(&T) -> Term) -> Ns {
    ports.iter().fold(Ns::ZERO, |longest, port| longest.or_longer(term(port).time))
}

/// The destination's worst cases as the source needs them, on the destination's clock.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PeerTerms {
    /// Loading that goes on after everything has arrived.
    pub load: Ns,
    /// Verifying and settling.
    pub seal: Ns,
    /// A claim (C); zero without an arbiter.
    pub claim: Ns,
    /// A journal write (J).
    pub journal: Ns,
    /// Running the guest (Res).
    pub resume: Ns,
    /// Timer lateness (W_d).
    pub timer: Ns,
    /// The destination's declared clock drift.
    pub drift: Ppm,
    /// Where its times come from.
    pub origin: Origin,
}

impl PeerTerms {
    /// `need` = C + J + Res: what must be left of the lease when `Go` is taken. One value,
    /// used in the fit test, in `decide_by` and in the lease alike (\[SW-63\]).
    pub const fn need(&self) -> Ns {
        self.claim.plus(self.journal).plus(self.resume)
    }
}
