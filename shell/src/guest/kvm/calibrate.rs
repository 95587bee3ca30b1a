//! What stopping, saving, loading and running vCPUs costs on this host, measured on a guest that is thrown away.
//!
//! Before the real guest runs, and on one of the same number of vCPUs: the cost of the kick and of the state does not
//! depend on how much memory there is.

use std::time::{Duration, Instant};

use super::error::{KvmError, VcpuError};
use super::spec::{DirtyRate, Hooks, KvmSpec};
use super::vmm::Vmm;

/// The longest of all rounds, for all vCPUs together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VcpuTimes {
    /// From the request until all are out of the guest with their state taken.
    pub stop: Duration,
    /// Of that, the longest that one took for its state.
    pub save: Duration,
    /// From the request until all have taken a state.
    pub load: Duration,
    /// From the request until all are about to enter the guest.
    pub resume: Duration,
}

/// Why the guest could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// There is no guest to measure.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// A vCPU of it failed.
    #[error("a vCPU failed while this host was measured: {0}")]
    Vcpu(#[from] VcpuError),
}

/// Measures `rounds` rounds with so many vCPUs.
///
/// # Errors
/// See [`CalibrateError`].
pub fn calibrate(vcpus: u8, rounds: u32) -> Result<VcpuTimes, CalibrateError> {
    let spec = KvmSpec {
        working_set: 1 << 20,
        dirty_rate: DirtyRate::BytesPerSecond(0),
        ..KvmSpec::new(8 << 20, vcpus)
    };
    let vmm = Vmm::create(&spec, &Hooks::default())?;
    let mut longest = VcpuTimes::default();
    let longer = |longest: &mut Duration, since: Instant| *longest = since.elapsed().max(*longest);
    for _ in 0..rounds {
        let start = Instant::now();
        all(vmm.vcpus().iter().map(super::Vcpu::resume))?;
        longer(&mut longest.resume, start);
        let start = Instant::now();
        let stopped = all(vmm.stop())?;
        longer(&mut longest.stop, start);
        for one in &stopped {
            longest.save = longest.save.max(one.saved_at.saturating_duration_since(one.at));
        }
        let start = Instant::now();
        all(vmm.vcpus().iter().zip(&stopped).map(|(vcpu, stopped)| vcpu.load(stopped.state.to_vec())))?;
        longer(&mut longest.load, start);
    }
    Ok(longest)
}

/// Asks all, then waits for all.
fn all<T>(asked: impl IntoIterator<Item = super::Pending<T>>) -> Result<Vec<T>, VcpuError> {
    let asked: Vec<_> = asked.into_iter().collect();
    asked.into_iter().map(super::Pending::wait).collect()
}
