//! A scenario: everything that a simulated world is made of, validated.
//!
//! It is what the TOML files say, with units resolved and defaults filled in. The parts:
//!
//! ```text
//! Scenario ─┬─ limits, retry, cadence      as the shell's options of those names
//!           ├─ source, destination: Host   clock, timer, journal, stolen processor
//!           ├─ link: Link                  control and bulk, apart
//!           ├─ guest: Guest                memory, dirty rate, vCPU groups
//!           ├─ devices: Vec<Device>        bytes, and times for each operation
//!           ├─ arbiter: Option<Arbiter>
//!           ├─ contracts                   declared; else the worst case of each distribution
//!           └─ faults: Vec<Fault>          what goes wrong, when, and how often
//! ```

use switchover_core::config::{Cadence, Limits, Retry};
use switchover_core::contract::{DestinationContracts, SourceContracts};
use switchover_core::limits::FRAME_MAX;
use switchover_core::port::{Op, Phase, Side};
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};

use super::dist::Dist;

/// vCPU ports of a simulated machine, at most.
pub const VCPU_PORTS: usize = 2;
/// Devices of a simulated machine, at most.
pub const DEVICES: usize = 4;
/// Attempts that a simulated destination tells apart.
pub const ATTEMPTS: usize = 8;

/// A simulated world, whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// Its name: the file's, without its extension.
    pub name: String,
    /// What it stands for, in a sentence.
    pub about: String,
    /// Downtime limit and switchover limit.
    pub limits: Limits,
    /// Attempts, back-off and caps.
    pub retry: Retry,
    /// Pauses of pings and repetitions.
    pub cadence: Cadence,
    /// The host that has the guest.
    pub source: Host,
    /// The host that will have it.
    pub destination: Host,
    /// What is between them.
    pub link: Link,
    /// The guest.
    pub guest: Guest,
    /// Its devices, at most [`DEVICES`].
    pub devices: Vec<Device>,
    /// The arbiter, if both sides use one.
    pub arbiter: Option<Arbiter>,
    /// What the machines are told of the source's ports.
    pub source_contracts: SourceContracts<VCPU_PORTS, DEVICES>,
    /// What the machines are told of the destination's ports.
    pub destination_contracts: DestinationContracts<VCPU_PORTS, DEVICES>,
    /// Whether the vCPUs run again without a device that cannot be rolled back, or wait for it.
    pub hold_on_lost_device: bool,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// After the last fault the world is calm for so long; by then it must have settled.
    pub calm: Ns,
    /// The rule that a machine or a host leaves out; for the tests of the checkers.
    #[cfg(feature = "mutants")]
    pub mutant: Option<switchover_core::mutant::Mutant>,
}

/// One host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// What the machine is told: its clock errs by no more than this.
    pub declared_drift: Ppm,
    /// What its clock gains, drawn from `-drift ..= +drift` for each run. Beyond `declared_drift` P2 is not promised.
    pub drift: Ppm,
    /// How late its timer fires.
    pub timer: Dist,
    /// How long a journal write takes.
    pub journal: Dist,
    /// How long the seal (source) or the verification (destination) takes.
    pub seal: Dist,
    /// Times in which another guest has this host's processor: nothing of the host runs.
    pub stolen: Option<Stolen>,
}

/// A processor that is taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stolen {
    /// Time between two pauses, on average.
    pub every: Ns,
    /// How long a pause is.
    pub pause: Dist,
}

/// Both connections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The control connection.
    pub control: Channel,
    /// The bulk connection.
    pub bulk: Channel,
    /// How long it takes to connect again after a reset.
    pub reconnect: Dist,
    /// Messages may be lost, doubled and reordered one by one, as no stream transport allows: a stronger mode for safety, in
    /// which P2 is not judged.
    pub datagrams: Option<Datagrams>,
}

/// One connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// What it carries.
    pub bandwidth: BytesPerSecond,
    /// One way, without queueing: a constant and its jitter.
    pub latency: Dist,
}

/// Control messages that can wait for each other on one connection: what two machines say at the same time.
const QUEUED: u64 = 4;

impl Channel {
    /// The longest way of a message: latency, and what was handed over before it.
    #[must_use]
    pub fn longest_way(&self) -> Ns {
        let frame = self.bandwidth.time_for(Bytes::new(FRAME_MAX as u64));
        self.latency.worst().plus(frame.times(QUEUED))
    }
}

/// Chances in parts per million for each message.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Datagrams {
    /// Lost.
    pub lost: u32,
    /// Delivered twice.
    pub doubled: u32,
    /// Overtaken by later ones.
    pub reordered: u32,
    /// How much later a doubled or overtaken one comes.
    pub late: Dist,
}

/// The guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Guest {
    /// Its memory.
    pub memory: Bytes,
    /// What it writes to.
    pub working_set: Bytes,
    /// How fast, over time: repeated from the start when it ends. Never empty.
    pub dirty: Vec<Dirty>,
    /// Bytes dirtied at once, right after each reading of the dirty log.
    pub burst_after_read: Bytes,
    /// How many vCPUs; they are stopped as one port.
    pub vcpus: u32,
    /// Bytes of their state.
    pub state: Bytes,
    /// How long its vCPUs take.
    pub times: Times,
    /// What becomes of it when its agent's process dies.
    pub outlives_agent: bool,
}

