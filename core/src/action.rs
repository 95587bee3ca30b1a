//! Everything a machine can ask of its host, and what one step returns.
//!
//! A host does the actions in order. What takes time is answered later by an event;
//! sending and noting are not answered.

use serde::{Deserialize, Serialize};

use heapless::Vec;

use crate::admission::Verdict;
use crate::id::AttemptId;
use crate::journal::Record;
use crate::limits::ACTIONS_MAX;
use crate::outcome::{Ended, Reason};
use crate::port::{Blame, Op, Phase, Port, PortSet, Side};
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, ToDestination, ToSource};

/// What one step returns: do the actions in order, and call again with `Deadline` at the
/// first instant at or after `deadline`, if anything else does not happen before.
#[must_use = "a step's actions and deadline are the machine's only way to act"]
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step<A> {
    /// At most [`ACTIONS_MAX`].
    pub actions: Actions<A>,
    /// When to call again; `None`: nothing is due.
    pub deadline: Option<At>,
}

/// A bounded list of actions.
pub type Actions<A> = Vec<A, ACTIONS_MAX>;

/// What the source asks for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SourceAction {
    /// Bring both connections up; answered by `LinkUp` or `LinkDown`.
    Connect,
    /// Send a message; may be lost.
    Send(Envelope, ToDestination),
    /// Make a record durable; answered by `Written` or `NotWritten`.
    Write(Record),
    /// Send one pre-copy round; answered by `Round` or `MemoryFailed`.
    Round {
        /// The attempt.
        attempt: AttemptId,
        /// Send everything: the destination's memory is not warm.
        fresh: bool,
    },
    /// Ask an operation of some ports; each answers with `Port`.
    Ask(Op, PortSet),
    /// Everything is stopped: send the last dirty pages; answered by `LastPages` or `MemoryFailed`.
    LastPages,
    /// Everything is handed over: seal it; answered by `Sealed` or `MemoryFailed`.
    Seal,
    /// The attempt is over and the guest stays: whatever was read from a dirty log and
    /// not sent is dirty again.
    KeepPages,
    /// Claim the run for this side; answered by `Claimed` or `NotClaimed`.
    Claim(AttemptId),
    /// The guest runs on the destination: destroy the copy; answered by `Released`.
    Release,
    /// For the record and the log.
    Note(Note),
}

/// What the destination asks for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum DestinationAction {
    /// Send a message; may be lost.
    Send(Envelope, ToSource),
    /// Make a record durable; answered by `Written` or `NotWritten`.
    Write(Record),
    /// Chunks of this attempt may come. Not warm: forget what earlier ones left in memory.
    Expect {
        /// The attempt.
        attempt: AttemptId,
        /// Memory from earlier attempts stays.
        warm: bool,
    },
    /// Answer `Drained` once that many chunks have arrived in memory.
    Drain {
        /// The round.
        round: u32,
        /// Chunks since the bulk connection opened.
        chunks: u64,
    },
    /// Answer `Verified` once everything up to the seal has arrived.
    Verify(crate::wire::message::Seal),
    /// The attempt is over: discard what still arrives of it save pages.
    Discard,
    /// Ask an operation of some ports; each answers with `Port`.
    Ask(Op, PortSet),
    /// Claim the run for this side; answered by `Claimed` or `NotClaimed`.
    Claim(AttemptId),
    /// Give the run to the source; answered by `Yielded` or `NotClaimed`.
    Yield(AttemptId),
    /// For the record and the log.
    Note(Note),
}

impl SourceAction {
    /// The note, if it is one.
    pub const fn note(&self) -> Option<&Note> {
        match self {
            Self::Note(note) => Some(note),
            _ => None,
        }
    }
}

impl DestinationAction {
    /// The note, if it is one.
    pub const fn note(&self) -> Option<&Note> {
        match self {
            Self::Note(note) => Some(note),
            _ => None,
        }
    }
}

/// What a record is made from.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Note {
    /// An attempt began.
    Began(AttemptId),
    /// A verdict; the attempt stops the guest if it fits.
    Verdict(Verdict),
    /// A pre-copy round ended.
    Round {
        /// Its number, from 0.
        number: u32,
        /// Bytes it sent.
        sent: crate::units::Bytes,
        /// Bytes dirty at its end.
        dirty: crate::units::Bytes,
    },
    /// t = 0.
    Stopping,
    /// A phase of a port ended.
    Phase {
        /// Where.
        side: Side,
        /// Whose.
        port: Port,
        /// Which.
        phase: Phase,
        /// Its contract.
        planned: Ns,
        /// What it took.
        measured: Ns,
    },
    /// A phase of a port was cut short by an abort: it had taken this long, and teaches nothing.
    CutShort {
        /// Whose, doing what, and where.
        blame: Blame,
        /// Its contract.
        planned: Ns,
        /// What it had taken.
        measured: Ns,
    },
    /// The last bytes of the attempt were handed over.
    Sent(crate::units::Bytes),
    /// The attempt will not commit; the source rolls back.
    Aborting {
        /// Why.
        reason: Reason,
        /// Who, if known.
        offender: Option<Blame>,
    },
    /// `Go` was sent (source) or read (destination).
    Go,
    /// No answer to `Go` in time: the guest stays stopped until it is known where it runs.
    InDoubt,
    /// The destination answered that it is deciding: it is alive, and its word will come.
    PeerDecides,
    /// These devices did not come back in time; the guest runs without them, or is held.
    DeviceLost(PortSet),
    /// Something that cannot be, unless a fence was false or two agents act: look at both hosts.
    Alarm(Alarm),
    /// The guest runs (again) on this side.
    Runs,
    /// The attempt ended.
    Ended(Ended),
    /// There will be no further attempt in this run.
    Finished,
}

/// What cannot be.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Alarm {
    /// `Running` was read while the guest runs, or is about to run, here.
    RunsElsewhere,
    /// An operator's request that has no effect in this state.
    Ineffective,
    /// The guest could not be run again here; it is asked again.
    RollbackFailed,
    /// The guest of a record that a restart found could not be run; it is asked again.
    ResumeFailed,
    /// A record could not be made durable; it is tried again.
    JournalFailed,
}
