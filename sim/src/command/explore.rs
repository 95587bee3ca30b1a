//! `switchover-sim explore`.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use switchover_core::time::Ns;
use switchover_text::units::short_duration;
use switchover_text::words::UnknownWord;

use super::print;
use crate::cli::ExploreOptions;
use crate::exit_code::ExitCode;
use crate::explore::{self, Progress, Report, World};

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Walks a world, or lists them.
///
/// # Errors
/// There is no world of that name.
pub fn explore(options: &ExploreOptions) -> Result<ExitCode> {
    let Some(name) = &options.world else {
        print(&list())?;
        return Ok(ExitCode::Kept);
    };
    let names: Vec<&str> = explore::worlds().map(|world| world.name).collect();
    let world = explore::world(name).ok_or_else(|| UnknownWord::new(name, "a world", &names))?;
    let mut shown = Shown::on_stderr();
    let report = explore::run(world, &mut |progress| shown.update(progress));
    shown.finish(report.states);
    if options.json {
        print(&format!("{:#}\n", value(world, &report)))?;
    } else {
        print(&text(world, &report))?;
    }
    Ok(ExitCode::of(!report.holds() || !report.missing.is_empty(), false))
}

fn list() -> String {
    let widest = explore::worlds().map(|world| world.name.len()).max().unwrap_or(0);
    let mut list = String::new();
    for world in explore::worlds() {
        let states = if world.states == 0 { String::new() } else { format!(" ({} states)", world.states) };
        let _ = writeln!(list, "{:<widest$}  {}{states}", world.name, world.about);
    }
    list
}

/// Same for the same world; how fast it went is told elsewhere.
fn text(world: &World, report: &Report) -> String {
    let mut text = format!("{}: {}\n", world.name, world.about);
    let _ = writeln!(
        text,
        "{} states, {} moves; {} different machines, which took {} steps",
        report.states, report.moves, report.machines, report.steps
    );
    let reached: Vec<String> = report.reached.iter().map(|what| format!("{what:?}")).collect();
    let _ = writeln!(text, "reached: {}", reached.join(" "));
    for (name, worst) in [("a commit", report.worst_commit), ("an abort", report.worst_abort)] {
        if let (Some(worst), Some(timing)) = (worst, &world.timing) {
            let _ = writeln!(
                text,
                "longest blackout of {name}: {} of {}",
                short(worst),
                short(Ns::new(timing.hard_limit))
            );
        }
    }
    if !report.missing.is_empty() {
        let _ = writeln!(text, "NOT REACHED: {:?}", report.missing);
    }
    if let Some(found) = &report.counterexample {
        let _ = writeln!(
            text,
            "BROKEN {}: {}, after {} moves:\n\n{}",
            found.broken.promise, found.broken.what, found.steps, found.diagram
        );
        return text;
    }
    if let Some(recovery) = &report.recovery {
        let _ = writeln!(
            text,
            "once faults stop: {} states, {} of which end where the protocol says that somebody must decide, {} have no way out",
            recovery.states, recovery.excused, recovery.stuck
        );
        recovery.example.iter().for_each(|example| {
            let _ = writeln!(text, "STUCK: {example}");
        });
    }
    if report.holds() {
        text.push_str("every promise is kept in every interleaving\n");
    }
    text
}

fn value(world: &World, report: &Report) -> serde_json::Value {
    let words = |all: &[explore::Reached]| all.iter().map(|what| format!("{what:?}")).collect::<Vec<_>>();
    json!({
        "version": 1,
        "world": world.name,
        "holds": report.holds(),
        "states": report.states,
        "moves": report.moves,
        "machines": report.machines,
        "steps": report.steps,
        "reached": words(&report.reached),
        "missing": words(&report.missing),
        "worst_commit_ns": report.worst_commit.map(Ns::get),
        "worst_abort_ns": report.worst_abort.map(Ns::get),
        "counterexample": report.counterexample.as_ref().map(|found| json!({
            "promise": found.broken.promise.to_string(),
            "what": found.broken.what.to_string(),
            "moves": found.steps,
            "diagram": found.diagram,
        })),
        "recovery": report.recovery.as_ref().map(|recovery| json!({
            "states": recovery.states,
            "excused": recovery.excused,
            "stuck": recovery.stuck,
            "example": recovery.example,
        })),
    })
}

fn short(ns: Ns) -> String {
    short_duration(Duration::from_nanos(ns.get()))
}

/// How far a walk is: on a terminal a line that changes, else one now and then.
struct Shown {
    bar: Option<ProgressBar>,
    began: Instant,
    line_due: Instant,
}

impl Shown {
    fn on_stderr() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            let style = ProgressStyle::with_template("{spinner} {msg}");
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        let began = Instant::now();
        Self { bar, began, line_due: began + LINE_EVERY }
    }

    fn update(&mut self, progress: Progress) {
        let said = format!("{} states, {} of them done with", progress.states, progress.done);
        match &self.bar {
            Some(bar) => {
                bar.set_message(said);
                bar.tick();
            }
            None if Instant::now() >= self.line_due => {
                self.line_due = Instant::now() + LINE_EVERY;
                // A closed pipe is no reason to stop.
                let _ = writeln!(io::stderr(), "{said}");
            }
            None => {}
        }
    }

    fn finish(self, states: usize) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = self.began.elapsed().as_secs_f64();
        let _ = writeln!(
            io::stderr(),
            "{states} states in {took:.1}s: {:.0} a second",
            states as f64 / took.max(1e-9)
        );
    }
}
