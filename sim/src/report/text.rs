//! A campaign on a terminal, in plain text of at most 100 columns.

use std::fmt::Write as _;

use switchover_core::time::Ns;

use super::{PROMISES, again, again_run, downtime, over, percent, quoted, short, slack};
use crate::campaign::kept::{Firsts, Worst};
use crate::campaign::{Blackouts, Campaign, Share, Verdict};

/// Seeds that a line shows.
const SEEDS_SHOWN: usize = 5;
/// Offenders and reasons that are shown.
const ROWS_SHOWN: usize = 8;

/// The whole campaign.
#[must_use]
pub fn text(campaign: &Campaign, gates: &[Verdict]) -> String {
    let mut out = String::new();
    head(&mut out, campaign);
    downtimes(&mut out, campaign);
    outcomes(&mut out, campaign);
    blame(&mut out, campaign);
    seeds(&mut out, campaign);
    promises(&mut out, campaign);
    for gate in gates {
        let _ = writeln!(out, "{gate}");
    }
    let _ = writeln!(out, "again: {}", again(campaign));
    out
}

fn head(out: &mut String, campaign: &Campaign) {
    let (scenario, seeds) = (&campaign.scenario, campaign.seeds);
    let _ = writeln!(out, "{}: {}", scenario.name, scenario.about);
    let hard = short(Ns::new(scenario.hard_limit_ns));
    let part = if seeds == campaign.of { String::new() } else { format!(", a part of {}", campaign.of) };
    let _ = writeln!(out, "{} runs, seeds {seeds}{part}; hard limit {hard}\n", campaign.tally.runs);
}

fn downtimes(out: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    let _ = write!(out, "{:<22}{:>9}", "blackout", "count");
    for (name, _) in Share::SHOWN {
        let _ = write!(out, "{name:>9}");
    }
    out.push('\n');
    let row = |out: &mut String, name: &str, count: u64, at: &dyn Fn(Share) -> Option<Ns>| {
        let _ = write!(out, "  {name:<20}{count:>9}");
        for (_, share) in Share::SHOWN {
            let _ = write!(out, "{:>9}", at(share).map_or("-".into(), short));
        }
        out.push('\n');
    };
    let of = |blackouts: &Blackouts, share| blackouts.at(share);
    row(out, "committed attempts", tally.committed.count(), &|share| of(&tally.committed, share));
    row(out, "aborted attempts", tally.aborted.count(), &|share| of(&tally.aborted, share));
    row(out, "runs, the longest", tally.runs, &|share| downtime(campaign, share));
    let _ = write!(out, "  {:<20}{:>9}", "slack of runs", "");
    let hard = Ns::new(campaign.scenario.hard_limit_ns);
    for (_, share) in Share::SHOWN {
        let _ = write!(out, "{:>9}", downtime(campaign, share).map_or("-".into(), |at| slack(hard, at)));
    }
    out.push_str("\n\n");
}

fn outcomes(out: &mut String, campaign: &Campaign) {
    let (tally, outcomes) = (&campaign.tally, campaign.tally.outcomes);
    let counts = [
        ("committed", outcomes.committed),
        ("aborted", outcomes.aborted),
        ("in doubt", outcomes.in_doubt),
        ("lost", outcomes.lost),
    ];
    let told = counts.map(|(name, count)| format!("{name} {count} ({})", percent(count, tally.runs)));
    let _ = writeln!(out, "outcomes: {}", told.join(", "));
    if tally.over_limit > 0 {
        let _ = writeln!(out, "beyond the hard limit: {}", over(campaign));
    }
    let attempts = tally.by_attempts.iter().enumerate().filter(|(_, runs)| **runs > 0);
    let attempts: Vec<String> =
        attempts.map(|(attempts, runs)| format!("{attempts} in {runs} runs")).collect();
    let _ = writeln!(out, "attempts: {}", attempts.join(", "));
}

fn blame(out: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), (*word).clone()));
    if !reasons.is_empty() {
        let told = reasons.iter().take(ROWS_SHOWN).map(|(word, count)| format!("{word} {count}"));
        let _ = writeln!(out, "reasons: {}{}", told.collect::<Vec<_>>().join(", "), more(reasons.len()));
    }
    let mut offenders: Vec<_> = tally.offenders.iter().collect();
    offenders.sort_by_key(|(who, offences)| (std::cmp::Reverse(offences.attempts), **who));
    for (place, (who, offences)) in offenders.iter().take(ROWS_SHOWN).enumerate() {
        let head = if place == 0 { "offenders:" } else { "" };
        let longest = short(Ns::new(offences.longest_ns));
        let _ = writeln!(
            out,
            "{head:<10} {:<30} {:>8} attempts, at worst {longest}",
            who.to_string(),
            offences.attempts
        );
    }
    if offenders.len() > ROWS_SHOWN {
        let _ = writeln!(out, "{:<10} and {} more", "", offenders.len() - ROWS_SHOWN);
    }
}

fn more(rows: usize) -> String {
    if rows > ROWS_SHOWN { format!(", and {} more", rows - ROWS_SHOWN) } else { String::new() }
}

fn seeds(out: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    let worst = |worst: &Worst| {
        let told = worst.list().iter().take(SEEDS_SHOWN);
        told.map(|long| format!("{} ({})", long.seed, short(Ns::new(long.blackout_ns))))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for (name, list) in
        [("longest committed", &tally.worst_committed), ("longest aborted", &tally.worst_aborted)]
    {
        if !list.list().is_empty() {
            let _ = writeln!(out, "{name}: seeds {}", worst(list));
        }
    }
    for (name, list) in [("in doubt", &tally.in_doubt), ("lost", &tally.lost)] {
        if list.count > 0 {
            let _ = writeln!(out, "{name}: seeds {}", firsts(list));
        }
    }
}

fn firsts(list: &Firsts<u64>) -> String {
    let shown: Vec<String> = list.first.iter().take(SEEDS_SHOWN).map(u64::to_string).collect();
    let dots = if list.count > shown.len() as u64 { ", ..." } else { "" };
    format!("{}{dots}", shown.join(", "))
}

fn promises(out: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    if tally.violations.count == 0 {
        let names = PROMISES.map(|(promise, _)| promise);
        let _ = writeln!(out, "promises: kept in every run ({})", names.join(" "));
        return;
    }
    let broken: Vec<String> =
        tally.broken.iter().map(|(promise, count)| format!("{promise} {count} times")).collect();
    let _ = writeln!(out, "promises: BROKEN: {}", broken.join(", "));
    for broken in &tally.violations.first {
        let at = short(Ns::new(broken.at_ns));
        let _ = writeln!(out, "  seed {}: {} at {at}: {}", broken.seed, broken.promise, broken.what);
    }
    if let Some(first) = tally.violations.first.first() {
        let _ = writeln!(out, "  look: {}", again_run(campaign, first.seed));
    }
    if let Some(shortened) = &campaign.broken {
        let _ = writeln!(out, "\nseed {} without all that is not needed to break it:\n", shortened.seed);
        shortened.diagram.lines().for_each(|line| {
            let _ = writeln!(out, "  {}", line.trim_end());
        });
        let _ = writeln!(
            out,
            "\n  its scenario: switchover-sim run {} --seed {}\n",
            quoted(&campaign.given),
            shortened.seed
        );
    }
}
