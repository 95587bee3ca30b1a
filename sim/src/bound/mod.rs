//! `bound`: the worst case of a scenario, computed and not sampled.
//!
//! A schedule is made from contracts, by the formulas of [`switchover_core::schedule`] themselves; what can happen
//! between its deadlines is summed up from the longest that each thing really takes. The result is an upper bound of
//! every run of the scenario ([`Bound::commit`], [`Bound::abort`]), or says why there is none.
//!
//! Files: `facts` (contracts and truth), `worst` (the formulas), `breaks` (what faults take away), `steps` and `parts`
//! (what the table shows), `form` (the result), `table` (for people), `timed` (worlds that are explored). Not here: any run
//! of a machine.

mod breaks;
pub mod facts;
pub mod form;
mod parts;
mod steps;
mod table;
pub mod timed;
pub mod worst;

use switchover_core::admission::{Traffic, Verdict, judge};
use switchover_core::contract::Origin;
use switchover_core::time::Ns;
use switchover_core::units::Bytes;

use crate::scenario::Scenario;
use breaks::Breaks;
use facts::{FOREVER, Facts};
pub use form::Bound;
use form::{Case, Planned, Smallest, VERSION};
use worst::Worst;

/// The worst case of `scenario`.
#[must_use]
pub fn bound(scenario: &Scenario) -> Bound {
    let facts = Facts::of(scenario);
    let verdict = verdict(scenario);
    let delay_ns = facts::learned(scenario);
    let smallest = Smallest {
        downtime_limit_ns: verdict.downtime(),
        hard_limit_ns: verdict.smallest_hard_limit().or_longer(verdict.downtime()),
    };
    let breaks = Breaks::of(scenario, &facts);
    let worst = facts.worst().ok();
    let [commit, before_go, abort] = cases(worst.as_ref(), &breaks);
    let longest = commit.downtime_ns.zip(abort.downtime_ns).map(|(commit, abort)| commit.or_longer(abort));
    let hard_limit = facts.inputs.hard_limit;
    Bound {
        version: VERSION,
        scenario: scenario.name.clone(),
        downtime_limit_ns: scenario.limits.downtime,
        hard_limit_ns: hard_limit,
        rho_ppm: facts.inputs.drift,
        delay_ns,
        admitted: verdict.fits,
        smallest,
        schedule: worst.map(|worst| planned(&worst, hard_limit)),
        steps: worst.map_or_else(Vec::new, |worst| steps::steps(&verdict, &facts, &worst, &breaks)),
        slack_ns: longest.and_then(|longest| hard_limit.checked_minus(longest)),
        work: parts::work(&verdict),
        reserve: parts::reserve(&facts),
        dominates: parts::dominates(&verdict, &facts),
        broken: facts.broken(breaks.ways),
        assumed: assumed(scenario),
        knowledge: breaks.knowledge,
        commit,
        before_go,
        abort,
    }
}

/// What no contract says.
fn assumed(scenario: &Scenario) -> Vec<String> {
    let hosts = [("source", &scenario.source), ("destination", &scenario.destination)];
    let stolen = hosts.into_iter().filter(|(_, host)| host.stolen.is_some());
    stolen
        .map(|(who, _)| format!("nothing on the {who} meets more than one pause of its stolen processor"))
        .collect()
}

/// The machine's own verdict with nothing left to send, at the longest delay that it may have learned.
fn verdict(scenario: &Scenario) -> Verdict {
    let own = &scenario.source_contracts;
    let traffic = Traffic {
        left: Bytes::ZERO,
        rate: own.link.rate,
        rate_origin: Origin::Declared,
        delay: facts::learned(scenario).1,
        delay_origin: Origin::Learned,
    };
    let peer = facts::announced(scenario);
    let drift = scenario.source.declared_drift;
    judge(scenario.limits, own, own.sums(), &peer, drift, scenario.arbiter.is_some(), traffic).0
}

fn planned(worst: &Worst, hard_limit: Ns) -> Planned {
    let schedule = worst.schedule;
    Planned {
        lease_ns: schedule.lease,
        decide_ns: schedule.decide,
        answer_ns: schedule.answer,
        go_by_ns: schedule.go_by,
        reserve_ns: hard_limit.minus(schedule.go_by),
    }
}

/// A commit, an abort before `Go`, any abort.
fn cases(worst: Option<&Worst>, breaks: &Breaks) -> [Case; 3] {
    let Some(worst) = worst else {
        return [(); 3].map(|()| case(Ns::ZERO, "never stopped: the limit leaves no time for work", &[]));
    };
    let commit = worst.commit(breaks.ways);
    let taken = commit < worst.leased;
    let commit_formula = if taken { "go_by + delta + W_d + need" } else { "go_by - delta + L(1+rho)" };
    let abort = worst.abort(breaks.ways);
    let undone = (worst.undone, "go_by + W_s + R");
    let known = [
        undone,
        (worst.refused, "go_by + (L-need)(1+rho) + W_d + delta + R"),
        (worst.claimed.unwrap_or(FOREVER), "go_by + (L-need)(1+rho) + A + W_s + C + R"),
        (worst.superseded, "go_by + L(1+rho) + J + delta + R"),
    ];
    let abort_formula =
        known.into_iter().find(|(time, _)| *time == abort).map_or("none", |(_, formula)| formula);
    let any: Vec<String> = breaks.before_go.iter().chain(&breaks.after_go).cloned().collect();
    [
        case(commit, commit_formula, &breaks.commit),
        case(undone.0, undone.1, &breaks.before_go),
        case(abort, abort_formula, &any),
    ]
}

/// A case whose time is [`FOREVER`], or that has reasons to come at any time, is unbounded.
fn case(time: Ns, formula: &str, unbounded: &[String]) -> Case {
    let mut reasons: Vec<String> = Vec::new();
    for why in unbounded {
        if !reasons.contains(why) {
            reasons.push(why.clone());
        }
    }
    if time == FOREVER && reasons.is_empty() {
        reasons.push("an operation may never end (see what is not kept)".into());
    }
    Case { downtime_ns: reasons.is_empty().then_some(time), formula: formula.into(), unbounded: reasons }
}
