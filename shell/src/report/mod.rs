//! What the processes of a `demo` tell their parent: lines of JSON over an inherited pipe (`--report-fd`).
//!
//! ```text
//! source ------ Reporter ==pipe==> Reports --.
//!                                             >-- demo: the record of the run, also when one was killed
//! destination - Reporter ==pipe==> Reports --'
//! ```
//!
//! A child says where it listens, a [`Snapshot`](Report::Snapshot) of its record whenever something happened that matters
//! to where the guest is, and how it finished. It may be killed at any moment, so each line stands for itself: the last
//! whole one counts.
//!
//! Not a network protocol, and not for other programs: both ends are the same executable. What is made of the reports is
//! the parent's to say.

mod reader;
mod writer;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::exit_code::ExitCode;
use crate::record::RunRecord;
use crate::words;
use crate::words::Side;

pub use reader::Reports;
pub use writer::Reporter;

words! {
    /// What a process knows of the guest in its own hands.
    Standing, "a standing" {
        /// It has no guest to run, and no attempt is at the point where it could be told to: a destination before
        /// `Ready`, and after an attempt that it will not commit.
        Waits = "waits",
        /// The guest stands still here. On the source: `Go` was not sent. On the destination: `Ready` was said, and `Go`
        /// may come.
        Stopped = "stopped",
        /// The guest runs here.
        Runs = "runs",
        /// On the source: `Go` was sent, and no answer read yet. The guest stands still here and may run there.
        InDoubt = "in_doubt",
        /// It was here and is not any more: it runs on the other side, which said so.
        Gone = "gone",
    }
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The destination can be connected to.
    Listening {
        /// Where, with the port that the system chose.
        address: SocketAddr,
    },
    /// How it is now.
    Snapshot {
        /// Who says so.
        side: Side,
        /// What that side knows of the guest.
        standing: Standing,
        /// The run so far, told as if it ended here.
        record: Box<RunRecord>,
    },
    /// There is nothing more to come; the process is about to end.
    Finished {
        /// The whole run.
        record: Box<RunRecord>,
        /// How it ends.
        exit: ExitCode,
    },
}

#[cfg(test)]
mod tests;
