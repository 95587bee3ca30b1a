//! Options about what a run shows, keeps and suffers; the same for everything that runs a guest.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{HeartbeatTarget, UsageError};
use crate::faults::{Fault, Faults, When};
use crate::units::{UnitError, exact_duration, parse_duration};

/// Beyond this, two clocks do not count the same seconds.
const MOST_DRIFT: u32 = 100_000;

/// How long a run goes on after its last outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linger {
    /// So long.
    For(Duration),
    /// Until it is told to end.
    Forever,
}

fn parse_linger(given: &str) -> Result<Linger, UnitError> {
    if given == "forever" { Ok(Linger::Forever) } else { parse_duration(given).map(Linger::For) }
}

fn parse_drift(given: &str) -> Result<u32, String> {
    let number = given.strip_suffix("ppm").unwrap_or(given).trim_end();
    let drift = number.parse().ok().filter(|drift| *drift <= MOST_DRIFT);
    drift.ok_or_else(|| format!("write parts per million from 0 to {MOST_DRIFT}, as in `500`"))
}

/// What a run shows and keeps, as written.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Send a datagram to HOST:PORT for each heartbeat of the guest
    ///
    /// JSON with the guest's id, who runs it, the vCPU, and that vCPU's own count, which only grows. `switchover observe` is its
    /// counterpart: a witness who is neither source nor destination.
    #[arg(long, value_name = "udp:HOST:PORT", help_heading = "Output")]
    heartbeat: Option<HeartbeatTarget>,
    /// Write the record of the run to FILE, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    record: Option<PathBuf>,
    /// Put the record on stdout, as one object of JSON, and all else on stderr
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write every event of the machine and what it did then to FILE, to be replayed later
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    events: Option<PathBuf>,
    /// How long to go on after the last outcome, the guest running and beating: a time, or `forever`
    ///
    /// Whichever outcome it is. `demo` goes on for 1s unless told otherwise, `source` and `destination` for ever.
    #[arg(long, value_name = "TIME", value_parser = parse_linger, help_heading = "Output")]
    linger: Option<Linger>,
    /// Where to keep the journal, which says after a crash where the guest may run [default: in the state directory, and
    /// printed; `demo`: a temporary one, kept when not committed]
    #[arg(long, value_name = "FILE", help_heading = "Host")]
    journal: Option<PathBuf>,
    /// Where to listen for `switchover status` and `switchover cancel`: a socket with mode 0600
    #[arg(long, value_name = "PATH", help_heading = "Host")]
    control: Option<PathBuf>,
    /// Time contracts to go by: read if FILE exists, written at the end with what was learned
    #[arg(long, value_name = "FILE", help_heading = "Host")]
    contracts: Option<PathBuf>,
    /// How far this host's clock may be off in rate, in parts per million
    #[arg(long, value_name = "PPM", default_value = "500", value_parser = parse_drift, help_heading = "Host")]
    drift: u32,
    /// Compare all of the guest's memory and vCPU state on both sides while it stands still
    ///
    /// Apart from the stream's own digest, and as slow as memory is large: raise --downtime-limit for it.
    #[arg(long, help_heading = "Testing")]
    verify: bool,
    /// A fault to inject; may be given again
    ///
    /// KIND:WHERE[:HOW][#N], in the first attempt, or the Nth (`#2`), or each (`#all`):{n}
    ///   stall:stop|save|link|load|seal|resume|rollback:TIME{n}
    ///   drop:ready|go|running[:once]{n}
    ///   kill:source|destination@PHASE{n}
    ///   corrupt:page|device{n}
    /// PHASE is one of hello precopy stop save transfer load seal ready go resume rollback.
    #[arg(long = "fault", value_name = "FAULT", help_heading = "Testing")]
    faults: Vec<Fault>,
    /// Report to the parent process, as lines of JSON on this descriptor.
    #[arg(long, value_name = "N", hide = true, value_parser = clap::value_parser!(i32).range(3..))]
    report_fd: Option<i32>,
}

