//! The worst run along its hard limit: what each port did when, against what it had planned.
//!
//! Drawn from the run's record, each attempt that stopped the guest by itself; the time line is the same for all.

use std::fmt::Write as _;

use switchover_core::time::Ns;
use switchover_text::record::{AttemptRecord, Offender, PhaseRecord, RunRecord};

use super::super::{short, slack};
use super::{end, esc, section};
use crate::campaign::Campaign;

/// Attempts that are drawn, the longest blackouts first.
const ATTEMPTS: usize = 3;

/// Where each rule and bar lies, in percent of the width.
struct Line {
    most: u64,
    hard: u64,
}

/// How much of the limit has to be used for its phases to be seen on one line with it.
const SEEN: u64 = 4;

impl Line {
    /// A line with room for both.
    fn new(longest: u64, hard: u64) -> Self {
        // A little more, so that what ends last is seen to end.
        let most = longest.max(hard);
        Self { most: most.saturating_add(most / 50), hard }
    }

    /// The line for the phases: the same, unless that would show nothing of them.
    fn for_phases(&self, longest: u64) -> Self {
        let most = if longest < self.hard / SEEN { longest.saturating_add(longest / 25) } else { self.most };
        Self { most, hard: self.hard }
    }

    fn at(&self, ns: u64) -> f64 {
        ns.min(self.most) as f64 / self.most.max(1) as f64 * 100.0
    }

    /// The hard limit, and the latest time for Go.
    fn rules(&self, attempt: &AttemptRecord) -> String {
        let mut rules = String::new();
        if self.hard <= self.most {
            let _ = write!(rules, "<i class=\"rule\" style=\"left:{:.2}%\"></i>", self.at(self.hard));
        }
        if let Some(go_by) = attempt.go_by_ns.filter(|go_by| *go_by < self.hard.min(self.most)) {
            let _ = write!(rules, "<i class=\"rule goby\" style=\"left:{:.2}%\"></i>", self.at(go_by));
        }
        rules
    }
}

/// The section with the worst run.
pub(super) fn draw(page: &mut String, campaign: &Campaign) {
    let Some(worst) = &campaign.worst else { return };
    section(
        page,
        &format!("The worst run: seed {}", worst.seed),
        "Bars are what was measured, outlines what the contracts allow. The solid line is the hard limit, the dashed one \
         the latest time for Go: without it by then, the guest is on its way back.",
    );
    let record = &worst.record;
    let mut attempts: Vec<(usize, &AttemptRecord)> =
        record.attempts.iter().enumerate().filter(|(_, attempt)| attempt.downtime_ns != Some(0)).collect();
    if attempts.is_empty() {
        page.push_str("<p>The guest never stood still.</p>\n");
        return end(page);
    }
    attempts.sort_by_key(|(place, attempt)| (std::cmp::Reverse(attempt.downtime_ns), *place));
    attempts.truncate(ATTEMPTS);
    attempts.sort_by_key(|(place, _)| *place);
    let longest = attempts.iter().filter_map(|(_, attempt)| extent(attempt)).max().unwrap_or(0);
    let line = Line::new(longest, record.hard_limit_ns);
    let phases = line.for_phases(longest);
    page.push_str("<div class=\"gantt\">\n");
    for (place, attempt) in attempts {
        draw_attempt(page, record, (place, attempt), (&line, &phases));
    }
    page.push_str("</div>\n<div class=\"legend\"><span><i class=\"dot committed\"></i>source</span>");
    page.push_str("<span><i class=\"dot\" style=\"background:color-mix(in srgb,var(--committed) 55%,var(--good))\"></i>destination</span>");
    page.push_str("<span><i class=\"dot in_doubt\"></i>offender</span></div>\n");
    end(page);
}

/// When the last of it ended, after t = 0.
fn extent(attempt: &AttemptRecord) -> Option<u64> {
    let ends = attempt.phases.iter().filter_map(|phase| Some(stretch(phase)?.1));
    ends.chain(attempt.downtime_ns).max()
}

