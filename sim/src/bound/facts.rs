//! What the machines are told of their ports, and what is true of them.
//!
//! Deadlines are computed from contracts, and durations are what ports really take: a bound needs both. Where every
//! contract is kept they are the same ([`Facts::kept`]), as in a world that explores small numbers of ticks.

use switchover_core::contract::PeerTerms;
use switchover_core::limits::FRAME_MAX;
use switchover_core::port::{Op, Phase, Port, Side};
use switchover_core::schedule::Inputs;
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::Bytes;

use crate::scenario::Scenario;
use crate::scenario::model::{Channel, What, Where};

use super::table::millis;
use super::worst::TICK;

/// Control messages that can wait for each other on one connection: what two machines say at the same time.
const QUEUED: u64 = 4;

/// Longer than anything: what never ends.
pub const FOREVER: Ns = Ns::new(u64::MAX);

/// What a worst case is computed from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What the source computes its schedule from, at the shortest delay that it may have learned.
    pub inputs: Inputs,
    /// The parts of contracts that decide about vCPUs alone.
    pub told: Told,
    /// What is true.
    pub truth: Truth,
}

/// Contracts that are not in [`Inputs`] by themselves.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// The devices' part of R.
    pub rollback_devices: Ns,
    /// The vCPUs' part of R: how long before H they wait for no device any more.
    pub rollback_vcpus: Ns,
    /// The vCPUs' part of Res: how long before the lease's end they are not asked any more.
    pub resume_vcpus: Ns,
    /// Whether vCPUs wait for a device however long it takes to be rolled back.
    pub hold_on_lost_device: bool,
}

/// The longest that each thing really takes; [`FOREVER`] where it may never end.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Truth {
    /// R: devices.
    pub rollback_devices: Ns,
    /// R: vCPUs.
    pub rollback_vcpus: Ns,
    /// W_s: how late the source's timer is.
    pub timer: Ns,
    /// How late the source takes up a message that has arrived.
    pub wake: Ns,
    /// C: the source's claim, where there is an arbiter.
    pub claim: Ns,
    /// W_d.
    pub peer_timer: Ns,
    /// How late the destination takes up a message that has arrived.
    pub peer_wake: Ns,
    /// C on the destination's side, where there is an arbiter.
    pub peer_claim: Ns,
    /// J.
    pub peer_journal: Ns,
    /// Res: devices.
    pub resume_devices: Ns,
    /// Res: vCPUs.
    pub resume_vcpus: Ns,
    /// The shortest way of a message.
    pub delay_least: Ns,
    /// The longest way of a message.
    pub delay_most: Ns,
    /// The relative rate of both clocks, at its extreme.
    pub drift: Ppm,
}

impl Facts {
    /// Facts of a world in which every contract is kept: `need` of `inputs` is the sum of `truth`'s claim, journal and
    /// resume, and `rollback` that of its rollbacks.
    #[must_use]
    pub fn kept(inputs: Inputs, truth: Truth) -> Self {
        let told = Told {
            rollback_devices: truth.rollback_devices,
            rollback_vcpus: truth.rollback_vcpus,
            resume_vcpus: truth.resume_vcpus,
            hold_on_lost_device: false,
        };
        Self { inputs, told, truth }
    }

    /// Facts of a scenario, with what its faults do to times.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let (own, peer) = (&scenario.source_contracts, announced(scenario));
        let inputs = Inputs {
            hard_limit: scenario.limits.hard(),
            rollback: own.rollback(),
            journal: own.journal.time,
            timer: own.timer.time,
            peer_timer: peer.timer,
            need: peer.need(),
            peer_journal: peer.journal,
            delay: learned(scenario).0,
            claim: scenario.arbiter.as_ref().map(|_| own.claim.time),
            drift: scenario.source.declared_drift.relative(scenario.destination.declared_drift),
        };
        let ports = own.ports();
        let theirs = scenario.destination_contracts.ports();
        let told = Told {
            rollback_devices: own.slowest(ports.devices(), Op::Rollback),
            rollback_vcpus: own.slowest(ports.vcpus(), Op::Rollback),
            resume_vcpus: scenario.destination_contracts.slowest(theirs.vcpus(), Op::Resume),
            hold_on_lost_device: scenario.hold_on_lost_device,
        };
        Self { inputs, told, truth: Truth::of(scenario) }
    }

    /// Contracts and assumptions that are not kept, each in words.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let (told, truth, inputs) = (&self.told, &self.truth, &self.inputs);
        let told_need = inputs.need;
        let need =
            truth.peer_claim.plus(truth.peer_journal).plus(truth.resume_devices).plus(truth.resume_vcpus);
        let checks = [
            ("R: devices are rolled back", told.rollback_devices, truth.rollback_devices),
            ("R: vCPUs run again", told.rollback_vcpus, truth.rollback_vcpus),
            ("W_s: the source's timer is late by no more", inputs.timer, truth.timer.or_longer(truth.wake)),
            (
                "W_d: the destination's timer is late by no more",
                inputs.peer_timer,
                truth.peer_timer.or_longer(truth.peer_wake),
            ),
            ("Res: the destination's vCPUs run", told.resume_vcpus, truth.resume_vcpus),
            ("need: claim, journal and resume at the destination", told_need, need),
            ("C: the source's claim is answered", inputs.claim.unwrap_or(truth.claim), truth.claim),
            ("delta: a message's way", inputs.delay, truth.delay_most),
        ];
        let late = checks.into_iter().filter(|(_, told, truth)| truth > told);
        let mut broken: Vec<String> = late.map(|(what, told, truth)| outlasts(what, told, truth)).collect();
        if truth.drift > inputs.drift {
            let (told, truth) = (inputs.drift.get(), truth.drift.get());
            broken.push(format!(
                "rho: the clocks' relative rate stays within {told} ppm (here up to {truth} ppm)"
            ));
        }
        broken
    }
}

