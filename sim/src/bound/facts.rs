//! What the machines are told of their ports, and what is true of them.
//!
//! Deadlines are computed from contracts, and durations are what ports really take: a bound needs both. Where every
//! contract is kept they are the same, as in a world that explores small numbers of ticks.

use switchover_core::config::{DestinationConfig, SourceConfig};
use switchover_core::contract::PeerTerms;
use switchover_core::id::GuestInstance;
use switchover_core::port::{Op, Phase, Port, Side};
use switchover_core::schedule::Inputs;
use switchover_core::time::{Ns, Ppm};

use crate::scenario::Scenario;
use crate::scenario::model::{Host, What, Where};

use super::table::millis;
use super::worst::{TICK, Ways};

/// Longer than anything: what never ends.
pub const FOREVER: Ns = Ns::new(u64::MAX);

/// What a worst case is computed from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Facts {
    /// What the source computes its schedule from, at the shortest delay that it may have learned.
    pub inputs: Inputs,
    /// The longest delay that it may have learned.
    pub delay_longest: Ns,
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
    /// The devices' part of Res.
    pub resume_devices: Ns,
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
    /// J_s: the source's journal, for which `Go` waits.
    pub journal: Ns,
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
    /// How far a reading lies before the true instant; zero where both clocks tick together.
    pub grain: Ns,
}

impl Facts {
    /// Facts of two machines that are told this, in a world where that is true; the source learns a delay within `learned`.
    #[must_use]
    pub fn told<const V: usize, const D: usize>(
        source: &SourceConfig<V, D>,
        destination: &DestinationConfig<V, D>,
        learned: (Ns, Ns),
        truth: Truth,
    ) -> Self {
        let (own, theirs) = (&source.contracts, &destination.contracts);
        let peer = theirs.announced(destination.drift, destination.arbiter.is_some());
        let inputs = Inputs {
            hard_limit: source.limits.hard(),
            rollback: own.rollback(),
            journal: own.journal.time,
            timer: own.timer.time,
            peer_timer: peer.timer,
            need: peer.need(),
            peer_journal: peer.journal,
            delay: learned.0,
            claim: source.arbiter.map(|_| own.claim.time),
            drift: source.drift.relative(destination.drift),
        };
        let (here, there) = (own.ports(), theirs.ports());
        let told = Told {
            rollback_devices: own.slowest(here.devices(), Op::Rollback),
            rollback_vcpus: own.slowest(here.vcpus(), Op::Rollback),
            resume_devices: theirs.slowest(there.devices(), Op::Resume),
            resume_vcpus: theirs.slowest(there.vcpus(), Op::Resume),
            hold_on_lost_device: source.hold_on_lost_device,
        };
        Self { inputs, delay_longest: learned.1, told, truth }
    }

