//! Bytes and rates, so that a page count is never taken for a byte count.

use serde::{Deserialize, Serialize};

use crate::time::Ns;

/// A number of bytes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bytes(u64);

impl Bytes {
    /// None.
    pub const ZERO: Self = Self(0);

    /// `n` bytes.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// `n` MiB; saturates.
    pub const fn from_mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum; saturates.
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// A rate in bytes per second; never zero, so that a division by it is always defined.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BytesPerSecond(u64);

const NS_PER_SECOND: u64 = 1_000_000_000;

impl BytesPerSecond {
    /// `n` bytes a second; zero is raised to one.
    pub const fn new(n: u64) -> Self {
        Self(if n == 0 { 1 } else { n })
    }

    /// The number of bytes a second.
    pub const fn get(self) -> u64 {
        if self.0 == 0 { 1 } else { self.0 }
    }

    /// The rate at which `bytes` moved in `time`, rounded down; one tick at least is counted.
    pub const fn over(bytes: Bytes, time: Ns) -> Self {
        let ns = if time.get() == 0 { 1 } else { time.get() };
        Self::new(mul_div(bytes.0, NS_PER_SECOND, ns))
    }

    /// The time `bytes` take at this rate, rounded up.
    pub const fn time_for(self, bytes: Bytes) -> Ns {
        Ns::new(mul_div(bytes.0, NS_PER_SECOND, self.get()).saturating_add(1))
    }

    /// The bytes that move in `time`, rounded up.
    pub const fn bytes_in(self, time: Ns) -> Bytes {
        Bytes(mul_div(self.0, time.get(), NS_PER_SECOND).saturating_add(1))
    }
}

/// `a * b / c`, rounded down, saturating; `c` is not zero.
const fn mul_div(a: u64, b: u64, c: u64) -> u64 {
    let wide = (a as u128) * (b as u128);
    match wide.checked_div(c as u128) {
        Some(quotient) if quotient <= u64::MAX as u128 => quotient as u64,
        _ => u64::MAX,
    }
}
