//! Options about time: limits, retries, how long to try.

use std::time::Duration;

use clap::Args;

use super::UsageError;
use crate::units::{Rate, exact_duration, parse_duration};

/// The longest that either limit, or both together, can be: as in QEMU.
pub const MOST_LIMIT: Duration = Duration::from_secs(2000);
/// The longest pause between attempts that is worth asking for.
const MOST_BACKOFF: Duration = Duration::from_secs(3600);
/// The longest pre-copy that is worth asking for.
const MOST_PRECOPY: Duration = Duration::from_secs(24 * 3600);

/// The limits, as written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// The downtime that a switchover is planned to fit
    ///
    /// The guest's memory is copied while it runs until what remains is predicted to fit; before that it is not stopped. A bare number is
    /// milliseconds, as in QEMU; `us`, `ms` and `s` are accepted.
    #[arg(long, value_name = "TIME", default_value = "300ms", value_parser = parse_duration)]
    downtime_limit: Duration,
    /// How far the real downtime may exceed the plan
    ///
    /// Both limits together are the hard limit: by then the guest runs again, on the destination or back on the source. `0` makes
    /// --downtime-limit itself hard.
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_duration)]
    switchover_limit: Duration,
}

/// The limits: the plan is above zero, and both together at most 2000 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitOptions {
    /// What an attempt is planned to fit.
    pub downtime_limit: Duration,
    /// How far reality may exceed the plan.
    pub switchover_limit: Duration,
}

impl LimitArgs {
    pub(super) fn validate(self) -> Result<LimitOptions, UsageError> {
        let LimitArgs { downtime_limit, switchover_limit } = self;
        if downtime_limit.is_zero() {
            let consequence = "and no switchover takes no time";
            return Err(UsageError::Zero { option: "--downtime-limit", consequence, example: "300ms" });
        }
        at_most("--downtime-limit", downtime_limit, MOST_LIMIT)?;
        at_most("--switchover-limit", switchover_limit, MOST_LIMIT)?;
        let sum = downtime_limit + switchover_limit;
        at_most("the sum of --downtime-limit and --switchover-limit,", sum, MOST_LIMIT)?;
        Ok(LimitOptions { downtime_limit, switchover_limit })
    }
}

impl LimitOptions {
    /// By then the guest runs again, on one side or the other.
    #[must_use]
    pub fn hard_limit(&self) -> Duration {
        self.downtime_limit + self.switchover_limit
    }

    pub(super) fn to_args(self) -> Vec<String> {
        vec![
            format!("--downtime-limit={}", exact_duration(self.downtime_limit)),
            format!("--switchover-limit={}", exact_duration(self.switchover_limit)),
        ]
    }
}

fn at_most(option: &'static str, given: Duration, most: Duration) -> Result<(), UsageError> {
    if given > most { Err(UsageError::TooLong { option, given, most }) } else { Ok(()) }
}

/// How long and how often to try, as written.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Retry")]
pub struct RetryArgs {
    /// How many times to try before giving up: 1 to 64
    ///
    /// After an aborted attempt the guest runs on the source as before, and what was copied stays warm on the destination.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=64))]
    attempts: u32,
    /// The pause before the second attempt; it doubles with each further one
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    backoff: Duration,
    /// The most that the guest may stand still over all attempts [default: --attempts times the hard limit]
    ///
    /// An attempt that could exceed it is not begun.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    blackout_budget: Option<Duration>,
    /// How long to copy a running guest before giving up
    ///
    /// Not predicted to fit by then: the run is aborted, reason `not_admitted`; the guest was never stopped, and the record has the
    /// terms of the prediction.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    precopy_limit: Duration,
    /// The most to send in a second while the guest runs [default: no cap]
    ///
    /// Never slows down what is sent while the guest stands still.
    #[arg(long, value_name = "RATE")]
    max_bandwidth: Option<Rate>,
}

/// How long and how often to try: the budget covers at least one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// At most so many attempts; at least 1.
    pub attempts: u32,
    /// The pause before the second.
    pub backoff: Duration,
    /// The guest's blackout over all attempts.
    pub blackout_budget: Duration,
    /// How long an attempt may copy before it is admitted.
    pub precopy_limit: Duration,
    /// Bytes in a second while the guest runs; never zero. `None` is no cap.
    pub max_bandwidth: Option<u64>,
}

impl RetryArgs {
    pub(super) fn validate(self, limits: &LimitOptions) -> Result<RetryOptions, UsageError> {
        let RetryArgs { attempts, backoff, blackout_budget, precopy_limit, max_bandwidth } = self;
        at_most("--backoff", backoff, MOST_BACKOFF)?;
        if precopy_limit.is_zero() {
            let consequence = "and a guest whose memory is not copied cannot move";
            return Err(UsageError::Zero { option: "--precopy-limit", consequence, example: "60s" });
        }
        at_most("--precopy-limit", precopy_limit, MOST_PRECOPY)?;
        let hard_limit = limits.hard_limit();
        let blackout_budget = blackout_budget.unwrap_or(hard_limit * attempts);
        if blackout_budget < hard_limit {
            return Err(UsageError::BudgetBelowLimit { budget: blackout_budget, hard_limit });
        }
        let max_bandwidth = match max_bandwidth {
            None | Some(Rate::Max) => None,
            Some(Rate::BytesPerSecond(0)) => return Err(UsageError::NoBandwidth),
            Some(Rate::BytesPerSecond(rate)) => Some(rate),
        };
        Ok(RetryOptions { attempts, backoff, blackout_budget, precopy_limit, max_bandwidth })
    }
}

impl RetryOptions {
    pub(super) fn to_args(self) -> Vec<String> {
        let mut args = vec![
            format!("--attempts={}", self.attempts),
            format!("--backoff={}", exact_duration(self.backoff)),
            format!("--blackout-budget={}", exact_duration(self.blackout_budget)),
            format!("--precopy-limit={}", exact_duration(self.precopy_limit)),
        ];
        args.extend(self.max_bandwidth.map(|rate| format!("--max-bandwidth={}", Rate::BytesPerSecond(rate))));
        args
    }
}
