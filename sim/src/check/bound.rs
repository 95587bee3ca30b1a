//! P2: the guest runs again by H, under the assumption that is stated with it.

use switchover_core::time::{At, Ns};

use super::rules::{Excuse, Excuses};
use super::{Broken, Checker};

/// A time in which the guest does not run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Dark {
    /// t = 0.
    pub since: At,
    /// `Go` was said.
    pub go: bool,
    /// What broke its word meanwhile.
    pub excuses: Excuses,
}

/// Before `Go`, whatever the link, the destination or a save does: only the source itself can be late.
const BEFORE_GO: &[Excuse] = &[Excuse::SourceDied, Excuse::Rollback, Excuse::SourceTimer];
/// A commit depends on nobody but the destination.
const COMMIT: &[Excuse] = &[Excuse::DestinationDied, Excuse::Resume];
/// A refusal, or a claim, has to be heard as well.
const ANSWER: &[Excuse] = &[
    Excuse::SourceDied,
    Excuse::Rollback,
    Excuse::SourceTimer,
    Excuse::DestinationDied,
    Excuse::DestinationTimer,
    Excuse::DestinationJournal,
    Excuse::Resume,
    Excuse::Claim,
    Excuse::Link,
    Excuse::Operator,
];

impl Checker {
    pub(super) fn goes_dark(&mut self, now: At) {
        // A restarted source may ask again what was asked before: the guest has been dark all along.
        if self.dark.is_none() {
            self.dark = Some(Dark { since: now, go: false, excuses: Excuses::NONE });
        }
    }

    /// Something broke its word in the blackout that is under way.
    pub fn excuse(&mut self, excuse: Excuse) {
        if let Some(dark) = &mut self.dark {
            dark.excuses = dark.excuses.with(excuse);
        }
    }

    /// The guest is stopped, and every vCPU waits for one side to run it.
    #[must_use]
    pub fn is_dark(&self) -> bool {
        self.dark.is_some()
    }

    /// What has broken its word in the blackout under way.
    #[must_use]
    pub fn excuses(&self) -> Excuses {
        self.dark.map_or(Excuses::NONE, |dark| dark.excuses)
    }

    /// All vCPUs run again.
    pub(super) fn light(&mut self, on_source: bool, now: At) {
        let Some(dark) = self.dark.take() else { return };
        let took = now.since(dark.since);
        self.run.total = self.run.total.plus(took);
        if !dark.excuses.has(Excuse::SourceDied) {
            // A restarted source does not know when its guest was stopped, and counts from where it found it.
            self.run.blackout = self.run.blackout.plus(took);
        }
        self.run.longest = self.run.longest.or_longer(took);
        self.run.last = took;
        let what = match (on_source, dark.go) {
            (true, false) => Broken::LateOnSource,
            (true, true) => Broken::LateAnswer,
            (false, _) => Broken::LateCommit,
        };
        self.judge(dark, took, what, now);
    }

    /// The guest is still dark: judged as it stands. For an explorer's every step, or the end of a run; by then whatever
    /// is under way beyond its contract has to be told with [`Checker::excuse`].
    pub fn judge_dark(&mut self, now: At) {
        if let Some(dark) = self.dark {
            self.judge(dark, now.since(dark.since), Broken::LateNowhere, now);
        }
    }

    fn judge(&mut self, dark: Dark, took: Ns, what: Broken, now: At) {
        let Some(hard) = self.rules.hard_limit else { return };
        let after_go = !self.rules.drift_kept || self.rules.datagrams;
        let excused = match what {
            Broken::LateOnSource => dark.excuses.any(BEFORE_GO),
            Broken::LateCommit => dark.excuses.any(COMMIT) || !self.rules.drift_kept,
            Broken::LateNowhere if !dark.go => dark.excuses.any(BEFORE_GO),
            _ => dark.excuses.any(ANSWER) || after_go,
        };
        self.check(took <= hard || excused, what, now);
    }
}
