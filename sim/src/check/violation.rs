//! A broken promise, named.

use std::fmt;

use switchover_core::time::At;

/// The promises of `docs/PROTOCOL.md`, as far as a checker outside the machines can judge them.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Promise {
    /// P1: one runner, and one history.
    OneRunner,
    /// P2: the guest runs again by the hard limit.
    Bounded,
    /// P3: never a guess, and nothing said that is not so.
    Honest,
    /// P4: the destination runs what the source saved, and all of it.
    Exact,
    /// P5: after an abort the source is as before, and attempts are capped.
    Retryable,
    /// P6: the record says what happened.
    Explained,
    /// Once faults stop, the guest runs on exactly one side and the source knows.
    Settles,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneRunner => "P1",
            Self::Bounded => "P2",
            Self::Honest => "P3",
            Self::Exact => "P4",
            Self::Retryable => "P5",
            Self::Explained => "P6",
            Self::Settles => "liveness",
        })
    }
}

/// In which way a promise broke.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Broken {
    /// Both sides run the guest.
    BothRun,
    /// The source runs a state that has run on the destination.
    SourceRunsPast,
    /// The source runs a guest that it does not have.
    SourceRunsNothing,
    /// The destination runs a state that the source has run on from.
    StaleRuns,
    /// The guest was stopped and did not run on the source by the hard limit, with no `Go` sent.
    LateOnSource,
    /// The destination ran it after the hard limit.
    LateCommit,
    /// The source ran it after the hard limit, having sent `Go`.
    LateAnswer,
    /// It ran nowhere when the hard limit passed.
    LateNowhere,
    /// The source rolled back after `Go` without having been told anything that entitles it.
    Guessed,
    /// `Go` was said after `Abort` of the same attempt.
    GoAfterAbort,
    /// `Running` was said of a guest that has not run there.
    FalseRunning,
    /// `Refused` was said of a guest that has run there.
    FalseRefused,
    /// An attempt ran that had been refused.
    RefusedRan,
    /// `Lost` was said of a guest that is there.
    FalseLost,
    /// `Fin` was said while the source's copy exists.
    FinTooEarly,
    /// The source destroyed its copy, and the destination had not run it.
    OnlyCopyGone,
    /// The destination dropped a guest that runs, or that had run there.
    DroppedGuest,
    /// `Ready` was said of something that is not all there.
    FalseReady,
    /// The destination runs a guest that it does not have.
    RunsNothing,
    /// It runs a guest of which a port's state is missing, old or damaged.
    InexactState,
    /// It runs a guest whose memory is not the source's.
    InexactMemory,
    /// The same, and the pages that are wrong were written before an earlier attempt was aborted.
    PagesForgotten,
    /// The source's vCPUs run without a device that had not broken its contract.
    DeviceLeft,
    /// More attempts than were allowed.
    TooManyAttempts,
    /// An attempt that could exceed the blackout budget was begun.
    OverBudget,
    /// An attempt began before its back-off had passed.
    TooSoon,
    /// The record's outcome is not what happened.
    WrongOutcome,
    /// The record's downtime is not the guest's.
    WrongDowntime,
    /// A phase in the record cannot have happened so.
    WrongPhase,
    /// The offender that the record names did nothing.
    WrongOffender,
    /// An attempt has no record.
    NoRecord,
    /// The guest runs nowhere, or not with all of its vCPUs on one side.
    RunsNowhere,
    /// The guest runs, and the source does not know where.
    SourceDoesNotKnow,
}

impl Broken {
    /// The promise that it breaks.
    #[must_use]
    pub const fn promise(self) -> Promise {
        match self {
            Self::BothRun | Self::SourceRunsPast | Self::SourceRunsNothing | Self::StaleRuns => {
                Promise::OneRunner
            }
            Self::LateOnSource | Self::LateCommit | Self::LateAnswer | Self::LateNowhere => Promise::Bounded,
            Self::Guessed
            | Self::GoAfterAbort
            | Self::FalseRunning
            | Self::FalseRefused
            | Self::RefusedRan
            | Self::FalseLost
            | Self::FinTooEarly
            | Self::OnlyCopyGone
            | Self::DroppedGuest => Promise::Honest,
            Self::FalseReady | Self::RunsNothing | Self::InexactState | Self::InexactMemory => Promise::Exact,
            Self::PagesForgotten
            | Self::DeviceLeft
            | Self::TooManyAttempts
            | Self::OverBudget
            | Self::TooSoon => Promise::Retryable,
            Self::WrongOutcome
            | Self::WrongDowntime
            | Self::WrongPhase
            | Self::WrongOffender
            | Self::NoRecord => Promise::Explained,
            Self::RunsNowhere | Self::SourceDoesNotKnow => Promise::Settles,
        }
    }

    /// In a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::BothRun => "the guest runs on both sides",
            Self::SourceRunsPast => "the source runs a state that has run on the destination",
            Self::SourceRunsNothing => "the source runs a guest whose copy it does not have",
            Self::StaleRuns => "the destination runs a state that the source has run on from",
            Self::LateOnSource => "no Go was sent, and the guest ran on the source after the hard limit",
            Self::LateCommit => "the guest ran on the destination after the hard limit",
            Self::LateAnswer => "after Go, the guest ran on the source after the hard limit",
            Self::LateNowhere => "the hard limit passed and the guest ran nowhere",
            Self::Guessed => "the source rolled back after Go without knowing",
            Self::GoAfterAbort => "Go was said after Abort",
            Self::FalseRunning => "Running was said of a guest that has not run there",
            Self::FalseRefused => "Refused was said of a guest that has run there",
            Self::RefusedRan => "the destination runs an attempt that it had refused",
            Self::FalseLost => "Lost was said of a guest that is there",
            Self::FinTooEarly => "Fin was said while the source's copy exists",
            Self::OnlyCopyGone => "the source destroyed its copy, and the destination had not run it",
            Self::DroppedGuest => "the destination dropped a guest that runs or has run there",
            Self::FalseReady => "Ready was said of something that is not all there",
            Self::RunsNothing => "the destination runs a guest that it does not have",
            Self::InexactState => "the destination runs a guest with a state that was not saved so",
            Self::InexactMemory => "the destination runs a guest whose memory is not the source's",
            Self::PagesForgotten => "pages written before an abort never reached the destination",
            Self::DeviceLeft => "the source's vCPUs run without a device that kept its contract",
            Self::TooManyAttempts => "more attempts were begun than allowed",
            Self::OverBudget => "an attempt was begun that could exceed the blackout budget",
            Self::TooSoon => "an attempt began before its back-off had passed",
            Self::WrongOutcome => "the record's outcome is not what happened",
            Self::WrongDowntime => "the record's downtime is not the guest's",
            Self::WrongPhase => "a phase in the record cannot have happened so",
            Self::WrongOffender => "the record blames what did nothing",
            Self::NoRecord => "an attempt left no record",
            Self::RunsNowhere => "faults are over, and the guest does not run on exactly one side",
            Self::SourceDoesNotKnow => "faults are over, and the source does not know where the guest runs",
        }
    }
}

/// One broken promise.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Violation {
    /// Which promise.
    pub promise: Promise,
    /// In which way.
    pub what: Broken,
    /// When, on the source's clock.
    pub at: At,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ns: {}", self.promise, self.at.as_ns(), self.what.words())
    }
}
