//! One state of a small world, in under a hundred bytes.
//!
//! Machines, messages and jobs are numbers of tables ([`super::tables`]): a machine of a thousand bytes is stored
//! once, however many states it is part of. States are compared in full, byte for byte, and so are machines: nothing
//! here rests on a hash having no collisions.

use zerocopy::{Immutable, IntoBytes};

use switchover_core::port::Side;

use super::judge::Judge;

/// Machine number of a process that is dead.
pub(super) const DEAD: u32 = u32::MAX;
/// Time that is left to what has no bound.
pub(super) const EVER: u8 = u8::MAX;
/// Messages that are told apart.
pub(super) const LETTERS_MAX: usize = 16 * 16;
/// Jobs of a side that are told apart.
pub(super) const JOBS_MAX: usize = 16 * 6;

/// A few small numbers, each perhaps with time left, in a form that does not depend on the order in which they came.
///
/// Untimed it is a set, a bit for each number. Timed it is a sorted list of (number, ticks left).
#[derive(Copy, Clone, PartialEq, Eq, Debug, IntoBytes, Immutable)]
#[repr(transparent)]
pub(super) struct Pool<const N: usize>([u16; N]);

impl<const N: usize> Pool<N> {
    pub(super) const EMPTY: Self = Self([0; N]);

    /// Adds `number` to the set.
    pub(super) fn add(&mut self, number: u8) {
        self.0[usize::from(number / 16)] |= 1 << (number % 16);
    }

    /// Takes `number` out of the set.
    pub(super) fn take(&mut self, number: u8) {
        self.0[usize::from(number / 16)] &= !(1 << (number % 16));
    }

    /// The numbers of the set.
    pub(super) fn numbers(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().enumerate().flat_map(|(at, word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.checked_ilog2()?;
                left &= !(1 << bit);
                Some((at * 16) as u8 + bit as u8)
            })
        })
    }

    /// Adds to the list. What has no bound and is there already, is there once.
    ///
    /// # Panics
    /// When the list is full: the world is too large for it.
    pub(super) fn add_timed(&mut self, number: u8, left: u8) {
        let entry = (u16::from(number) + 1) << 8 | u16::from(left);
        if left == EVER && self.0.contains(&entry) {
            return;
        }
        assert_eq!(self.0[N - 1], 0, "a timed world has more under way than fits");
        self.0[N - 1] = entry;
        self.0.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Takes one entry out of the list.
    pub(super) fn take_timed(&mut self, number: u8, left: u8) {
        let entry = (u16::from(number) + 1) << 8 | u16::from(left);
        if let Some(at) = self.0.iter().position(|other| *other == entry) {
            self.0[at] = 0;
            self.0.sort_unstable_by(|a, b| b.cmp(a));
        }
    }

    /// The entries of the list.
    pub(super) fn entries(self) -> impl Iterator<Item = (u8, u8)> {
        self.0.into_iter().take_while(|entry| *entry != 0).map(|entry| ((entry >> 8) as u8 - 1, entry as u8))
    }

    /// A tick passes; false if something had to happen before it.
    pub(super) fn tick(&mut self) -> bool {
        for entry in self.0.iter_mut().take_while(|entry| **entry != 0) {
            match *entry as u8 {
                0 => return false,
                EVER => {}
                _ => *entry -= 1,
            }
        }
        self.0.sort_unstable_by(|a, b| b.cmp(a));
        true
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == [0; N]
    }
}

/// What the source's journal says: the latest `Open` and what followed it.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct SourceRecords {
    /// Counter of the latest attempt; 0 is none.
    pub open: u8,
    /// `MayGo`: 1 + which destination journal; 0 is none.
    pub may_go: u8,
    /// With which incarnation.
    pub incarnation: u8,
    /// Bit 0 `Committed`, bit 1 `Fenced`.
    pub ends: u8,
}

/// What the destination's journal says.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct DestinationRecords {
    /// The attempt of a `Running` record; 0 is none.
    pub running: u8,
    /// The guest that it names.
    pub instance: u8,
    /// The attempt of a `Claiming` record; 0 is none.
    pub claiming: u8,
    /// Which journal it is.
    pub identity: u8,
}

/// Faults that are left, and runs.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Left {
    pub runs: u8,
    pub crashes: [u8; 2],
    pub cuts: u8,
    pub failures: u8,
    pub cancels: [u8; 2],
    pub fences: u8,
    pub lost_journals: u8,
}

/// Links, arbiter, processes.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Facts {
    /// There is a connection that works.
    pub connected: u8,
    /// The source's and the destination's process believes that it has one.
    pub linked: [u8; 2],
    /// Two bits an attempt: nobody, source, destination.
    pub owners: u8,
    /// The destination's present incarnation.
    pub incarnation: u8,
    /// Counts the hosts that the destination's guest has had.
    pub instance: u8,
    /// Where in its nanosecond each clock is; timed.
    pub phases: [u8; 2],
}

/// One state.
#[derive(Copy, Clone, PartialEq, Eq, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct State {
    /// Numbers of the machines, source and destination.
    pub machines: [u32; 2],
    /// Messages that may come.
    pub letters: Pool<16>,
    /// What each side's ports, memory and arbiter are doing.
    pub jobs: [Pool<6>; 2],
    pub judge: Judge,
    /// What each side's journal has still to write, oldest first: 1 + the job's number.
    pub writes: [[u8; 4]; 2],
    pub source: SourceRecords,
    pub destination: DestinationRecords,
    pub left: Left,
    pub facts: Facts,
    pub spare: [u8; 3],
}

impl std::hash::Hash for State {
    fn hash<H: std::hash::Hasher>(&self, hasher: &mut H) {
        hasher.write(self.as_bytes());
    }
}

impl State {
    /// Whether that side's process lives.
    pub(super) fn lives(&self, side: Side) -> bool {
        self.machines[place(side)] != DEAD
    }
}

/// The place of a side in an array of two.
pub(super) const fn place(side: Side) -> usize {
    match side {
        Side::Source => 0,
        Side::Destination => 1,
    }
}
