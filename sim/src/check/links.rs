//! What is handed to the link, and what is read from it.

use switchover_core::event::Owner;
use switchover_core::time::At;
use switchover_core::wire::message::{ToDestination, ToSource};

use super::{Broken, Checker, Memory};

/// A set of attempts, by their counters. Those beyond the 62nd share a place: no run has so many.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct Attempts(u64);

impl Attempts {
    pub(super) fn has(self, attempt: u32) -> bool {
        self.0 & Self::bit(attempt) != 0
    }

    pub(super) fn add(&mut self, attempt: u32) {
        self.0 |= Self::bit(attempt);
    }

    fn bit(attempt: u32) -> u64 {
        1 << attempt.min(63)
    }
}

impl Checker {
    /// The source hands a message of attempt `attempt` to the link.
    pub fn source_says(&mut self, attempt: u32, message: &ToDestination, now: At) {
        match message {
            ToDestination::Hello(_) => self.announced(attempt, now),
            ToDestination::Go => {
                self.check(!self.links.abort.has(attempt), Broken::GoAfterAbort, now);
                self.links.go.add(attempt);
                if attempt == self.source.attempt
                    && let Some(dark) = &mut self.dark
                {
                    dark.go = true;
                }
            }
            ToDestination::Fin => self.check(!self.source.exists, Broken::FinTooEarly, now),
            ToDestination::Abort { .. } => {
                if !self.links.go.has(attempt) {
                    self.links.abort.add(attempt);
                }
            }
            ToDestination::Ping(_)
            | ToDestination::RoundEnd { .. }
            | ToDestination::Stopping { .. }
            | ToDestination::Sealed(_)
            | ToDestination::Query => {}
        }
    }

    /// The destination hands a message of attempt `attempt` to the link.
    pub fn destination_says(&mut self, attempt: u32, message: &ToSource, now: At) {
        let copy = self.destination;
        let ran = copy.exists && copy.attempt == attempt && copy.executed == Some(copy.generation);
        match message {
            ToSource::Ready { .. } => {
                let there = copy.exists && copy.attempt == attempt && copy.states == self.rules.ports;
                let whole = there && copy.memory == Memory::Same;
                self.check(whole, Broken::FalseReady, now);
            }
            ToSource::Running(_) => self.check(self.any_on_destination(), Broken::FalseRunning, now),
            ToSource::Refused { .. } => {
                // Once the source's copy is gone and Fin was read, the record may be forgotten: nobody can act on it.
                self.check(!ran || !self.source.exists, Broken::FalseRefused, now);
                self.links.refused.add(attempt);
            }
            ToSource::Lost => self.check(!ran, Broken::FalseLost, now),
            ToSource::Welcome(_) | ToSource::Pong(_) | ToSource::Pending { .. } | ToSource::Stranger => {}
        }
    }

    /// The source has read a message of attempt `attempt`.
    pub fn source_hears(&mut self, attempt: u32, message: &ToSource) {
        if matches!(message, ToSource::Refused { .. }) {
            self.links.freed.add(attempt);
        }
    }

    /// The source was told who owns the run.
    pub fn source_claimed(&mut self, attempt: u32, owner: Owner) {
        if owner == Owner::Source {
            self.links.freed.add(attempt);
        }
    }

    /// The source's `Fenced` record is durable.
    pub fn fence_durable(&mut self, attempt: u32) {
        self.links.freed.add(attempt);
    }

    /// An attempt is announced: the caps of P5.
    fn announced(&mut self, attempt: u32, now: At) {
        if attempt <= self.run.latest {
            return;
        }
        self.over = super::Overruns::NONE;
        self.run.latest = attempt;
        self.run.attempts = self.run.attempts.saturating_add(1);
        self.check(self.run.attempts <= self.rules.attempts, Broken::TooManyAttempts, now);
        let Some(hard) = self.rules.hard_limit else { return };
        let most = self.run.blackout.plus(hard);
        self.check(most <= self.rules.blackout_budget || self.run.attempts == 1, Broken::OverBudget, now);
        if let Some(ran) = self.run.ran_again.take() {
            let doublings = self.run.attempts.saturating_sub(2).min(20);
            let wait = self.rules.backoff.times(1 << doublings);
            self.check(now.since(ran) >= wait, Broken::TooSoon, now);
        }
    }

    /// The operator begins a new run, or the source's process was started again: attempts are counted anew.
    pub fn new_run(&mut self) {
        self.run.attempts = 0;
        self.run.blackout = switchover_core::time::Ns::ZERO;
        self.run.ran_again = None;
    }
}
