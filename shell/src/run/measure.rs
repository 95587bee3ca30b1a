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

/// Measures the timer and the journal, the latter beside `journal`: what does not depend on the guest.
///
/// # Errors
/// The journal's folder cannot be written, or there is no thread left.
pub fn host(side: Side, journal: &Path) -> Result<Calibrated> {
    let journal = journal_write(journal, Durability::Process, ROUNDS)?;
    let timer = timer_lateness(side, Wish::for_loop(side), ROUNDS).context("cannot measure the timer")?;
    Ok(Calibrated { journal: Some(journal.time), timer: Some(timer.time), ..Calibrated::default() })
}

/// Adds what a guest of so many vCPUs costs on this host.
///
/// # Errors
/// There is no KVM to be had.
pub fn guest(host: Calibrated, vcpus: u8) -> Result<Calibrated> {
    let times = kvm(vcpus, ROUNDS)?;
    // The longest of all rounds, and a margin: what a busier moment may take.
    let contract = |time: Duration| Some(Ns::new(nanoseconds(time).saturating_mul(MARGIN)));
    Ok(Calibrated {
        stop: contract(times.stop),
        save: contract(times.save),
        resume: contract(times.resume),
        load: contract(times.load),
        ..host
    })
}
