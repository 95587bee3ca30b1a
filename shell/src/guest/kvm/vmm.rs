//! The VM: memory, vCPUs and what they share.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use heapless::Vec as BoundedVec;
use kvm_bindings::{
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
    kvm_enable_cap,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd, VmFd};

use super::boot;
use super::cpuid;
use super::descriptor::{self, GuestDescriptor, MemorySlot};
use super::error::KvmError;
use super::heartbeat::{HeartbeatSink, UdpHeartbeat};
use super::pending::{Pending, Together};
use super::run::Thread;
use super::spec::{Hooks, KvmSpec};
use super::state::{MSRS_MAX, StateFormat, msr_list};
use super::stats::Stats;
use super::vcpu::{Loaded, Resumed, Shared, Stopped, Vcpu};
use crate::dirty::PageRun;
use crate::guest::memory::{GuestMemory, PAGE};
use crate::sys::kvm as sys;

/// A guest under KVM. Dropping it stops and ends the vCPUs' threads.
#[derive(Debug)]
pub struct Vmm {
    // The order of fields is the order of their end: threads, then the slot, then memory.
    vcpus: Vec<Vcpu>,
    slot: Arc<sys::MemorySlot>,
    memory: GuestMemory,
    descriptor: GuestDescriptor,
    clears_by_hand: bool,
}

impl Vmm {
    /// A fresh guest: its program laid out, its vCPUs ready to run from the beginning, none of them running yet.
    ///
    /// # Errors
    /// Each names what is to be done.
    pub fn create(spec: &KvmSpec, hooks: &Hooks) -> Result<Vmm, KvmError> {
        Vmm::build(spec, hooks, true)
    }

    /// A destination: memory of zeros and vCPUs without a state.
    ///
    /// # Errors
    /// As for [`Vmm::create`].
    pub fn create_empty(spec: &KvmSpec, hooks: &Hooks) -> Result<Vmm, KvmError> {
        Vmm::build(spec, hooks, false)
    }

    /// What this host offers to a guest with the memory and vCPUs of `spec`, without making one. A destination compares
    /// it with what the source sent.
    ///
    /// # Errors
    /// As for [`Vmm::create`].
    pub fn describe(spec: &KvmSpec) -> Result<GuestDescriptor, KvmError> {
        spec.check()?;
        let kvm = open()?;
        let vm = kvm.create_vm().map_err(KvmError::call("KVM_CREATE_VM"))?;
        let first = vm.create_vcpu(0).map_err(KvmError::call("KVM_CREATE_VCPU"))?;
        describe(&kvm, spec, tsc_khz(&first)?)
    }

    /// Its memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Its vCPUs, in order.
    pub fn vcpus(&self) -> &[Vcpu] {
        &self.vcpus
    }

    /// Stops all vCPUs, in parallel; the answers in their order.
    pub fn stop(&self) -> Vec<Pending<Stopped>> {
        let together = Together::of(self.vcpus.len());
        let answers = self.vcpus.iter().map(|vcpu| vcpu.ask_to_stop(&together)).collect();
        self.vcpus.iter().for_each(Vcpu::hurry);
        answers
    }

