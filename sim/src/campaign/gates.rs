//! What a team demands of a campaign beyond the promises, and whether it came out so.
//!
//! The promises hold or the exit code is 1. A gate is a number that somebody chose: a hypervisor's change may keep every
//! promise and still be too slow for them.
//!
//! Times are judged over *runs*, by the longest blackout of each, whichever way it ended: the guest feels an aborted
//! attempt as well. A run whose guest still stands still counts as longer than any limit.

use std::fmt;
use std::time::Duration;

use switchover_core::time::Ns;
use switchover_text::units::{exact_duration, short_duration, short_rest};

use super::blackouts::Share;
use super::file::Campaign;

/// A share of runs for a gate, exact to a ten-thousandth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

/// Not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share; write a number from 0% to 100%, as in `99.5%`, with at most four decimals")]
pub struct PercentError(String);

impl Percent {
    const WHOLE: u32 = 1_000_000;

    /// Whether `part` of `whole` is at least so much.
    #[must_use]
    pub const fn reached_by(self, part: u64, whole: u64) -> bool {
        part as u128 * Self::WHOLE as u128 >= whole as u128 * self.0 as u128
    }
}

impl std::str::FromStr for Percent {
    type Err = PercentError;

    fn from_str(given: &str) -> Result<Self, PercentError> {
        let error = || PercentError(given.into());
        let number = given.strip_suffix('%').unwrap_or(given);
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || rest.len() > 4 {
            return Err(error());
        }
        let parts: u32 = format!("{rest:0<4}").parse().map_err(|_| error())?;
        let whole: u32 = whole.parse().map_err(|_| error())?;
        let all = whole.checked_mul(10_000).and_then(|whole| whole.checked_add(parts)).ok_or_else(error)?;
        if all > Self::WHOLE { Err(error()) } else { Ok(Self(all)) }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// One demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// That share of runs stood still for no longer than this.
    Downtime(Share, Ns),
    /// The closest that any run came to the hard limit is at least so far from it.
    Slack(Ns),
    /// At least so many of the runs committed.
    Committed(Percent),
    /// At most so many runs ended in doubt.
    InDoubt(u64),
    /// At most so many runs ended with the guest nowhere.
    Lost(u64),
}

/// A gate, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The gate, as on the command line: `--max-p99 290ms`.
    pub gate: String,
    /// What was found, in words: `p99 is 211ms`.
    pub found: String,
    /// Whether it holds.
    pub holds: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.gate, if self.holds { "holds" } else { "MISSED" }, self.found)
    }
}

impl Gate {
    /// Holds the gate against a campaign.
    #[must_use]
    pub fn judge(&self, campaign: &Campaign) -> Verdict {
        let tally = &campaign.tally;
        let (holds, found) = match *self {
            Self::Downtime(share, most) => {
                let name = name(share);
                match tally.longest.at_among(share, tally.runs) {
                    Some(at) => (at <= most, format!("{name} of the downtime is {}", short(at))),
                    None => {
                        (false, format!("{name} of the downtime has no end: the guest still stands still"))
                    }
                }
            }
            Self::Slack(least) => {
                let hard = Ns::new(campaign.scenario.hard_limit_ns);
                match tally.longest.at_among(Share::ALL, tally.runs) {
                    None => (false, "some guest still stands still".into()),
                    Some(longest) if longest > hard => {
                        (false, format!("a run is {} over the hard limit", short(longest.minus(hard))))
                    }
                    Some(longest) => {
                        let slack = hard.minus(longest);
                        (slack >= least, format!("the least slack is {}", rest(slack)))
                    }
                }
            }
            Self::Committed(least) => {
                let committed = tally.outcomes.committed;
                let found = format!("{committed} of {} runs committed", tally.runs);
                (least.reached_by(committed, tally.runs), found)
            }
            Self::InDoubt(most) => at_most_runs(tally.outcomes.in_doubt, most, "ended in doubt"),
            Self::Lost(most) => at_most_runs(tally.outcomes.lost, most, "ended lost"),
        };
        Verdict { gate: self.to_string(), found, holds }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |ns: &Ns| exact_duration(Duration::from_nanos(ns.get()));
        match self {
            Self::Downtime(Share::ALL, most) => write!(f, "--max-downtime {}", exact(most)),
            Self::Downtime(share, most) => {
                write!(f, "--max-{} {}", name(*share).replace('.', ""), exact(most))
            }
            Self::Slack(least) => write!(f, "--min-slack {}", exact(least)),
            Self::Committed(least) => write!(f, "--min-committed {least}"),
            Self::InDoubt(most) => write!(f, "--max-in-doubt {most}"),
            Self::Lost(most) => write!(f, "--max-lost {most}"),
        }
    }
}

fn name(share: Share) -> &'static str {
    Share::SHOWN.iter().find(|(_, shown)| *shown == share).map_or("a share", |(name, _)| name)
}

fn at_most_runs(found: u64, most: u64, how: &str) -> (bool, String) {
    (found <= most, format!("{found} {} {how}", if found == 1 { "run" } else { "runs" }))
}

fn short(ns: Ns) -> String {
    short_duration(Duration::from_nanos(ns.get()))
}

fn rest(ns: Ns) -> String {
    short_rest(Duration::from_nanos(ns.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_exactly_and_printed_as_it_is_written() {
        for (given, printed) in [("99.5%", "99.5%"), ("100%", "100%"), ("0", "0%"), ("99.9999%", "99.9999%")]
        {
            assert_eq!(given.parse::<Percent>().expect(given).to_string(), printed);
        }
        for given in ["", "%", "101%", "100.0001%", "-1%", "9.99999%", "1.%", ".5%", "half"] {
            assert!(given.parse::<Percent>().is_err(), "{given}");
        }
        let most: Percent = "99.5%".parse().expect("a share");
        assert!(most.reached_by(995, 1000) && !most.reached_by(994, 1000));
        assert!(most.reached_by(u64::MAX, u64::MAX));
    }
}
