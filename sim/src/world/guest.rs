//! The guest's memory: what it writes, what the dirty log says, and what has arrived.
//!
//! The working set is [`GROUPS`] groups of pages that the guest writes in turn, and one more group stands for all the rest.
//! Each write gives its group a new version. The guest looks at every group once it runs on the destination: that is how a
//! page that was forgotten is found out, whatever bookkeeping forgot it.

use switchover_core::units::Bytes;

use crate::check::Memory;
use crate::scenario::model::{self, Dirty};

/// Groups of the working set.
const GROUPS: usize = 15;
/// All of them, and the rest of memory.
const ALL: u16 = u16::MAX;

/// A version of each group.
type Versions = [u32; GROUPS + 1];

/// A pass over the dirty set, on its way to the destination.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Pages {
    groups: u16,
    versions: Versions,
}

/// The guest's memory on both sides.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    memory: u64,
    working_set: u64,
    burst: u64,
    pace: Vec<Dirty>,
    /// How long `pace` is, in nanoseconds.
    cycle: u64,
    /// Bytes that one cycle writes.
    per_cycle: u64,
    /// All vCPUs run, on the source.
    pub runs: bool,
    /// Up to when writes are accounted for, in true time, and how far `pace` has been played.
    at: u64,
    played: u64,
    /// Where in the working set it writes next.
    place: u64,
    /// Bytes that the dirty log would give.
    dirty: u64,
    groups: u16,
    versions: Versions,
    arrived: Versions,
    /// Groups written since the latest abort, and whether there was one.
    fresh: u16,
    aborted: bool,
}

impl Guest {
    pub(super) fn new(of: &model::Guest) -> Self {
        let cycle = of.dirty.iter().map(|stretch| stretch.time.get()).sum::<u64>().max(1);
        let mut guest = Self {
            memory: of.memory.get(),
            working_set: of.working_set.get().min(of.memory.get()).max(1),
            burst: of.burst_after_read.get(),
            pace: of.dirty.clone(),
            cycle,
            per_cycle: 0,
            runs: true,
            at: 0,
            played: 0,
            place: 0,
            dirty: 0,
            groups: 0,
            versions: [1; GROUPS + 1],
            arrived: [0; GROUPS + 1],
            fresh: 0,
            aborted: false,
        };
        guest.per_cycle = guest.written(0, cycle);
        guest
    }

    /// As at the beginning of a run.
    pub(super) fn reset(&mut self) {
        self.runs = true;
        (self.at, self.played, self.place, self.dirty, self.groups) = (0, 0, 0, 0, 0);
        (self.versions, self.arrived) = ([1; GROUPS + 1], [0; GROUPS + 1]);
        (self.fresh, self.aborted) = (0, false);
    }

    /// Bytes written between two offsets within one cycle.
    fn written(&self, from: u64, to: u64) -> u64 {
        let (mut begins, mut bytes) = (0, 0_u64);
        for stretch in &self.pace {
            let ends = begins + stretch.time.get();
            let time = to.min(ends).saturating_sub(from.max(begins));
            if !stretch.idle && time > 0 {
                // Nanoseconds of a cycle times bytes a second: beyond 64 bits.
                bytes += (u128::from(stretch.rate.get()) * u128::from(time) / 1_000_000_000) as u64;
            }
            begins = ends;
        }
        bytes
    }

    /// The guest has gone on until `now`.
    pub(super) fn advance(&mut self, now: u64) {
        let passed = now.saturating_sub(self.at);
        self.at = now;
        if !self.runs || passed == 0 {
            return;
        }
        let from = self.played;
        let (cycles, rest) = (passed / self.cycle, passed % self.cycle);
        let end = from + rest;
        let bytes = if end <= self.cycle {
            self.written(from, end)
        } else {
            self.written(from, self.cycle) + self.written(0, end - self.cycle)
        };
        self.played = end % self.cycle;
        self.write(bytes.saturating_add(cycles.saturating_mul(self.per_cycle)));
    }

    fn write(&mut self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.dirty = self.dirty.saturating_add(bytes).min(self.working_set);
        let size = self.working_set.div_ceil(GROUPS as u64);
        let (first, many) = (self.place / size, bytes.min(self.working_set) / size + 2);
        for group in first..first + many.min(GROUPS as u64) {
            let group = (group % GROUPS as u64) as usize;
            self.versions[group] += 1;
            self.groups |= 1 << group;
        }
        self.fresh |= self.groups;
        self.place = (self.place + bytes % self.working_set) % self.working_set;
    }

    /// Bytes that are dirty.
    pub(super) fn dirty(&self) -> Bytes {
        Bytes::new(self.dirty)
    }

    /// Reads the dirty log, or with `all` takes every page there is; returns what is to be sent, and how much that is.
    pub(super) fn read_log(&mut self, all: bool) -> (Pages, Bytes) {
        let groups = if all { ALL } else { self.groups };
        let bytes = if all { self.memory } else { self.dirty };
        let pages = Pages { groups, versions: self.versions };
        (self.groups, self.dirty) = (0, 0);
        if self.runs && self.burst > 0 {
            self.write(self.burst);
        }
        (pages, Bytes::new(bytes))
    }

    /// What was read from the log and not sent is dirty again.
    pub(super) fn keep(&mut self, pages: Option<(Pages, Bytes)>) {
        if let Some((pages, bytes)) = pages {
            self.groups |= pages.groups;
            self.dirty = self.dirty.saturating_add(bytes.get()).min(self.memory);
        }
        (self.aborted, self.fresh) = (true, 0);
    }

    /// A pass has arrived; `damaged`: a bit of it is not what it was.
    pub(super) fn arrive(&mut self, pages: &Pages, damaged: bool) {
        for group in 0..=GROUPS {
            if pages.groups & 1 << group != 0 {
                self.arrived[group] = if damaged { 0 } else { pages.versions[group] };
            }
        }
    }

    /// The destination's memory is forgotten.
    pub(super) fn forget(&mut self) {
        self.arrived = [0; GROUPS + 1];
    }

    /// Every page of both sides, compared.
    pub(super) fn compare(&self) -> Memory {
        let mut differ = 0_u16;
        for group in 0..=GROUPS {
            if self.versions[group] != self.arrived[group] {
                differ |= 1 << group;
            }
        }
        match differ {
            0 => Memory::Same,
            _ if self.aborted && differ & self.fresh == 0 => Memory::Forgotten,
            _ => Memory::Other,
        }
    }
}
