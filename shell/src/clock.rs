//! This host's clock, as the core wants it.
//!
//! One clock for everything that is compared with a deadline: the machine's `now`, the timer that the loop waits on, the
//! lease. `std::time::Instant` stands still while the host is suspended and must not be mixed in.

use embedded_time::fraction::Fraction;
use switchover_core::time::At;

use crate::sys::clock::boot_ns;

/// Nanoseconds since this host booted.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

impl HostClock {
    /// The present instant. Cannot fail.
    #[must_use]
    pub fn now(self) -> At {
        At::from_ns(boot_ns())
    }
}

impl embedded_time::Clock for HostClock {
    type T = u64;
    const SCALING_FACTOR: Fraction = Fraction::new(1, 1_000_000_000);

    fn try_now(&self) -> Result<embedded_time::Instant<Self>, embedded_time::clock::Error> {
        Ok(embedded_time::Instant::new(boot_ns()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::sleep_until;

    #[test]
    fn the_core_reads_the_same_nanoseconds() {
        let before = HostClock.now();
        let through_the_trait = switchover_core::hal::Clock::now(&HostClock).expect("a clock");
        let after = HostClock.now();
        assert!(before <= through_the_trait && through_the_trait <= after);
    }

    #[test]
    fn a_sleep_never_ends_early() {
        let until = HostClock.now().as_ns() + 2_000_000;
        sleep_until(until);
        assert!(HostClock.now().as_ns() >= until);
    }
}
