//! What the tests of the real guest share.
#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, Instant};

use switchover_shell::dirty::Bitmap;
use switchover_shell::guest::kvm::{DirtyRate, KvmSpec, Vmm};

/// A guest of so many MiB, with so many MiB of working set.
pub fn spec(memory_mib: u64, working_mib: u64, rate: DirtyRate, vcpus: u8) -> KvmSpec {
    KvmSpec { working_set: working_mib << 20, dirty_rate: rate, ..KvmSpec::new(memory_mib << 20, vcpus) }
}

/// Lets all vCPUs run.
pub fn resume(vmm: &Vmm) {
    let answers: Vec<_> = vmm.vcpus().iter().map(|vcpu| vcpu.resume()).collect();
    for answer in answers {
        answer.wait().unwrap();
    }
}

/// Stops all vCPUs at once; returns their states, and how long it took until the last was stopped and saved.
pub fn stop(vmm: &Vmm) -> (Vec<Vec<u8>>, Duration) {
    let from = Instant::now();
    let stopped: Vec<_> = vmm.stop().into_iter().map(|answer| answer.wait().unwrap()).collect();
    let last = stopped.iter().map(|stopped| stopped.saved_at).max().unwrap();
    (stopped.iter().map(|stopped| stopped.state.to_vec()).collect(), last - from)
}

/// Gives the states to the vCPUs and lets them run; returns how long until the last was about to run.
pub fn load_and_resume(vmm: &Vmm, states: &[Vec<u8>]) -> Duration {
    let from = Instant::now();
    let loads: Vec<_> =
        vmm.vcpus().iter().zip(states).map(|(vcpu, state)| vcpu.load(state.clone())).collect();
    for load in loads {
        load.wait().unwrap();
    }
    let answers: Vec<_> = vmm.vcpus().iter().map(|vcpu| vcpu.resume()).collect();
    let last = answers.into_iter().map(|answer| answer.wait().unwrap().at).max().unwrap();
    last - from
}

/// No vCPU has died, and the guest has found no fault.
pub fn assert_clean(vmm: &Vmm) {
    for vcpu in vmm.vcpus() {
        assert_eq!(vcpu.died(), None);
        let report = vcpu.report();
        assert_eq!(report.first_failure, None, "vCPU {}: {report:?}", vcpu.index());
    }
}

/// Copies all of memory.
pub fn copy_all(from: &Vmm, to: &Vmm) {
    let mut page = 0;
    from.memory().lend_all(|bytes| {
        to.memory().write_pages(page, bytes).unwrap();
        page += (bytes.len() / 4096) as u64;
    });
}

/// Copies the pages in `dirty`, and empties it.
pub fn copy_runs(from: &Vmm, to: &Vmm, dirty: &mut Bitmap) {
    let mut buffer = vec![0u8; 64 * 4096];
    while let Some(run) = dirty.take_run(0, 64) {
        let part = &mut buffer[..run.pages as usize * 4096];
        from.memory().copy_pages_to(run.first, part).unwrap();
        to.memory().write_pages(run.first, part).unwrap();
    }
}

/// Both memories are equal, byte for byte.
pub fn assert_same_memory(left: &Vmm, right: &Vmm) {
    let mut page = 0;
    let mut other = vec![0u8; 1 << 20];
    left.memory().lend_all(|bytes| {
        right.memory().copy_pages_to(page, &mut other[..bytes.len()]).unwrap();
        for (at, (l, r)) in bytes.chunks(4096).zip(other.chunks(4096)).enumerate() {
            assert!(l == r, "page {} differs", page + at as u64);
        }
        page += (bytes.len() / 4096) as u64;
    });
}

/// Prints the distribution of some times.
pub fn print_times(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!("{what}: p50 {:?} p99 {:?} max {:?} of {}", at(50), at(99), times[times.len() - 1], times.len());
}