    /// Gives each vCPU its state, in parallel; the answers in their order. One without a state is not asked.
    pub fn load(&self, states: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<Pending<Loaded>> {
        let together = Together::of(self.vcpus.len().min(states.len()));
        self.vcpus.iter().zip(states).map(|(vcpu, state)| vcpu.ask_to_load(state, &together)).collect()
    }

    /// Lets all vCPUs run, in parallel; the answers in their order.
    pub fn resume(&self) -> Vec<Pending<Resumed>> {
        let together = Together::of(self.vcpus.len());
        self.vcpus.iter().map(|vcpu| vcpu.ask_to_resume(&together)).collect()
    }

    /// What it needs of a host.
    pub fn descriptor(&self) -> &GuestDescriptor {
        &self.descriptor
    }

    /// Its memory slot, for a dirty log.
    pub(crate) fn slot(&self) -> &Arc<sys::MemorySlot> {
        &self.slot
    }

    /// Whether its dirty log is read and cleared in two steps.
    pub(crate) fn clears_by_hand(&self) -> bool {
        self.clears_by_hand
    }

    /// Whether any vCPU may have executed an instruction here. False is certain.
    pub fn entered(&self) -> bool {
        self.vcpus.iter().any(Vcpu::entered)
    }

    fn build(spec: &KvmSpec, hooks: &Hooks, fresh: bool) -> Result<Vmm, KvmError> {
        spec.check()?;
        let kvm = open()?;
        let memory = GuestMemory::new(spec.memory)?;
        let vm = Arc::new(kvm.create_vm().map_err(KvmError::call("KVM_CREATE_VM"))?);
        let clears_by_hand = clear_by_hand(&vm);
        let slot = sys::MemorySlot::new(Arc::clone(&vm), Arc::clone(memory.mapping()), 0)
            .map_err(|cause| KvmError::Call { what: "KVM_SET_USER_MEMORY_REGION", cause })?;
        let fds = (0..spec.vcpus)
            .map(|index| vm.create_vcpu(index.into()).map_err(KvmError::call("KVM_CREATE_VCPU")))
            .collect::<Result<Vec<VcpuFd>, KvmError>>()?;
        let khz = tsc_khz(&fds[0])?;
        let descriptor = describe(&kvm, spec, khz)?;
        for (fd, index) in fds.iter().zip(0u8..) {
            let list = descriptor::to_kvm(&descriptor.cpuid, index)
                .map_err(|mismatch| KvmError::Spec(mismatch.to_string()))?;
            fd.set_cpuid2(&list).map_err(KvmError::call("KVM_SET_CPUID2"))?;
        }
        let format = Arc::new(StateFormat {
            msrs: usable_msrs(&kvm, &fds[0])?,
            tsc_khz: khz,
            host: boot_id(),
            xsave_size: xsave_size(&vm)?,
            shift: Mutex::new(None),
        });
        if fresh {
            boot::lay_out(&memory, spec, khz)?;
            // A host's first-touch faults would hold back the first round of dirtying.
            let pages = spec.working_set / PAGE as u64;
            memory.populate_run(PageRun { first: memory.pages() - pages, pages }, 2)?;
            for (fd, index) in fds.iter().zip(0u8..) {
                boot::set_registers(fd, index)?;
            }
        }
        let epoch = Instant::now();
        let mut vcpus = Vec::new();
        for (fd, index) in fds.into_iter().zip(0u8..) {
            let stats = Stats::new(epoch);
            let shared = Arc::new(Shared::new(index, stats, spec.urgent_priority));
            let with = Thread {
                shared: Arc::clone(&shared),
                memory: memory.clone(),
                format: Arc::clone(&format),
                hooks: hooks.clone(),
                heartbeat: heartbeat(hooks, index)?,
            };
            vcpus.push(start(with, shared, fd, fresh, memory.clone(), khz)?);
        }
        Ok(Vmm { vcpus, slot: Arc::new(slot), memory, descriptor, clears_by_hand })
    }
}

fn start(
    with: Thread,
    shared: Arc<Shared>,
    fd: VcpuFd,
    ready: bool,
    memory: GuestMemory,
    tsc_khz: u32,
) -> Result<Vcpu, KvmError> {
    let (tell, told) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(format!("vcpu{}", shared.index))
        // The receiver is below, and waits.
        .spawn(move || with.main(fd, ready, move |armed| drop(tell.send(armed))))
        .map_err(KvmError::Thread)?;
    let vcpu = Vcpu { shared, memory, tsc_khz, thread: Some(thread) };
    match told.recv() {
        Ok(Ok(())) => Ok(vcpu),
        Ok(Err(cause)) => Err(KvmError::Thread(cause)),
        Err(_) => Err(KvmError::Thread(std::io::ErrorKind::BrokenPipe.into())),
    }
}

fn heartbeat(hooks: &Hooks, vcpu: u8) -> Result<Option<Box<dyn HeartbeatSink>>, KvmError> {
    let Some(beats) = &hooks.heartbeats else {
        return Ok(None);
    };
    let sink = UdpHeartbeat::new(beats.to, beats.guest.clone(), beats.runner, vcpu)
        .map_err(|cause| KvmError::Heartbeat { to: beats.to.to_string(), cause })?;
    Ok(Some(Box::new(sink)))
}

fn open() -> Result<Kvm, KvmError> {
    open_at(c"/dev/kvm")
}

fn open_at(path: &CStr) -> Result<Kvm, KvmError> {
    let kvm = Kvm::new_with_path(path).map_err(|error| match error.errno() {
        libc::ENOENT | libc::ENXIO | libc::ENODEV => KvmError::Absent,
        libc::EACCES | libc::EPERM => KvmError::NotPermitted,
        _ => KvmError::call("opening /dev/kvm")(error),
    })?;
    if kvm.get_api_version() != 12 {
        return Err(KvmError::Lacks("API version 12"));
    }
    for (cap, name) in [
        (Cap::UserMemory, "user memory"),
        (Cap::ImmediateExit, "immediate exit"),
        (Cap::ExtCpuid, "CPUID2"),
        (Cap::Xcrs, "XCRS"),
        (Cap::Debugregs, "DEBUGREGS"),
        (Cap::VcpuEvents, "VCPU_EVENTS"),
        (Cap::SyncRegs, "SYNC_REGS"),
    ] {
        if !kvm.check_extension(cap) {
            return Err(KvmError::Lacks(name));
        }
    }
    Ok(kvm)
}

fn describe(kvm: &Kvm, spec: &KvmSpec, tsc_khz: u32) -> Result<GuestDescriptor, KvmError> {
    let too_many = |mismatch: descriptor::Mismatch| KvmError::Spec(mismatch.to_string());
    let cpuid = match &spec.cpuid {
        Some(entries) => {
            BoundedVec::from_slice(entries).map_err(|_| too_many(descriptor::Mismatch::TooManyEntries))?
        }
        None => {
            let list = kvm
                .get_supported_cpuid(kvm_bindings::KVM_MAX_CPUID_ENTRIES)
                .map_err(KvmError::call("KVM_GET_SUPPORTED_CPUID"))?;
            descriptor::from_kvm(&list).map_err(too_many)?
        }
    };
    let (xcr0, xsave_size) = cpuid::xsave(&cpuid);
    let mut slots = BoundedVec::new();
    // One of the four there is room for.
    let _ = slots.push(MemorySlot { first_page: 0, pages: spec.memory / PAGE as u64 });
    Ok(GuestDescriptor { page_size: PAGE as u32, slots, vcpus: spec.vcpus, tsc_khz, xcr0, xsave_size, cpuid })
}

fn tsc_khz(vcpu: &VcpuFd) -> Result<u32, KvmError> {
    match vcpu.get_tsc_khz().map_err(KvmError::call("KVM_GET_TSC_KHZ"))? {
        0 => Err(KvmError::Lacks("a TSC of known rate")),
        khz => Ok(khz),
    }
}

/// The MSRs on KVM's list that can be read on this host; each host saves its own.
fn usable_msrs(kvm: &Kvm, vcpu: &VcpuFd) -> Result<Vec<u32>, KvmError> {
    let all = kvm.get_msr_index_list().map_err(KvmError::call("KVM_GET_MSR_INDEX_LIST"))?;
    let mut usable = Vec::new();
    for index in all.as_slice() {
        let mut one = msr_list(&[*index]);
        if matches!(vcpu.get_msrs(&mut one), Ok(1)) {
            usable.push(*index);
        }
    }
    if usable.len() > MSRS_MAX {
        return Err(KvmError::Lacks("a list of at most 256 MSRs"));
    }
    Ok(usable)
}

/// Asks for a dirty log that is cleared by hand and begins with every page set, so that beginning protects nothing.
fn clear_by_hand(vm: &VmFd) -> bool {
    let wanted = u64::from(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
    let cap = kvm_enable_cap {
        cap: KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        args: [wanted, 0, 0, 0],
        ..Default::default()
    };
    let has = vm.check_extension_raw(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.into());
    u64::try_from(has).is_ok_and(|has| has & wanted == wanted) && vm.enable_cap(&cap).is_ok()
}

fn xsave_size(vm: &VmFd) -> Result<usize, KvmError> {
    let size = usize::try_from(vm.check_extension_int(Cap::Xsave2)).unwrap_or(0);
    if size > 4096 {
        return Err(KvmError::Lacks("an extended state of at most 4096 bytes (AMX is not supported here)"));
    }
    Ok(size)
}

/// Names one boot of one host; zeros, where it is not told, match nothing but another of the kind.
fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut id = [0u8; 16];
    for (byte, digits) in id.iter_mut().zip(text.trim().replace('-', "").as_bytes().chunks(2)) {
        *byte =
            std::str::from_utf8(digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_kvm_is_told_what_to_do() {
        let absent = open_at(c"/dev/no-such-kvm").unwrap_err();
        assert!(matches!(absent, KvmError::Absent));
        assert!(absent.to_string().contains("load the kvm_intel or kvm_amd module"));
        // Something else by that name.
        assert!(matches!(open_at(c"/dev/null").unwrap_err(), KvmError::Lacks("API version 12")));
    }
}
