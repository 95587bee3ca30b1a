//! Why a file cannot be replayed: which file, which line, and what to do about it.

use std::path::PathBuf;

/// Names the file, the line and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("{path}: {source}; give `replay` a file that can be read")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is neither an event journal nor a QEMU trace.
    #[error(
        "{path}, line 1: neither an event journal nor a QEMU trace; give a file that `switchover --events FILE` wrote, \
         or a log of `qemu -trace 'vmstate_downtime*' -msg timestamp=on`"
    )]
    Neither {
        /// Which.
        path: PathBuf,
    },
    /// An event journal that cannot be read.
    #[error(transparent)]
    Events(#[from] switchover_text::events::EventsError),
    /// A line that cannot be replayed.
    #[error("{path}, line {line}: {what}; {remedy}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}
