//! The subcommands at work: each takes its validated options and returns how it ended.
//!
//! An `Err` is an error before an attempt began (exit code 1); outcomes of a run, good and bad, are an [`ExitCode`].

mod control;
mod demo;
mod destination;
mod guest;
mod introduction;
mod keep;
mod ledger;
mod measure;
mod observe;
mod operator;
mod refusals;
mod room;
mod self_check;
mod show;
mod source;

use anyhow::Result;

use crate::cli::{CancelOptions, StatusOptions};
use crate::control_socket;
use crate::exit_code::ExitCode;

pub use demo::demo;
pub use destination::destination;
pub use observe::observe;
pub use show::show;
pub use source::source;

/// Asks a running side how it is.
///
/// # Errors
/// Nobody answers at that path.
pub fn status(options: StatusOptions) -> Result<ExitCode> {
    let status = control_socket::status(&options.control)?;
    if options.json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        println!("{status}");
    }
    Ok(ExitCode::Committed)
}

/// Tells a running side to give up.
///
/// # Errors
/// Nobody answers at that path.
pub fn cancel(options: CancelOptions) -> Result<ExitCode> {
    let cancelled = control_socket::cancel(&options.control)?;
    println!("{}: {}", cancelled.effect, cancelled.text);
    Ok(ExitCode::Committed)
}
