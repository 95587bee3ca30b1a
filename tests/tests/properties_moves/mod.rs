//! Moves of `properties.rs`: numbers that a player turns into a time and an event that its machine may meet.

pub mod destination;
pub mod source;

use std::fmt::Debug;
use std::hash::Hash;

use proptest::prelude::*;
use switchover_core::event::Outcome;
use switchover_core::time::{At, Ns};

/// One move.
#[derive(Copy, Clone, Debug)]
pub struct Move {
    /// What kind of event.
    pub kind: u8,
    /// Which of them.
    pub pick: u16,
    /// How it ends, where it is an answer.
    pub luck: u8,
    /// When.
    pub when: u8,
    /// How much later.
    pub wait: u32,
}

/// Any move.
pub fn moves() -> impl Strategy<Value = Move> {
    (0u8..100, any::<u16>(), 0u8..100, 0u8..100, 0u32..40_000_000)
        .prop_map(|(kind, pick, luck, when, wait)| Move { kind, pick, luck, when, wait })
}

/// A machine that can be played alone.
pub trait Alone: Clone {
    /// Its events.
    type Event: Copy + Debug;
    /// What is compared and hashed.
    type Key: Hash + Eq;
    /// The machine.
    fn key(&self) -> &Self::Key;
    /// One step: how many actions, and the next deadline.
    fn step(&mut self, now: At, event: Self::Event) -> (usize, Option<At>);
    /// The event of a move.
    fn choose(&mut self, step: &Move) -> Self::Event;
    /// The last deadline.
    fn due(&self) -> Option<At>;
    /// Moves all its instants.
    fn rebase(&mut self, shift: i64);
    /// The machine's own word.
    fn invariant(&self) -> bool;
    /// The event of a deadline.
    fn deadline_event() -> Self::Event;
    /// Whether both machines are equal.
    fn same(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
    /// The instant of a move: soon, or around the deadline.
    fn when(&self, now: At, step: &Move) -> At {
        let due = self.due().unwrap_or(now).or_later(now);
        match step.when {
            0..=59 => now.plus(Ns::new(u64::from(step.wait) / 64)),
            60..=79 => now,
            80..=84 => due.minus(Ns::new(1)).or_later(now),
            85..=89 => due,
            90..=92 => due.plus(Ns::new(1)),
            93..=95 => due.plus(Ns::new(u64::from(step.wait))),
            _ => now.plus(Ns::new(u64::from(step.wait) * 20)),
        }
    }
}

/// How an operation ends, mostly well.
pub fn outcome(luck: u8) -> Outcome {
    match luck {
        0..=84 => Outcome::Done,
        85..=91 => Outcome::More,
        92..=97 => Outcome::Failed,
        _ => Outcome::FailedRunning,
    }
}
