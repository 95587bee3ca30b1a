//! The subcommands at work: each takes its validated options and returns how it ended.
//!
//! An `Err` is an error before an attempt began (exit code 1); outcomes of a run, good and bad, are an [`ExitCode`].

mod destination;
mod guest;
mod introduction;
mod ledger;
mod measure;
mod observe;
mod operator;
mod source;

use anyhow::{Result, bail};

use crate::cli::{CancelOptions, DemoOptions, StatusOptions};
use crate::exit_code::ExitCode;

pub use destination::destination;
pub use observe::observe;
pub use source::source;

/// Runs a source and a destination as processes on this host.
///
/// # Errors
/// It is not built yet.
pub fn demo(_options: DemoOptions) -> Result<ExitCode> {
    bail!("`demo` is not built yet")
}

/// Asks a running side how it is.
///
/// # Errors
/// It is not built yet.
pub fn status(_options: StatusOptions) -> Result<ExitCode> {
    bail!("`status` is not built yet")
}

/// Tells a running side to give up.
///
/// # Errors
/// It is not built yet.
pub fn cancel(_options: CancelOptions) -> Result<ExitCode> {
    bail!("`cancel` is not built yet")
}
