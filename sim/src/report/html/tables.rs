//! The tables: percentiles and slack, outcomes, offenders and reasons, gates, seeds.

use std::fmt::Write as _;

use switchover_core::time::Ns;

use super::super::{again_run, downtime, over, percent, short, slack};
use super::{end, esc, grouped, section};
use crate::campaign::kept::{Firsts, Worst};
use crate::campaign::{Blackouts, Campaign, Share, Verdict};

/// Rows of a list that are shown.
const ROWS: usize = 12;

/// Percentiles of blackouts, and what they leave of the hard limit.
pub(super) fn percentiles(page: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    section(
        page,
        "Downtime and slack",
        "A run's downtime is the longest of its attempts' blackouts, whichever way it ended. Times are rounded up, slack \
         down.",
    );
    page.push_str("<div class=\"scroll\"><table><thead><tr><th></th><th>count</th>");
    for (name, _) in Share::SHOWN {
        let _ = write!(page, "<th>{name}</th>");
    }
    page.push_str("</tr></thead><tbody>\n");
    let hard = Ns::new(campaign.scenario.hard_limit_ns);
    let mut row = |class: &str, name: &str, count: u64, at: &dyn Fn(Share) -> Option<Ns>| {
        let none = if count == 0 { "&ndash;" } else { "no end" };
        let _ = write!(page, "<tr><th><i class=\"dot {class}\"></i>{name}</th><td>{}</td>", grouped(count));
        for (_, share) in Share::SHOWN {
            let at = at(share);
            let over = if at.is_some_and(|at| at > hard) { " class=\"over\"" } else { "" };
            let _ = write!(page, "<td{over}>{}</td>", at.map_or(none.into(), short));
        }
        page.push_str("</tr>\n");
    };
    let of = |blackouts: &Blackouts, share| blackouts.at(share);
    row("committed", "committed attempts", tally.committed.count(), &|share| of(&tally.committed, share));
    row("aborted", "aborted attempts", tally.aborted.count(), &|share| of(&tally.aborted, share));
    row("none", "runs", tally.runs, &|share| downtime(campaign, share));
    let _ = write!(page, "<tr><th><i class=\"dot none\"></i>slack of runs</th><td></td>");
    for (_, share) in Share::SHOWN {
        let at = downtime(campaign, share);
        let over = if at.is_none_or(|at| at > hard) { " class=\"over\"" } else { "" };
        let _ = write!(page, "<td{over}>{}</td>", at.map_or("none".into(), |at| slack(hard, at)));
    }
    page.push_str("</tr>\n</tbody></table></div>\n");
    if tally.over_limit > 0 {
        let _ = writeln!(
            page,
            "<p class=\"note after\">Runs beyond the hard limit: {}.</p>",
            esc(&over(campaign))
        );
    }
    end(page);
}

/// How runs ended, and in how many attempts.
pub(super) fn outcomes(page: &mut String, campaign: &Campaign) {
    let (tally, outcomes) = (&campaign.tally, campaign.tally.outcomes);
    section(page, "Outcomes", "");
    page.push_str("<div class=\"scroll\"><table><thead><tr><th></th><th>runs</th><th>share</th><th class=\"left\">the guest</th></tr></thead><tbody>\n");
    for (class, name, count, place) in [
        ("committed", "committed", outcomes.committed, "runs on the destination"),
        ("aborted", "aborted", outcomes.aborted, "runs on the source"),
        ("in_doubt", "in doubt", outcomes.in_doubt, "nobody knows: it waits for somebody who does"),
        ("lost", "lost", outcomes.lost, "runs nowhere, and that is known"),
    ] {
        let dot = if count == 0 { "none" } else { class };
        let _ = writeln!(
            page,
            "<tr><th><i class=\"dot {dot}\"></i>{name}</th><td>{}</td><td>{}</td><td class=\"wide soft\">{place}</td></tr>",
            grouped(count),
            esc(&percent(count, tally.runs))
        );
    }
    page.push_str("</tbody></table></div>\n");
    let attempts = tally.by_attempts.iter().enumerate().filter(|(_, runs)| **runs > 0);
    let attempts = attempts.map(|(attempts, runs)| match attempts {
        0 => format!("no attempt in {}", grouped(*runs)),
        1 => format!("one attempt in {}", grouped(*runs)),
        n => format!("{n} attempts in {}", grouped(*runs)),
    });
    let _ = writeln!(page, "<p class=\"note after\">{} runs.</p>", attempts.collect::<Vec<_>>().join(", "));
    end(page);
}

