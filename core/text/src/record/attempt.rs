//! One attempt to switch over.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::contracts::Provenance;
use crate::units::{Bytes, short_duration};
use crate::words::{Phase, Port, Side};

/// The name of an attempt: the source's journal and its counter there, which together never come again.
#[must_use]
pub fn attempt_id(journal: u64, counter: u64) -> String {
    format!("{journal:016x}:{counter}")
}

/// The record of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptRecord {
    /// Its name, as [`attempt_id`] makes it.
    pub id: String,
    /// How it ended; `in_doubt` is how it ended *so far*.
    pub outcome: Outcome,
    /// Why, in one word (`not_admitted`, `cancelled`); `null` for an attempt that committed.
    pub reason: Option<String>,
    /// Who used more time than its contract when the attempt was aborted, or broke the limit when it was not.
    pub offender: Option<Offender>,
    /// Every phase that began, by side and port.
    pub phases: Vec<PhaseRecord>,
    /// The last verdict on whether it will fit; `null` if it never came to that.
    pub admission: Option<Admission>,
    /// The guest's blackout: 0 if it never stopped, `null` if no end is known.
    pub downtime_ns: Option<u64>,
    /// What was left of the hard limit, negative if it was broken; `null` where `downtime_ns` is, or without a stop.
    pub slack_ns: Option<i64>,
    /// Latest time after t = 0 at which `Go` could have been sent; `null` without a stop.
    pub go_by_ns: Option<u64>,
    /// Bytes sent for guest memory and state, framing included.
    pub bytes: u64,
    /// Those of them sent while the guest stood still.
    pub stop_copy_bytes: u64,
    /// Rounds of pre-copy.
    pub rounds: u32,
    /// The faults that were to strike this attempt, as on the command line.
    pub faults_injected: Vec<String>,
    /// What the hosts permitted the real-time threads.
    pub scheduling: Vec<Scheduling>,
    /// Time between t = 0 and the outcome that the hypervisor below took from the hosts, as far as they noticed.
    pub stolen_ns: u64,
    /// With `--verify`: whether all memory and vCPU state was equal on both sides; `null` if it was not compared.
    pub verified: Option<bool>,
}

impl AttemptRecord {
    /// An attempt that ended with `outcome` before anything happened; the rest is filled in.
    #[must_use]
    pub fn new(id: String, outcome: Outcome) -> Self {
        AttemptRecord {
            id,
            outcome,
            reason: None,
            offender: None,
            phases: Vec::new(),
            admission: None,
            downtime_ns: Some(0),
            slack_ns: None,
            go_by_ns: None,
            bytes: 0,
            stop_copy_bytes: 0,
            rounds: 0,
            faults_injected: Vec::new(),
            scheduling: Vec::new(),
            stolen_ns: 0,
            verified: None,
        }
    }

    /// With the guest's blackout, and the slack that it left in the hard limit.
    #[must_use]
    pub fn with_downtime(mut self, downtime_ns: u64, hard_limit_ns: u64) -> Self {
        self.downtime_ns = Some(downtime_ns);
        let slack = i128::from(hard_limit_ns) - i128::from(downtime_ns);
        self.slack_ns = Some(i64::try_from(slack).unwrap_or(if slack < 0 { i64::MIN } else { i64::MAX }));
        self
    }
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offender {
    /// On which side.
    pub side: Side,
    /// Which port.
    pub port: Port,
    /// In which phase.
    pub phase: Phase,
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.side, self.port, self.phase)
    }
}

/// What one port did in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseRecord {
    /// On which side.
    pub side: Side,
    /// Which port.
    pub port: Port,
    /// Which phase.
    pub phase: Phase,
    /// When it began, counted from t = 0 as that side knows it; negative before; `null` if there was no t = 0.
    pub start_ns: Option<i64>,
    /// What its contract allowed; `null` for phases without one.
    pub planned_ns: Option<u64>,
    /// What it took; what it had taken when the attempt ended, if it was not done by then; `null` if nobody could tell.
    pub measured_ns: Option<u64>,
}

