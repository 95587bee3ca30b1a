//! Durations and instants in nanoseconds, with arithmetic that cannot wrap.
//!
//! `embedded-time`'s own `Instant` compares modulo its width, so that two far
//! instants order the wrong way round; here an instant is a plain number on one
//! host's monotonic clock and `embedded-time` stays at the boundary
//! ([`crate::hal::Clock`]). Everything saturates: the configuration bounds every
//! duration by [`crate::limits::DURATION_MAX`], so a saturated value can only come
//! from a broken clock, and then ends an attempt rather than extending it.
//!
//! Not here: reading a clock. The core never does; time is an argument.

use serde::{Deserialize, Serialize};

/// A duration in nanoseconds.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ns(u64);

impl Ns {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `ns` nanoseconds.
    pub const fn new(ns: u64) -> Self {
        Self(ns)
    }

    /// `us` microseconds; saturates.
    pub const fn from_micros(us: u64) -> Self {
        Self(us.saturating_mul(1_000))
    }

    /// `ms` milliseconds; saturates.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// `s` seconds; saturates.
    pub const fn from_secs(s: u64) -> Self {
        Self(s.saturating_mul(1_000_000_000))
    }

    /// The number of nanoseconds.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum; saturates.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// What is left after taking `other` away; zero when nothing is.
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The difference, or `None` if `other` is larger.
    pub const fn checked_minus(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(left) => Some(Self(left)),
            None => None,
        }
    }

    /// `n` times as long; saturates.
    pub const fn times(self, n: u64) -> Self {
        Self(self.0.saturating_mul(n))
    }

    /// An `n`-th of it, rounded down; zero for `n == 0`.
    pub const fn part(self, n: u64) -> Self {
        match self.0.checked_div(n) {
            Some(part) => Self(part),
            None => Self(0),
        }
    }

    /// The longer of the two.
    #[must_use]
    pub const fn or_longer(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// The shorter of the two.
    #[must_use]
    pub const fn or_shorter(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }

    /// How long this duration of one clock can last on another whose relative rate
    /// differs by at most `drift`: rounded up, and one tick more, since an interval
    /// that a clock reads as `n` ticks may cover `n + 1` (\[SW-69\]).
    #[must_use]
    pub const fn stretched(self, drift: Ppm) -> Self {
        // Split so that neither product leaves 64 bits: drift is below 10^6, and so is the remainder.
        let whole = (self.0 / MILLION).saturating_mul(drift.0 as u64);
        let rest = ((self.0 % MILLION) * drift.0 as u64).div_ceil(MILLION);
        Self(self.0.saturating_add(whole).saturating_add(rest).saturating_add(1))
    }
}

const MILLION: u64 = 1_000_000;

/// An instant on one host's monotonic clock, in nanoseconds since that clock's own start.
///
/// Instants of two hosts are never compared: only durations cross the wire.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct At(u64);

impl At {
    /// The instant `ns` nanoseconds after the clock's start.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// The instant `later` after this one; saturates.
    #[must_use]
    pub const fn plus(self, later: Ns) -> Self {
        Self(self.0.saturating_add(later.0))
    }

    /// The instant `earlier` before this one; saturates at the clock's start.
    #[must_use]
    pub const fn minus(self, earlier: Ns) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// The time from `earlier` to here; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Ns {
        Ns(self.0.saturating_sub(earlier.0))
    }

    /// The first instant at which a rule `now <= self` no longer holds: that is when
    /// the host has to call again (\[SW-69\]).
    #[must_use]
    pub const fn just_after(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The earlier of the two.
    #[must_use]
    pub const fn or_earlier(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }

    /// The later of the two.
    #[must_use]
    pub const fn or_later(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// Moves the instant by `shift` nanoseconds; saturates.
    #[must_use]
    pub const fn shifted(self, shift: i64) -> Self {
        Self(self.0.saturating_add_signed(shift))
    }
}

/// A clock-rate bound in parts per million, below one million.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Ppm(u32);

impl Ppm {
    /// The largest drift that can be declared: a tenth. Real oscillators stay below 500 ppm.
    pub const MAX: Self = Self(100_000);

    /// What a sound host's clock stays below: declared where nobody knows better.
    pub const SOUND: Self = Self(500);

    /// `ppm` parts per million, or `None` above [`Ppm::MAX`].
    pub const fn new(ppm: u32) -> Option<Self> {
        if ppm <= Self::MAX.0 { Some(Self(ppm)) } else { None }
    }

    /// The number of parts per million.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The relative rate bound rho of two clocks that each drift by at most `self` and
    /// `other`: `(1 + a) / (1 - b) - 1`, rounded up (\[SW-81\]).
    #[must_use]
    pub const fn relative(self, other: Self) -> Self {
        let a = if self.0 <= Self::MAX.0 { self.0 } else { Self::MAX.0 } as u64;
        let b = if other.0 <= Self::MAX.0 { other.0 } else { Self::MAX.0 } as u64;
        // (1e6 + a) * 1e6 / (1e6 - b) - 1e6 <= 222_223 for a, b <= 1e5: fits u32.
        let slow = MILLION - b;
        Self((((MILLION + a) * MILLION).div_ceil(slow) - MILLION) as u32)
    }
}
