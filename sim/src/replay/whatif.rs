//! Would this limit have held, and who would have been blamed?
//!
//! The source's recorded events are handed to a machine with other limits, each when it came; deadlines that the recorded
//! one had not are the machine's own. As long as it does what was recorded, the recording says what happened next. Where it aborts, that is the
//! answer: its rollback is reckoned with by contract. Where it would have gone on otherwise (admitted earlier, or on
//! where the recorded one aborted), the recording ends and what is known then is told.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchover_core::action::{Note, SourceAction};
use switchover_core::admission::Verdict;
use switchover_core::contract::SourceContracts;
use switchover_core::event::SourceEvent;
use switchover_core::outcome::{Ended, Ending};
use switchover_core::port::{Blame, Phase, Port, Side};
use switchover_core::time::{At, Ns};
use switchover_text::events::{Line, Step};
use switchover_text::record::Offender;

use super::journal::{ShellSource, SourceLine};

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WhatIf {
    /// The planned limit that was asked about.
    pub downtime_limit_ns: Ns,
    /// H.
    pub hard_limit_ns: Ns,
    /// Each attempt, as far as the recording goes.
    pub attempts: Vec<Fate>,
}

/// What would have become of an attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Fate {
    /// Its number.
    pub attempt: u32,
    /// `committed`, `aborted`, `never stopped`, or `unknown`: the recording ends there.
    pub outcome: String,
    /// Why, in the record's word.
    pub reason: Option<String>,
    /// Who is to blame.
    pub offender: Option<Offender>,
    /// The guest's downtime: measured, or, where the machine would have aborted, reckoned with its rollback's contract.
    pub downtime_ns: Option<Ns>,
    /// The prediction it was admitted, or not admitted, with.
    pub predicted_ns: Option<Ns>,
    /// The largest term of that.
    pub heaviest: Option<(String, Ns)>,
    /// Whether the guest ran again within H; `None`: cannot be said from this recording.
    pub held: Option<bool>,
}

/// The machine under the other limit, and what it has said so far.
struct Asked {
    machine: ShellSource,
    /// The recorded one: whose deadline it was that a recorded event is about.
    recorded: ShellSource,
    fates: Vec<Fate>,
    /// The attempt under way.
    attempt: u32,
    stopped: Option<At>,
    verdict: Option<Verdict>,
    aborting: Option<(At, Option<Blame>)>,
}

/// Asks `machine`, with the events of `recorded`.
pub(super) fn what_if(machine: ShellSource, recorded: ShellSource, lines: &[SourceLine]) -> WhatIf {
    let limits = machine.config().limits;
    let (fates, attempt) = (Vec::new(), 0);
    let mut asked = Asked { machine, recorded, fates, attempt, stopped: None, verdict: None, aborting: None };
    let known = asked.run(lines);
    if !known {
        asked.end_unknown();
    }
    asked.hear(lines);
    WhatIf { downtime_limit_ns: limits.downtime, hard_limit_ns: limits.hard(), attempts: asked.fates }
}

impl Asked {
    /// Whether the recording went as far as the machine did.
    fn run(&mut self, lines: &[SourceLine]) -> bool {
        for line in lines {
            match line {
                Line::Step(step) => {
                    if let Some(known) = self.step(step) {
                        return known;
                    }
                }
                Line::Settings(value) => self.settings(value),
                Line::Lost(_) => return false,
            }
        }
        self.stopped.is_none() || self.told()
    }

    /// One recorded step; `Some`: the recording is of no use from here on, and whether the answer is known.
    fn step(&mut self, step: &Step<SourceEvent, SourceAction>) -> Option<bool> {
        let same = step.event == SourceEvent::Deadline && self.machine.deadline() == self.recorded.deadline();
        let before = |due: &At| !same && *due <= step.at;
        while let Some(due) = self.machine.deadline().filter(before) {
            let actions = self.machine.step(due, SourceEvent::Deadline).actions;
            self.notes(due, &actions);
            if self.aborting.is_some() {
                return Some(self.end_aborted());
            }
            if self.machine.deadline() == Some(due) {
                break;
            }
        }
        let _same_again = self.recorded.step(step.at, step.event);
        let actions = self.machine.step(step.at, step.event).actions;
        self.notes(step.at, &actions);
        let goes_on = actions.iter().any(asks) == step.actions.iter().any(asks);
        // It goes on where the recorded one did not, or the other way round.
        (!goes_on).then(|| self.told() || self.end_aborted())
    }

    fn settings(&mut self, value: &Value) {
        if let Ok(contracts) = SourceContracts::<4, 8>::deserialize(value) {
            // What cannot be kept was not kept in the recorded run either.
            let _kept =
                self.recorded.set_contracts(contracts.clone()).and(self.machine.set_contracts(contracts));
        }
    }

