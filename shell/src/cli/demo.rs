//! `switchover demo`: a source and a destination as two processes on this host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::guest::GuestArgs;
use super::limits::{LimitArgs, RetryArgs};
use super::outputs::RunArgs;
use super::{
    DestinationOptions, GuestOptions, HostPort, LimitOptions, Linger, RetryOptions, RunOptions,
    SourceOptions, UsageError,
};
use crate::exit_code;

/// Long enough to see that the guest goes on.
const LINGER: Linger = Linger::For(Duration::from_secs(1));

/// Start a guest here, switch it over to a second process over loopback, and show how it went
///
/// Source and destination are processes of their own, as on two hosts. Files that both would write belong to the source; the
/// destination's have `.destination` added to their name.
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct DemoArgs {
    #[command(flatten)]
    guest: GuestArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    retry: RetryArgs,
    #[command(flatten)]
    run: RunArgs,
}

/// A run of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoOptions {
    /// The guest to make.
    pub guest: GuestOptions,
    /// The limits on its downtime.
    pub limits: LimitOptions,
    /// How long and how often to try.
    pub retry: RetryOptions,
    /// What is shown, kept and suffered.
    pub run: RunOptions,
}

impl DemoArgs {
    pub(super) fn validate(self) -> Result<DemoOptions, UsageError> {
        let guest = self.guest.validate()?;
        let limits = self.limits.validate()?;
        let retry = self.retry.validate(&limits)?;
        let run = self.run.validate(LINGER, Some(retry.attempts))?;
        Ok(DemoOptions { guest, limits, retry, run })
    }
}

/// The destination's own file beside the source's.
#[must_use]
pub fn destination_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".destination");
    name.into()
}

impl DemoOptions {
    /// What the destination's process is to do. It reports to the parent, which alone writes the record and the contracts.
    #[must_use]
    pub fn destination(&self, listen: HostPort, report_fd: i32) -> DestinationOptions {
        let own = |path: &Option<PathBuf>| path.as_deref().map(destination_path);
        let run = RunOptions {
            events: own(&self.run.events),
            journal: own(&self.run.journal),
            control: own(&self.run.control),
            // It cannot know which attempt is the last: the parent ends it.
            linger: Linger::Forever,
            ..self.child(report_fd)
        };
        DestinationOptions { listen, guest: self.guest.kind, run }
    }

    /// What the source's process is to do. It reports to the parent, which alone writes the record and the contracts.
    #[must_use]
    pub fn source(&self, connect: HostPort, report_fd: i32) -> SourceOptions {
        let run = self.child(report_fd);
        SourceOptions { connect, guest: self.guest.clone(), limits: self.limits, retry: self.retry, run }
    }

    fn child(&self, report_fd: i32) -> RunOptions {
        RunOptions { record: None, json: false, report_fd: Some(report_fd), ..self.run.clone() }
    }
}

/// The arguments that make a process of this executable do what `options` say, without the program's name.
pub trait ToArgs {
    /// The arguments; [`parse`](super::parse) reads them back to the same options.
    fn to_args(&self) -> Vec<OsString>;
}

impl ToArgs for SourceOptions {
    fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["source".into(), format!("--connect={}", self.connect).into()];
        let groups = [self.guest.to_args(), self.limits.to_args(), self.retry.to_args()];
        args.extend(groups.into_iter().flatten().map(OsString::from));
        args.extend(self.run.to_args());
        args
    }
}

impl ToArgs for DestinationOptions {
    fn to_args(&self) -> Vec<OsString> {
        let mut args: Vec<OsString> = vec!["destination".into(), format!("--listen={}", self.listen).into()];
        let guest = super::guest::GuestKindArg { kind: self.guest }.to_args();
        args.extend(guest.into_iter().map(OsString::from));
        args.extend(self.run.to_args());
        args
    }
}
