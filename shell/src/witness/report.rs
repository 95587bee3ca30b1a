//! What a witness has to say: for `--json`, and as a table.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Violation;
use crate::units::short_duration;
use crate::words;
use crate::words::Side;

words! {
    /// The judgement.
    Verdict, "a verdict" {
        /// One runner at all times, and no count came twice or went back.
        OneRunner = "one_runner",
        /// There were two runners, or a count came twice or went back.
        Violated = "violated",
        /// No heartbeat arrived: nothing is shown.
        NothingHeard = "nothing_heard",
    }
}

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The judgement.
    pub verdict: Verdict,
    /// How often something was seen that must not be.
    pub violation_count: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
    /// Datagrams that were no heartbeats.
    pub ignored: u64,
    /// The guests, by id.
    pub guests: Vec<GuestReport>,
}

/// One guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuestReport {
    /// Its id.
    pub guest: String,
    /// Who sent its last beat.
    pub runner: Side,
    /// How often its runner changed.
    pub changes: u64,
    /// Its vCPUs, by number.
    pub vcpus: Vec<VcpuReport>,
}

/// One vCPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VcpuReport {
    /// Its number.
    pub vcpu: u32,
    /// Beats that arrived.
    pub beats: u64,
    /// Counts that were left out.
    pub lost: u64,
    /// The first count.
    pub first_count: u64,
    /// The highest count.
    pub highest_count: u64,
    /// How often its runner changed.
    pub changes: u64,
    /// The longest time between two beats; 0 if there were no two.
    pub longest_gap_ns: u64,
    /// Where that was.
    pub longest_gap: Option<GapReport>,
    /// From the last beat until the witness stopped watching.
    pub silent_ns: u64,
}

/// A time without a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GapReport {
    /// How long.
    pub ns: u64,
    /// The highest count before it.
    pub after_count: u64,
    /// The count that ended it.
    pub until_count: u64,
    /// Who ran the vCPU before it.
    pub from: Side,
    /// Who ran it after it.
    pub to: Side,
}

impl fmt::Display for Report {
    /// A table that fits 80 columns, and the judgement.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |ns| short_duration(Duration::from_nanos(ns));
        if !self.guests.is_empty() {
            writeln!(
                f,
                "{:<16} {:>4} {:>9} {:>6} {:>10} {:>8} {:<12} silent",
                "guest", "vcpu", "beats", "lost", "count", "longest", "where"
            )?;
        }
        for guest in &self.guests {
            for vcpu in &guest.vcpus {
                let place = match vcpu.longest_gap {
                    Some(gap) if gap.from != gap.to => "handover",
                    Some(gap) => gap.to.word(),
                    None => "-",
                };
                let id: String = guest.guest.chars().take(16).collect();
                writeln!(
                    f,
                    "{id:<16} {:>4} {:>9} {:>6} {:>10} {:>8} {place:<12} {}",
                    vcpu.vcpu,
                    vcpu.beats,
                    vcpu.lost,
                    vcpu.highest_count,
                    short(vcpu.longest_gap_ns),
                    short(vcpu.silent_ns)
                )?;
            }
        }
        for violation in &self.violations {
            writeln!(f, "! {violation}")?;
        }
        let untold = self.violation_count - self.violations.len() as u64;
        if untold > 0 {
            writeln!(f, "! and {untold} more")?;
        }
        if self.ignored > 0 {
            writeln!(f, "{} datagrams were no heartbeats", self.ignored)?;
        }
        let changes: u64 = self.guests.iter().map(|guest| guest.changes).sum();
        match self.verdict {
            Verdict::OneRunner => writeln!(f, "one runner at all times; it changed {changes} times"),
            Verdict::Violated => writeln!(f, "NOT one runner: {} violations", self.violation_count),
            Verdict::NothingHeard => {
                writeln!(f, "nothing was heard: is --heartbeat on both sides set to this address?")
            }
        }
    }
}
