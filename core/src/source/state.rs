//! The states of the source, each with exactly the data it owns.
//!
//! ```text
//!  Idle -> Opening -> Greeting -> Precopy -> Stopping -> Saving -> Sealing -> Sealed -> GoSent
//!   ^         |          |           |          |          |         |          |      |    |
//!   |         +----------+-----------+          +----------+----+----+----------+      |    v
//!   |                    | never stopped                       v                       | InDoubt
//!   +--------------------+<------------- Parting <------- RollingBack <----- Refused --+----+
//!                                                              ^             claim won      |
//!                                                              +--- Fencing <--- fence -----+
//!  GoSent, InDoubt -- Running --> Committing -> Releasing -> Committed          Held <- Lost+
//! ```

use crate::admission::Rest;
use crate::contract::{Origin, PeerTerms};
use crate::event::Pass;
use crate::id::{AttemptId, Incarnation, JournalId};
use crate::outcome::{Ended, Reason};
use crate::port::{Blame, PortSet};
use crate::schedule::Schedule;
use crate::time::{At, Ns};
use crate::units::BytesPerSecond;
use crate::wire::message::{Envelope, Measured, Seal};

/// An attempt that a destination has taken up.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Attempt {
    pub id: AttemptId,
    pub peer: JournalId,
    pub incarnation: Incarnation,
}

impl Attempt {
    pub(super) fn envelope(&self) -> Envelope {
        Envelope { attempt: self.id, peer: self.peer, incarnation: self.incarnation }
    }
}

/// What every state between t = 0 and the guest's next step shares.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Blackout {
    pub attempt: Attempt,
    /// t = 0.
    pub t0: At,
    pub schedule: Schedule,
    pub rest: Rest,
    /// Who exceeded its contract by the most so far.
    pub worst: Option<Overrun>,
}

/// A port over its contract.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Overrun {
    pub blame: Blame,
    /// The contract.
    pub planned: Ns,
    /// How far beyond it.
    pub by: Ns,
}

impl Blackout {
    pub(super) fn go_by(&self) -> At {
        self.t0.plus(self.schedule.go_by)
    }

    /// The latest end of the stop that leaves the rest its contracts.
    pub(super) fn stopped_by(&self) -> At {
        self.go_by().minus(self.rest.after_stop)
    }

    /// The latest end of the transfer that leaves the rest its contracts.
    pub(super) fn transferred_by(&self) -> At {
        self.go_by().minus(self.rest.after_transfer)
    }

    /// The latest end of the source's seal that leaves the rest its contracts.
    pub(super) fn sealed_by(&self) -> At {
        self.go_by().minus(self.rest.after_seal)
    }

    /// Who is to be named when time ran out: whoever is waited for, or an earlier port if
    /// that went further over its contract.
    // [SW-24]
    pub(super) fn offender(&self, waiting: Option<Overrun>) -> Option<Blame> {
        match (self.worst, waiting) {
            (Some(worst), Some(waiting)) if worst.by > waiting.by => Some(worst.blame),
            (_, Some(waiting)) => Some(waiting.blame),
            (worst, None) => worst.map(|worst| worst.blame),
        }
    }

    pub(super) fn overran(&mut self, blame: Blame, planned: Ns, measured: Ns) {
        let by = measured.minus(planned);
        let more = self.worst.is_none_or(|worst| by > worst.by);
        if by > Ns::ZERO && more {
            self.worst = Some(Overrun { blame, planned, by });
        }
    }
}

/// Pre-copy: rounds go on until one leaves so little that the rest fits.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Precopy {
    pub attempt: Attempt,
    pub terms: PeerTerms,
    pub began: At,
    /// The last message of the peer's.
    pub heard: At,
    pub ping: Ping,
    pub delay: Ns,
    pub delay_origin: Origin,
    pub rate: BytesPerSecond,
    pub rate_origin: Origin,
    /// The number of the round under way.
    pub round: u32,
    /// When that round began.
    pub since: At,
    /// What it did, once it is on the wire; its echo is awaited then.
    pub pass: Option<Pass>,
    /// No round is under way, and the next begins then.
    pub resting: Option<At>,
}

