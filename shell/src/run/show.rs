//! A run's record to where the user wants it.

use std::io::{self, Write};

use anyhow::{Context, Result};

use crate::cli::RunOptions;
use crate::record::{RunRecord, check_place, write_record};
use crate::ui::timeline::{Paint, timeline};

/// Finds out, before anything starts, whether what is to be kept of the run can be written.
///
/// # Errors
/// It cannot.
pub fn check_places(options: &RunOptions) -> Result<()> {
    for path in [&options.record, &options.events].into_iter().flatten() {
        check_place(path).with_context(|| {
            format!("cannot write to {}; give a file in a directory that can be written to", path.display())
        })?;
    }
    Ok(())
}

/// Says which faults this process is to suffer or to cause: a run with faults must not be taken for one without.
pub fn tell_faults(options: &RunOptions) {
    for fault in options.faults.iter() {
        eprintln!("fault: {fault}");
    }
}

/// Draws the timeline, and gives the record to `--record` and `--json`: with `--json`, standard output has that object and
/// nothing else.
///
/// # Errors
/// Standard output or the file cannot be written. All that can be was.
pub fn show(record: &RunRecord, options: &RunOptions) -> Result<()> {
    let printed = if options.json {
        // Nobody reading it is no reason to keep the record back.
        let _ = io::stderr().write_all(timeline(record, Paint::for_stderr()).as_bytes());
        print(&(record.to_json() + "\n"))
    } else {
        print(&timeline(record, Paint::for_stdout()))
    };
    if let Some(path) = &options.record {
        write_record(path, record)
            .with_context(|| format!("cannot write the record to {}", path.display()))?;
    }
    printed.context("cannot write to standard output")
}

pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
