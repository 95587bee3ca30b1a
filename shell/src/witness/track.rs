//! One vCPU of one guest, as it was seen.

use super::{GapReport, TENURE_BEATS, VcpuReport};
use crate::words::Side;

/// What is kept about a vCPU.
#[derive(Debug, Clone)]
pub(super) struct Track {
    runner: Side,
    first: u64,
    highest: u64,
    last_at_ns: u64,
    beats: u64,
    lost: u64,
    changes: u64,
    longest: Option<GapReport>,
    /// Beats under the guest's current runner.
    in_tenure: u64,
    /// Whether it has beaten under an earlier one, and so must have been taken over before the guest can move again.
    ran_before: bool,
}

impl Track {
    pub(super) fn new(at_ns: u64, runner: Side, count: u64) -> Self {
        Track {
            runner,
            first: count,
            highest: count,
            last_at_ns: at_ns,
            beats: 1,
            lost: 0,
            changes: 0,
            longest: None,
            in_tenure: 1,
            ran_before: false,
        }
    }

    pub(super) fn runner(&self) -> Side {
        self.runner
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    /// Whether the current runner surely runs it, if another one did before.
    pub(super) fn taken_over(&self) -> bool {
        !self.ran_before || self.in_tenure >= TENURE_BEATS
    }

    /// The guest's runner changed.
    pub(super) fn begin_tenure(&mut self) {
        self.ran_before = true;
        self.in_tenure = 0;
    }

    /// Another beat; returns how long after the last one.
    pub(super) fn beat(&mut self, at_ns: u64, runner: Side, count: u64) -> u64 {
        // The clock may be set back by its owner; a gap is never negative.
        let gap_ns = at_ns.saturating_sub(self.last_at_ns);
        if self.longest.is_none_or(|longest| gap_ns > longest.ns) {
            self.longest = Some(GapReport {
                ns: gap_ns,
                after_count: self.highest,
                until_count: count,
                from: self.runner,
                to: runner,
            });
        }
        self.lost += count.saturating_sub(self.highest).saturating_sub(1);
        self.highest = self.highest.max(count);
        self.changes += u64::from(runner != self.runner);
        self.runner = runner;
        self.last_at_ns = at_ns;
        self.beats += 1;
        self.in_tenure += 1;
        gap_ns
    }

    pub(super) fn report(&self, vcpu: u32, now_ns: u64) -> VcpuReport {
        VcpuReport {
            vcpu,
            beats: self.beats,
            lost: self.lost,
            first_count: self.first,
            highest_count: self.highest,
            changes: self.changes,
            longest_gap_ns: self.longest.map_or(0, |longest| longest.ns),
            longest_gap: self.longest,
            silent_ns: now_ns.saturating_sub(self.last_at_ns),
        }
    }
}
