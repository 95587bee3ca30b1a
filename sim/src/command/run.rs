//! `switchover-sim run`.

use std::fmt::Write as _;

use anyhow::Result;
use switchover_text::timeline::{Paint, timeline};

use super::{drawn, print, scenario};
use crate::campaign::player::{self, Played};
use crate::cli::RunOptions;
use crate::exit_code::ExitCode;
use crate::scenario::Scenario;

/// Plays one seed, and draws it along its hard limit.
///
/// # Errors
/// The scenario cannot be used.
pub fn run(options: &RunOptions) -> Result<ExitCode> {
    let scenario = scenario(&options.scenario)?;
    let seed = match options.seed {
        Some(seed) => seed,
        None => drawn()?,
    };
    eprintln!("{}: seed {seed}", scenario.name);
    let played = player::played(&scenario, seed, options.trace);
    if options.json {
        print(&played.record.to_pretty_json())?;
        played.breaches.iter().for_each(|breach| eprintln!("{}: {}", breach.promise, breach.what));
    } else {
        print(&told(&scenario, seed, &played))?;
    }
    Ok(ExitCode::of(!played.breaches.is_empty(), false))
}

fn told(scenario: &Scenario, seed: u64, played: &Played) -> String {
    let mut text = String::new();
    if let Some(trace) = &played.trace {
        let _ = writeln!(text, "{}", trace.trim_end());
        text.push('\n');
    }
    text.push_str(&timeline(&played.record, Paint::for_stdout()));
    if played.breaches.is_empty() {
        text.push_str("every promise was kept\n");
        return text;
    }
    for breach in &played.breaches {
        let _ = writeln!(text, "BROKEN {} at {} ns: {}", breach.promise, breach.at_ns, breach.what);
    }
    let shortened = player::shortened(scenario, seed);
    let _ = writeln!(
        text,
        "\nwhat is left of it and still fails:\n\n{}\n{}",
        shortened.scenario, shortened.diagram
    );
    text
}
