//! What two other rules make of a trace: stock QEMU's, which is none, and the one of the RFC that proposed a strict limit.
//!
//! The RFC's source looks at a clock in whole milliseconds after the stop, after each iterable unit and after each other
//! one; the sum of both limits is compared with `>=`. Its destination is told limit and downtime so far once, after all
//! iterable state, and counts on from when it reads that; it looks after each unit that follows. Neither looks while
//! anything is under way, nor at the announcement and the start. What is decided is known to the side that decided.

use serde::Serialize;
use switchover_core::config::Limits;
use switchover_core::port::Side;
use switchover_core::time::Ns;

use super::trace::{Trace, Unit};

const MILLI: u64 = 1_000_000;

/// What a rule made of a switchover.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Ruling {
    /// Whose rule.
    pub rule: String,
    /// `committed`, `aborted`, `not admitted`.
    pub outcome: String,
    /// When that was decided, from t = 0; `None`: nobody decided, or the guest was never stopped.
    pub decided_ns: Option<Ns>,
    /// On which side.
    pub by: Option<Side>,
    /// How long the guest stood still, at least.
    pub felt_ns: Ns,
    /// Whether that is within the limit.
    pub held: bool,
    /// Who is named, with the phase; empty: nobody.
    pub blamed: String,
    /// What else has to be said.
    pub remark: String,
}

/// Stock QEMU: nothing ends what was begun.
pub(super) fn stock(trace: &Trace, limits: Limits) -> Ruling {
    let felt = trace.downtime();
    Ruling {
        rule: "stock QEMU".into(),
        outcome: "committed".into(),
        decided_ns: None,
        by: None,
        felt_ns: felt,
        held: felt <= limits.hard(),
        blamed: String::new(),
        remark: "downtime-limit was compared with bytes and bandwidth before the stop, and never again"
            .into(),
    }
}

/// The RFC's.
pub(super) fn rfc(trace: &Trace, limits: Limits) -> Ruling {
    let limit = limits.hard().get() / MILLI;
    let stop = ("the stop".to_owned(), trace.stopped);
    let saves = trace.units.iter().filter(|unit| unit.saved).map(|unit| (after(unit), unit.ended));
    let elapsed = |at: Ns| clock(trace.start.plus(at)) - clock(trace.start);
    let source = std::iter::once(stop).chain(saves).find(|(_, at)| elapsed(*at) >= limit);
    if let Some((what, at)) = source {
        return aborted(trace, limits, Side::Source, what, at, elapsed(at));
    }
    match on_destination(trace, limit) {
        Some((what, at, counted)) => aborted(trace, limits, Side::Destination, what, at, counted),
        None => Ruling {
            rule: "RFC".into(),
            remark: "no check saw the limit reached".into(),
            ..stock(trace, limits)
        },
    }
}

/// The destination reads what it is told when its last iterable unit is loaded, and believes that nothing passed on the
/// way: what had queued up before it is invisible to it.
fn on_destination(trace: &Trace, limit: u64) -> Option<(String, Ns, u64)> {
    let loads = || trace.units.iter().filter(|unit| !unit.saved);
    let told =
        loads().filter(|unit| unit.iterable).map(|unit| unit.ended).max()?.or_longer(trace.iterable_saved);
    let so_far = clock(trace.start.plus(trace.iterable_saved)) - clock(trace.start);
    let counted = |at: Ns| so_far + clock(trace.start.plus(at)) - clock(trace.start.plus(told));
    loads()
        .filter(|unit| !unit.iterable && unit.ended >= told)
        .find(|unit| counted(unit.ended) >= limit)
        .map(|unit| (after(unit), unit.ended, counted(unit.ended)))
}

/// Whole milliseconds of a clock.
fn clock(at: Ns) -> u64 {
    at.get() / MILLI
}

fn after(unit: &Unit) -> String {
    format!("the {} of {}", if unit.saved { "save" } else { "load" }, unit.name)
}

fn aborted(trace: &Trace, limits: Limits, by: Side, what: String, at: Ns, counted: u64) -> Ruling {
    let over = counted.saturating_sub(limits.downtime.get() / MILLI);
    let start = super::ours::restart(trace);
    let felt = at.plus(start);
    Ruling {
        rule: "RFC".into(),
        outcome: "aborted".into(),
        decided_ns: Some(at),
        by: Some(by),
        felt_ns: felt,
        held: felt <= limits.hard(),
        blamed: String::new(),
        remark: format!(
            "noticed after {what}: \"Downtime Limit of {} ms exceeded by {over} ms\"",
            limits.downtime.get() / MILLI
        ),
    }
}
