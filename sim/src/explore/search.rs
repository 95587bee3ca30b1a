//! Breadth first over every state of a world, so that the first breach found is a shortest one.

use foldhash::fast::FixedState;
use indexmap::IndexSet;

use super::moves::{Breach, Move};
use super::state::State;
use super::walk::Walk;

/// How many states are left between two reports of progress.
const REPORT_EVERY: usize = 1 << 16;

/// Every state that was reached, and how.
pub(super) struct Search {
    pub states: IndexSet<State, FixedState>,
    /// The state before, and the move from there; of the first state, itself.
    before: Vec<(u32, Move)>,
    /// Moves taken, those that led to a known state with them.
    pub moves: u64,
}

impl Search {
    /// Goes through all states from `start`; stops at the first breach. `progress` hears of states reached and left.
    pub(super) fn run(
        walk: &mut Walk,
        start: State,
        progress: &mut dyn FnMut(usize, usize),
    ) -> (Self, Option<Breach>) {
        let mut search = Self { states: IndexSet::default(), before: vec![(0, Move::Begin)], moves: 0 };
        search.states.insert(start);
        let mut moves = Vec::new();
        let mut at = 0;
        while let Some(state) = search.states.get_index(at).copied() {
            walk.at = at as u32;
            walk.moves(&state, &mut moves);
            for by in &moves {
                let (next, verdict) = walk.after(&state, *by);
                search.moves += 1;
                if let Err(broken) = verdict {
                    return (search, Some(Breach { from: at as u32, by: *by, broken }));
                }
                if search.states.insert_full(next).1 {
                    search.before.push((at as u32, *by));
                }
            }
            at += 1;
            if at % REPORT_EVERY == 0 {
                progress(search.states.len(), at);
            }
        }
        progress(search.states.len(), at);
        (search, None)
    }

    /// The moves from the start to a state.
    pub(super) fn path(&self, to: u32) -> Vec<Move> {
        let mut path = Vec::new();
        let mut at = to;
        while at != 0 {
            let (before, by) = self.before[at as usize];
            path.push(by);
            at = before;
        }
        path.reverse();
        path
    }
}
