//! The curve: which share of attempts stood still for how long at most, against the hard limit.
//!
//! The share is drawn in nines (50%, 90%, 99%, 99.9% at equal distances but for the first), since a limit is about the
//! tail. The drawing stretches with the page; its labels are text beside it.

use std::fmt::Write as _;

use switchover_core::time::Ns;

use super::super::short;
use super::{end, section};
use crate::campaign::{Blackouts, Campaign};

/// The drawing's own units, in both directions.
const SIZE: f64 = 1000.0;
/// Points of one curve that lie closer than this are one.
const NEAR: f64 = 0.8;
/// Room right of the longest.
const MARGIN: f64 = 1.04;

/// Where a time lies from left to right.
enum Scale {
    Linear { most: f64 },
    Log { least: f64, most: f64 },
}

impl Scale {
    fn new(campaign: &Campaign, all: &[&Blackouts]) -> Self {
        let hard = campaign.scenario.hard_limit_ns as f64;
        let longest = all.iter().filter_map(|blackouts| blackouts.max()).map(|ns| ns.get() as f64);
        let most = longest.fold(hard, f64::max) * MARGIN;
        let shortest = all.iter().filter_map(|blackouts| blackouts.min()).map(|ns| ns.get().max(1) as f64);
        let least = shortest.fold(hard, f64::min);
        let middle = all.iter().filter_map(|blackouts| blackouts.at(crate::campaign::Share::P50));
        let middle = middle.map(|ns| ns.get() as f64).fold(0.0, f64::max);
        // Far from the limit a linear axis would show two upright lines and nothing of their shape.
        if middle > 0.0 && middle < most / 12.0 {
            Self::Log { least: least / 1.5, most: most * 1.1 }
        } else {
            Self::Linear { most }
        }
    }

    /// From 0, left, to 1, right.
    fn at(&self, ns: f64) -> f64 {
        let at = match self {
            Self::Linear { most } => ns / most,
            Self::Log { least, most } => (ns.max(*least) / least).ln() / (most / least).ln(),
        };
        at.clamp(0.0, 1.0)
    }

