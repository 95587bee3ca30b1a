//! Every behaviour of a small world, with the real machines of `switchover-core`.
//!
//! ```text
//! World --start--> State --moves--> Move --after--> State, or a broken promise
//!                    |                                 |
//!                    +--- Search: breadth first -------+--> Counterexample (shortest)
//!                    +--- recovery: without faults -------> Recovery
//! ```
//!
//! A state is two machines, moved to one instant (\[SW-71\]), what is under way, what is durable, what the checker
//! knows, and the faults that are left. States are compared in full: no hash is trusted, so that nothing can be passed
//! over by a collision. A machine takes each event in each of its states once, and the answer is remembered: what a
//! million states share is computed once. No partial-order reduction is made.
//!
//! Left out of a state, since no rule of a machine reads it: what a message says for the record alone (who was slow,
//! what was measured), the `Aborted` record, and the pings, whose round trips are constant.
//!
//! Not here: chance, devices' sizes, rates, records (the world and its campaigns); how late is late in general (the
//! bound, by formula).

mod effects;
mod judge;
mod moves;
mod reached;
mod recover;
mod search;
mod settings;
mod state;
mod tables;
mod time;
mod trace;
mod walk;
mod world;
mod worlds;

use switchover_core::time::Ns;

pub use judge::Broken;
pub use reached::Reached;
pub use recover::{Excuse, Recovery};
pub use settings::{destination as destination_settings, source as source_settings};
pub use trace::Counterexample;
pub use world::{From, Guest, Timing, World};
pub use worlds::{standard, world, worlds};

/// How far a walk is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    /// States that were reached.
    pub states: usize,
    /// Of these, those whose every move was taken.
    pub done: usize,
}

/// What the walk through a world came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// States that were reached.
    pub states: usize,
    /// Moves that were taken.
    pub moves: u64,
    /// Different machines that were met, both sides together.
    pub machines: usize,
    /// Steps that real machines took; every other was looked up.
    pub steps: usize,
    /// What was reached.
    pub reached: Vec<Reached>,
    /// What the world is to reach and was not.
    pub missing: Vec<Reached>,
    /// Timed: the longest that the guest was dark before it ran on the destination, on the source's clock.
    pub worst_commit: Option<Ns>,
    /// Timed: the longest that it was dark before it ran on the source again.
    pub worst_abort: Option<Ns>,
    /// The shortest way to a broken promise, if there is one; the walk ends with it.
    pub counterexample: Option<Counterexample>,
    /// Untimed and with no promise broken: whether every state recovers.
    pub recovery: Option<Recovery>,
}

impl Report {
    /// Whether every promise is kept, and every state recovers.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.counterexample.is_none() && self.recovery.as_ref().is_none_or(|recovery| recovery.stuck == 0)
    }
}

/// Walks through all of a world. `progress` is called now and then.
///
/// # Panics
/// When the world is too large for the tables of this module: more messages, jobs or things under way than they hold.
pub fn run(world: &World, progress: &mut dyn FnMut(Progress)) -> Report {
    let mut walk = walk::Walk::new(*world);
    let start = walk.start();
    let start = world.timing.map_or(start, |timing| walk.begun(start, timing.from));
    let (search, breach) =
        search::Search::run(&mut walk, start, &mut |states, done| progress(Progress { states, done }));
    let reached = walk.firsts.all();
    let missing = world.reaches.iter().copied().filter(|what| !reached.contains(what)).collect();
    let (machines, steps) = walk.machines();
    let worst = walk.worst;
    let on_source = |ticks| world.timing.map(|timing| timing.on_source(ticks));
    let recovery = (breach.is_none() && world.timing.is_none()).then(|| walk.recovery(&search));
    Report {
        states: search.states.len(),
        moves: search.moves,
        machines,
        steps,
        reached,
        missing,
        worst_commit: on_source(worst[0]),
        worst_abort: on_source(worst[1]),
        counterexample: breach.map(|breach| walk.counterexample(&search, breach)),
        recovery,
    }
}
