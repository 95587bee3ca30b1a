//! The gates, as options.

use clap::Args;
use switchover_core::time::Ns;
use switchover_text::units::{UnitError, nanoseconds, parse_duration};

use crate::campaign::Share;
use crate::campaign::gates::{Gate, Percent};

/// Missed gates end with exit code 3. Times are held against each run's longest blackout, aborted runs included.
#[derive(Debug, Args)]
#[command(next_help_heading = "Gates")]
pub(super) struct GateArgs {
    /// Half of the runs stood still for no longer
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_p50: Option<Ns>,
    /// Nine in ten
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_p90: Option<Ns>,
    /// 99 in a hundred
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_p99: Option<Ns>,
    /// 999 in a thousand
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_p999: Option<Ns>,
    /// All of them
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_downtime: Option<Ns>,
    /// All of them kept so far away from the hard limit
    #[arg(long, value_name = "TIME", value_parser = time)]
    min_slack: Option<Ns>,
    /// At least so many of the runs committed
    #[arg(long, value_name = "PERCENT")]
    min_committed: Option<Percent>,
    /// At most so many runs ended in doubt
    #[arg(long, value_name = "RUNS")]
    max_in_doubt: Option<u64>,
    /// At most so many runs ended with the guest nowhere
    #[arg(long, value_name = "RUNS")]
    max_lost: Option<u64>,
}

pub(super) fn time(given: &str) -> Result<Ns, UnitError> {
    parse_duration(given).map(|duration| Ns::new(nanoseconds(duration)))
}

impl GateArgs {
    pub(super) fn validate(self) -> Vec<Gate> {
        let times = [
            (self.max_p50, Share::P50),
            (self.max_p90, Share::P90),
            (self.max_p99, Share::P99),
            (self.max_p999, Share::P999),
            (self.max_downtime, Share::ALL),
        ];
        let mut gates: Vec<Gate> =
            times.into_iter().filter_map(|(most, share)| Some(Gate::Downtime(share, most?))).collect();
        gates.extend(self.min_slack.map(Gate::Slack));
        gates.extend(self.min_committed.map(Gate::Committed));
        gates.extend(self.max_in_doubt.map(Gate::InDoubt));
        gates.extend(self.max_lost.map(Gate::Lost));
        gates
    }
}
