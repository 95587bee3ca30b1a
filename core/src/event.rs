//! Everything that can happen to a machine.

use serde::{Deserialize, Serialize};

use crate::id::AttemptId;
use crate::journal::RecordKind;
use crate::port::{Op, Port};
use crate::time::Ns;
use crate::units::Bytes;
use crate::wire::message::{Envelope, Seal, ToDestination, ToSource};

/// How an operation that was asked of a port ended.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// All of it is done.
    Done,
    /// One slice is done and there is more: [`Op::Save`] and [`Op::Load`] only.
    More,
    /// It failed. For [`Op::Resume`]: and no vCPU of the port has executed anything.
    Failed,
    /// It failed, and some vCPU may have executed: [`Op::Resume`] only.
    FailedRunning,
}

/// What one pass over the dirty set did.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Pass {
    /// Bytes handed to the link.
    pub sent: Bytes,
    /// Chunks handed to the link since the bulk connection opened.
    pub chunks: u64,
    /// Bytes dirty again when the pass ended.
    pub dirty: Bytes,
    /// Time spent waiting for the bandwidth cap, which the stop-copy will not.
    pub throttled: Ns,
}

/// Who the arbiter says owns the run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Owner {
    /// The source.
    Source,
    /// The destination.
    Destination,
}

/// What can happen to the source.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SourceEvent {
    /// The operator wants the guest moved.
    Begin,
    /// The operator wants it to stay. Before `Go`: effective; after: a request.
    Cancel,
    /// The operator has fenced the destination's *host*: nothing runs there any more.
    Fence,
    /// Both connections are up.
    LinkUp,
    /// A connection broke or could not be made.
    LinkDown,
    /// A message was read.
    Message(Envelope, ToSource),
    /// A record is durable.
    Written(RecordKind, AttemptId),
    /// A record could not be made durable.
    NotWritten(RecordKind, AttemptId),
    /// A pre-copy round is on the wire.
    Round(Pass),
    /// The last pages are on the wire.
    LastPages(Pass),
    /// Everything is on the wire, and this is its seal.
    Sealed(Seal),
    /// Memory could not be read or sent.
    MemoryFailed,
    /// A port answered.
    Port(Port, Op, Outcome),
    /// The arbiter's answer.
    Claimed(AttemptId, Owner),
    /// The arbiter could not be asked.
    NotClaimed(AttemptId),
    /// The guest's copy on this host is destroyed.
    Released,
    /// The deadline of the last step was reached.
    Deadline,
}

/// What can happen to the destination.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum DestinationEvent {
    /// The operator wants no guest here. Effective until the decision.
    Cancel,
    /// A connection of the source's is up.
    LinkUp,
    /// A connection broke.
    LinkDown,
    /// A message was read.
    Message(Envelope, ToDestination),
    /// A record is durable.
    Written(RecordKind, AttemptId),
    /// A record could not be made durable.
    NotWritten(RecordKind, AttemptId),
    /// Everything up to the end of that round is in memory.
    Drained(u32),
    /// Everything up to the seal has arrived, and this is what it amounts to.
    Verified(Seal),
    /// Memory or the bulk stream failed.
    MemoryFailed,
    /// A port answered.
    Port(Port, Op, Outcome),
    /// The arbiter's answer.
    Claimed(AttemptId, Owner),
    /// The arbiter could not be asked.
    NotClaimed(AttemptId),
    /// The arbiter has taken the yield.
    Yielded(AttemptId),
    /// The deadline of the last step was reached.
    Deadline,
}