/// Pings go out at their pace whatever is under way, since they also show that the source
/// lives; one of them at a time is timed, however long its echo takes.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Ping {
    /// Of the latest ping.
    pub number: u32,
    pub next: At,
    /// The ping that is timed: its number, and when it was sent.
    pub timed: Option<(u32, At)>,
}

/// Which part of the stop is under way.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Stage {
    Quiesce,
    Vcpus,
    Devices,
}

/// Devices are quiesced, then vCPUs stop, then devices stop.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Stopping {
    pub blackout: Blackout,
    pub stage: Stage,
    pub since: At,
    pub pending: PortSet,
    /// Whatever has been asked anything: what a rollback has to undo.
    pub touched: PortSet,
}

/// States and the last pages are on their way.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Saving {
    pub blackout: Blackout,
    pub since: At,
    pub pending: PortSet,
    pub memory: bool,
}

/// Everything is handed over; the seal is being computed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sealing {
    pub blackout: Blackout,
    pub since: At,
}

/// Sealed is sent; `Go` needs Ready and a durable `MayGo`.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Sealed {
    pub blackout: Blackout,
    pub since: At,
    pub seal: Seal,
    pub ready: Option<Lease>,
    pub may_go: bool,
}

/// The destination's lease as the source knows it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Lease {
    /// When the first Ready was read.
    pub read: At,
    /// What was left of it when that was sent.
    pub left: Ns,
}

/// `Go` is sent: the source does not decide alone any more.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct GoSent {
    pub blackout: Blackout,
    pub since: At,
    /// The latest instant at which an answer still counts as in time.
    pub answer_by: At,
    pub again: At,
}

/// No answer in time, or none that decides.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct InDoubt {
    pub blackout: Blackout,
    /// When `Go` was sent, or the restart found the attempt undecided.
    pub since: At,
    pub again: At,
    pub claiming: bool,
}

/// The operator's fence is being made durable.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Fencing {
    pub doubt: InDoubt,
    /// The lost attempt, if it came from `Held`.
    pub held: Option<Ended>,
}

/// The stop is being undone: devices first, then vCPUs.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct RollingBack {
    pub blackout: Blackout,
    pub verdict: Aborted,
    pub since: At,
    /// Devices that have not come back.
    pub devices: PortSet,
    /// vCPU ports that have not been asked, or have not come back.
    pub vcpus: PortSet,
    pub vcpus_asked: bool,
    /// When vCPUs that failed to run are asked again.
    pub again: Option<At>,
    /// Whether the destination still has to say that it will not run the attempt.
    pub parting: bool,
}

/// Why an attempt is being aborted.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Aborted {
    pub reason: Reason,
    pub offender: Option<Blame>,
    /// The offender is only where the source last looked: the destination may know better.
    pub guessed: bool,
}

impl Aborted {
    /// The destination's word on who it was counts where the source only guessed.
    pub(super) fn hear(&mut self, offender: Option<Blame>) {
        if self.guessed && offender.is_some() {
            self.offender = offender;
            self.guessed = false;
        }
    }
}

/// The guest runs again; the destination's word on the abort is awaited for a moment.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Parting {
    pub attempt: Attempt,
    pub verdict: Aborted,
    pub took: Ns,
    pub until: At,
}

/// `Committed` is being made durable, or the copy destroyed.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Committing {
    pub attempt: Attempt,
    pub took: Ns,
    pub measured: Measured,
}

#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum State {
    /// The guest runs; the next attempt begins at `next`, if there is to be one.
    Idle {
        next: Option<At>,
    },
    /// `Open` is being made durable.
    Opening {
        id: AttemptId,
    },
    /// Hello is sent as soon as the link is up, and again until it is answered.
    Greeting {
        id: AttemptId,
        since: At,
        again: At,
    },
    Precopy(Precopy),
    Stopping(Stopping),
    Saving(Saving),
    Sealing(Sealing),
    Sealed(Sealed),
    GoSent(GoSent),
    InDoubt(InDoubt),
    Fencing(Fencing),
    RollingBack(RollingBack),
    Parting(Parting),
    Committing(Committing),
    Releasing(Committing),
    /// The guest runs on the destination, and the copy here is gone.
    Committed {
        attempt: Attempt,
        /// With no link: when one is tried again, since the destination waits for `Fin`.
        again: At,
    },
    /// The guest was to run on the destination and is gone there; the copy here is kept, stopped.
    Held {
        doubt: InDoubt,
        ended: Ended,
    },
}

