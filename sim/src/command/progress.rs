//! How far a campaign has come: a bar on a terminal, plain lines elsewhere. To standard error only.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Between two plain lines: a CI server's log is read afterwards, and by people.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how many seeds have been played.
#[derive(Debug)]
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    of: u64,
    began: Instant,
    line_due: Instant,
}

impl Progress {
    /// Of so many seeds.
    pub(super) fn on_stderr(of: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(of), ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("[{bar:30}] {pos} of {len} runs, {per_sec}, {eta} left");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let began = Instant::now();
        Self { bar, of, began, line_due: began + LINE_EVERY }
    }

    /// So many have been played.
    pub(super) fn update(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if done < self.of && Instant::now() >= self.line_due => {
                self.line_due = Instant::now() + LINE_EVERY;
                // A closed pipe is no reason to stop.
                let _ = writeln!(io::stderr(), "{done} of {} runs, {}", self.of, self.rate(done));
            }
            None => {}
        }
    }

    /// Takes the bar away and says how fast it went.
    pub(super) fn finish(self, jobs: usize) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = self.began.elapsed();
        let threads = if jobs == 1 { "one thread".into() } else { format!("{jobs} threads") };
        let _ = writeln!(
            io::stderr(),
            "{} runs in {:.1}s on {threads}: {}",
            self.of,
            took.as_secs_f64(),
            self.rate(self.of)
        );
    }

    fn rate(&self, done: u64) -> String {
        format!("{:.0} a second", done as f64 / self.began.elapsed().as_secs_f64().max(1e-9))
    }
}
