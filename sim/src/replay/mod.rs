//! `replay`: what was recorded, run through the core again.
//!
//! Two kinds of files. A shell's event journal (`journal`): the same events must give the same actions, and another limit
//! may be asked about (`whatif`). A QEMU trace of its downtime's checkpoints (`trace`): what stock QEMU's rule and the
//! RFC's make of it (`rules`), and what our machines do with the same times (`ours`, by the driver in `drive`).
//!
//! Not here: worlds in which anything is drawn.

mod drive;
mod error;
mod journal;
mod ours;
mod rules;
mod table;
mod trace;
mod whatif;

use std::path::Path;

use serde::Serialize;
use switchover_core::config::Limits;
use switchover_core::time::Ns;

pub use error::ReplayError;
pub use journal::{Difference, JournalReplay};
pub use rules::Ruling;
pub use trace::{Arrival, Trace, Unit};
pub use whatif::{Fate, WhatIf};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// Limits to ask about in place of those of the file, or of the defaults.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// `--downtime-limit`.
    pub downtime: Option<Ns>,
    /// `--switchover-limit`.
    pub switchover: Option<Ns>,
}

/// What a file came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Replay {
    /// [`VERSION`].
    pub version: u32,
    /// The file.
    pub file: String,
    /// Which kind, and the rest.
    pub replayed: Replayed,
}

/// By kind of file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replayed {
    /// A shell's event journal.
    Journal(JournalReplay),
    /// A QEMU trace.
    Trace(TraceReplay),
}

/// A trace under three rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TraceReplay {
    /// The planned limit.
    pub downtime_limit_ns: Ns,
    /// H.
    pub hard_limit_ns: Ns,
    /// What QEMU's guest felt.
    pub downtime_ns: Ns,
    /// Side by side.
    pub rulings: Vec<Ruling>,
    /// What the trace does not say.
    pub assumed: Vec<String>,
}

impl Asked {
    fn over(self, limits: Limits) -> Limits {
        Limits {
            downtime: self.downtime.unwrap_or(limits.downtime),
            switchover: self.switchover.unwrap_or(limits.switchover),
        }
    }
}

impl Replay {
    /// Whether a journal's events gave the same actions again; a trace has none to compare.
    #[must_use]
    pub fn agrees(&self) -> bool {
        match &self.replayed {
            Replayed::Journal(journal) => journal.difference.is_none(),
            Replayed::Trace(_) => true,
        }
    }
}

/// Replays a file.
///
/// # Errors
/// The file cannot be read, is torn, of another version, or of neither kind: with file, line and remedy.
pub fn replay(path: &Path, asked: Asked) -> Result<Replay, ReplayError> {
    let failed = |source| ReplayError::Io { path: path.into(), source };
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    let replayed = if text.starts_with('{') {
        known_version(path, &text)?;
        Replayed::Journal(journal::journal(path, |limits| asked.over(limits))?)
    } else if text.contains("vmstate_") {
        Replayed::Trace(of_trace(&Trace::parse(path, &text)?, asked.over(Limits::default())))
    } else {
        return Err(ReplayError::Neither { path: path.into() });
    };
    Ok(Replay { version: VERSION, file: path.display().to_string(), replayed })
}

/// A journal of another version is named as one, whatever else its first line holds.
fn known_version(path: &Path, text: &str) -> Result<(), ReplayError> {
    let first: serde_json::Value = text
        .lines()
        .next()
        .map_or(serde_json::Value::Null, |line| serde_json::from_str(line).unwrap_or_default());
    let known = switchover_text::events::VERSION;
    match first.get("version").and_then(serde_json::Value::as_u64) {
        Some(version) if version != u64::from(known) => Err(ReplayError::Line {
            path: path.into(),
            line: 1,
            what: format!("an event journal of version {version}; this is a replay of version {known}"),
            remedy: "replay it with the version that wrote it",
        }),
        Some(_) => Ok(()),
        None => Err(ReplayError::Neither { path: path.into() }),
    }
}

fn of_trace(trace: &Trace, limits: Limits) -> TraceReplay {
    let mut rulings = vec![rules::stock(trace, limits), rules::rfc(trace, limits)];
    rulings.extend(ours::ours(trace, limits));
    TraceReplay {
        downtime_limit_ns: limits.downtime,
        hard_limit_ns: limits.hard(),
        downtime_ns: trace.downtime(),
        rulings,
        assumed: ours::assumed(trace),
    }
}
