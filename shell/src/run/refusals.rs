//! Refused connections, told on standard error: the first few one by one, then at most a line a second, with a count.
//!
//! Anybody who can reach the port could otherwise fill a disk with lines, or hold up whoever reads them.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::link::lobby::Notice;

/// Told one by one before anything is held back; one more after each [`PAUSE`].
const BURST: u32 = 5;
/// Between two lines after that.
const PAUSE: Duration = Duration::from_secs(1);

/// What may still be said.
#[derive(Debug)]
struct Limit {
    /// Lines that may be said at once.
    left: u32,
    /// Up to when `left` is counted.
    since: Instant,
    /// Not said since the last line.
    held_back: u64,
}

impl Limit {
    fn new(now: Instant) -> Self {
        Limit { left: BURST, since: now, held_back: 0 }
    }

    /// The line to be said of this refusal; `None`: it is counted.
    fn line(&mut self, now: Instant, text: &str) -> Option<String> {
        let passed = now.saturating_duration_since(self.since).as_secs();
        if passed > 0 {
            self.left = BURST.min(self.left.saturating_add(u32::try_from(passed).unwrap_or(BURST)));
            self.since += PAUSE * u32::try_from(passed).unwrap_or(u32::MAX);
        }
        if self.left == 0 {
            self.held_back += 1;
            return None;
        }
        self.left -= 1;
        match std::mem::take(&mut self.held_back) {
            0 => Some(text.into()),
            more => Some(format!("{text} ({more} more refused since the last such line)")),
        }
    }
}

/// Tells of refusals.
pub(super) fn notice() -> Notice {
    let limit = Mutex::new(Limit::new(Instant::now()));
    Box::new(move |text| {
        let line = limit.lock().unwrap_or_else(PoisonError::into_inner).line(Instant::now(), text);
        if let Some(line) = line {
            eprintln!("{line}");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_once_a_second_with_a_count_and_a_few_are_told_as_they_are() {
        let begun = Instant::now();
        let mut limit = Limit::new(begun);
        let told = (0..100).filter_map(|_| limit.line(begun, "refused")).collect::<Vec<_>>();
        assert_eq!(told, ["refused"; BURST as usize]);
        let later = begun + Duration::from_millis(1_500);
        let line = limit.line(later, "refused").expect("a second is over");
        assert!(line.contains("(95 more refused"), "{line}");
        assert_eq!(limit.line(later, "refused"), None);
        assert!(limit.line(begun + 2 * PAUSE, "refused").is_some_and(|line| line.contains("(1 more")));
        // After a quiet time there is room for a few again, and no more.
        let quiet = begun + Duration::from_secs(3600);
        let told = (0..100).filter_map(|_| limit.line(quiet, "refused")).count();
        assert_eq!(told, BURST as usize);
    }
}