/// Who was blamed, and why attempts did not commit.
pub(super) fn blame(page: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    if tally.reasons.is_empty() {
        return;
    }
    section(page, "Offenders", "Who used more than its contract when an attempt was aborted.");
    let mut offenders: Vec<_> = tally.offenders.iter().collect();
    offenders.sort_by_key(|(who, offences)| (std::cmp::Reverse(offences.attempts), **who));
    let rows = offenders.iter().map(|(who, offences)| {
        (esc(&who.to_string()), offences.attempts, Some(Ns::new(offences.longest_ns)))
    });
    bars(page, "offender", rows.collect());
    let mut reasons: Vec<_> = tally.reasons.iter().collect();
    reasons.sort_by_key(|(word, count)| (std::cmp::Reverse(**count), (*word).clone()));
    let rows = reasons.iter().map(|(word, count)| (esc(&word.replace('_', " ")), **count, None));
    page.push_str("<p class=\"note after\">Why attempts did not commit, whoever was to blame.</p>\n");
    bars(page, "reason", rows.collect());
    end(page);
}

fn bars(page: &mut String, what: &str, rows: Vec<(String, u64, Option<Ns>)>) {
    if rows.is_empty() {
        page.push_str("<p>Nobody.</p>\n");
        return;
    }
    let most = rows.iter().map(|row| row.1).max().unwrap_or(1).max(1);
    let longest = if rows[0].2.is_some() { "<th>at worst</th>" } else { "" };
    let _ = writeln!(
        page,
        "<div class=\"scroll\"><table><thead><tr><th>{what}</th><th style=\"width:35%\"></th><th>attempts</th>{longest}</tr></thead><tbody>"
    );
    for (name, count, longest) in rows.iter().take(ROWS) {
        let width = *count as f64 / most as f64 * 100.0;
        let longest = longest.map_or(String::new(), |ns| format!("<td>{}</td>", short(ns)));
        let _ = writeln!(
            page,
            "<tr><td>{name}</td><td><div class=\"share\"><i style=\"width:{width:.1}%\"></i></div></td><td>{}</td>{longest}</tr>",
            grouped(*count)
        );
    }
    page.push_str("</tbody></table></div>\n");
    if rows.len() > ROWS {
        let _ = writeln!(page, "<p class=\"note after\">And {} more.</p>", rows.len() - ROWS);
    }
}

/// The stated gates.
pub(super) fn gates(page: &mut String, gates: &[Verdict]) {
    if gates.is_empty() {
        return;
    }
    section(page, "Gates", "");
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>gate</th><th class=\"left\">found</th><th></th></tr></thead><tbody>\n");
    for gate in gates {
        let (class, verdict) = if gate.holds { ("soft", "holds") } else { ("over", "missed") };
        let _ = writeln!(
            page,
            "<tr><td><code>{}</code></td><td class=\"wide\">{}</td><td class=\"{class}\">{verdict}</td></tr>",
            esc(&gate.gate),
            esc(&gate.found)
        );
    }
    page.push_str("</tbody></table></div>\n");
    end(page);
}

/// Seeds that are worth a look.
pub(super) fn seeds(page: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    section(page, "Seeds worth a look", "");
    page.push_str("<div class=\"scroll\"><table><tbody>\n");
    let worst = |worst: &Worst| {
        let all = worst.list().iter();
        all.map(|long| {
            format!("{} <span class=\"soft\">({})</span>", long.seed, short(Ns::new(long.blackout_ns)))
        })
        .collect::<Vec<_>>()
        .join(" &middot; ")
    };
    let firsts =
        |list: &Firsts<u64>| list.first.iter().map(u64::to_string).collect::<Vec<_>>().join(" &middot; ");
    for (name, told) in [
        ("longest committed", worst(&tally.worst_committed)),
        ("longest aborted", worst(&tally.worst_aborted)),
        ("in doubt", firsts(&tally.in_doubt)),
        ("lost", firsts(&tally.lost)),
    ] {
        if !told.is_empty() {
            let _ = writeln!(page, "<tr><th>{name}</th><td class=\"wide\">{told}</td></tr>");
        }
    }
    page.push_str("</tbody></table></div>\n");
    if let Some((seed, _)) = tally.worst() {
        let _ = writeln!(page, "<pre>{}</pre>", esc(&again_run(campaign, seed)));
    }
    end(page);
}
