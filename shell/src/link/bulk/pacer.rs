//! The bandwidth cap of pre-copy.

use std::time::{Duration, Instant};

/// How far a sender that fell behind its cap may catch up: it smooths the waits' coarse grain, and is short enough not
/// to show as a burst.
const CREDIT: Duration = Duration::from_millis(5);

/// Says when the next bytes may go. Keeps a schedule, so that late wake-ups do not add up.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    free_at: Option<Instant>,
}

impl Pacer {
    /// When something may be sent next; `None`: now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        self.free_at.filter(|at| *at > now)
    }

    /// `bytes` were sent under a cap of `rate` bytes a second; 0 is no cap.
    pub(super) fn spend(&mut self, bytes: u64, rate: u64, now: Instant) {
        let Some(nanos) = (u128::from(bytes) * 1_000_000_000).checked_div(u128::from(rate)) else {
            self.free_at = None;
            return;
        };
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let from = self.free_at.map_or(now, |at| at.max(earliest));
        self.free_at = from.checked_add(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)));
    }
}
