//! The few runs that a campaign remembers by their seeds: the worst, and the first of those that should not be.
//!
//! Both lists have a fixed length and an order of their own, so that joining two campaigns gives the list that one
//! campaign over all seeds would have kept, whoever played which seed and in which order.

use serde::{Deserialize, Serialize};
use switchover_core::time::Ns;

/// How many of each are kept.
pub const KEPT: usize = 10;

/// A run and how long its guest stood still at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Long {
    /// Its seed.
    pub seed: u64,
    /// Its longest blackout, in nanoseconds.
    pub blackout_ns: u64,
}

/// The runs with the longest blackouts, the longest first; of two alike the one with the smaller seed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Worst(Vec<Long>);

impl Worst {
    /// Takes a run in, if it is one of the worst.
    pub fn record(&mut self, seed: u64, blackout: Ns) {
        self.insert(Long { seed, blackout_ns: blackout.get() });
    }

    /// Takes in another's.
    pub fn add(&mut self, other: &Self) {
        other.0.iter().for_each(|long| self.insert(*long));
    }

    /// The worst first.
    #[must_use]
    pub fn list(&self) -> &[Long] {
        &self.0
    }

    fn insert(&mut self, long: Long) {
        let key = |long: &Long| (std::cmp::Reverse(long.blackout_ns), long.seed);
        let at = self.0.partition_point(|kept| key(kept) < key(&long));
        if at < KEPT {
            self.0.insert(at, long);
            self.0.truncate(KEPT);
        }
    }
}

/// Things of some runs, those with the smallest seeds, and how many there were in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firsts<T> {
    /// How many there were.
    pub count: u64,
    /// The first of them, by their seeds.
    pub first: Vec<T>,
}

impl<T> Default for Firsts<T> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

/// Has a seed.
pub trait Seeded {
    /// The seed of the run that it is about.
    fn seed(&self) -> u64;
}

impl Seeded for u64 {
    fn seed(&self) -> u64 {
        *self
    }
}

impl<T: Seeded + Clone> Firsts<T> {
    /// Takes one in; several of one run stay in the order in which they come.
    pub fn record(&mut self, one: &T) {
        self.count = self.count.saturating_add(1);
        self.insert(one);
    }

    /// Takes in another's.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        other.first.iter().for_each(|one| self.insert(one));
    }

    fn insert(&mut self, one: &T) {
        let at = self.first.partition_point(|kept| kept.seed() <= one.seed());
        if at < KEPT {
            self.first.insert(at, one.clone());
            self.first.truncate(KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_parts_are_the_worst_of_all() {
        let runs: Vec<(u64, Ns)> = (0..200).map(|seed| (seed, Ns::new(seed * 7919 % 50))).collect();
        let of = |runs: &[(u64, Ns)]| {
            let mut worst = Worst::default();
            runs.iter().for_each(|(seed, blackout)| worst.record(*seed, *blackout));
            worst
        };
        let whole = of(&runs);
        assert_eq!(whole.list().len(), KEPT);
        assert!(whole.list().windows(2).all(|pair| pair[0].blackout_ns >= pair[1].blackout_ns));
        let mut joined = of(&runs[120..]);
        joined.add(&of(&runs[..60]));
        joined.add(&of(&runs[60..120]));
        assert_eq!(joined, whole);
    }

    #[test]
    fn the_first_of_parts_are_the_first_of_all() {
        let of = |seeds: std::ops::Range<u64>| {
            let mut firsts = Firsts::default();
            seeds.for_each(|seed| firsts.record(&seed));
            firsts
        };
        let mut joined = of(20..40);
        joined.add(&of(0..20));
        assert_eq!(joined, of(0..40));
        assert_eq!((joined.count, joined.first), (40, (0..10).collect()));
    }
}