    /// Round times that mark the axis.
    fn ticks(&self) -> Vec<Ns> {
        match self {
            Self::Linear { most } => {
                let step = round_step(most / 6.0);
                (0..=12)
                    .map(|n| f64::from(n) * step)
                    .filter(|at| at < most)
                    .map(|at| Ns::new(at as u64))
                    .collect()
            }
            Self::Log { least, most } => {
                // Between few decades there is room for more.
                let steps: &[u64] = if most / least < 2000.0 { &[1, 2, 5] } else { &[1] };
                let all = (0..14).flat_map(|power| steps.iter().map(move |step| step * 10_u64.pow(power)));
                all.filter(|at| (*at as f64) > *least && (*at as f64) < *most).map(Ns::new).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|times| times * power).into_iter().find(|step| *step >= least).unwrap_or(least)
}

/// How high a share lies: 0 for none, 1 for nine in ten, 2 for 99 in a hundred.
fn nines(below: u64, count: u64) -> f64 {
    let above = count.saturating_sub(below).max(1) as f64 / count.max(1) as f64;
    -above.log10()
}

/// The section with the curve.
pub(super) fn draw(page: &mut String, campaign: &Campaign) {
    let tally = &campaign.tally;
    let series = [("committed", &tally.committed), ("aborted", &tally.aborted)];
    let all: Vec<&Blackouts> =
        series.iter().map(|(_, blackouts)| *blackouts).filter(|blackouts| blackouts.count() > 0).collect();
    section(
        page,
        "Downtime against the hard limit",
        "The share of attempts that stood still for at most so long. Each step up is a tenth of what was left: the tail is \
         what a limit is about.",
    );
    if all.is_empty() {
        page.push_str("<p>No attempt stopped the guest.</p>\n");
        return end(page);
    }
    let scale = Scale::new(campaign, &all);
    let most = all.iter().map(|blackouts| blackouts.count()).max().unwrap_or(1);
    let top = nines(most - 1, most).ceil().max(2.0);
    let ticks = scale.ticks();
    page.push_str("<div class=\"chart\">\n<div class=\"ticks-y\">");
    for (name, at) in shares(top) {
        let _ = write!(page, "<span style=\"bottom:{:.2}%\">{name}</span>", at / top * 100.0);
    }
    page.push_str("</div>\n<div class=\"plot\">\n");
    marks(page, campaign, &scale);
    let _ = writeln!(
        page,
        "<svg viewBox=\"0 0 {SIZE} {SIZE}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"downtime by share of attempts\">"
    );
    for (_, at) in shares(top).iter().skip(1) {
        let y = SIZE * (1.0 - at / top);
        let _ = writeln!(page, "<line x1=\"0\" x2=\"{SIZE}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    }
    for (class, limit) in
        [("planned", campaign.scenario.downtime_limit_ns), ("hard", campaign.scenario.hard_limit_ns)]
    {
        let x = SIZE * scale.at(limit as f64);
        let _ =
            writeln!(page, "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{SIZE}\"/>");
    }
    for (class, blackouts) in series.iter().rev().filter(|(_, blackouts)| blackouts.count() > 0) {
        let _ = writeln!(page, "<path class=\"{class}\" d=\"{}\"/>", path(blackouts, &scale, top));
    }
    page.push_str("</svg>\n</div>\n<div class=\"ticks-x\">");
    for tick in ticks {
        let at = scale.at(tick.get() as f64) * 100.0;
        let name = if tick == Ns::ZERO { "0".into() } else { short(tick) };
        let _ = write!(page, "<span style=\"left:{at:.2}%\">{name}</span>");
    }
    page.push_str("</div>\n</div>\n<div class=\"legend\">");
    for (class, blackouts) in series.iter().filter(|(_, blackouts)| blackouts.count() > 0) {
        let count = super::grouped(blackouts.count());
        let _ = write!(page, "<span><i class=\"dot {class}\"></i>{class}: {count} attempts</span>");
    }
    let planned = short(Ns::new(campaign.scenario.downtime_limit_ns));
    let _ = write!(page, "<span><i class=\"dash\"></i>downtime limit {planned}</span>");
    if matches!(scale, Scale::Log { .. }) {
        page.push_str("<span>logarithmic in time</span>");
    }
    page.push_str("</div>\n");
    end(page);
}

/// The limits' names, above their lines.
fn marks(page: &mut String, campaign: &Campaign, scale: &Scale) {
    let hard = campaign.scenario.hard_limit_ns;
    let at = scale.at(hard as f64) * 100.0;
    let _ = writeln!(
        page,
        "<span class=\"mark hard\" style=\"left:{at:.2}%\">hard limit {}</span>",
        short(Ns::new(hard))
    );
}

/// Names and heights of the lines across.
fn shares(top: f64) -> Vec<(String, f64)> {
    let mut all = vec![("0%".to_string(), 0.0), ("50%".into(), 2_f64.log10())];
    let mut nines = 1.0;
    while nines <= top {
        let places = (nines as usize).saturating_sub(2);
        let share = 100.0 * (1.0 - 10_f64.powf(-nines));
        all.push((format!("{share:.places$}%"), nines));
        nines += 1.0;
    }
    all
}

/// A curve as steps, up to the top: all of them.
fn path(blackouts: &Blackouts, scale: &Scale, top: f64) -> String {
    let count = blackouts.count();
    let (mut d, mut below) = (String::new(), 0_u64);
    let mut last = (f64::MIN, SIZE);
    let max = blackouts.max().unwrap_or(Ns::ZERO);
    for (upto, held) in blackouts.buckets() {
        below += held;
        let x = SIZE * scale.at(upto.or_shorter(max).get() as f64);
        let height = if below == count { top } else { nines(below, count).min(top) };
        let y = SIZE * (1.0 - height / top);
        if d.is_empty() {
            let _ = write!(d, "M{x:.1} {SIZE:.0}V{y:.1}");
        } else if below == count || (x - last.0).abs() >= NEAR || (y - last.1).abs() >= NEAR {
            let _ = write!(d, "H{x:.1}V{y:.1}");
        } else {
            continue;
        }
        last = (x, y);
    }
    d
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_is_marked_at_round_times() {
        let linear = Scale::Linear { most: 322e6 };
        assert_eq!(linear.ticks(), [0, 100, 200, 300].map(Ns::from_millis));
        let log = Scale::Log { least: 1e6, most: 400e6 };
        assert_eq!(log.ticks(), [2, 5, 10, 20, 50, 100, 200].map(Ns::from_millis));
        assert_eq!((round_step(30.0), round_step(50.0), round_step(51.0)), (50.0, 50.0, 100.0));
    }

    #[test]
    fn a_tenth_of_what_is_left_is_one_step_up() {
        assert!((nines(9, 10) - 1.0).abs() < 1e-9 && (nines(99, 100) - 2.0).abs() < 1e-9);
        assert_eq!(nines(0, 10), 0.0);
        let names: Vec<String> = shares(4.0).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["0%", "50%", "90%", "99%", "99.9%", "99.99%"]);
    }

    #[test]
    fn a_million_blackouts_are_some_hundred_points() {
        let mut blackouts = Blackouts::default();
        (0..1_000_000_u64).for_each(|n| blackouts.record(Ns::new(n * 300)));
        let d = path(&blackouts, &Scale::Linear { most: 310e6 }, 6.0);
        assert!(d.len() < 40_000, "{}", d.len());
        assert!(d.starts_with('M') && d.ends_with("V0.0"), "{d}");
    }
}
