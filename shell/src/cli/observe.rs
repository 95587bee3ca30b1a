//! `switchover observe`: the outside witness of heartbeats.

use std::time::Duration;

use clap::Args;

use super::HostPort;
use crate::units::parse_duration;

/// Watch a guest's heartbeats from outside: who runs it, and how long it stood still
///
/// Give the same address to `--heartbeat udp:HOST:PORT` on both sides. Each vCPU's count must grow with every beat, and only one side
/// may run the guest at any time. Ends on SIGINT or SIGTERM, or after --for; exits with 0 if there was one runner, with 1 if there
/// were two, a count was repeated or went back, or nothing was heard at all.
#[derive(Debug, Args)]
pub(super) struct ObserveArgs {
    /// Where heartbeats arrive, over UDP; port 0 takes a free one, and prints it
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_listen)]
    listen: HostPort,
    /// How long to watch [default: until SIGINT or SIGTERM]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    watch_for: Option<Duration>,
    /// Put the result on stdout, as one object of JSON, and all else on stderr
    #[arg(long)]
    json: bool,
}

/// `udp:` may stand before it, as in `--heartbeat`.
fn parse_listen(given: &str) -> Result<HostPort, super::AddressError> {
    given.strip_prefix("udp:").unwrap_or(given).parse()
}

/// What to watch, and how to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObserveOptions {
    /// Where beats arrive; port 0 is any.
    pub listen: HostPort,
    /// How long to watch; `None` is until told to end.
    pub watch_for: Option<Duration>,
    /// The result goes to stdout as JSON, and nothing else does.
    pub json: bool,
}

impl ObserveArgs {
    pub(super) fn validate(self) -> ObserveOptions {
        ObserveOptions { listen: self.listen, watch_for: self.watch_for, json: self.json }
    }
}
