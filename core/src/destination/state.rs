//! The states of the destination, each with exactly the data it owns.
//!
//! ```text
//!  Idle --Hello--> Loading --Sealed--> Verifying --all here--> Settling --> Ready
//!   ^                 |                    |                      |           | Go
//!   |                 v                    v                      v           v
//!   +---unloaded--- Refusing <---- any end that is not a decision to run -- [Claiming]
//!                     ^                                                       v
//!                     +------ Superseding <---- too late, or failed -------- Writing
//!                                  ^                                          v
//!                                  +---- failed, nothing executed -------- Resuming
//!                                                                             v
//!                     Lost (only after a restart)                          Running
//! ```

use crate::digest::Digest;
use crate::event::Outcome;
use crate::id::{AttemptId, Incarnation, JournalId};
use crate::port::{Blame, PortSet};
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, Measured, Refusal, Seal};

/// An attempt that was taken up.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Attempt {
    pub id: AttemptId,
    /// This journal and incarnation: what every message about it must name.
    pub peer: JournalId,
    pub incarnation: Incarnation,
    pub hard_limit: Ns,
}

impl Attempt {
    pub(super) fn envelope(&self) -> Envelope {
        Envelope { attempt: self.id, peer: self.peer, incarnation: self.incarnation }
    }
}

/// The guest's blackout as told by the source, and put on this clock.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Told {
    /// When the hard limit passes here at the earliest: counted from reading `Stopping`.
    pub limit_at: At,
    /// L.
    pub lease: Ns,
}

/// Pages come, and states with the last of them.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Loading {
    pub attempt: Attempt,
    /// The last message of the source's.
    pub heard: At,
    pub told: Option<Told>,
    /// Whether memory from earlier attempts stays, as the first Welcome said.
    pub warm: bool,
    /// Ports whose state is not all loaded.
    pub pending: PortSet,
}

/// Everything is on the wire: what arrived is compared with the seal.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Verifying {
    pub attempt: Attempt,
    pub told: Told,
    pub pending: PortSet,
    pub seal: Seal,
    /// When Sealed was read.
    pub since: At,
    /// How long loading went on after that.
    pub load: Ns,
    /// Once memory is verified: how long that took.
    pub verified: Option<Ns>,
}

/// Verified; devices leave RESUMING.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Settling {
    pub attempt: Attempt,
    pub told: Told,
    pub pending: PortSet,
    pub digest: Digest,
    pub since: At,
    pub measured: Measured,
}

/// Undecided, and able to run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ready {
    pub attempt: Attempt,
    pub digest: Digest,
    pub lease_end: At,
    pub again: At,
    /// With an arbiter: the record that a restart yields by is durable.
    pub claimable: bool,
    /// `Go` was read, and waits for that.
    pub going: Option<At>,
    pub measured: Measured,
}

/// `Go` was taken: what remains of the way to a running guest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Deciding {
    pub attempt: Attempt,
    pub lease_end: At,
    /// When `Go` was read.
    pub since: At,
    pub measured: Measured,
}

/// `Running` is durable; the guest is being run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Resuming {
    pub deciding: Deciding,
    /// When this stage was asked.
    pub asked: At,
    pub devices: PortSet,
    pub vcpus: PortSet,
    /// Some vCPU has executed.
    pub executed: bool,
    /// After a restart: run, however late (H6).
    pub forward: bool,
    /// After a restart: what failed to run is asked again then.
    pub again: Option<At>,
}

/// `Refused` is being made durable over `Running`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Superseding {
    pub attempt: Attempt,
    pub lease_end: At,
    pub reason: Refusal,
    pub offender: Option<Blame>,
    /// The write failed and is tried again then.
    pub again: Option<At>,
}

/// The guest runs here.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Running {
    pub attempt: Attempt,
    pub measured: Measured,
    /// When it is said again; `None` once the source has let go.
    pub again: Option<At>,
}

/// It will never run here under this attempt; what was loaded is being dropped.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Refusing {
    pub attempt: Attempt,
    pub reason: Refusal,
    pub offender: Option<Blame>,
    pub pending: PortSet,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    Idle,
    Loading(Loading),
    Verifying(Verifying),
    Settling(Settling),
    Ready(Ready),
    Claiming(Deciding),
    Writing(Deciding),
    Resuming(Resuming),
    Superseding(Superseding),
    Running(Running),
    Refusing(Refusing),
    /// It was to run here, and is gone.
    Lost {
        attempt: Attempt,
        /// Another guest runs in its place.
        occupied: bool,
    },
}

impl State {
    /// Its name, for the log.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Idle => "Idle",
            Self::Loading(_) => "Loading",
            Self::Verifying(_) => "Verifying",
            Self::Settling(_) => "Settling",
            Self::Ready(_) => "Ready",
            Self::Claiming(_) => "Claiming",
            Self::Writing(_) => "Writing",
            Self::Resuming(_) => "Resuming",
            Self::Superseding(_) => "Superseding",
            Self::Running(_) => "Running",
            Self::Refusing(_) => "Refusing",
            Self::Lost { .. } => "Lost",
        }
    }

    /// The attempt that the state is about.
    pub(super) fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Idle => None,
            Self::Loading(s) => Some(s.attempt),
            Self::Verifying(s) => Some(s.attempt),
            Self::Settling(s) => Some(s.attempt),
            Self::Ready(s) => Some(s.attempt),
            Self::Claiming(s) | Self::Writing(s) => Some(s.attempt),
            Self::Resuming(s) => Some(s.deciding.attempt),
            Self::Superseding(s) => Some(s.attempt),
            Self::Running(s) => Some(s.attempt),
            Self::Refusing(s) => Some(s.attempt),
            Self::Lost { attempt, .. } => Some(*attempt),
        }
    }

    /// Visits every stored instant.
    pub(super) fn instants(&mut self, visit: impl Fn(&mut At)) {
        match self {
            Self::Idle | Self::Refusing(_) | Self::Lost { .. } => {}
            Self::Loading(s) => {
                visit(&mut s.heard);
                s.told.iter_mut().for_each(|told| visit(&mut told.limit_at));
            }
            Self::Verifying(s) => [&mut s.since, &mut s.told.limit_at].into_iter().for_each(visit),
            Self::Settling(s) => [&mut s.since, &mut s.told.limit_at].into_iter().for_each(visit),
            Self::Ready(s) => {
                [&mut s.lease_end, &mut s.again].into_iter().for_each(&visit);
                s.going.iter_mut().for_each(visit);
            }
            Self::Claiming(s) | Self::Writing(s) => {
                [&mut s.lease_end, &mut s.since].into_iter().for_each(visit);
            }
            Self::Resuming(s) => {
                [&mut s.asked, &mut s.deciding.lease_end, &mut s.deciding.since].into_iter().for_each(&visit);
                s.again.iter_mut().for_each(visit);
            }
            Self::Superseding(s) => {
                visit(&mut s.lease_end);
                s.again.iter_mut().for_each(visit);
            }
            Self::Running(s) => s.again.iter_mut().for_each(visit),
        }
    }
}

/// Whether a port's answer ended its part.
pub(super) fn succeeded(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done | Outcome::More => true,
        Outcome::Failed | Outcome::FailedRunning => false,
    }
}
