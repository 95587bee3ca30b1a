//! What this host takes for the things that a plan has to count on, measured before the guest runs.

use std::time::Duration;

use anyhow::Result;
use switchover_core::time::Ns;

use crate::contracts::Calibrated;
use crate::guest::kvm::calibrate as kvm;
use crate::units::nanoseconds;
use crate::words::Side;

/// Rounds of each measurement.
const ROUNDS: u32 = 100;

/// Measures this host for a guest of so many vCPUs.
///
/// # Errors
/// There is no KVM to be had.
pub fn calibrate(vcpus: u8, _side: Side) -> Result<Calibrated> {
    let times = kvm(vcpus, ROUNDS)?;
    // The longest of a hundred rounds, doubled: what a busier moment may take.
    let doubled = |time: Duration| Some(Ns::new(nanoseconds(time).saturating_mul(2)));
    Ok(Calibrated {
        stop: doubled(times.stop),
        resume: doubled(times.resume),
        load: doubled(times.load),
        ..Calibrated::default()
    })
}
