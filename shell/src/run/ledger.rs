//! The run's record as it grows: notes of the agent in, the JSON record out.

use std::time::Duration;

use switchover_core::action::Note;
use switchover_core::outcome::Ending;
use switchover_core::record::Recorder;
use switchover_core::time::Ns;

use crate::agent::Noted;
use crate::clock::HostClock;
use crate::faults::{Fault, Faults};
use crate::record::{AttemptRecord, Outcome, RunRecord, Scheduling};
use crate::stolen::{Stolen, StolenWatch};
use crate::words::Side;

/// Keeps the record of one side.
pub struct Ledger {
    side: Side,
    hard_limit: Ns,
    verify: bool,
    faults: Faults,
    scheduling: Scheduling,
    stolen: Option<StolenWatch>,
    /// What had been stolen when the attempt's blackout began.
    stolen_before: Option<Stolen>,
    recorder: Recorder,
    /// Attempts that have ended.
    ended: Vec<AttemptRecord>,
    /// The attempt under way has not.
    open: bool,
    estimate: Option<(Ns, Ns)>,
    /// Bytes that had come when the attempt before this one ended, and that have come by now: a destination's machine does not count them.
    received: Option<(u64, u64)>,
    self_check_failures: Option<u64>,
}

impl Ledger {
    /// An empty one.
    pub fn new(
        side: Side,
        hard_limit: Duration,
        verify: bool,
        faults: &Faults,
        scheduling: Scheduling,
    ) -> Self {
        let stolen = StolenWatch::start(scheduling.pinned_cpu.and_then(|cpu| usize::try_from(cpu).ok())).ok();
        Ledger {
            side,
            hard_limit: Ns::new(crate::units::nanoseconds(hard_limit)),
            verify,
            faults: faults.clone(),
            scheduling,
            stolen,
            stolen_before: None,
            recorder: Recorder::default(),
            ended: Vec::new(),
            open: false,
            estimate: None,
            received: None,
            self_check_failures: None,
        }
    }

    /// The hard limit of the attempts to come.
    pub fn limit(&mut self, hard_limit: Duration) {
        self.hard_limit = Ns::new(crate::units::nanoseconds(hard_limit));
    }

    /// So many bytes have come so far, over all attempts.
    pub fn received(&mut self, bytes: u64) {
        self.received = Some((self.received.map_or(0, |(before, _)| before), bytes));
    }

    /// So many of the guest's own checks failed, as far as is seen here.
    pub fn self_check(&mut self, failures: u64) {
        self.self_check_failures = Some(failures);
    }

    /// Takes one note.
    pub fn note(&mut self, noted: &Noted) {
        match noted.note {
            Note::Began(_) => self.open = true,
            Note::Stopping => self.stolen_before = self.stolen.as_ref().map(StolenWatch::so_far),
            _ => {}
        }
        if self.recorder.note(noted.at, &noted.note) {
            self.estimate = self.recorder.current().estimate();
            // A lost attempt goes on until the operator decides, and its end is told again then.
            let lost = self.recorder.current().ended.is_some_and(|ended| ended.ending == Ending::Lost);
            if !lost {
                self.ended.push(self.attempt());
                self.received = self.received.map(|(_, now)| (now, now));
                self.open = false;
            }
        }
    }

    /// The attempt under way, told as if it ended here.
    fn attempt(&self) -> AttemptRecord {
        let kept = self.recorder.current();
        let mut record = AttemptRecord::of(kept, self.hard_limit, HostClock.now());
        if self.side == Side::Destination
            && let (Some(stopping), Some(runs)) = (kept.stopping, kept.runs)
        {
            // Its own view: from hearing that the guest stops until it runs here.
            record = record.with_downtime(runs.since(stopping).get(), self.hard_limit.get());
        }
        let number = u32::try_from(self.ended.len() + 1).unwrap_or(u32::MAX);
        record.faults_injected = self.faults.in_attempt(number).map(Fault::to_string).collect();
        record.scheduling = vec![self.scheduling.clone()];
        if let (Some(watch), Some(before)) = (&self.stolen, self.stolen_before) {
            record.stolen_ns = watch.so_far().since(before).get();
        }
        if let Some((before, now)) = self.received {
            record.bytes = now - before;
        }
        if self.verify {
            record.verified = match (record.outcome, record.reason.as_deref()) {
                (Outcome::Committed, _) => Some(true),
                (Outcome::Aborted, Some("refused_digest" | "digest_mismatch")) => Some(false),
                _ => None,
            };
        }
        record
    }

    /// The run so far.
    pub fn record(&self) -> RunRecord {
        let mut attempts = self.ended.clone();
        if self.open {
            attempts.push(self.attempt());
        }
        let outcome = attempts.last().map_or(Outcome::Aborted, |attempt| attempt.outcome);
        let mut record = RunRecord::new(outcome, self.hard_limit.get(), attempts);
        record.self_check_failures = self.self_check_failures;
        match self.estimate.filter(|_| outcome == Outcome::Committed) {
            Some((estimate, error)) => record.with_estimate(estimate.get(), error.get()),
            None => record,
        }
    }

    /// The last verdict of the attempt under way, in words.
    pub fn verdict(&self) -> Option<String> {
        self.recorder.current().verdict.as_ref().map(|verdict| crate::record::admission(verdict).to_string())
    }
}
