//! Once faults stop, the guest can still come to run on one side, with the source knowing: from every state.
//!
//! From each state that was reached all that is under way on the network is lost, no fault is left, and from then on
//! only fair things happen: a process that is dead is started again, a connection that is gone is noticed and made
//! anew, every job ends well, and what is said on a connection comes once. Every state of *that* walk must have a way
//! to a state in which the guest runs on exactly one side and the source knows, or to one that the protocol names
//! ([`Excuse`]). That there is a way, not that it is taken: who is fair takes it in the end.

use foldhash::fast::FixedState;
use indexmap::IndexSet;

use switchover_core::port::Side;
use switchover_core::source::Standing;

use super::search::Search;
use super::state::State;
use super::walk::Walk;

/// A state that the protocol cannot lead out of, and says so (`docs/PROTOCOL.md`, section 10, and P3).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Excuse {
    /// The guest was to run on the destination and is gone there; the source holds its copy for an operator.
    Lost,
    /// Neither host has the guest any more: it died with the process that had it.
    Died,
    /// The destination's journal was replaced: nobody there can say what became of the attempt.
    Stranger,
}

/// How the states of a world recover.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// States of the walk without faults.
    pub states: usize,
    /// Of these, those that can only come to a state that the protocol names.
    pub excused: usize,
    /// Of these, those that have no way out: none, if recovery holds.
    pub stuck: usize,
    /// One of them, in words.
    pub example: Option<String>,
}

impl Walk {
    fn runs_and_known(&self, s: &State) -> bool {
        if !s.lives(Side::Source) {
            return false;
        }
        let (here, there) = (s.judge.runs_on_source(), s.judge.runs_on_destination());
        match self.sources.get(s.machines[0]).standing() {
            Standing::Rests | Standing::Waits | Standing::Migrating => here && !there,
            Standing::Moved => there && !here,
            Standing::Stopped | Standing::InDoubt | Standing::Held => false,
        }
    }

    fn excuse(&self, s: &State) -> Option<Excuse> {
        if !s.judge.source_copy() && !s.judge.destination_copy() {
            return Some(Excuse::Died);
        }
        if !s.lives(Side::Source) {
            return None;
        }
        let standing = self.sources.get(s.machines[0]).standing();
        if standing == Standing::Held {
            return Some(Excuse::Lost);
        }
        let asked = s.source.may_go;
        (standing == Standing::InDoubt && asked != 0 && asked - 1 != s.destination.identity)
            .then_some(Excuse::Stranger)
    }

    /// Goes on from every state of `search` without faults.
    pub(super) fn recovery(&mut self, search: &Search) -> Recovery {
        let firsts = self.firsts.clone();
        self.calm = true;
        let mut states: IndexSet<State, FixedState> = search.states.iter().map(Self::calmed).collect();
        let (mut offsets, mut edges) = (vec![0_usize], Vec::<u32>::new());
        let mut moves = Vec::new();
        let mut at = 0;
        while let Some(state) = states.get_index(at).copied() {
            self.moves(&state, &mut moves);
            for what in &moves {
                // A breach on a way without faults is a breach of the world itself, and was found there.
                let (next, _) = self.after(&state, *what);
                edges.push(states.insert_full(next).0 as u32);
            }
            offsets.push(edges.len());
            at += 1;
        }
        self.calm = false;
        self.firsts = firsts;
        let well = backwards(&offsets, &edges, |at| self.runs_and_known(&states[at]));
        let named = backwards(&offsets, &edges, |at| self.excuse(&states[at]).is_some());
        let lost = |at: &usize| !well[*at] && !named[*at];
        Recovery {
            states: states.len(),
            excused: (0..states.len()).filter(|at| !well[*at] && named[*at]).count(),
            stuck: (0..states.len()).filter(lost).count(),
            example: (0..states.len()).find(lost).map(|at| self.describe(&states[at])),
        }
    }
}

/// The states that have a way to one that is `good`.
fn backwards(offsets: &[usize], edges: &[u32], good: impl Fn(usize) -> bool) -> Vec<bool> {
    let count = offsets.len() - 1;
    let mut reach: Vec<bool> = (0..count).map(good).collect();
    loop {
        let mut changed = false;
        // A way leads mostly to later states: backwards, one pass does nearly all of it.
        for at in (0..count).rev().filter(|at| !reach[*at]).collect::<Vec<_>>() {
            if edges[offsets[at]..offsets[at + 1]].iter().any(|to| reach[*to as usize]) {
                reach[at] = true;
                changed = true;
            }
        }
        if !changed {
            return reach;
        }
    }
}
