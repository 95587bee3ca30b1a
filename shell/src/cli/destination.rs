//! `switchover destination`: the side that is to have the guest.

use clap::Args;

use super::guest::{GuestKind, GuestKindArg};
use super::outputs::RunArgs;
use super::{HostPort, Linger, RunOptions, UsageError};
use crate::exit_code;

/// Wait at ADDR for a source, take its guest over, and run it
///
/// The guest's size and the limits are the source's to say. After a commit this stays with the guest; after an aborted attempt it
/// waits for the next one, with the memory that it has already. SIGINT or SIGTERM ends it.
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct DestinationArgs {
    /// Where to listen for the source; port 0 takes a free one, and prints it
    #[arg(long, value_name = "HOST:PORT")]
    listen: HostPort,
    #[command(flatten)]
    guest: GuestKindArg,
    #[command(flatten)]
    run: RunArgs,
}

/// The destination's part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationOptions {
    /// Where to listen; port 0 is any.
    pub listen: HostPort,
    /// What kind of guest to take; `None` is what this host can do.
    pub guest: Option<GuestKind>,
    /// What is shown, kept and suffered.
    pub run: RunOptions,
}

impl DestinationArgs {
    pub(super) fn validate(self) -> Result<DestinationOptions, UsageError> {
        let run = self.run.validate(Linger::Forever, None)?;
        Ok(DestinationOptions { listen: self.listen, guest: self.guest.kind, run })
    }
}