/// Beginning and end of a phase after t = 0; `None` of one while the guest ran.
fn stretch(phase: &PhaseRecord) -> Option<(u64, u64)> {
    let start = u64::try_from(phase.start_ns?).ok()?;
    Some((start, start.saturating_add(phase.measured_ns.unwrap_or(0))))
}

/// `lines`: for the blackout, and for the phases.
fn draw_attempt(
    page: &mut String,
    record: &RunRecord,
    (place, attempt): (usize, &AttemptRecord),
    (line, enlarged): (&Line, &Line),
) {
    let outcome = attempt.outcome.word().replace('_', " ");
    let mut told = attempt.reason.iter().map(|reason| esc(&reason.replace('_', " "))).collect::<Vec<_>>();
    told.extend(attempt.offender.map(|offender| format!("because of {}", esc(&offender.to_string()))));
    told.extend(attempt.faults_injected.iter().map(|fault| format!("injected: {}", esc(fault))));
    let _ = writeln!(
        page,
        "<h3>Attempt {} of {}: {outcome} <small>{}</small></h3>",
        place + 1,
        record.attempts.len(),
        told.join("; ")
    );
    let rules = line.rules(attempt);
    if let Some(downtime) = attempt.downtime_ns {
        let (hard, stood) = (Ns::new(line.hard), Ns::new(downtime));
        let _ = writeln!(
            page,
            "<div class=\"row\"><span class=\"who\"><b>the guest stood still</b></span><span class=\"track thick\">\
             <i class=\"bar {}\" style=\"left:0;width:{:.2}%\"></i>{rules}</span><span class=\"time\"><b>{}</b>, {} left</span></div>",
            attempt.outcome.word(),
            line.at(downtime),
            short(stood),
            slack(hard, stood)
        );
    }
    if enlarged.most < line.most {
        let upto = short(Ns::new(enlarged.most));
        let _ = writeln!(
            page,
            "<div class=\"row zoom\"><span class=\"who\">enlarged:</span><span class=\"track\" style=\"background:none\"></span>\
             <span class=\"time\">0 to {upto}</span></div>"
        );
    }
    let rules = enlarged.rules(attempt);
    let mut phases: Vec<&PhaseRecord> =
        attempt.phases.iter().filter(|phase| stretch(phase).is_some()).collect();
    phases.sort_by_key(|phase| (phase.start_ns, phase.phase, phase.side, phase.port));
    for phase in phases {
        draw_phase(page, phase, attempt.offender.as_ref(), enlarged, &rules);
    }
}

fn draw_phase(page: &mut String, phase: &PhaseRecord, offender: Option<&Offender>, line: &Line, rules: &str) {
    let Some((start, stop)) = stretch(phase) else { return };
    let blamed = offender == Some(&Offender { side: phase.side, port: phase.port, phase: phase.phase });
    let over = matches!((phase.measured_ns, phase.planned_ns), (Some(took), Some(plan)) if took > plan);
    let plan = phase.planned_ns.map_or(String::new(), |planned| {
        let upto = start.saturating_add(planned);
        format!(
            "<i class=\"bar plan\" style=\"left:{:.2}%;width:{:.2}%\"></i>",
            line.at(start),
            line.at(upto) - line.at(start)
        )
    });
    let measured = phase.measured_ns.map_or("?".into(), |ns| short(Ns::new(ns)));
    let planned = phase.planned_ns.map_or(String::new(), |ns| format!(" of {}", short(Ns::new(ns))));
    let _ = writeln!(
        page,
        "<div class=\"row{}\"><span class=\"who\">{} {} {}</span><span class=\"track\">\
         <i class=\"bar {}\" style=\"left:{:.2}%;width:{:.2}%\"></i>{plan}{rules}</span>\
         <span class=\"time\"><b>{measured}</b>{planned}</span></div>",
        match (blamed, over) {
            (true, _) => " offender",
            (false, true) => " over",
            (false, false) => "",
        },
        phase.side,
        phase.port,
        phase.phase,
        phase.side,
        line.at(start),
        line.at(stop) - line.at(start)
    );
}
