//! What this host takes for the things that a plan has to count on, measured before the guest runs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use switchover_core::time::Ns;

use crate::calibrate::{MARGIN, ROUNDS, journal_write, timer_lateness};
use crate::contracts::Calibrated;
use crate::guest::kvm::calibrate as kvm;
use crate::journal::Durability;
use crate::realtime::Wish;
use crate::units::nanoseconds;
use crate::words::Side;

/// Measures this host for a guest of so many vCPUs, with a journal beside `journal`.
///
/// # Errors
/// There is no KVM to be had, or the journal's folder cannot be written.
pub fn calibrate(side: Side, vcpus: u8, journal: &Path) -> Result<Calibrated> {
    let times = kvm(vcpus, ROUNDS)?;
    // The longest of all rounds, and a margin: what a busier moment may take.
    let contract = |time: Duration| Some(Ns::new(nanoseconds(time).saturating_mul(MARGIN)));
    let journal = journal_write(journal, Durability::Process, ROUNDS)?;
    let timer = timer_lateness(side, Wish::for_loop(side), ROUNDS).context("cannot measure the timer")?;
    Ok(Calibrated {
        stop: contract(times.stop),
        save: contract(times.save),
        resume: contract(times.resume),
        load: contract(times.load),
        journal: Some(journal.time),
        timer: Some(timer.time),
    })
}