    /// Whether what became of the attempt at hand is known.
    fn told(&self) -> bool {
        self.fates.iter().any(|fate| fate.attempt == self.attempt)
    }

    fn notes(&mut self, now: At, actions: &[SourceAction]) {
        for note in actions.iter().filter_map(SourceAction::note) {
            match *note {
                Note::Began(id) => {
                    (self.attempt, self.stopped, self.verdict) = (id.counter, None, None);
                    self.aborting = None;
                }
                Note::Verdict(verdict) => self.verdict = Some(verdict),
                Note::Stopping => self.stopped = Some(now),
                Note::Aborting { offender, .. } => self.aborting = Some((now, offender)),
                Note::Ended(ended) => self.end(ended),
                _ => {}
            }
        }
    }

    fn end(&mut self, ended: Ended) {
        let hard = self.machine.config().limits.hard();
        let (outcome, reason) = match ended.ending {
            Ending::Committed => ("committed", None),
            Ending::Aborted(reason) if self.stopped.is_none() => ("never stopped", Some(reason)),
            Ending::Aborted(reason) => ("aborted", Some(reason)),
            Ending::Lost => ("lost", None),
        };
        let fate = Fate {
            reason: reason.map(|reason| switchover_text::record::reason(reason).to_owned()),
            offender: ended.offender.map(Offender::from),
            downtime_ns: Some(ended.blackout),
            held: Some(ended.blackout <= hard),
            ..self.fate(outcome)
        };
        self.fates.push(fate);
        self.aborting = None;
    }

    /// It aborts where the recorded one did not: from here on the recording is of no use, but its contract is.
    fn end_aborted(&mut self) -> bool {
        let Some((at, offender)) = self.aborting.take() else { return false };
        let limits = self.machine.config().limits;
        let downtime =
            self.stopped.map_or(Ns::ZERO, |t0| at.since(t0).plus(self.machine.config().contracts.rollback()));
        let outcome = if self.stopped.is_some() { "aborted" } else { "never stopped" };
        let fate = Fate {
            offender: offender.map(Offender::from),
            downtime_ns: Some(downtime),
            held: Some(downtime <= limits.hard()),
            ..self.fate(outcome)
        };
        self.fates.push(fate);
        true
    }

    /// An aborting source that heard nothing can only guess that it was the link, and waits for the destination's word.
    /// Whom the recorded attempt was blamed on in the end, that word would have named too.
    fn hear(&mut self, lines: &[SourceLine]) {
        let steps = lines.iter().filter_map(|line| match line {
            Line::Step(step) => Some(step),
            Line::Settings(_) | Line::Lost(_) => None,
        });
        let notes = steps.flat_map(|step| step.actions.iter().filter_map(SourceAction::note));
        for note in notes {
            let Note::Ended(Ended { attempt, offender: Some(known), .. }) = *note else { continue };
            let guessed = |fate: &&mut Fate| fate.attempt == attempt.counter && fate.reason.is_none();
            let at_link =
                Offender::from(Blame { side: Side::Source, port: Port::Link, phase: Phase::Transfer });
            for fate in self.fates.iter_mut().filter(guessed).filter(|fate| fate.offender == Some(at_link)) {
                fate.offender = Some(known.into());
            }
        }
    }

    fn end_unknown(&mut self) {
        let fate = self.fate("unknown");
        self.fates.push(fate);
    }

    fn fate(&self, outcome: &str) -> Fate {
        Fate {
            attempt: self.attempt,
            outcome: outcome.to_owned(),
            reason: None,
            offender: None,
            downtime_ns: None,
            predicted_ns: self.verdict.map(|verdict| verdict.downtime()),
            heaviest: self.verdict.map(|verdict| heaviest(&verdict)),
            held: None,
        }
    }
}

/// Whether an action makes the host do what only this course of events asks for.
fn asks(action: &SourceAction) -> bool {
    match action {
        SourceAction::Ask(..) | SourceAction::LastPages | SourceAction::Seal | SourceAction::Release => true,
        SourceAction::Round { .. }
        | SourceAction::Connect
        | SourceAction::Send(..)
        | SourceAction::Write(_)
        | SourceAction::KeepPages
        | SourceAction::Claim(_)
        | SourceAction::Note(_) => false,
    }
}

/// The largest term of a prediction.
fn heaviest(verdict: &Verdict) -> (String, Ns) {
    let terms = [
        ("stop", verdict.stop),
        ("save", verdict.save),
        ("transfer", verdict.transfer),
        ("seal", verdict.own_seal.plus(verdict.seal)),
        ("load", verdict.load),
        ("ready", verdict.ready),
        ("go", verdict.go),
        ("resume", verdict.resume),
    ];
    let (name, time) = terms.into_iter().max_by_key(|(_, time)| *time).unwrap_or_default();
    (name.to_owned(), time)
}
