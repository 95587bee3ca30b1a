//! A host's clock: it runs a little too fast or too slow, and began at a time of its own.

use switchover_core::time::{At, Ns};

const MILLION: i64 = 1_000_000;

/// Maps true time, in nanoseconds since the run began, to what this host reads.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Clock {
    offset: u64,
    /// Parts per million that it gains; negative: it loses.
    ppm: i64,
}

impl Clock {
    pub(super) const fn new(offset: Ns, ppm: i64) -> Self {
        Self { offset: offset.get(), ppm }
    }

    /// What it reads at true time `t`. Runs end long before a product could leave 64 bits: 25 hours at a tenth.
    pub(super) const fn at(&self, t: u64) -> At {
        let gained = if self.ppm == 0 { 0 } else { (t as i64 * self.ppm).div_euclid(MILLION) };
        At::from_ns((self.offset + t).saturating_add_signed(gained))
    }

    /// The first true time, not before `now`, at which it reads `reading` or later.
    pub(super) const fn when(&self, reading: At, now: u64) -> u64 {
        let ahead = reading.as_ns().saturating_sub(self.offset);
        if self.ppm == 0 {
            return if ahead > now { ahead } else { now };
        }
        let gained = (ahead as i64).saturating_mul(self.ppm) / (MILLION + self.ppm);
        // Two roundings: at most two off, and too early is corrected by looking.
        let mut first = ahead.saturating_add_signed(-gained).saturating_sub(2);
        if first < now {
            first = now;
        }
        while self.at(first).as_ns() < reading.as_ns() {
            first += 1;
        }
        first
    }

    /// The true time at which `length` has passed on this clock, counted from `now`.
    pub(super) const fn after(&self, now: u64, length: Ns) -> u64 {
        if self.ppm == 0 {
            now.saturating_add(length.get())
        } else {
            self.when(self.at(now).plus(length), now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{At, Clock, Ns};

    #[test]
    fn when_is_the_first_instant_of_a_reading() {
        for ppm in [-100_000, -500, -1, 0, 1, 333, 100_000] {
            let clock = Clock::new(Ns::from_secs(7), ppm);
            for reading in (7_000_000_000..7_000_003_000).chain(7_999_999_000..8_000_001_000) {
                let first = clock.when(At::from_ns(reading), 0);
                assert!(clock.at(first) >= At::from_ns(reading), "{ppm} ppm at {reading}");
                let before = first.checked_sub(1).map(|t| clock.at(t));
                assert!(before.is_none_or(|at| at < At::from_ns(reading)), "{ppm} ppm at {reading}");
            }
            assert!(clock.at(clock.after(12_345, Ns::new(1_000))).since(clock.at(12_345)) >= Ns::new(1_000));
        }
    }
}
