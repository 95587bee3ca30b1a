//! What is known about each vCPU, readable from any thread at any time without locks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::layout::*;
use crate::guest::memory::GuestMemory;

/// A self-check that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelfCheckFailure {
    /// What was checked.
    pub check: &'static str,
    /// Where: a guest page, where that makes sense.
    pub page: u64,
    /// What should have been there.
    pub expected: u64,
    /// What was there.
    pub found: u64,
}

/// What is known about a vCPU.
#[derive(Clone, Copy, Debug)]
pub struct VcpuReport {
    /// The guest's own count of beats, over both sides.
    pub count: u64,
    /// Beats made under this VMM.
    pub beats_here: u64,
    /// When the last beat was made under this VMM.
    pub last_beat: Option<Instant>,
    /// The longest time between two beats, as the guest itself saw it, over both sides.
    pub longest_gap: Duration,
    /// Pages written, over both sides.
    pub pages_written: u64,
    /// How many self-checks failed, over both sides; 0 is a clean guest.
    pub failures: u64,
    /// The first of them.
    pub first_failure: Option<SelfCheckFailure>,
    /// Whether the vCPU may have executed an instruction under this VMM.
    pub entered: bool,
    /// Whether it is in the guest or about to be.
    pub running: bool,
}

/// The VMM's half, written by the vCPU's thread alone.
#[derive(Debug)]
pub(super) struct Stats {
    epoch: Instant,
    pub beats: AtomicU64,
    last_beat_ns: AtomicU64,
    pub entered: AtomicBool,
    pub running: AtomicBool,
    /// Beats whose count did not follow the one before.
    pub out_of_step: AtomicU64,
    pub out_of_step_expected: AtomicU64,
    pub out_of_step_found: AtomicU64,
}

impl Stats {
    pub(super) fn new(epoch: Instant) -> Stats {
        Stats {
            epoch,
            beats: AtomicU64::new(0),
            last_beat_ns: AtomicU64::new(0),
            entered: AtomicBool::new(false),
            running: AtomicBool::new(false),
            out_of_step: AtomicU64::new(0),
            out_of_step_expected: AtomicU64::new(0),
            out_of_step_found: AtomicU64::new(0),
        }
    }

    pub(super) fn beat(&self) {
        let since = self.epoch.elapsed().as_nanos() as u64;
        self.last_beat_ns.store(since, Ordering::Relaxed);
        self.beats.fetch_add(1, Ordering::Release);
    }

    pub(super) fn out_of_step(&self, expected: u64, found: u64) {
        if self.out_of_step.load(Ordering::Relaxed) == 0 {
            self.out_of_step_expected.store(expected, Ordering::Relaxed);
            self.out_of_step_found.store(found, Ordering::Relaxed);
        }
        self.out_of_step.fetch_add(1, Ordering::Release);
    }

    pub(super) fn report(&self, memory: &GuestMemory, vcpu: u8, tsc_khz: u32) -> VcpuReport {
        let word = |index| block_word(memory, vcpu, index);
        let beats_here = self.beats.load(Ordering::Acquire);
        let last_beat = self.epoch + Duration::from_nanos(self.last_beat_ns.load(Ordering::Relaxed));
        let gap = u128::from(word(BLOCK_LONGEST_GAP)) * 1_000_000 / u128::from(tsc_khz.max(1));
        let in_guest = word(BLOCK_FAILURES);
        let out_of_step = self.out_of_step.load(Ordering::Acquire);
        let first_failure = if in_guest > 0 {
            Some(SelfCheckFailure {
                check: check_name(word(BLOCK_FAILED_CHECK)),
                page: word(BLOCK_FAILED_WHERE),
                expected: word(BLOCK_FAILED_EXPECTED),
                found: word(BLOCK_FAILED_FOUND),
            })
        } else if out_of_step > 0 {
            Some(SelfCheckFailure {
                check: "beats count one by one",
                page: (BLOCKS + u64::from(vcpu) * BLOCK_SIZE) / crate::guest::memory::PAGE as u64,
                expected: self.out_of_step_expected.load(Ordering::Relaxed),
                found: self.out_of_step_found.load(Ordering::Relaxed),
            })
        } else {
            None
        };
        VcpuReport {
            count: word(BLOCK_COUNT),
            beats_here,
            last_beat: (beats_here > 0).then_some(last_beat),
            longest_gap: Duration::from_nanos(gap.min(u128::from(u64::MAX)) as u64),
            pages_written: word(BLOCK_WRITES),
            failures: in_guest.saturating_add(out_of_step),
            first_failure,
            entered: self.entered.load(Ordering::Acquire),
            running: self.running.load(Ordering::Acquire),
        }
    }
}

/// Reads a word of a vCPU's block in guest memory.
pub(super) fn block_word(memory: &GuestMemory, vcpu: u8, index: usize) -> u64 {
    // Always inside: a guest's memory is larger than the blocks.
    memory.load_u64(BLOCKS + u64::from(vcpu) * BLOCK_SIZE + index as u64 * 8).unwrap_or(0)
}

fn check_name(check: u64) -> &'static str {
    match check {
        CHECK_PAGE => "a page holds what was last written to it",
        CHECK_COUNT => "the beat count in memory is the one in registers",
        CHECK_WRITES => "the write count in memory is the one in registers",
        CHECK_REGISTER => "registers survive a port access",
        CHECK_TSC => "time does not go back",
        CHECK_PARAMS => "the parameter page is as written",
        CHECK_PANIC => "the guest program does not panic",
        _ => "unknown",
    }
}
