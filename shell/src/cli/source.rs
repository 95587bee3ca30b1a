//! `switchover source`: the side that has the guest.

use clap::Args;

use super::guest::GuestArgs;
use super::limits::{LimitArgs, RetryArgs};
use super::outputs::RunArgs;
use super::{GuestOptions, HostPort, LimitOptions, Linger, RetryOptions, RunOptions, UsageError};
use crate::exit_code;

/// Start a guest here and switch it over to the destination at ADDR
///
/// SIGINT before the commit point cancels the switchover, and the guest goes on here; a second one ends it. After an aborted run the
/// guest goes on here until SIGINT or SIGTERM. In doubt this never ends by itself: the first SIGINT says where the guest may be and
/// what is safe, a second one within 5 s ends it with 4.
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct SourceArgs {
    /// Where the destination listens
    #[arg(long, value_name = "HOST:PORT")]
    connect: HostPort,
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    retry: RetryArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// The source's part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOptions {
    /// Where the destination listens; never port 0.
    pub connect: HostPort,
    /// The guest to make.
    pub guest: GuestOptions,
    /// The limits on its downtime.
    pub limits: LimitOptions,
    /// How long and how often to try.
    pub retry: RetryOptions,
    /// What is shown, kept and suffered.
    pub run: RunOptions,
}

impl SourceArgs {
    pub(super) fn validate(self) -> Result<SourceOptions, UsageError> {
        if self.connect.port == 0 {
            return Err(UsageError::ConnectToPortZero(self.connect.to_string()));
        }
        let guest = self.guest.validate()?;
        let limits = self.limits.validate()?;
        let retry = self.retry.validate(&limits)?;
        let run = self.run.validate(Linger::Forever, Some(retry.attempts))?;
        Ok(SourceOptions { connect: self.connect, guest, limits, retry, run })
    }
}
