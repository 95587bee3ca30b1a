//! The whole run.

use serde::{Deserialize, Serialize};

use super::AttemptRecord;
use crate::exit_code::ExitCode;
use crate::words;

/// The version of the record's form. It grows when a field is added or its meaning changes.
pub const VERSION: u32 = 1;

words! {
    /// How an attempt or a run ended.
    Outcome, "an outcome" {
        /// The guest runs on the destination.
        Committed = "committed",
        /// It runs on the source.
        Aborted = "aborted",
        /// It is not known where it runs.
        InDoubt = "in_doubt",
        /// It runs nowhere, and that is known.
        Lost = "lost",
    }
}

words! {
    /// Where the guest runs at the end.
    RunsOn, "a place to run" {
        /// On the source.
        Source = "source",
        /// On the destination.
        Destination = "destination",
        /// Nobody knows.
        Unknown = "unknown",
        /// Nowhere.
        Nowhere = "nowhere",
    }
}

impl Outcome {
    /// Where a guest runs after this outcome.
    #[must_use]
    pub fn runs_on(self) -> RunsOn {
        match self {
            Outcome::Committed => RunsOn::Destination,
            Outcome::Aborted => RunsOn::Source,
            Outcome::InDoubt => RunsOn::Unknown,
            Outcome::Lost => RunsOn::Nowhere,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Committed => ExitCode::Committed,
            Outcome::Aborted => ExitCode::Aborted,
            Outcome::InDoubt => ExitCode::InDoubt,
            Outcome::Lost => ExitCode::Lost,
        }
    }
}

/// The record of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The version of this form: [`VERSION`].
    pub version: u32,
    /// How the run ended.
    pub outcome: Outcome,
    /// Where the guest runs.
    pub runs_on: RunsOn,
    /// Downtime limit and switchover limit together: by then the guest runs again, on one side or the other.
    pub hard_limit_ns: u64,
    /// The longest single blackout of the guest. A committed one runs on the source's clock from t = 0 until `Running` is
    /// read: an upper bound. Unknown while the guest may still stand still.
    pub downtime_ns: Option<u64>,
    /// The blackout of the attempt that committed, less the answer's way back.
    pub downtime_estimate_ns: Option<u64>,
    /// How far the estimate may be off, either way.
    pub downtime_estimate_error_ns: Option<u64>,
    /// The guest's blackout over all attempts.
    pub blackout_ns: Option<u64>,
    /// Whether no blackout was longer than the hard limit. What is not known to be within it is not.
    pub within_limit: bool,
    /// How many of the guest's own checks of its memory and registers had failed at the end; `null` if nobody could tell.
    pub self_check_failures: Option<u64>,
    /// The attempts, in order.
    pub attempts: Vec<AttemptRecord>,
}

impl RunRecord {
    /// A run that ended with `outcome` after these attempts; the blackouts are taken from them.
    #[must_use]
    pub fn new(outcome: Outcome, hard_limit_ns: u64, attempts: Vec<AttemptRecord>) -> Self {
        let blackouts: Option<Vec<u64>> = attempts.iter().map(|attempt| attempt.downtime_ns).collect();
        let downtime_ns = blackouts.as_ref().map(|all| all.iter().copied().max().unwrap_or(0));
        let runs_again = matches!(outcome, Outcome::Committed | Outcome::Aborted);
        RunRecord {
            version: VERSION,
            outcome,
            runs_on: outcome.runs_on(),
            hard_limit_ns,
            downtime_ns,
            downtime_estimate_ns: None,
            downtime_estimate_error_ns: None,
            blackout_ns: blackouts.map(|all| all.iter().fold(0, |sum, ns| ns.saturating_add(sum))),
            self_check_failures: None,
            within_limit: runs_again && downtime_ns.is_some_and(|ns| ns <= hard_limit_ns),
            attempts,
        }
    }

    /// With an estimate of the blackout that committed, and its error.
    #[must_use]
    pub fn with_estimate(mut self, estimate_ns: u64, error_ns: u64) -> Self {
        self.downtime_estimate_ns = Some(estimate_ns);
        self.downtime_estimate_error_ns = Some(error_ns);
        self
    }

    /// The record as one line of JSON, without a line end.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps with keys that are no strings, and failing writers, are all that can go wrong; neither is here.
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a record is plain data: {error}"))
    }

    /// The record as JSON for a person to read, ending with a line end.
    #[must_use]
    pub fn to_pretty_json(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.unwrap_or_else(|error| unreachable!("a record is plain data: {error}")) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(downtime_ns: Option<u64>) -> AttemptRecord {
        AttemptRecord { downtime_ns, ..AttemptRecord::new("0:1".into(), Outcome::Aborted) }
    }

    #[test]
    fn the_longest_blackout_is_judged_and_the_sum_is_told() {
        let record = RunRecord::new(
            Outcome::Committed,
            310,
            vec![attempt(Some(310)), attempt(Some(0)), attempt(Some(5))],
        );
        assert_eq!(
            (record.downtime_ns, record.blackout_ns, record.within_limit),
            (Some(310), Some(315), true)
        );
        assert_eq!(record.runs_on, RunsOn::Destination);
        let record = RunRecord::new(Outcome::Aborted, 310, vec![attempt(Some(311))]);
        assert!(!record.within_limit);
        let never_stopped = RunRecord::new(Outcome::Aborted, 310, vec![]);
        assert_eq!((never_stopped.downtime_ns, never_stopped.within_limit), (Some(0), true));
    }

    #[test]
    fn a_blackout_without_a_known_end_is_not_within_the_limit() {
        let record = RunRecord::new(Outcome::InDoubt, 310, vec![attempt(Some(7)), attempt(None)]);
        assert_eq!((record.downtime_ns, record.blackout_ns, record.within_limit), (None, None, false));
        assert_eq!(record.runs_on, RunsOn::Unknown);
        assert!(!RunRecord::new(Outcome::Lost, 310, vec![attempt(Some(1))]).within_limit);
    }

    #[test]
    fn each_outcome_has_its_exit_code() {
        let codes = Outcome::ALL.iter().map(|outcome| ExitCode::from(*outcome) as u8);
        assert_eq!(codes.collect::<Vec<_>>(), [0, 3, 4, 5]);
    }

    #[test]
    fn both_forms_of_the_json_are_the_same_record() {
        let record = RunRecord::new(Outcome::Committed, 310, vec![attempt(Some(5))]).with_estimate(4, 1);
        assert_eq!(serde_json::from_str::<RunRecord>(&record.to_json()).expect("line"), record);
        assert_eq!(serde_json::from_str::<RunRecord>(&record.to_pretty_json()).expect("pretty"), record);
        assert!(!record.to_json().contains('\n'));
    }
}
