//! What a scenario's faults do to the promise: which ways stay open, and what has no bound, with the reason.
//!
//! Faults that only make work longer need nothing here: whatever they do, `go_by` ends it. How much longer a port that
//! is stalled or lies takes is in the facts; here is what no time can be said of.

use std::collections::BTreeSet;

use switchover_core::port::{Op, Phase, Side};

use super::facts::Facts;
use super::worst::Ways;
use crate::scenario::Scenario;
use crate::scenario::model::{What, Where};

/// What is left of the promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Breaks {
    /// What may get through.
    pub ways: Ways,
    /// Why a commit may come at any time.
    pub commit: Vec<String>,
    /// Why an abort before `Go` may.
    pub before_go: Vec<String>,
    /// Why an abort after `Go` may.
    pub after_go: Vec<String>,
    /// Why the source may not know for any time, although the guest runs.
    pub knowledge: Vec<String>,
}

const IN_DOUBT: &str = "between Go and its answer the source is in doubt and holds its guest (P3)";

impl Breaks {
    /// Of all faults that may happen, and of a world that breaks assumptions by itself.
    pub(super) fn of(scenario: &Scenario, facts: &Facts) -> Self {
        let ways = facts.ways();
        let [commit, before_go, after_go, knowledge] = Default::default();
        let mut breaks = Self { ways, commit, before_go, after_go, knowledge };
        for fault in scenario.faults.iter().filter(|fault| fault.chance > 0) {
            breaks.fault(&fault.what, scenario.hold_on_lost_device);
        }
        breaks.world(scenario);
        breaks.doubt();
        // Many faults, one reason.
        for reasons in
            [&mut breaks.commit, &mut breaks.before_go, &mut breaks.after_go, &mut breaks.knowledge]
        {
            let mut seen = BTreeSet::new();
            reasons.retain(|why| seen.insert(why.clone()));
        }
        breaks
    }

    fn fault(&mut self, what: &What, hold: bool) {
        match what {
            // What they do to the times that count here is in the facts.
            What::Stall { .. } | What::Lie { .. } => {}
            What::Fail { side, port, phase } => self.fails(*side, *port, *phase, hold),
            What::Drop { message, once } => self.dropped(message, *once),
            What::Partition { from: Some(Side::Source), .. } => self.ways.go_late = true,
            What::Partition { .. } => self.silent("a partition may keep the answer back"),
            What::Reset => self.silent("a reset may lose the answer, and a new connection takes its time"),
            What::StallLink { .. } => self.silent("a link that stands still keeps the answer back"),
            What::Kill { side, .. } => self.killed(*side),
            What::Pause { .. } => (self.ways.go_late, self.ways.supersedes) = (true, true),
            What::Cancel { .. } => self.ways.go_late = true,
            What::NoArbiter { side, .. } => {
                self.ways.arbiter &= *side == Some(Side::Destination);
                // A claim that was made, and whose answer is lost, is refused to the other side.
                (self.ways.supersedes, self.ways.go_late) = (true, true);
            }
            What::Corrupt => {}
        }
    }

    fn fails(&mut self, side: Side, port: Where, phase: Phase, hold: bool) {
        let rollback = phase == Op::Rollback.phase();
        match (side, port) {
            (Side::Source, Where::Vcpus) if rollback => {
                self.undo("a rollback of the vCPUs that fails is asked again until it succeeds");
            }
            // Without the device, unless the guest is to be held for it.
            (Side::Source, Where::Device(_)) if rollback && hold => {
                self.undo("a rollback of a device that fails is asked again, and the guest is held for it");
            }
            (Side::Destination, _) => (self.ways.supersedes, self.ways.go_late) = (true, true),
            _ => {}
        }
    }

    fn dropped(&mut self, message: &str, once: bool) {
        match message {
            "running" => self.knowledge.push(format!(
                "Running may be lost{}: the guest runs, and the source does not know it yet",
                if once { " once" } else { "" }
            )),
            "refused" | "pending" | "lost" => self.silent("the destination's answer may be lost"),
            _ => self.ways.go_late = true,
        }
    }

    /// No abort is sure.
    fn undo(&mut self, why: &str) {
        self.before_go.push(why.to_owned());
        self.after_go.push(why.to_owned());
    }

    /// Answers are not sure to come in time.
    fn silent(&mut self, why: &str) {
        self.ways.go_late = true;
        self.ways.answers = false;
        self.knowledge.push(why.to_owned());
    }

    fn killed(&mut self, side: Side) {
        self.ways.go_late = true;
        let who = match side {
            Side::Source => "source",
            Side::Destination => "destination",
        };
        let dies = format!("the {who}'s process may die (P2 assumes no crash)");
        if side == Side::Source {
            self.before_go.push(dies.clone());
        }
        self.after_go.push(dies);
        if side == Side::Destination {
            let late = "a destination that died after its Running record runs the guest when it is back";
            self.commit.push(late.to_owned());
        }
        self.knowledge.push(format!("the {who} may be dead"));
    }

    fn world(&mut self, scenario: &Scenario) {
        if let Some(lossy) = &scenario.link.datagrams
            && (lossy.lost > 0 || lossy.doubled > 0 || lossy.reordered > 0)
        {
            self.silent("single messages may be lost or late (datagrams)");
        }
    }

    /// Without an answer and without an arbiter nobody can say (P3).
    fn doubt(&mut self) {
        if !self.ways.answers && !self.ways.arbiter {
            let first = self.knowledge.first().map_or("the answer may be lost", String::as_str);
            self.after_go.push(format!("{first}: {IN_DOUBT}"));
        } else if !self.ways.answers && self.ways.supersedes {
            let why =
                "the destination may win its claim and not run the guest, and its answer may be kept back";
            self.after_go.push(why.to_owned());
        }
    }
}