    /// Facts of a scenario, with what its faults do to times.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let destination = scenario.destination_config(GuestInstance::default());
        Self::told(&scenario.source_config(), &destination, learned(scenario), Truth::of(scenario))
    }

    /// What gets through in a world where no message is lost.
    #[must_use]
    pub fn ways(&self) -> Ways {
        let (told, truth, inputs) = (&self.told, &self.truth, &self.inputs);
        let decide = inputs.lease().minus(inputs.need);
        // From the lease's start until `Go` is taken up, and until a claim can be made.
        let go = truth.delay_most.plus(truth.wake).or_longer(truth.journal);
        let go = go.plus(truth.delay_most).plus(truth.peer_wake).stretched(truth.drift);
        let claimable = inputs.claim.map_or(Ns::ZERO, |_| truth.peer_journal.plus(truth.peer_wake));
        // Until the last look before each of the resume's two parts.
        let recorded = truth.peer_claim.plus(truth.peer_journal);
        let decided = inputs.need.minus(told.resume_devices).minus(told.resume_vcpus);
        let devices = recorded.plus(truth.resume_devices) > inputs.need.minus(told.resume_vcpus);
        // From reading `Ready` until the destination's claim is at the arbiter, and until the source may claim itself.
        let sent = truth.journal.plus(truth.delay_most).plus(truth.peer_wake);
        let claimed = sent.or_longer(claimable).plus(truth.peer_claim).stretched(truth.drift);
        Ways {
            go_late: go.or_longer(claimable) > decide,
            claim_races: inputs.claim.is_some() && claimed > decide.plus(inputs.answer()),
            // A claim that begins only when it must have: each of its steps may end a tick late as its clock reads it.
            supersedes: recorded > decided
                || devices
                || claimable.plus(TICK.times(8)) > decide && claimable > Ns::ZERO,
            answers: true,
            arbiter: inputs.claim.is_some(),
        }
    }

    /// How long a message may take from one machine's step to the other's, if the other stands still meanwhile.
    #[must_use]
    pub fn taken_up(&self) -> Ns {
        self.truth.delay_most.plus(self.truth.wake.or_longer(self.truth.peer_wake))
    }

    /// Contracts and assumptions that are not kept, each in words. A message's way only counts where somebody may have to
    /// wait for an answer.
    #[must_use]
    pub fn broken(&self, ways: Ways) -> Vec<String> {
        let waits = ways.go_late || ways.supersedes;
        let way = if waits { self.taken_up() } else { Ns::ZERO };
        let (told, truth, inputs) = (&self.told, &self.truth, &self.inputs);
        let told_need = inputs.need;
        let need =
            truth.peer_claim.plus(truth.peer_journal).plus(truth.resume_devices).plus(truth.resume_vcpus);
        let checks = [
            ("R: devices are rolled back", told.rollback_devices, truth.rollback_devices),
            ("R: vCPUs run again", told.rollback_vcpus, truth.rollback_vcpus),
            ("W_s: the source's timer is late by no more", inputs.timer, truth.timer),
            ("W_d: the destination's timer is late by no more", inputs.peer_timer, truth.peer_timer),
            ("Res: the destination's vCPUs run", told.resume_vcpus, truth.resume_vcpus),
            ("need: claim, journal and resume at the destination", told_need, need),
            ("C: the source's claim is answered", inputs.claim.unwrap_or(truth.claim), truth.claim),
            ("delta: a message's way, and its being taken up", inputs.delay.stretched(truth.drift), way),
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
        let (stands, peer_stands) = (stands(scenario, Side::Source), stands(scenario, Side::Destination));
        let arbiter = scenario.arbiter.as_ref();
        let control = &scenario.link.control;
        Self {
            rollback_devices: ports.devices(Side::Source, Op::Rollback).plus(stands),
            rollback_vcpus: ports.vcpus(Side::Source, Op::Rollback).plus(stands),
            journal: ports.journal(Side::Source).plus(stands),
            timer: source.timer.worst().plus(stands),
            wake: stands,
            claim: arbiter.map_or(Ns::ZERO, |arbiter| arbiter.from_source.worst().plus(stands)),
            peer_timer: destination.timer.worst().plus(peer_stands),
            peer_wake: peer_stands,
            peer_claim: arbiter
                .map_or(Ns::ZERO, |arbiter| arbiter.from_destination.worst().plus(peer_stands)),
            peer_journal: ports.journal(Side::Destination).plus(peer_stands),
            resume_devices: ports.devices(Side::Destination, Op::Resume).plus(peer_stands),
            resume_vcpus: ports.vcpus(Side::Destination, Op::Resume).plus(peer_stands),
            delay_least: shrunk(control.latency.least(), source.drift),
            delay_most: control.longest_way().stretched(source.drift),
            drift: source.drift.relative(destination.drift),
            grain: TICK,
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

/// What a clock that loses reads of a time, at least.
fn shrunk(time: Ns, drift: Ppm) -> Ns {
    let lost = time.stretched(drift).minus(time);
    time.minus(lost)
}

/// How long a side may stand still in the middle of anything: one pause of a stolen processor, and all those of faults.
fn stands(scenario: &Scenario, on: Side) -> Ns {
    let faults = scenario.faults.iter().filter(|fault| fault.chance > 0);
    let paused = faults.fold(Ns::ZERO, |sum, fault| match fault.what {
        What::Pause { side, time } if side == on => sum.plus(time),
        _ => sum,
    });
    let host = match on {
        Side::Source => &scenario.source,
        Side::Destination => &scenario.destination,
    };
    paused.plus(stolen(host))
}

/// A pause of a processor that is stolen.
fn stolen(host: &Host) -> Ns {
    host.stolen.as_ref().map_or(Ns::ZERO, |stolen| stolen.pause.worst())
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
    let drift = scenario.source.drift;
    let least = shrunk(control.latency.least().times(2), drift);
    let most = control.longest_way().times(2).stretched(drift);
    let declared = scenario.source_contracts.link.delay.time;
    // The first echo comes before that of the first round, which the first verdict waits for.
    let loses = |what: &What| match what {
        What::Partition { .. } => true,
        What::Drop { message, .. } => ["ping", "pong"].contains(&message.as_str()),
        _ => false,
    };
    let lost = scenario.faults.iter().any(|fault| fault.chance > 0 && loses(&fault.what));
    let sure = !lost && scenario.link.datagrams.is_none();
    if sure { (least, most) } else { (least.or_shorter(declared), most.or_longer(declared)) }
}
