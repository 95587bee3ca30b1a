//! Which terms the limit goes to.

use switchover_core::admission::Verdict;
use switchover_core::time::Ns;

use super::facts::Facts;
use super::form::Part;
use super::table::millis;

/// The work before `Go`, by contract.
pub(super) fn work(verdict: &Verdict) -> Vec<Part> {
    sorted([
        ("stop", verdict.stop),
        ("save", verdict.save),
        ("seal at the source", verdict.own_seal),
        ("load", verdict.load),
        ("verify and settle", verdict.seal),
        ("Ready, there and back", verdict.ready),
    ])
}

/// What the source reserves of H for what follows `Go`, at the delay of the facts.
pub(super) fn reserve(facts: &Facts) -> Vec<Part> {
    let inputs = &facts.inputs;
    let (lease, answer, reserve) = (inputs.lease(), inputs.answer(), inputs.reserve());
    let waiting =
        if inputs.delay >= inputs.journal { "delta, Ready's way" } else { "J_s, the source's journal" };
    let waited = inputs.delay.or_longer(inputs.journal);
    // Either the lease runs out, or it is refused and rolled back: one of the two is what is reserved.
    let mut parts = vec![
        (waiting, waited),
        ("W_s, the source's timer", inputs.timer),
        ("delta, Go's way", inputs.delay),
        ("W_d, the destination's timer", inputs.peer_timer),
    ];
    if inputs.after_commit(lease) == reserve {
        parts.push(("need: claim, journal, resume", inputs.need));
    } else {
        parts.push(("A, the answer's way", answer));
        parts.push(("R, the rollback", inputs.rollback));
        parts.extend(inputs.claim.map(|claim| ("C and W_s, the source's claim", claim.plus(inputs.timer))));
    }
    let sum = parts.iter().fold(Ns::ZERO, |sum, (_, time)| sum.plus(*time));
    parts.push(("rho, and rounding", reserve.minus(sum)));
    sorted(parts)
}

/// The heaviest term of both, in words.
pub(super) fn dominates(verdict: &Verdict, facts: &Facts) -> String {
    let heaviest = |parts: Vec<Part>| parts.into_iter().next();
    let (Some(work), Some(reserve)) = (heaviest(work(verdict)), heaviest(reserve(facts))) else {
        return String::new();
    };
    let (first, second) = if work.time_ns >= reserve.time_ns { (&work, &reserve) } else { (&reserve, &work) };
    format!("{} ({}), then {} ({})", first.what, millis(first.time_ns), second.what, millis(second.time_ns))
}

fn sorted<'a>(parts: impl IntoIterator<Item = (&'a str, Ns)>) -> Vec<Part> {
    let mut parts: Vec<Part> =
        parts.into_iter().map(|(what, time_ns)| Part { what: what.to_owned(), time_ns }).collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.time_ns));
    parts
}
