//! The control messages. Every one travels in an [`Envelope`], so that a stale one never acts.

use serde::{Deserialize, Serialize};

use crate::contract::PeerTerms;
use crate::digest::Digest;
use crate::id::{ArbiterKey, AttemptId, Incarnation, JournalId};
use crate::port::Blame;
use crate::time::{Ns, Ppm};

/// Which attempt a message speaks of, and with which destination it was agreed.
///
/// A Hello may carry zeros for the destination: it has not met it yet.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Envelope {
    /// The attempt.
    pub attempt: AttemptId,
    /// The destination's journal.
    pub peer: JournalId,
    /// The destination's incarnation.
    pub incarnation: Incarnation,
}

/// What was sent, all of it, in order.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Seal {
    /// The chained digest.
    pub digest: Digest,
    /// Chunks sent on the bulk connection since it was opened.
    pub chunks: u64,
    /// With `--verify`: a hash of all memory and vCPU state, apart from the stream.
    pub verify: Option<(u64, u64)>,
}

/// Opens an attempt.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol version chosen for this link.
    pub version: u16,
    /// The planned limit.
    pub downtime_limit: Ns,
    /// What may come on top; the sum is H.
    pub switchover_limit: Ns,
    /// Bytes in a page.
    pub page_size: u32,
    /// Bytes of guest memory.
    pub memory: u64,
    /// vCPU ports.
    pub vcpu_ports: u8,
    /// Devices.
    pub devices: u8,
    /// The source's clock drift.
    pub drift: Ppm,
    /// Whether the source believes that the destination's memory is warm from before.
    pub warm: bool,
    /// The arbiter both must use, or both must not.
    pub arbiter: Option<ArbiterKey>,
}

/// Takes an attempt up.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The destination's contracts.
    pub terms: PeerTerms,
    /// Whether memory is warm on both sides; if not, everything is sent.
    pub warm: bool,
}

/// What a Pong answers.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Echo {
    /// The ping of that number.
    Ping(u32),
    /// The round of that number has arrived in memory, all of it.
    Round(u32),
}

/// How long the destination's part of a committed switchover took, on its clock.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Loading after everything had arrived.
    pub load: Ns,
    /// Verifying and settling.
    pub seal: Ns,
    /// From `Go` read to the guest running: claim, journal and resume.
    pub resume: Ns,
    /// Who took longer than its contract, if anyone.
    pub offender: Option<Blame>,
}

/// Why a destination will not run an attempt; always for good (\[SW-6\]).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Refusal {
    /// Another attempt, or a guest that runs here already.
    Busy,
    /// An attempt number at or below one already seen.
    Old,
    /// A version this destination does not speak.
    Version,
    /// Page size, memory or ports differ.
    Layout,
    /// The two sides name different arbiters, or only one names any.
    Arbiter,
    /// The attempt belongs to an earlier incarnation.
    Incarnation,
    /// A newer attempt of the same source took its place.
    Superseded,
    /// What arrived is not what was sent.
    Digest,
    /// A port failed.
    PortFailed,
    /// The hard limit passed with nothing decided.
    LimitReached,
    /// `Go` came too late for the lease, or never.
    LeaseEnded,
    /// The resume would have come too late, or failed with no vCPU executed.
    TooLate,
    /// The arbiter gave the run to the source.
    ClaimLost,
    /// A decision could not be made durable.
    JournalFailed,
    /// The link went, with nothing decided.
    LinkLost,
    /// The source fell silent in pre-copy.
    Silent,
    /// The destination's operator cancelled.
    Cancelled,
    /// The source aborted.
    Aborted,
    /// Asked before anything was decided, and that decides it.
    Asked,
    /// No record of it here, and so it never ran here.
    NoRecord,
    /// A message that fits no state of the attempt.
    Protocol,
}

/// From the source.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ToDestination {
    /// Opens an attempt.
    Hello(Hello),
    /// Measures the round trip, and says that the source lives.
    Ping(u32),
    /// A pre-copy round is on the wire: number, and chunks sent since the bulk connection opened.
    RoundEnd {
        /// Its number.
        round: u32,
        /// Chunks sent so far.
        chunks: u64,
    },
    /// The guest's blackout has begun. Durations only: no clocks are compared.
    Stopping {
        /// Since t = 0, when this was sent.
        elapsed: Ns,
        /// H.
        hard_limit: Ns,
        /// L: the lease that Ready starts.
        lease: Ns,
    },
    /// Everything is on the wire.
    Sealed(Seal),
    /// The commit point: from here the source does not decide alone.
    Go,
    /// What became of it?
    Query,
    /// The source's copy is gone; forget the record.
    Fin,
    /// Before `Go`: it is over. After `Go`: a request.
    Abort {
        /// Who made it end, if known.
        offender: Option<Blame>,
    },
}

/// From the destination.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum ToSource {
    /// Takes an attempt up.
    Welcome(Welcome),
    /// Answers Ping and RoundEnd.
    Pong(Echo),
    /// Everything is loaded and verified; a lease runs.
    Ready {
        /// Of what arrived.
        digest: Digest,
        /// What is left of the lease, on the destination's clock.
        lease_left: Ns,
    },
    /// The guest runs here.
    Running(Measured),
    /// It will never run here under this attempt.
    Refused {
        /// Why.
        reason: Refusal,
        /// Who made it so, if known.
        offender: Option<Blame>,
    },
    /// It was to run here, and is gone: an operator decides.
    Lost,
    /// Deciding; the rest of the lease.
    Pending {
        /// What is left, on the destination's clock.
        lease_left: Ns,
    },
    /// That is not my journal: I cannot say.
    Stranger,
}