impl State {
    /// Its name, for the log.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "Idle",
            Self::Opening { .. } => "Opening",
            Self::Greeting { .. } => "Greeting",
            Self::Precopy(_) => "Precopy",
            Self::Stopping(_) => "Stopping",
            Self::Saving(_) => "Saving",
            Self::Sealing(_) => "Sealing",
            Self::Sealed(_) => "Sealed",
            Self::GoSent(_) => "GoSent",
            Self::InDoubt(_) => "InDoubt",
            Self::Fencing(_) => "Fencing",
            Self::RollingBack(_) => "RollingBack",
            Self::Parting(_) => "Parting",
            Self::Committing(_) => "Committing",
            Self::Releasing(_) => "Releasing",
            Self::Committed { .. } => "Committed",
            Self::Held { .. } => "Held",
        }
    }

    /// The attempt under way, if any.
    pub(super) fn id(&self) -> Option<AttemptId> {
        match self {
            Self::Idle { .. } => None,
            Self::Opening { id } | Self::Greeting { id, .. } => Some(*id),
            Self::Precopy(s) => Some(s.attempt.id),
            Self::Stopping(s) => Some(s.blackout.attempt.id),
            Self::Saving(s) => Some(s.blackout.attempt.id),
            Self::Sealing(s) => Some(s.blackout.attempt.id),
            Self::Sealed(s) => Some(s.blackout.attempt.id),
            Self::GoSent(s) => Some(s.blackout.attempt.id),
            Self::InDoubt(s) | Self::Held { doubt: s, .. } => Some(s.blackout.attempt.id),
            Self::Fencing(s) => Some(s.doubt.blackout.attempt.id),
            Self::RollingBack(s) => Some(s.blackout.attempt.id),
            Self::Parting(s) => Some(s.attempt.id),
            Self::Committing(s) | Self::Releasing(s) => Some(s.attempt.id),
            Self::Committed { attempt, .. } => Some(attempt.id),
        }
    }

    /// Visits every stored instant.
    pub(super) fn instants(&mut self, visit: impl Fn(&mut At)) {
        match self {
            Self::Idle { next } => next.iter_mut().for_each(visit),
            Self::Opening { .. } | Self::Committing(_) | Self::Releasing(_) => {}
            Self::Committed { again, .. } => visit(again),
            Self::Greeting { since, again, .. } => {
                visit(since);
                visit(again);
            }
            Self::Precopy(s) => {
                [&mut s.began, &mut s.heard, &mut s.since, &mut s.ping.next].into_iter().for_each(&visit);
                s.ping.timed.iter_mut().for_each(|(_, sent)| visit(sent));
                s.resting.iter_mut().for_each(visit);
            }
            Self::Stopping(s) => {
                visit(&mut s.since);
                visit(&mut s.blackout.t0);
            }
            Self::Saving(s) => {
                visit(&mut s.since);
                visit(&mut s.blackout.t0);
            }
            Self::Sealing(s) => {
                visit(&mut s.since);
                visit(&mut s.blackout.t0);
            }
            Self::Sealed(s) => {
                visit(&mut s.since);
                visit(&mut s.blackout.t0);
                s.ready.iter_mut().for_each(|lease| visit(&mut lease.read));
            }
            Self::GoSent(s) => {
                [&mut s.since, &mut s.answer_by, &mut s.again, &mut s.blackout.t0]
                    .into_iter()
                    .for_each(visit);
            }
            Self::InDoubt(s) | Self::Held { doubt: s, .. } | Self::Fencing(Fencing { doubt: s, .. }) => {
                [&mut s.since, &mut s.again, &mut s.blackout.t0].into_iter().for_each(visit);
            }
            Self::RollingBack(s) => {
                [&mut s.since, &mut s.blackout.t0].into_iter().for_each(&visit);
                s.again.iter_mut().for_each(visit);
            }
            Self::Parting(s) => visit(&mut s.until),
        }
    }
}
