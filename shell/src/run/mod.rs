//! The subcommands at work: each takes its validated options and returns how it ended.
//!
//! An `Err` is an error before an attempt began (exit code 1); outcomes of a run, good and bad, are an [`ExitCode`].

mod observe;

use anyhow::{Result, bail};

use crate::cli::{CancelOptions, DemoOptions, DestinationOptions, SourceOptions, StatusOptions};
use crate::exit_code::ExitCode;

pub use observe::observe;

/// Runs a source and a destination as processes on this host.
///
/// # Errors
/// It is not built yet.
pub fn demo(_options: DemoOptions) -> Result<ExitCode> {
    bail!("`demo` is not built yet")
}

/// Runs the side that has the guest.
///
/// # Errors
/// It is not built yet.
pub fn source(_options: SourceOptions) -> Result<ExitCode> {
    bail!("`source` is not built yet")
}

/// Runs the side that is to have the guest.
///
/// # Errors
/// It is not built yet.
pub fn destination(_options: DestinationOptions) -> Result<ExitCode> {
    bail!("`destination` is not built yet")
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