/// What a run shows and keeps: no two options mean the same file, no two faults the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOptions {
    /// Where a datagram goes for each heartbeat.
    pub heartbeat: Option<HeartbeatTarget>,
    /// Where the record goes.
    pub record: Option<PathBuf>,
    /// The record goes to stdout, and nothing else does.
    pub json: bool,
    /// Where the machine's events go.
    pub events: Option<PathBuf>,
    /// How long to go on after the last outcome.
    pub linger: Linger,
    /// Where the journal is; `None` is the default place.
    pub journal: Option<PathBuf>,
    /// Where the control socket is.
    pub control: Option<PathBuf>,
    /// Where time contracts are read from and written to.
    pub contracts: Option<PathBuf>,
    /// Declared bound of this host's clock rate, in parts per million.
    pub drift_ppm: u32,
    /// Compare everything while the guest stands still.
    pub verify: bool,
    /// Everything that the run is to suffer, on either side.
    pub faults: Faults,
    /// A descriptor inherited from a parent that wants reports.
    pub report_fd: Option<i32>,
}

impl RunArgs {
    /// `attempts` is how many there can be, where that is known.
    pub(super) fn validate(self, linger: Linger, attempts: Option<u32>) -> Result<RunOptions, UsageError> {
        let files = [
            ("--record", &self.record),
            ("--events", &self.events),
            ("--journal", &self.journal),
            ("--control", &self.control),
            ("--contracts", &self.contracts),
        ];
        for (index, (second, path)) in files.iter().enumerate() {
            let Some(path) = path else { continue };
            if let Some((first, _)) = files[..index].iter().find(|(_, other)| other.as_ref() == Some(path)) {
                return Err(UsageError::SameFile { first, second, path: path.clone() });
            }
        }
        if let Some(attempts) = attempts {
            let never = |fault: &&Fault| matches!(fault.when, When::Attempt(number) if number > attempts);
            if let Some(fault) = self.faults.iter().find(never) {
                return Err(UsageError::FaultNeverStrikes { fault: *fault, attempts });
            }
        }
        Ok(RunOptions {
            heartbeat: self.heartbeat,
            record: self.record,
            json: self.json,
            events: self.events,
            linger: self.linger.unwrap_or(linger),
            journal: self.journal,
            control: self.control,
            contracts: self.contracts,
            drift_ppm: self.drift,
            verify: self.verify,
            faults: Faults::new(self.faults)?,
            report_fd: self.report_fd,
        })
    }
}

impl RunOptions {
    pub(super) fn to_args(&self) -> Vec<std::ffi::OsString> {
        let mut args: Vec<std::ffi::OsString> = Vec::new();
        let text = |args: &mut Vec<_>, arg: String| args.push(arg.into());
        if let Some(target) = &self.heartbeat {
            text(&mut args, format!("--heartbeat={target}"));
        }
        for (option, path) in [
            ("--record", &self.record),
            ("--events", &self.events),
            ("--journal", &self.journal),
            ("--control", &self.control),
            ("--contracts", &self.contracts),
        ] {
            args.extend(path.iter().flat_map(|path| [option.into(), path.clone().into_os_string()]));
        }
        let linger = match self.linger {
            Linger::For(duration) => exact_duration(duration),
            Linger::Forever => "forever".into(),
        };
        text(&mut args, format!("--linger={linger}"));
        text(&mut args, format!("--drift={}", self.drift_ppm));
        for (flag, set) in [("--json", self.json), ("--verify", self.verify)] {
            args.extend(set.then(|| flag.into()));
        }
        self.faults.iter().for_each(|fault| text(&mut args, format!("--fault={fault}")));
        if let Some(fd) = self.report_fd {
            text(&mut args, format!("--report-fd={fd}"));
        }
        args
    }
}
