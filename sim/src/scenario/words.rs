//! Every key and word of a scenario file. A test holds them to `docs/SCENARIOS.md`.

use switchover_core::wire::message::{ToDestination, ToSource};
use switchover_text::words;

/// Keys of a scenario, outside of all tables.
pub const SCENARIO: &[&str] = &[
    "version",
    "base",
    "about",
    "limits",
    "retry",
    "cadence",
    "source",
    "destination",
    "link",
    "guest",
    "devices",
    "arbiter",
    "hold_on_lost_device",
    "contracts",
    "faults",
    "calm",
];
/// Keys of `[limits]`.
pub const LIMITS: &[&str] = &["downtime", "switchover"];
/// Keys of `[retry]`.
pub const RETRY: &[&str] = &["attempts", "backoff", "blackout_budget", "precopy_limit"];
/// Keys of `[cadence]`.
pub const CADENCE: &[&str] = &["ping", "again", "silence"];
/// Keys of `[source]` and `[destination]`.
pub const HOST: &[&str] = &["declared_drift", "drift", "timer", "journal", "seal", "stolen"];
/// Keys of `stolen`.
pub const STOLEN: &[&str] = &["every", "pause"];
/// Keys of `[link]`.
pub const LINK: &[&str] = &["control", "bulk", "reconnect", "datagrams"];
/// Keys of `[link.control]` and `[link.bulk]`.
pub const CHANNEL: &[&str] = &["bandwidth", "latency"];
/// Keys of `[link.datagrams]`.
pub const DATAGRAMS: &[&str] = &["lost", "doubled", "reordered", "late"];
/// Keys of `[guest]`.
pub const GUEST: &[&str] =
    &["memory", "working_set", "dirty", "burst_after_read", "vcpus", "state", "times", "outlives_agent"];
/// Keys of a stretch in `dirty`.
pub const DIRTY: &[&str] = &["rate", "time"];
/// Keys of `[guest.times]`.
pub const GUEST_TIMES: &[&str] = &["stop", "save", "load", "resume", "rollback"];
/// Keys of `[[devices]]`.
pub const DEVICE: &[&str] = &["name", "state", "slices", "times"];
/// Keys of a device's `times`.
pub const DEVICE_TIMES: &[&str] = &["quiesce", "stop", "save", "load", "settle", "resume", "rollback"];
/// Keys of `[arbiter]`.
pub const ARBITER: &[&str] = &["from_source", "from_destination"];
/// Keys of a distribution.
pub const DISTRIBUTION: &[&str] = &["uniform", "typical", "worst", "recorded"];
/// Keys of every fault; which others it has depends on its kind.
pub const FAULT: &[&str] = &["kind", "chance"];
/// Keys that say when a fault begins: one of them, but for `attempt`, which goes with `at`.
pub const WHEN: &[&str] =
    &["at", "attempt", "after", "since_stop", "before_message", "after_message", "within_steps"];

/// Everything that two machines say to each other.
pub const MESSAGES: &[&str] = &[
    // To the destination.
    "hello",
    "ping",
    "round_end",
    "stopping",
    "sealed",
    "go",
    "query",
    "fin",
    "abort",
    // To the source.
    "welcome",
    "pong",
    "ready",
    "running",
    "refused",
    "lost",
    "pending",
    "stranger",
];

/// The word for a message to the destination, one of [`MESSAGES`].
#[must_use]
pub const fn to_destination(message: &ToDestination) -> &'static str {
    match message {
        ToDestination::Hello(_) => "hello",
        ToDestination::Ping(_) => "ping",
        ToDestination::RoundEnd { .. } => "round_end",
        ToDestination::Stopping { .. } => "stopping",
        ToDestination::Sealed(_) => "sealed",
        ToDestination::Go => "go",
        ToDestination::Query => "query",
        ToDestination::Fin => "fin",
        ToDestination::Abort { .. } => "abort",
    }
}

/// The word for a message to the source, one of [`MESSAGES`].
#[must_use]
pub const fn to_source(message: &ToSource) -> &'static str {
    match message {
        ToSource::Welcome(_) => "welcome",
        ToSource::Pong(_) => "pong",
        ToSource::Ready { .. } => "ready",
        ToSource::Running(_) => "running",
        ToSource::Refused { .. } => "refused",
        ToSource::Lost => "lost",
        ToSource::Pending { .. } => "pending",
        ToSource::Stranger => "stranger",
    }
}

words! {
    /// What goes wrong.
    Kind, "a kind of fault" {
        /// Work takes longer.
        Stall = "stall",
        /// Work fails.
        Fail = "fail",
        /// Work takes longer than its contract.
        Lie = "lie",
        /// A message is lost.
        Drop = "drop",
        /// Nothing passes.
        Partition = "partition",
        /// Both connections break.
        Reset = "reset",
        /// Nothing passes for a while, and nothing is lost.
        StallLink = "stall_link",
        /// A process dies.
        Kill = "kill",
        /// A process stands still.
        Pause = "pause",
        /// A bit changes.
        Corrupt = "corrupt",
        /// The operator cancels.
        Cancel = "cancel",
        /// The arbiter does not answer.
        NoArbiter = "no_arbiter",
    }
}

impl Kind {
    /// The keys of this kind beside [`FAULT`] and [`WHEN`].
    #[must_use]
    pub const fn keys(self) -> &'static [&'static str] {
        match self {
            Kind::Stall => &["side", "port", "phase", "time"],
            Kind::Fail => &["side", "port", "phase"],
            Kind::Lie => &["side", "port", "phase", "percent"],
            Kind::Drop => &["message", "once"],
            Kind::Partition => &["from", "time"],
            Kind::Reset | Kind::Corrupt => &[],
            Kind::StallLink => &["time"],
            Kind::Kill => &["side", "restart", "torn"],
            Kind::Pause => &["side", "time"],
            Kind::Cancel => &["side"],
            Kind::NoArbiter => &["side", "time"],
        }
    }
}
