//! Progress of a copy: a bar on a terminal, plain lines elsewhere. To standard error only, so that `--json` stays clean.
//!
//! Told by whoever copies, as often as it likes; what is shown changes a few times a second on a terminal and is a line a
//! second otherwise.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::units::Bytes;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Over which the rate is taken.
const RATE_OVER: Duration = Duration::from_millis(500);

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// The round of pre-copy, from 1.
    pub round: u32,
    /// Bytes sent since the beginning of the attempt.
    pub sent: u64,
    /// Bytes that are still to be sent as far as is known: what is pending and what is dirty.
    pub remaining: u64,
}

/// Shows how a copy goes.
#[derive(Debug)]
pub struct Progress {
    shown: Shown,
    rate: RateMeter,
    line_due: Option<Instant>,
}

#[derive(Debug)]
enum Shown {
    Bar(ProgressBar),
    Lines,
}

impl Progress {
    /// Shows on standard error: a bar if it is a terminal, lines otherwise.
    #[must_use]
    pub fn on_stderr() -> Self {
        let shown = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("[{bar:30}] {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            Shown::Bar(bar)
        } else {
            Shown::Lines
        };
        Progress { shown, rate: RateMeter::default(), line_due: None }
    }

    /// Shows where the copy is at `now`.
    pub fn update(&mut self, now: Instant, copied: Copied) {
        let rate = self.rate.at(now, copied.sent);
        let text = describe(copied, rate);
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_length(copied.sent.saturating_add(copied.remaining));
                bar.set_position(copied.sent);
                bar.set_message(text);
            }
            Shown::Lines => {
                if self.line_due.is_none_or(|due| now >= due) {
                    self.line_due = Some(now + LINE_EVERY);
                    say(&text);
                }
            }
        }
    }

    /// Says something that is to stay, without tearing the bar.
    pub fn say(&self, text: &str) {
        match &self.shown {
            // Returns at once; what cannot be written is not worth failing a switchover for.
            Shown::Bar(bar) => bar.suspend(|| say(text)),
            Shown::Lines => say(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Standard error may be a closed pipe, which is no reason to stop a guest's move.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn describe(copied: Copied, rate: Option<u64>) -> String {
    let (sent, left) = (Bytes(copied.sent).short(), Bytes(copied.remaining).short());
    let rate = rate.map(|rate| format!(", {}/s", Bytes(rate).short())).unwrap_or_default();
    format!("round {}: {sent} sent{rate}, {left} left", copied.round)
}

/// Bytes per second over the last while.
#[derive(Debug, Default)]
struct RateMeter {
    since: Option<(Instant, u64)>,
    rate: Option<u64>,
}

impl RateMeter {
    fn at(&mut self, now: Instant, sent: u64) -> Option<u64> {
        let Some((since, before)) = self.since else {
            self.since = Some((now, sent));
            return None;
        };
        let took = now.saturating_duration_since(since);
        if took >= RATE_OVER {
            let per_second = u128::from(sent.saturating_sub(before)) * 1_000_000_000 / took.as_nanos();
            self.rate = Some(u64::try_from(per_second).unwrap_or(u64::MAX));
            self.since = Some((now, sent));
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_the_round_the_rate_and_what_is_left() {
        let copied = Copied { round: 2, sent: 512 << 20, remaining: (64 << 20) + (1 << 19) };
        assert_eq!(describe(copied, None), "round 2: 512MiB sent, 64.5MiB left");
        assert_eq!(describe(copied, Some(2 << 30)), "round 2: 512MiB sent, 2GiB/s, 64.5MiB left");
    }

    #[test]
    fn the_rate_is_that_of_the_last_while() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut meter = RateMeter::default();
        assert_eq!(meter.at(at(0), 1000), None);
        assert_eq!(meter.at(at(499), 9999), None);
        assert_eq!(meter.at(at(500), 2000), Some(2000));
        assert_eq!(meter.at(at(600), 9000), Some(2000));
        assert_eq!(meter.at(at(1500), 2000), Some(0));
    }

    #[test]
    fn lines_come_once_a_second() {
        let start = Instant::now();
        let mut progress = Progress { shown: Shown::Lines, rate: RateMeter::default(), line_due: None };
        let mut lines = 0;
        for ms in 0..3000 {
            let before = progress.line_due;
            progress.update(start + Duration::from_millis(ms), Copied { round: 1, sent: ms, remaining: 1 });
            lines += usize::from(progress.line_due != before);
        }
        assert_eq!(lines, 3);
    }
}
