//! How attempts end, by what the reader can do about it.

use serde::{Deserialize, Serialize};

use crate::id::AttemptId;
use crate::port::Blame;
use crate::time::Ns;
use crate::wire::message::Refusal;

/// What became of an attempt.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Ending {
    /// The guest runs on the destination; the source's copy is destroyed.
    Committed,
    /// The guest runs on the source as before.
    Aborted(Reason),
    /// The guest was to run on the destination and is gone there. The source holds its
    /// copy, stopped: an operator decides.
    Lost,
}

/// Why an attempt was aborted.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reason {
    /// The operator wanted the guest to stay.
    Cancelled,
    /// It would not have fit within the pre-copy limit's time; the guest was never stopped.
    NotAdmitted,
    /// Lease, answer and rollback leave no time for work: this hard limit would.
    LimitTooSmall(Ns),
    /// The destination refused.
    Refused(Refusal),
    /// The link broke or the peer fell silent.
    PeerLost,
    /// The destination is not the one that the attempt began with.
    PeerChanged,
    /// What remained to be done did not fit before `go_by` any more.
    Doomed,
    /// `go_by` passed with `Go` unsent.
    TooLate,
    /// A port failed.
    PortFailed,
    /// A decision could not be made durable.
    JournalFailed,
    /// Ready's digest is not that of what was sent.
    Digest,
    /// The operator fenced the destination's host.
    Fenced,
    /// The arbiter gave the run to the source.
    ClaimWon,
    /// Found stopped and undecided after a restart.
    Restarted,
}

impl Reason {
    /// Whether another attempt can end differently without anybody changing anything.
    pub const fn retryable(self) -> bool {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::Busy
                | Refusal::Old
                | Refusal::Incarnation
                | Refusal::Superseded
                | Refusal::Digest
                | Refusal::PortFailed
                | Refusal::LimitReached
                | Refusal::LeaseEnded
                | Refusal::TooLate
                | Refusal::ClaimLost
                | Refusal::JournalFailed
                | Refusal::LinkLost
                | Refusal::Silent
                | Refusal::Aborted
                | Refusal::Asked
                | Refusal::NoRecord => true,
                Refusal::Version
                | Refusal::Layout
                | Refusal::Arbiter
                | Refusal::Cancelled
                | Refusal::Protocol => false,
            },
            Self::PeerLost
            | Self::PeerChanged
            | Self::Doomed
            | Self::TooLate
            | Self::PortFailed
            | Self::JournalFailed
            | Self::Digest
            | Self::ClaimWon => true,
            Self::Cancelled | Self::NotAdmitted | Self::LimitTooSmall(_) | Self::Fenced | Self::Restarted => {
                false
            }
        }
    }
}

/// An attempt that has ended.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ended {
    /// Which.
    pub attempt: AttemptId,
    /// How.
    pub ending: Ending,
    /// Who used more than its contract, if that made it end so.
    pub offender: Option<Blame>,
    /// From t = 0 until the guest was known to run; zero if it was never stopped.
    pub blackout: Ns,
}
