//! The outside witness of a guest's heartbeats: was there one runner at all times, and how long did the guest stand still?
//!
//! ```text
//! {"guest":ID,"runner":"source","vcpu":0,"count":N}   one datagram for each beat, sent before the guest goes on
//! ```
//!
//! A guest's counts live in its own memory and only grow. So, whoever sends them:
//!
//! - **A count that is not above the highest one seen of its vCPU** was made by a guest that ran twice from one state: two
//!   runners, or one that ran again from before. (Beats may be lost. They are not reordered where all of this is sent
//!   to one socket over loopback.)
//! - **The runner may change, if it is a handover.** All vCPUs change together, and the old runner is silent from then on. A
//!   change back is a handover too (the guest may be moved back, later), but only after every vCPU that ran before has
//!   beaten [`TENURE_BEATS`] times under the new runner; sooner, the two run side by side.
//!
//! An aborted attempt is not seen at all, except as a gap: the runner did not change.
//!
//! Pure: time is an argument, taken as near to the arrival as the caller can. Not here: sockets, printing.

mod report;
mod track;

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::words::Side;

pub use report::{GapReport, GuestReport, Report, VcpuReport, Verdict};
use track::Track;

/// How often each vCPU must have beaten under a runner before the guest may move again. At 1 kHz that is 10 ms: no guest is
/// moved there and back in that time, and two runners side by side alternate faster.
pub const TENURE_BEATS: u64 = 10;

/// Violations that are told one by one; all are counted.
const TOLD: usize = 32;
/// Guests and vCPUs that are followed: a witness must not be filled up by garbage.
const MOST_GUESTS: usize = 1024;
const MOST_VCPUS: usize = 1024;
const MOST_ID_BYTES: usize = 256;

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beat {
    /// Which guest.
    pub guest: GuestId,
    /// Which side runs it.
    pub runner: Side,
    /// Which of its vCPUs.
    pub vcpu: u32,
    /// That vCPU's own count.
    pub count: u64,
}

/// The id of a guest: a text, or a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum GuestId {
    /// A text.
    Text(String),
    /// A number; the same guest as the text of its digits.
    Number(u64),
}

impl GuestId {
    fn into_text(self) -> String {
        match self {
            GuestId::Text(text) => text,
            GuestId::Number(number) => number.to_string(),
        }
    }
}

/// What a datagram showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A beat like the one before.
    Beat,
    /// The first beat of a guest.
    First {
        /// Which guest.
        guest: String,
        /// Who runs it.
        runner: Side,
    },
    /// The guest runs on the other side now.
    Handover {
        /// Which guest.
        guest: String,
        /// Who runs it now.
        runner: Side,
        /// Since the last beat of this vCPU under the old runner; `None` if it had none.
        gap_ns: Option<u64>,
    },
    /// Something that must not be.
    Violated(Violation),
    /// Not a heartbeat.
    Ignored,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Violation {
    /// A count came again.
    #[error("guest {guest}, vCPU {vcpu}: count {count} from the {runner} was seen before, from the {before}")]
    RepeatedCount {
        /// Which guest.
        guest: String,
        /// Which vCPU.
        vcpu: u32,
        /// The count.
        count: u64,
        /// Who sent it.
        runner: Side,
        /// Who sent the beat before.
        before: Side,
    },
    /// A count is below one that was seen.
    #[error("guest {guest}, vCPU {vcpu}: count {count} from the {runner} after {highest} from the {before}")]
    BackwardCount {
        /// Which guest.
        guest: String,
        /// Which vCPU.
        vcpu: u32,
        /// The count.
        count: u64,
        /// The highest that was seen.
        highest: u64,
        /// Who sent it.
        runner: Side,
        /// Who sent the beat before.
        before: Side,
    },
    /// The old runner beats again before the new one has taken over.
    #[error("guest {guest}: the {runner} runs vCPU {vcpu} (count {count}) while the {other} runs the guest")]
    TwoRunners {
        /// Which guest.
        guest: String,
        /// Which vCPU.
        vcpu: u32,
        /// The count.
        count: u64,
        /// Who sent it.
        runner: Side,
        /// Who had taken over.
        other: Side,
    },
}

