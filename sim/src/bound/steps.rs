//! Each step of the switchover: when it has ended by contract, and the latest instant at which it has ended or is
//! given up.

use switchover_core::admission::{Rest, Verdict};
use switchover_core::port::Side;
use switchover_core::time::Ns;

use super::breaks::Breaks;
use super::facts::{FOREVER, Facts};
use super::form::Step;
use super::worst::Worst;

/// All of them, in the order of a committed attempt, then those of an abort.
pub(super) fn steps(verdict: &Verdict, facts: &Facts, worst: &Worst, breaks: &Breaks) -> Vec<Step> {
    let mut steps = before_go(verdict, worst);
    steps.extend(after_go(verdict, facts, worst, breaks));
    steps.extend(abort(worst, breaks));
    steps
}

fn before_go(verdict: &Verdict, worst: &Worst) -> Vec<Step> {
    let rest = Rest::from(verdict);
    let go_by = worst.schedule.go_by;
    let mut ended = Ns::ZERO;
    let mut row = |side, what: &str, takes: Ns, latest: Ns, formula: &str| {
        ended = ended.plus(takes);
        step(side, what, Some(ended), latest, formula)
    };
    vec![
        row(Side::Source, "stopped", verdict.stop, go_by.minus(rest.after_stop), "go_by - what follows"),
        row(Side::Source, "saved", verdict.save, go_by.minus(rest.after_transfer), "go_by - what follows"),
        row(
            Side::Source,
            "transferred",
            verdict.transfer,
            go_by.minus(rest.after_transfer),
            "go_by - what follows",
        ),
        row(Side::Source, "sealed", verdict.own_seal, go_by.minus(rest.after_seal), "go_by - what follows"),
        row(Side::Destination, "loaded", verdict.load, go_by, "go_by"),
        row(Side::Destination, "verified and settled", verdict.seal, go_by, "go_by"),
        row(Side::Source, "Ready read, MayGo durable", verdict.ready, go_by, "go_by"),
        row(Side::Source, "Go sent", Ns::ZERO, go_by, "go_by"),
    ]
}

fn after_go(verdict: &Verdict, facts: &Facts, worst: &Worst, breaks: &Breaks) -> Vec<Step> {
    let inputs = &facts.inputs;
    let bounded = |time: Ns| if breaks.commit.is_empty() { time } else { FOREVER };
    let go = verdict.work().plus(verdict.traffic.delay);
    let runs = verdict.downtime();
    let known = runs.plus(verdict.traffic.delay);
    let decided = worst.gave_up;
    let answer_by =
        worst.schedule.go_by.plus(worst.schedule.lease.stretched(inputs.drift)).plus(worst.schedule.answer);
    let commit = worst.commit(breaks.ways);
    let silent = if breaks.ways.answers { commit.plus(facts.truth.delay_most) } else { FOREVER };
    vec![
        step(Side::Destination, "Go taken, or refused", Some(go), decided, "go_by + (L-need)(1+rho) + W_d"),
        step(
            Side::Destination,
            "journaled",
            Some(runs.minus(verdict.resume)),
            bounded(commit.minus(verdict.resume)),
            "what runs, less Res",
        ),
        step(Side::Destination, "runs", Some(runs), bounded(commit), "go_by + L(1+rho), or need after Go"),
        step(Side::Source, "knows that it runs", Some(known), bounded(silent), "runs + delta"),
        step(Side::Source, "in doubt from", None, answer_by, "go_by + L(1+rho) + A"),
    ]
}

fn abort(worst: &Worst, breaks: &Breaks) -> Vec<Step> {
    let bounded = |time: Ns| if breaks.after_go.is_empty() { time } else { FOREVER };
    let undone = if breaks.before_go.is_empty() { worst.undone } else { FOREVER };
    let mut steps = vec![
        step(Side::Source, "abort before Go decided", None, worst.decided, "go_by + W_s"),
        step(Side::Source, "rolled back", None, undone, "go_by + W_s + R"),
    ];
    if breaks.ways.go_late {
        let refused = if breaks.ways.answers { bounded(worst.refused) } else { FOREVER };
        steps.push(step(
            Side::Destination,
            "refused by itself",
            None,
            worst.gave_up,
            "go_by + (L-need)(1+rho) + W_d",
        ));
        steps.push(step(Side::Source, "rolled back after Refused", None, refused, "refused + delta + R"));
    }
    if let Some((claims, claimed)) = worst.claims.zip(worst.claimed) {
        let claimed = if breaks.ways.arbiter { bounded(claimed) } else { FOREVER };
        steps.push(step(Side::Source, "claims", None, claims, "go_by + (L-need)(1+rho) + A + W_s"));
        steps.push(step(Side::Source, "rolled back after its claim", None, claimed, "claims + C + R"));
    }
    steps
}

fn step(side: Side, what: &str, by_contract: Option<Ns>, latest: Ns, formula: &str) -> Step {
    Step {
        side,
        what: what.to_owned(),
        by_contract_ns: by_contract,
        latest_ns: (latest != FOREVER).then_some(latest),
        formula: formula.to_owned(),
    }
}
