//! A campaign for whoever has to decide on it: a terminal, a CI server, a browser.
//!
//! Each is a pure function of the campaign and the verdicts of its gates: the same campaign gives the same bytes, wherever
//! and however it was played. JSON for scripts is the campaign itself ([`campaign::file`](crate::campaign::file)).
//!
//! Not here: figures. What is shown is read off the [`Tally`](crate::campaign::Tally), never computed anew.

pub mod html;
pub mod junit;
pub mod text;

use std::time::Duration;

use switchover_core::time::Ns;
use switchover_text::units::{short_duration, short_rest};

use crate::campaign::{Campaign, Share, Verdict};
use crate::exit_code::ExitCode;

/// The promises that the checker holds every run to, with their names.
pub const PROMISES: [(&str, &str); 7] = [
    ("P1", "one runner"),
    ("P2", "bounded"),
    ("P3", "honest"),
    ("P4", "exact"),
    ("P5", "retryable"),
    ("P6", "explained"),
    ("liveness", "settles once faults stop"),
];

/// What a campaign and its gates mean to whoever started it.
#[must_use]
pub fn exit_code(campaign: &Campaign, gates: &[Verdict]) -> ExitCode {
    ExitCode::of(campaign.tally.violations.count > 0, gates.iter().any(|gate| !gate.holds))
}

/// The command that plays one seed again, with all that happened.
#[must_use]
pub fn again_run(campaign: &Campaign, seed: u64) -> String {
    format!("switchover-sim run {} --seed {seed} --trace", quoted(&campaign.given))
}

/// The command that plays the whole campaign again.
#[must_use]
pub fn again(campaign: &Campaign) -> String {
    format!("switchover-sim campaign {} --seeds {}", quoted(&campaign.given), campaign.seeds)
}

/// A word for a shell; most are themselves.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A time in few digits, rounded up.
fn short(ns: Ns) -> String {
    short_duration(Duration::from_nanos(ns.get()))
}

/// What is left of the hard limit, rounded down, or by how much it is exceeded, rounded up.
fn slack(hard_limit: Ns, longest: Ns) -> String {
    match hard_limit.checked_minus(longest) {
        Some(left) => short_rest(Duration::from_nanos(left.get())),
        None => format!("-{}", short(longest.minus(hard_limit))),
    }
}

/// `part` of `whole` in percent, rounded down, and never to nothing.
fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0%".into();
    }
    if part == whole {
        return "100%".into();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    if tenths == 0 { "<0.1%".into() } else { format!("{}.{}%", tenths / 10, tenths % 10) }
}

/// How many runs went beyond the hard limit, and what that means.
fn over(campaign: &Campaign) -> String {
    let tally = &campaign.tally;
    let late = tally.broken.get("P2").copied().unwrap_or(0);
    let meaning = if late == 0 {
        "none that P2 covers: in doubt, or a contract, clock or process failed"
    } else {
        "P2 is broken"
    };
    format!("{} ({}); {meaning}", tally.over_limit, percent(tally.over_limit, tally.runs))
}

/// The downtime of the share of all runs, or that it has no end.
fn downtime(campaign: &Campaign, share: Share) -> Option<Ns> {
    campaign.tally.longest.at_among(share, campaign.tally.runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        for (part, whole, text) in [
            (0, 10, "0%"),
            (10, 10, "100%"),
            (1, 3, "33.3%"),
            (1, 1_000_000, "<0.1%"),
            (999_999, 1_000_000, "99.9%"),
            (0, 0, "0%"),
        ] {
            assert_eq!(percent(part, whole), text);
        }
    }

    #[test]
    fn slack_is_rounded_against_us() {
        let ms = Ns::from_millis;
        assert_eq!(slack(ms(310), Ns::new(1)), "309ms");
        assert_eq!(slack(ms(310), ms(310)), "0ns");
        assert_eq!(slack(ms(310), ms(310).plus(Ns::new(1))), "-1ns");
    }

    #[test]
    fn a_command_can_be_pasted() {
        assert_eq!(quoted("ci/busy.toml"), "ci/busy.toml");
        assert_eq!(quoted("my world's.toml"), r"'my world'\''s.toml'");
    }
}
