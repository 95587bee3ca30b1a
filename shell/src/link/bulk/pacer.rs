//! The bandwidth cap of pre-copy.

use std::time::{Duration, Instant};

/// How far a sender that fell behind its cap may catch up: it smooths the waits' coarse grain, and is short enough not
/// to show as a burst.
const CREDIT: Duration = Duration::from_millis(5);

/// What goes at once, at most, in parts of a second: so smooth is the flow, and so soon is a changed cap felt.
const PARTS: u64 = 100;

/// Says when the next bytes may go. Keeps a schedule, so that late wake-ups do not add up.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// Bytes a second; 0: no cap.
    rate: u64,
    free_at: Option<Instant>,
}

impl Pacer {
    /// When something may be sent next under a cap of `rate` bytes a second (0: none); `None`: now.
    pub(super) fn wait_until(&mut self, rate: u64, now: Instant) -> Option<Instant> {
        if rate != self.rate {
            // The schedule of another cap says nothing about this one.
            *self = Self { rate, free_at: None };
        }
        self.free_at.filter(|at| *at > now)
    }

    /// How many bytes to send at once, between `least` and `most`.
    pub(super) fn portion(&self, least: usize, most: usize) -> usize {
        if self.rate == 0 {
            return most;
        }
        usize::try_from(self.rate / PARTS).unwrap_or(most).clamp(least, most)
    }

    /// `bytes` were sent.
    pub(super) fn spend(&mut self, bytes: u64, now: Instant) {
        let nanos = (u128::from(bytes) * 1_000_000_000).checked_div(u128::from(self.rate));
        self.free_at = nanos.and_then(|nanos| {
            let earliest = now.checked_sub(CREDIT).unwrap_or(now);
            let from = self.free_at.map_or(now, |at| at.max(earliest));
            from.checked_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_schedule_and_forgets_another_caps() {
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut pacer = Pacer::default();
        assert_eq!(pacer.wait_until(1_000_000, start), None);
        assert_eq!(pacer.portion(4096, 1 << 20), 10_000);
        pacer.spend(10_000, start);
        assert_eq!(pacer.wait_until(1_000_000, start), Some(ms(10)));
        // 2 ms late: the next wait is the shorter for it.
        assert_eq!(pacer.wait_until(1_000_000, ms(12)), None);
        pacer.spend(10_000, ms(12));
        assert_eq!(pacer.wait_until(1_000_000, ms(12)), Some(ms(20)));
        // A second late: no burst beyond the credit.
        pacer.spend(10_000, ms(1020));
        assert_eq!(pacer.wait_until(1_000_000, ms(1020)), Some(ms(1025)));
        assert_eq!(pacer.wait_until(0, ms(1020)), None);
        assert_eq!(pacer.portion(4096, 1 << 20), 1 << 20);
        pacer.spend(10_000, ms(1020));
        assert_eq!(pacer.wait_until(0, ms(1020)), None);
        assert_eq!(pacer.wait_until(7, ms(1020)), None);
        assert_eq!(pacer.portion(4096, 1 << 20), 4096);
    }
}
