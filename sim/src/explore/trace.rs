//! A way through a world as a person reads it: what the source does on the left, the destination on the right,
//! messages between them.

use std::fmt::{Debug, Write as _};

use switchover_core::port::Side;

use super::moves::{Breach, Move};
use super::search::Search;
use super::state::{State, place};
use super::tables::{Job, Letter, Moment};
use super::walk::Walk;

/// A shortest way to a broken promise.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is broken.
    pub broken: super::judge::Broken,
    /// How many moves lead to it, the last with them.
    pub steps: usize,
    /// The moves as a sequence diagram.
    pub diagram: String,
}

impl Walk {
    /// Draws the way to a breach.
    pub(super) fn counterexample(&mut self, search: &Search, breach: Breach) -> Counterexample {
        let mut moves = search.path(breach.from);
        moves.push(breach.by);
        let mut state = search.states[0];
        let mut diagram = format!("      {:<14}{:^44}destination\n", "source", "");
        for (at, what) in moves.iter().enumerate() {
            let middle = self.words(*what);
            state = self.after(&state, *what).0;
            let (source, destination) = self.names(&state);
            let _infallible = writeln!(diagram, "{:>4}  {source:<14}{middle}{destination}", at + 1);
        }
        let broken = breach.broken;
        let _infallible = writeln!(diagram, "      {}: {}", broken.promise, broken.what);
        Counterexample { broken, steps: moves.len(), diagram }
    }

    fn words(&self, what: Move) -> String {
        let late = |moment| if moment == Moment::Late { " (late)" } else { "" };
        match what {
            Move::Deliver(letter, _, moment) => match self.letters[usize::from(letter)] {
                Letter::ToDestination(to, message) => {
                    format!(
                        "{:<44}",
                        format!("-- {} #{}{} ->", name(&message), to.attempt.counter, late(moment))
                    )
                }
                Letter::ToSource(from, message) => format!(
                    "{:>43} ",
                    format!(
                        "<- {} #{} of life {}{} --",
                        name(&message),
                        from.attempt.counter,
                        from.incarnation.0,
                        late(moment)
                    )
                ),
            },
            Move::Job(side, job, _, ends, moment) => {
                beside(side, &format!("{}: {ends:?}{}", self.job_name(side, job), late(moment)))
            }
            Move::Grant(side, ..) => beside(side, "the arbiter decides"),
            Move::Write(side, ends, moment) => beside(side, &format!("record: {ends:?}{}", late(moment))),
            Move::Due(side) => beside(side, "deadline"),
            Move::Down(side) => beside(side, "hears that the link is down"),
            Move::Cut => format!("{:^44}", "the link breaks"),
            Move::Crash(side, written, kept) => {
                beside(side, &format!("crashes; {written} records kept, jobs kept: {kept}"))
            }
            Move::Restart(side, true) => beside(side, "restarts, its journal lost"),
            Move::Restart(side, false) => beside(side, "restarts"),
            Move::Cancel(side) => beside(side, "cancel"),
            Move::Begin => beside(Side::Source, "begin"),
            Move::Fence => beside(Side::Source, "the destination's host is fenced"),
            Move::Tick => format!("{:^44}", "tick"),
        }
    }

    fn job_name(&self, side: Side, job: u8) -> String {
        match self.jobs[place(side)][usize::from(job)] {
            Job::Port(port, op) => format!("{op:?} {port:?}"),
            Job::Write(record) => format!("write {:?} #{}", record.kind, record.attempt.counter),
            other => name(&other),
        }
    }

    /// The states of both machines by name.
    fn names(&self, s: &State) -> (String, String) {
        let dead = || "dead".to_string();
        (
            if s.lives(Side::Source) { state_of(self.sources.get(s.machines[0])) } else { dead() },
            if s.lives(Side::Destination) { state_of(self.destinations.get(s.machines[1])) } else { dead() },
        )
    }

    /// A state in a line.
    pub(super) fn describe(&self, s: &State) -> String {
        let (source, destination) = self.names(s);
        format!(
            "source {source}, destination {destination}; {:?} {:?} {:?}",
            s.judge, s.source, s.destination
        )
    }
}

/// Something that one side does alone.
fn beside(side: Side, what: &str) -> String {
    match side {
        Side::Source => format!("{:<44}", format!("* {what}")),
        Side::Destination => format!("{:>43} ", format!("{what} *")),
    }
}

/// The name of a variant.
fn name(of: &impl Debug) -> String {
    format!("{of:?}").chars().take_while(|c| c.is_alphanumeric()).collect()
}

/// The name of the state that a machine is in, from its `Debug` text: the state is its last field.
fn state_of(machine: &impl Debug) -> String {
    let text = format!("{machine:?}");
    let from = text.rfind(", state: ").map_or(0, |at| at + ", state: ".len());
    text[from..].chars().take_while(|c| c.is_alphanumeric()).collect()
}