/// A verdict on whether a switchover begun now would fit the downtime limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admission {
    /// Whether it would.
    pub admitted: bool,
    /// The sum of the terms.
    pub predicted_ns: u64,
    /// What it was compared with.
    pub downtime_limit_ns: u64,
    /// What it is made of.
    pub terms: Vec<Term>,
}

/// One part of a prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// What takes the time: `stop`, `save`, `memory`.
    pub name: String,
    /// How long.
    pub ns: u64,
    /// How that is known.
    pub source: Provenance,
    /// For a term that is an amount at a rate: the amount.
    pub bytes: Option<u64>,
    /// For a term that is an amount at a rate: the rate.
    pub bytes_per_second: Option<u64>,
}

impl Term {
    /// A term that is simply a time.
    #[must_use]
    pub fn time(name: &str, ns: u64, source: Provenance) -> Self {
        Term { name: name.into(), ns, source, bytes: None, bytes_per_second: None }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = short_duration(Duration::from_nanos(self.ns));
        match (self.bytes, self.bytes_per_second) {
            (Some(bytes), Some(rate)) => {
                write!(
                    f,
                    "{} {took} ({} at {}/s, {})",
                    self.name,
                    Bytes(bytes).short(),
                    Bytes(rate).short(),
                    self.source
                )
            }
            _ => write!(f, "{} {took} ({})", self.name, self.source),
        }
    }
}

impl fmt::Display for Admission {
    /// The sum, written out: `stop 300us (calibrated) + memory 101ms (212MiB at 2.1GiB/s, learned) = 121ms > 100ms: not now`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, term) in self.terms.iter().enumerate() {
            write!(f, "{}{term}", if index == 0 { "" } else { " + " })?;
        }
        let (relation, verdict) = if self.admitted { ("<=", "go ahead") } else { (">", "not now") };
        let predicted = short_duration(Duration::from_nanos(self.predicted_ns));
        let limit = short_duration(Duration::from_nanos(self.downtime_limit_ns));
        write!(f, " = {predicted} {relation} {limit}: {verdict}")
    }
}

/// What one host permitted the thread that keeps the deadlines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    /// On which side.
    pub side: Side,
    /// The priority of real-time scheduling (SCHED_FIFO); `null` if it was not permitted.
    pub fifo_priority: Option<u8>,
    /// Whether memory was locked against paging.
    pub memory_locked: bool,
    /// The CPU that the thread was pinned to; `null` if to none.
    pub pinned_cpu: Option<u32>,
    /// What was not permitted and what it may cost, in words.
    pub notes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_written_out_with_where_each_term_comes_from() {
        let memory = Term {
            bytes: Some(212 << 20),
            bytes_per_second: Some(2 << 30),
            ..Term::time("memory", 103_515_625, Provenance::Learned)
        };
        let mut admission = Admission {
            admitted: false,
            predicted_ns: 103_815_625,
            downtime_limit_ns: 100_000_000,
            terms: vec![Term::time("stop", 300_000, Provenance::Calibrated), memory],
        };
        assert_eq!(
            admission.to_string(),
            "stop 300us (calibrated) + memory 104ms (212MiB at 2GiB/s, learned) = 104ms > 100ms: not now"
        );
        (admission.admitted, admission.downtime_limit_ns) = (true, 300_000_000);
        assert!(admission.to_string().ends_with("= 104ms <= 300ms: go ahead"));
    }

    #[test]
    fn slack_is_what_is_left_and_negative_when_the_limit_is_broken() {
        let attempt = || AttemptRecord::new(attempt_id(0xab, 3), Outcome::Aborted);
        assert_eq!(attempt().id, "00000000000000ab:3");
        assert_eq!(attempt().with_downtime(300, 310).slack_ns, Some(10));
        assert_eq!(attempt().with_downtime(312, 310).slack_ns, Some(-2));
        assert_eq!(attempt().with_downtime(u64::MAX, 0).slack_ns, Some(i64::MIN));
    }
}
