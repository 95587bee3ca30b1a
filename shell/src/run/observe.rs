//! `switchover observe`: listens for heartbeats and tells what the witness makes of them.
//!
//! Beats are stamped by the kernel as they arrive, so being scheduled late costs nothing but the promptness of a line on
//! the screen. Judging is [`crate::witness`]'s.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::cli::ObserveOptions;
use crate::exit_code::ExitCode;
use crate::sys::sched;
use crate::sys::signal::Signals;
use crate::sys::udp::StampedSocket;
use crate::units::short_duration;
use crate::witness::{Report, Seen, Verdict, Witness};

/// A heartbeat is some 80 bytes; what is longer than this is none.
const LONGEST_DATAGRAM: usize = 2048;
/// Datagrams taken before the clock and the signals are looked at again.
const BATCH: usize = 1024;
/// Batches taken at the end: more than the socket's buffer holds.
const LAST_BATCHES: usize = 256;
/// Between two lines about how it goes.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// Violations told while watching; the result has them too, and the number of all.
const TOLD_LIVE: u64 = 16;
/// Above ordinary work, below everything that moves the guest: a witness must not disturb.
const PRIORITY: u8 = 5;

const HEARTBEATS: Token = Token(0);
const SIGNALS: Token = Token(1);

/// Watches until told to end, then says what was seen.
///
/// # Errors
/// The address cannot be listened on, or the system refuses a socket, a descriptor or standard output.
pub fn observe(options: ObserveOptions) -> Result<ExitCode> {
    let signals = Signals::take().context("cannot take signals")?;
    let listen = &options.listen;
    let socket = UdpSocket::bind((listen.host.as_str(), listen.port)).with_context(|| {
        format!("cannot listen for heartbeats on {listen}; is it an address of this host, and free?")
    })?;
    let socket = StampedSocket::new(socket).context("cannot prepare the socket for heartbeats")?;
    let mut watch = Watch { witness: Witness::new(), lines: Lines { json: options.json }, told: 0, beats: 0 };
    let address = socket.socket().local_addr().context("cannot tell the address listened on")?;
    watch.lines.say(&format_args!("listening for heartbeats on udp:{address}"));
    if let Err(error) = sched::set_realtime(0, Some(PRIORITY)) {
        // Only a remark: the kernel's time stamps do not depend on it.
        watch.lines.say(&format_args!(
            "SCHED_FIFO was not permitted ({error}); lines may be late, measured gaps are not"
        ));
    }
    watch.run(&socket, &signals, options.watch_for)?;
    let report = watch.witness.report(now_ns());
    show(&report, options.json).context("cannot write the result")?;
    Ok(match report.verdict {
        Verdict::OneRunner => ExitCode::Committed,
        Verdict::Violated | Verdict::NothingHeard => ExitCode::Error,
    })
}

/// The clock of the kernel's time stamps.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn show(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        eprint!("{report}");
        serde_json::to_writer(&mut out, report)?;
        writeln!(out)
    } else {
        write!(out, "{report}")
    }
}

/// Where lines go: with `--json`, standard output is for the result alone.
struct Lines {
    json: bool,
}

impl Lines {
    fn say(&self, text: &dyn Display) {
        // Nobody reading is no reason to stop watching.
        let _ = if self.json {
            writeln!(io::stderr(), "{text}")
        } else {
            let mut out = io::stdout().lock();
            writeln!(out, "{text}").and_then(|()| out.flush())
        };
    }
}

struct Watch {
    witness: Witness,
    lines: Lines,
    told: u64,
    /// Beats since the last line.
    beats: u64,
}

impl Watch {
    fn run(&mut self, socket: &StampedSocket, signals: &Signals, watch_for: Option<Duration>) -> Result<()> {
        let mut poll = Poll::new()?;
        let registry = poll.registry();
        registry.register(&mut SourceFd(&socket.socket().as_raw_fd()), HEARTBEATS, Interest::READABLE)?;
        registry.register(&mut SourceFd(&signals.as_raw_fd()), SIGNALS, Interest::READABLE)?;
        let mut events = Events::with_capacity(4);
        let begun = Instant::now();
        // A time beyond what the clock can tell is for ever.
        let end = watch_for.and_then(|duration| begun.checked_add(duration));
        let mut line_due = begun + LINE_EVERY;
        let mut more = false;
        loop {
            let now = Instant::now();
            if now >= line_due {
                self.line();
                line_due = now + LINE_EVERY;
            }
            if end.is_some_and(|end| now >= end) {
                // What arrived by then was seen by then.
                self.take_rest(socket)?;
                return Ok(());
            }
            let next = end.map_or(line_due, |end| end.min(line_due));
            let wait = if more { Duration::ZERO } else { next.saturating_duration_since(now) };
            match poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            more = self.take_batch(socket)?;
            if events.iter().any(|event| event.token() == SIGNALS) {
                self.take_rest(socket)?;
                return Ok(());
            }
        }
    }

    /// Takes up to [`BATCH`] datagrams; whether there may be more.
    fn take_batch(&mut self, socket: &StampedSocket) -> Result<bool> {
        let mut buffer = [0; LONGEST_DATAGRAM];
        for _ in 0..BATCH {
            match socket.receive(&mut buffer) {
                Ok(received) => {
                    let at_ns = received.at_ns.unwrap_or_else(now_ns);
                    let seen = self.witness.observe(at_ns, &buffer[..received.len]);
                    self.tell(seen);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot receive heartbeats"),
            }
        }
        Ok(true)
    }

    /// Takes what has arrived. A flood that never ends does not keep the witness from ending.
    fn take_rest(&mut self, socket: &StampedSocket) -> Result<()> {
        for _ in 0..LAST_BATCHES {
            if !self.take_batch(socket)? {
                break;
            }
        }
        Ok(())
    }

    fn tell(&mut self, seen: Seen) {
        match seen {
            Seen::Beat => self.beats += 1,
            Seen::Ignored => {}
            Seen::First { guest, runner } => {
                self.beats += 1;
                self.lines.say(&format_args!("guest {guest}: runs on the {runner}"));
            }
            Seen::Handover { guest, runner, gap_ns } => {
                self.beats += 1;
                let gap = gap_ns.map_or("?".into(), |ns| short_duration(Duration::from_nanos(ns)));
                self.lines.say(&format_args!(
                    "guest {guest}: runs on the {runner} now, after {gap} without a beat"
                ));
            }
            Seen::Violated(violation) => {
                self.beats += 1;
                self.told += 1;
                if self.told <= TOLD_LIVE {
                    self.lines.say(&format_args!("! {violation}"));
                }
            }
        }
    }

    /// How it goes; nothing if nothing came.
    fn line(&mut self) {
        let beats = std::mem::take(&mut self.beats);
        if beats == 0 {
            return;
        }
        let report = self.witness.report(now_ns());
        let gaps = report.guests.iter().flat_map(|guest| &guest.vcpus).map(|vcpu| vcpu.longest_gap_ns);
        let longest = short_duration(Duration::from_nanos(gaps.max().unwrap_or(0)));
        let trouble = match report.violation_count {
            0 => String::new(),
            count => format!(", {count} VIOLATIONS"),
        };
        self.lines.say(&format_args!("{beats} beats/s, longest gap so far {longest}{trouble}"));
    }
}
