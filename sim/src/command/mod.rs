//! What each command does: read, play, tell.
//!
//! Results go to stdout, and are the same for the same seeds; what goes on meanwhile, and drawn seeds, go to stderr. An
//! error here means that nothing could be judged, and ends the process with code 2.
//!
//! Not here: figures (`campaign`, `bound`, `explore`), and how they look (`report`).

mod campaign;
mod explore;
mod merge;
mod outcome;
mod progress;
mod run;
mod single;

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};
use switchover_text::words::UnknownWord;

use crate::scenario::{Scenario, shipped};

pub use campaign::campaign;
pub use explore::explore;
pub use merge::merge;
pub use run::run;
pub use single::{bound, replay, scenarios};

/// The scenario in the file at `given`, or the shipped one of that name.
fn scenario(given: &str) -> Result<Scenario> {
    let path = Path::new(given);
    // Neither a file nor a name: more likely a slip in a name than a path, unless it looks like one.
    if shipped::text(given).is_none() && !path.exists() && !given.ends_with(".toml") {
        let names: Vec<&str> = shipped::names().collect();
        let unknown = UnknownWord::new(given, "a scenario", &names);
        bail!("{unknown}; or give the path of a file");
    }
    Ok(Scenario::load(path)?)
}

/// A number to begin with that is easily said aloud and typed again.
fn drawn() -> Result<u64> {
    let number =
        getrandom::u32().map_err(io::Error::from).context("cannot draw a seed; give one with `--seed`")?;
    Ok(number.into())
}

/// Prints a result. A reader who has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to stdout")
        }
        _ => Ok(()),
    }
}