/// A stretch of a dirty rate.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Dirty {
    /// Bytes dirtied in a second.
    pub rate: BytesPerSecond,
    /// Whether anything is dirtied at all: a rate is never zero.
    pub idle: bool,
    /// For so long.
    pub time: Ns,
}

/// One device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Its name, for people.
    pub name: String,
    /// Bytes of its state.
    pub state: Bytes,
    /// How many slices its state is saved and loaded in, at least one.
    pub slices: u32,
    /// How long it takes.
    pub times: Times,
}

/// How long a port takes for each operation; a slice of a save or a load takes its share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "each is the operation of that name")]
pub struct Times {
    pub quiesce: Dist,
    pub stop: Dist,
    pub save: Dist,
    pub load: Dist,
    pub settle: Dist,
    pub resume: Dist,
    pub rollback: Dist,
}

impl Times {
    /// Of one operation.
    #[must_use]
    pub fn of(&self, op: Op) -> &Dist {
        match op {
            Op::Quiesce => &self.quiesce,
            Op::Stop => &self.stop,
            Op::Save => &self.save,
            Op::Load => &self.load,
            Op::Settle => &self.settle,
            Op::Resume => &self.resume,
            Op::Rollback | Op::Unload => &self.rollback,
        }
    }
}

/// The arbiter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arbiter {
    /// A claim's round trip from the source.
    pub from_source: Dist,
    /// A claim's round trip from the destination.
    pub from_destination: Dist,
}

/// Something that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// What.
    pub what: What,
    /// When it begins.
    pub when: When,
    /// In so many of a million runs: 1 000 000 is always.
    pub chance: u32,
}

/// A kind of fault. Those with the shell's words (`stall`, `drop`, `kill`, `corrupt`) are the shell's faults.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// The port's next operation of that phase takes so much longer; `None`: it never ends.
    Stall {
        /// Whose.
        side: Side,
        /// Which port.
        port: Where,
        /// In which phase.
        phase: Phase,
        /// How much longer.
        time: Option<Ns>,
    },
    /// The port's next operation of that phase fails.
    Fail {
        /// Whose.
        side: Side,
        /// Which port.
        port: Where,
        /// In which phase.
        phase: Phase,
    },
    /// The port takes so many parts per hundred of its contract in that phase, always: it lies.
    Lie {
        /// Whose.
        side: Side,
        /// Which port.
        port: Where,
        /// In which phase.
        phase: Phase,
        /// Of its contract.
        percent: u32,
    },
    /// Every message of that kind is lost; or only the first.
    Drop {
        /// `ready`, `go`, `running`, or any message's name.
        message: String,
        /// Only the first.
        once: bool,
    },
    /// Nothing passes, in that direction or in both (`None`), for so long.
    Partition {
        /// What this side says is lost.
        from: Option<Side>,
        /// For so long.
        time: Ns,
    },
    /// Both connections break, and may be made again.
    Reset,
    /// Nothing passes on either connection for so long, and nothing is lost.
    StallLink {
        /// For so long.
        time: Ns,
    },
    /// The agent's process dies, and is started again after so long; `None`: never.
    Kill {
        /// Whose.
        side: Side,
        /// Restarted after.
        restart: Option<Ns>,
        /// The journal's record that was being written is torn, else it took effect.
        torn: bool,
    },
    /// The process stands still for so long.
    Pause {
        /// Whose.
        side: Side,
        /// For so long.
        time: Ns,
    },
    /// A bit changes on the way, after the source's digest.
    Corrupt,
    /// The operator cancels, on that side.
    Cancel {
        /// Where.
        side: Side,
    },
    /// The arbiter does not answer that side (`None`: either) for so long.
    NoArbiter {
        /// Whose way to it is cut.
        side: Option<Side>,
        /// For so long.
        time: Ns,
    },
}

/// A port by the word of the scenario.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Where {
    /// The vCPUs.
    Vcpus,
    /// A device by its place.
    Device(u8),
    /// Memory: the last pages, the seal, the verification.
    Memory,
    /// The journal.
    Journal,
}

/// When a fault begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum When {
    /// On entry of that phase in that attempt (1 is the first; 0 is every one).
    Phase {
        /// Which.
        phase: Phase,
        /// Of which attempt.
        attempt: u32,
    },
    /// At a moment of the run drawn from this.
    After(Dist),
    /// Counted from t = 0 of the first attempt.
    SinceStop(Dist),
    /// Just before (`after: false`) or just after the first message of that name is handed to the link.
    Message {
        /// The message's name.
        message: String,
        /// After it.
        after: bool,
    },
    /// At any machine step of the run, all equally likely among the first so many.
    Step {
        /// Of how many.
        within: u32,
    },
}
