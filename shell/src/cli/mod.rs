//! The command line: what may be said, and what it means.
//!
//! ```text
//! argv --clap--> ...Args (as written) --validate--> ...Options (can be meant) --> run
//! ```
//!
//! Nothing is opened, looked up or started here, so that a mistake costs nothing. The `...Options` hold only what makes
//! sense together; whoever gets one need not check again. What is wrong ends the process with code 2 and a message that
//! names the remedy ([`UsageError`]).
//!
//! Not here: whether a file can be written, a host found, or `/dev/kvm` opened. That is known when it is tried.

mod address;
mod cancel;
mod demo;
mod destination;
mod error;
mod guest;
mod limits;
mod observe;
mod outputs;
mod source;
mod status;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::exit_code;

pub use address::{AddressError, HeartbeatTarget, HostPort};
pub use cancel::CancelOptions;
pub use demo::{DemoOptions, ToArgs, destination_path};
pub use destination::DestinationOptions;
pub use error::UsageError;
pub use guest::{GuestKind, GuestOptions, RESERVED};
pub use limits::{LimitOptions, MOST_LIMIT, RetryOptions};
pub use observe::ObserveOptions;
pub use outputs::{Linger, RunOptions};
pub use source::SourceOptions;
pub use status::StatusOptions;

/// Move a running guest to another host within a hard downtime limit.
///
/// The guest's memory is copied while it runs. It is stopped only when all that remains is predicted to fit the downtime
/// limit, and if that does not come true it runs again on the source by the hard limit. Source and destination never run
/// it at the same time.
#[derive(Debug, Parser)]
#[command(name = "switchover", version, after_help = exit_code::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Source(source::SourceArgs),
    Destination(destination::DestinationArgs),
    Observe(observe::ObserveArgs),
    Status(status::StatusArgs),
    Cancel(cancel::CancelArgs),
}

/// What is to be done, ready to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// A source and a destination on this host.
    Demo(DemoOptions),
    /// The side that has the guest.
    Source(SourceOptions),
    /// The side that is to have it.
    Destination(DestinationOptions),
    /// The witness of heartbeats.
    Observe(ObserveOptions),
    /// Ask a running side how it is.
    Status(StatusOptions),
    /// Tell a running side to give up.
    Cancel(CancelOptions),
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// It was not understood, or contradicts itself; or it asked for help or the version, which clap treats alike. The error
/// knows how to print itself and which exit code it means.
pub fn parse<I, T>(args: I) -> Result<Options, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let (name, options) = match Cli::try_parse_from(args)?.command {
        Command::Demo(args) => ("demo", args.validate().map(Options::Demo)),
        Command::Source(args) => ("source", args.validate().map(Options::Source)),
        Command::Destination(args) => ("destination", args.validate().map(Options::Destination)),
        Command::Observe(args) => ("observe", Ok(Options::Observe(args.validate()))),
        Command::Status(args) => ("status", Ok(Options::Status(args.validate()))),
        Command::Cancel(args) => ("cancel", Ok(Options::Cancel(args.validate()))),
    };
    options.map_err(|error| {
        let mut command = Cli::command();
        command.build();
        // The usage line is that of the subcommand which was meant.
        let command =
            command.find_subcommand_mut(name).unwrap_or_else(|| unreachable!("`{name}` was just parsed"));
        command.error(ErrorKind::ValueValidation, error)
    })
}

#[cfg(test)]
mod tests;
