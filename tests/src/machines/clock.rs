//! A host's clock: it runs a little too fast or too slow, and began at a time of its own.

use switchover_core::time::{At, Ns};

/// Maps true time to what this host reads.
#[derive(Copy, Clone, Debug)]
pub struct Clock {
    offset: u64,
    /// How many parts per million it gains; negative: it loses.
    ppm: i64,
}

const MILLION: i128 = 1_000_000;

impl Clock {
    /// A clock that read `offset` at true time zero.
    pub const fn new(offset: Ns, ppm: i64) -> Self {
        Self { offset: offset.get(), ppm }
    }

    /// What it reads at true time `t`.
    pub fn at(&self, t: u64) -> At {
        At::from_ns(self.offset + (i128::from(t) * (MILLION + i128::from(self.ppm)) / MILLION) as u64)
    }

    /// The first true time, not before `t`, at which it reads `reading` or later.
    pub fn when(&self, reading: At, t: u64) -> u64 {
        let ahead = i128::from(reading.as_ns()) - i128::from(self.offset);
        let rate = MILLION + i128::from(self.ppm);
        let mut first = ((ahead * MILLION) / rate - 2).max(i128::from(t)) as u64;
        while self.at(first) < reading {
            first += 1;
        }
        first
    }

    /// The true time at which `length` has passed on this clock, counted from `t`.
    pub fn after(&self, t: u64, length: Ns) -> u64 {
        self.when(self.at(t).plus(length), t)
    }
}
