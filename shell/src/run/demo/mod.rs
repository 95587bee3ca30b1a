//! `switchover demo`: the parent of a source and a destination.
//!
//! It starts both, passes signals on, ends the destination when there is nothing more to see, and makes one record of what
//! both [report](crate::report), also when one was killed. It decides nothing about the guest, and runs none.
//!
//! ```text
//! start destination -> it listens -> start source -> source ends -> linger -> end destination -> merge -> show
//! ```
//!
//! `play` is that order of things, `process` one child, `merge` the record.

mod journals;
mod merge;
mod play;
mod process;

use std::path::Path;

use anyhow::{Context, Result};

use super::show;
use crate::cli::DemoOptions;
use crate::exit_code::ExitCode;
use crate::sys::signal::Signals;
use crate::units::nanoseconds;
use journals::Journals;
use play::{Patience, Play};

/// This executable, even if its file was replaced since.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// Runs a source and a destination as processes on this host, and tells how it went.
///
/// # Errors
/// One of them did not get as far as an attempt: its own message says why.
pub fn demo(options: DemoOptions) -> Result<ExitCode> {
    demo_of(Path::new(OWN_PROGRAM), options, Patience::default())
}

/// The same with another program for both.
fn demo_of(program: &Path, mut options: DemoOptions, patience: Patience) -> Result<ExitCode> {
    // Before any other thread exists.
    let signals = Signals::take().context("cannot take signals")?;
    show::check_places(&options.run)?;
    let mut journals = None;
    if options.run.journal.is_none() {
        let place = std::env::temp_dir();
        let made = Journals::new(&place).with_context(|| {
            format!("cannot keep journals in {}; set TMPDIR, or give --journal", place.display())
        })?;
        options.run.journal = Some(made.source());
        journals = Some(made);
    }
    let (source, destination) = Play::new(program, &options, patience, signals)?.run()?;
    let hard_limit = nanoseconds(options.limits.hard_limit());
    let record = merge::merge(&source, &destination, hard_limit);
    let exit = ExitCode::from(record.outcome);
    if let Err(error) = show(&record, &options.run) {
        // What became of the guest is the more important news.
        eprintln!("error: {error:#}");
    }
    if exit == ExitCode::InDoubt && destination.runs() && !destination.died() {
        // Nothing that the source could know, so nothing that counts.
        eprintln!("demo: the destination's process did run the guest; the source had no way to know");
    }
    if let Some(journals) = journals.filter(|_| exit != ExitCode::Committed) {
        eprintln!("journals of both sides: {}", journals.keep().display());
    }
    Ok(exit)
}

#[cfg(test)]
mod tests;