/// One guest as it was seen.
#[derive(Debug, Clone)]
struct Guest {
    runner: Side,
    changes: u64,
    vcpus: BTreeMap<u32, Track>,
}

impl Guest {
    /// Whether the current runner has taken over each vCPU that ran before it.
    fn taken_over(&self) -> bool {
        self.vcpus.values().all(Track::taken_over)
    }
}

/// Follows heartbeats, and judges them.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    guests: BTreeMap<String, Guest>,
    violations: Vec<Violation>,
    violation_count: u64,
    ignored: u64,
}

impl Witness {
    /// A witness that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Witness::default()
    }

    /// A datagram arrived at `at_ns`, on a clock that the caller always reads.
    pub fn observe(&mut self, at_ns: u64, datagram: &[u8]) -> Seen {
        let seen = match serde_json::from_slice::<Beat>(datagram) {
            Ok(beat) => self.beat(at_ns, beat),
            Err(_) => Seen::Ignored,
        };
        match &seen {
            Seen::Ignored => self.ignored += 1,
            Seen::Violated(violation) => {
                self.violation_count += 1;
                if self.violations.len() < TOLD {
                    self.violations.push(violation.clone());
                }
            }
            _ => {}
        }
        seen
    }

    fn beat(&mut self, at_ns: u64, beat: Beat) -> Seen {
        let Beat { guest: id, runner, vcpu, count } = beat;
        let id = id.into_text();
        let Some(guest) = self.guests.get_mut(&id) else {
            // An id is shown on terminals, and anybody can send one.
            let shown_as_is = !id.chars().any(char::is_control);
            if self.guests.len() >= MOST_GUESTS || id.len() > MOST_ID_BYTES || !shown_as_is {
                return Seen::Ignored;
            }
            let vcpus = BTreeMap::from([(vcpu, Track::new(at_ns, runner, count))]);
            self.guests.insert(id.clone(), Guest { runner, changes: 0, vcpus });
            return Seen::First { guest: id, runner };
        };

        let handover = guest.runner != runner;
        let premature = handover && !guest.taken_over();
        let other = guest.runner;
        if handover {
            guest.runner = runner;
            guest.changes += 1;
            guest.vcpus.values_mut().for_each(Track::begin_tenure);
        }
        let tracks = guest.vcpus.len();
        let (before, highest, gap_ns) = match guest.vcpus.get_mut(&vcpu) {
            None if tracks >= MOST_VCPUS => return Seen::Ignored,
            None => {
                guest.vcpus.insert(vcpu, Track::new(at_ns, runner, count));
                (runner, None, None)
            }
            Some(track) => {
                let (before, highest) = (track.runner(), track.highest());
                (before, Some(highest), Some(track.beat(at_ns, runner, count)))
            }
        };
        match highest {
            Some(highest) if highest == count => {
                Seen::Violated(Violation::RepeatedCount { guest: id, vcpu, count, runner, before })
            }
            Some(highest) if highest > count => {
                Seen::Violated(Violation::BackwardCount { guest: id, vcpu, count, highest, runner, before })
            }
            _ if premature => Seen::Violated(Violation::TwoRunners { guest: id, vcpu, count, runner, other }),
            _ if handover => Seen::Handover { guest: id, runner, gap_ns },
            _ => Seen::Beat,
        }
    }

    /// What was seen up to `now_ns`, on the same clock.
    #[must_use]
    pub fn report(&self, now_ns: u64) -> Report {
        let guests: Vec<GuestReport> = self
            .guests
            .iter()
            .map(|(id, guest)| GuestReport {
                guest: id.clone(),
                runner: guest.runner,
                changes: guest.changes,
                vcpus: guest.vcpus.iter().map(|(vcpu, track)| track.report(*vcpu, now_ns)).collect(),
            })
            .collect();
        let verdict = match (self.violation_count, guests.is_empty()) {
            (0, false) => Verdict::OneRunner,
            (0, true) => Verdict::NothingHeard,
            _ => Verdict::Violated,
        };
        Report {
            verdict,
            violation_count: self.violation_count,
            violations: self.violations.clone(),
            ignored: self.ignored,
            guests,
        }
    }

    /// Whether all that was seen is as it must be; see [`Report::verdict`].
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.report(0).verdict
    }
}

#[cfg(test)]
mod tests;