fn outlasts(what: &str, told: Ns, truth: Ns) -> String {
    let really = if truth == FOREVER { "never ends".to_owned() } else { format!("up to {}", millis(truth)) };
    format!("{what} within {} (here {really})", millis(told))
}

impl Truth {
    fn of(scenario: &Scenario) -> Self {
        let ports = Ports { scenario };
        let (source, destination) = (&scenario.source, &scenario.destination);
        let (stands, peer_stands) = (pauses(scenario, Side::Source), pauses(scenario, Side::Destination));
        let arbiter = scenario.arbiter.as_ref();
        let control = &scenario.link.control;
        Self {
            rollback_devices: ports.devices(Side::Source, Op::Rollback),
            rollback_vcpus: ports.vcpus(Side::Source, Op::Rollback).plus(stands),
            timer: source.timer.worst().plus(stands),
            wake: stands,
            claim: arbiter.map_or(Ns::ZERO, |arbiter| arbiter.from_source.worst()),
            peer_timer: destination.timer.worst().plus(peer_stands),
            peer_wake: peer_stands,
            peer_claim: arbiter.map_or(Ns::ZERO, |arbiter| arbiter.from_destination.worst()),
            peer_journal: ports.journal(Side::Destination).plus(peer_stands),
            resume_devices: ports.devices(Side::Destination, Op::Resume),
            resume_vcpus: ports.vcpus(Side::Destination, Op::Resume).plus(peer_stands),
            delay_least: control.latency.least(),
            delay_most: longest_way(control),
            drift: source.drift.relative(destination.drift),
        }
    }
}

/// How long ports really take.
struct Ports<'a> {
    scenario: &'a Scenario,
}

impl Ports<'_> {
    fn devices(&self, side: Side, op: Op) -> Ns {
        let devices = self.scenario.devices.iter().enumerate();
        devices.fold(Ns::ZERO, |longest, (index, device)| {
            let port = u8::try_from(index).map_or(Where::Memory, Where::Device);
            let told = u8::try_from(index).map_or(Ns::ZERO, |index| self.told(side, Port::Device(index), op));
            longest.or_longer(self.strained(device.times.of(op).worst(), told, side, port, Some(op.phase())))
        })
    }

    fn vcpus(&self, side: Side, op: Op) -> Ns {
        let told = self.told(side, Port::Vcpus(0), op);
        self.strained(self.scenario.guest.times.of(op).worst(), told, side, Where::Vcpus, Some(op.phase()))
    }

    fn journal(&self, side: Side) -> Ns {
        let (host, told) = match side {
            Side::Source => (&self.scenario.source, self.scenario.source_contracts.journal.time),
            Side::Destination => {
                (&self.scenario.destination, self.scenario.destination_contracts.journal.time)
            }
        };
        self.strained(host.journal.worst(), told, side, Where::Journal, None)
    }

    fn told(&self, side: Side, port: Port, op: Op) -> Ns {
        match side {
            Side::Source => self.scenario.source_contracts.of(port, op),
            Side::Destination => self.scenario.destination_contracts.of(port, op),
        }
    }

    /// What stalls and lies make of `time`; a journal's count whatever their phase (`None`).
    fn strained(&self, time: Ns, told: Ns, side: Side, port: Where, phase: Option<Phase>) -> Ns {
        let mine =
            |s: Side, p: Where, ph: Phase| s == side && p == port && phase.is_none_or(|phase| phase == ph);
        self.scenario.faults.iter().filter(|fault| fault.chance > 0).fold(time, |time, fault| {
            match fault.what {
                What::Stall { side, port, phase, time: more } if mine(side, port, phase) => {
                    time.plus(more.unwrap_or(FOREVER))
                }
                What::Lie { side, port, phase, percent } if mine(side, port, phase) => {
                    time.or_longer(told.times(u64::from(percent)).part(100).plus(TICK))
                }
                _ => time,
            }
        })
    }
}

/// How long a side's process may stand still, all its pauses together.
fn pauses(scenario: &Scenario, on: Side) -> Ns {
    scenario.faults.iter().filter(|fault| fault.chance > 0).fold(Ns::ZERO, |sum, fault| match fault.what {
        What::Pause { side, time } if side == on => sum.plus(time),
        _ => sum,
    })
}

/// The destination's terms as the source hears them.
pub(super) fn announced(scenario: &Scenario) -> PeerTerms {
    let drift = scenario.destination.declared_drift;
    scenario.destination_contracts.announced(drift, scenario.arbiter.is_some())
}

/// The shortest and the longest delay that the source may compute with. It takes a whole round trip for one way once a
/// ping has come back; where pings can be lost, what was declared may still count.
pub(super) fn learned(scenario: &Scenario) -> (Ns, Ns) {
    let control = &scenario.link.control;
    let (least, most) = (control.latency.least().times(2), longest_way(control).times(2));
    let declared = scenario.source_contracts.link.delay.time;
    (least.or_shorter(declared), most.or_longer(declared))
}

/// Latency, and what was handed over before it.
fn longest_way(control: &Channel) -> Ns {
    let frame = control.bandwidth.time_for(Bytes::new(FRAME_MAX as u64));
    control.latency.worst().plus(frame.times(QUEUED))
}
