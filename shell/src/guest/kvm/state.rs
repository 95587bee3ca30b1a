//! One vCPU's state as bytes: taken from KVM, and given to another KVM.
//!
//! Layout, little-endian: a fixed header, then KVM's own structs (`REGS SREGS VCPU_EVENTS XSAVE XCRS DEBUGREGS`), then
//! the MSRs. There is no `MP_STATE`: without an interrupt controller a vCPU is always runnable. Everything is bounded and checked before anything reaches the kernel, which checks the
//! values themselves. There is no checksum here: what carries the bytes has one.
//!
//! Each KVM call costs some microseconds of downtime, so registers and events come with `KVM_RUN` itself, and what only
//! this VMM changes is remembered, not asked for.
//!
//! Time: the guest's time stamp counter must never go back. On the host it was saved on, its *offset* to the host's
//! counter is set again, so it goes on as if nothing had been. On another host the counter is set to a little more
//! than the saved value, by one offset for all vCPUs, so that they stay in step with each other.

use std::sync::{Mutex, PoisonError};

use kvm_bindings::{
    KVM_VCPUEVENT_VALID_SMM, Msrs, kvm_debugregs, kvm_msr_entry, kvm_sync_regs, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::VcpuFd;
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::error::VcpuError;
use crate::sys::kvm as sys;

/// The most bytes a vCPU state takes.
pub const STATE_MAX: usize = 16 * 1024;
/// The most MSRs in a state.
pub const MSRS_MAX: usize = 256;

const MAGIC: u32 = u32::from_le_bytes(*b"SWvC");
const VERSION: u16 = 1;
const IA32_TSC: u32 = 0x10;
const XSAVE_BYTES: usize = 4096;
/// How far beyond its saved value a counter is set on another host: more than the vCPUs' savings lie apart.
const STEP_AHEAD_MS: u64 = 10;

#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Header {
    magic: u32,
    version: u16,
    vcpu: u8,
    /// 1 when `tsc_offset` is known.
    has_offset: u8,
    msrs: u32,
    tsc_khz: u32,
    /// The host's boot id: counters of one boot of one host are comparable.
    host: [u8; 16],
    /// The host's counter and the guest's, when saved.
    host_tsc: u64,
    guest_tsc: u64,
    tsc_offset: u64,
}

/// Why bytes are no vCPU state.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StateError {
    /// Not the length that their header says, or longer than any state.
    #[error("a vCPU state of {found} bytes where {expected} were expected")]
    Length {
        /// Bytes there are.
        found: usize,
        /// Bytes there should be.
        expected: usize,
    },
    /// Not a state at all.
    #[error("not a vCPU state")]
    Magic,
    /// Of another version of this format.
    #[error("a vCPU state of format {found}, this is {VERSION}: use the same release on both sides")]
    Version {
        /// Its version.
        found: u16,
    },
    /// Of another vCPU.
    #[error("the state of vCPU {found}")]
    OtherVcpu {
        /// Whose it is.
        found: u8,
    },
    /// A value in it is impossible.
    #[error("a vCPU state with an impossible {0}")]
    Value(&'static str),
    /// A model-specific register that this host does not have.
    #[error("a vCPU state with MSR {0:#x}, which this host does not have")]
    UnknownMsr(u32),
    /// The counters of the two hosts run at different rates.
    #[error("a vCPU state with a TSC of {found} kHz, this host's runs at {expected} kHz")]
    TscRate {
        /// The state's.
        found: u32,
        /// This host's.
        expected: u32,
    },
}

/// What all vCPUs of a VM share about saving and loading.
#[derive(Debug)]
pub(super) struct StateFormat {
    /// The MSRs that this host can give.
    pub msrs: Vec<u32>,
    pub tsc_khz: u32,
    pub host: [u8; 16],
    /// What `KVM_CAP_XSAVE2` says.
    pub xsave_size: usize,
    /// Loading on another host: the common difference of offsets, settled by the first vCPU.
    pub shift: Mutex<Option<u64>>,
}

/// A decoded state, ready to be given to a vCPU.
#[derive(Debug)]
pub(super) struct Decoded {
    header: Header,
    /// Given with the next `KVM_RUN`.
    pub registers: kvm_sync_regs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    msrs: Vec<kvm_msr_entry>,
}

fn failed<E: std::fmt::Display>(vcpu: u8, what: &'static str) -> impl FnOnce(E) -> VcpuError {
    move |cause| VcpuError::Call { vcpu, what, cause: cause.to_string() }
}

/// A list to read these MSRs with.
pub(super) fn msr_list(indices: &[u32]) -> Msrs {
    let entries: Vec<_> =
        indices.iter().map(|index| kvm_msr_entry { index: *index, ..Default::default() }).collect();
    // Fails only beyond the kernel's limit of 256 entries, to which `StateFormat` keeps.
    Msrs::from_entries(&entries).unwrap_or_else(|_| unreachable!("at most {MSRS_MAX} MSRs"))
}

impl StateFormat {
    /// Takes the state of a vCPU that has just left `KVM_RUN`, which gave `registers`. `msrs` is a list from
    /// [`msr_list`], used again each time; `tsc_offset` is what [`sys::tsc_offset`] said or was last set to.
    pub(super) fn save(
        &self,
        vcpu: u8,
        fd: &VcpuFd,
        registers: &kvm_sync_regs,
        tsc_offset: Option<u64>,
        msrs: &mut Msrs,
    ) -> Result<Vec<u8>, VcpuError> {
        let mut out = Vec::with_capacity(STATE_MAX);
        out.resize(size_of::<Header>(), 0);
        put(&mut out, &registers.regs);
        put(&mut out, &registers.sregs);
        put(&mut out, &registers.events);
        put(&mut out, &fd.get_xsave().map_err(failed(vcpu, "KVM_GET_XSAVE"))?.region);
        put(&mut out, &fd.get_xcrs().map_err(failed(vcpu, "KVM_GET_XCRS"))?);
        put(&mut out, &fd.get_debug_regs().map_err(failed(vcpu, "KVM_GET_DEBUGREGS"))?);
        let read = fd.get_msrs(msrs).map_err(failed(vcpu, "KVM_GET_MSRS"))?;
        if let Some(refused) = self.msrs.get(read) {
            let cause = format!("MSR {refused:#x} cannot be read");
            return Err(VcpuError::Call { vcpu, what: "KVM_GET_MSRS", cause });
        }
        let mut guest_tsc = 0;
        for entry in msrs.as_slice() {
            if entry.index == IA32_TSC {
                guest_tsc = entry.data;
            }
            put(&mut out, entry);
        }
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            vcpu,
            has_offset: u8::from(tsc_offset.is_some()),
            msrs: self.msrs.len() as u32,
            tsc_khz: self.tsc_khz,
            host: self.host,
            host_tsc: sys::host_tsc(),
            guest_tsc,
            tsc_offset: tsc_offset.unwrap_or(0),
        };
        out[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        Ok(out)
    }

    /// Checks bytes that claim to be the state of `vcpu`.
    pub(super) fn decode(&self, vcpu: u8, bytes: &[u8]) -> Result<Decoded, StateError> {
        const FIXED: usize = size_of::<Header>()
            + size_of::<kvm_sync_regs>()
            + XSAVE_BYTES
            + size_of::<kvm_xcrs>()
            + size_of::<kvm_debugregs>();
        let (header, mut rest) = Header::read_from_prefix(bytes)
            .map_err(|_| StateError::Length { found: bytes.len(), expected: FIXED })?;
        if header.magic != MAGIC {
            return Err(StateError::Magic);
        }
        if header.version != VERSION {
            return Err(StateError::Version { found: header.version });
        }
        if header.vcpu != vcpu {
            return Err(StateError::OtherVcpu { found: header.vcpu });
        }
        if header.has_offset > 1 {
            return Err(StateError::Value("flag"));
        }
        if header.tsc_khz != self.tsc_khz {
            return Err(StateError::TscRate { found: header.tsc_khz, expected: self.tsc_khz });
        }
        let count = header.msrs as usize;
        if count > MSRS_MAX {
            return Err(StateError::Value("number of MSRs"));
        }
        let expected = FIXED + count * size_of::<kvm_msr_entry>();
        if bytes.len() != expected || expected > STATE_MAX {
            return Err(StateError::Length { found: bytes.len(), expected });
        }
        let mut registers =
            kvm_sync_regs { regs: take(&mut rest)?, sregs: take(&mut rest)?, events: take(&mut rest)? };
        // Known only to kernels that can emulate system management mode, which this VMM never enters.
        registers.events.flags &= !KVM_VCPUEVENT_VALID_SMM;
        let xsave = kvm_xsave { region: take(&mut rest)?, ..Default::default() };
        let xcrs: kvm_xcrs = take(&mut rest)?;
        if xcrs.nr_xcrs as usize > xcrs.xcrs.len() || xcrs.flags != 0 {
            return Err(StateError::Value("XCRS"));
        }
        let debug = take(&mut rest)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let entry: kvm_msr_entry = take(&mut rest)?;
            if !self.msrs.contains(&entry.index) {
                // Another kernel's list may be longer; a register that was never set is not missed.
                if entry.data == 0 {
                    continue;
                }
                return Err(StateError::UnknownMsr(entry.index));
            }
            // The counter is set apart from the others.
            if entry.index != IA32_TSC {
                entries.push(entry);
            }
        }
        Ok(Decoded { header, registers, xsave, xcrs, debug, msrs: entries })
    }

    /// Gives a state, all but its `registers`, to a vCPU that is not running. `msrs` and `tsc_offset` are what it has,
    /// and become what it is given. After an error the vCPU is in no usable state, and `msrs` must be read again.
    pub(super) fn load(
        &self,
        vcpu: u8,
        fd: &VcpuFd,
        state: &Decoded,
        msrs: &mut Msrs,
        tsc_offset: &mut Option<u64>,
    ) -> Result<(), VcpuError> {
        fd.set_xcrs(&state.xcrs).map_err(failed(vcpu, "KVM_SET_XCRS"))?;
        sys::set_xsave(fd, &state.xsave, self.xsave_size).map_err(failed(vcpu, "KVM_SET_XSAVE"))?;
        self.set_tsc(vcpu, fd, &state.header, tsc_offset)?;
        set_msrs(vcpu, fd, &state.msrs, msrs)?;
        fd.set_debug_regs(&state.debug).map_err(failed(vcpu, "KVM_SET_DEBUGREGS"))
    }

    fn set_tsc(&self, vcpu: u8, fd: &VcpuFd, saved: &Header, has: &mut Option<u64>) -> Result<(), VcpuError> {
        if saved.has_offset == 0 || has.is_none() {
            return self.set_tsc_value(vcpu, fd, saved);
        }
        let offset = if saved.host == self.host {
            saved.tsc_offset
        } else {
            saved.tsc_offset.wrapping_add(self.shift(saved))
        };
        if *has != Some(offset) {
            sys::set_tsc_offset(fd, offset).map_err(failed(vcpu, "setting the TSC offset"))?;
            *has = Some(offset);
        }
        Ok(())
    }

    /// What is added to offsets from another host: the difference of the two hosts' counters and a step ahead, the
    /// same for all vCPUs.
    fn shift(&self, saved: &Header) -> u64 {
        let now = sys::host_tsc();
        let ahead = u64::from(self.tsc_khz) * STEP_AHEAD_MS;
        let mut common = self.shift.lock().unwrap_or_else(PoisonError::into_inner);
        let shift = *common.get_or_insert(saved.host_tsc.wrapping_add(ahead).wrapping_sub(now));
        // Never back, even where this vCPU was saved later than the step makes up for.
        let behind = saved.host_tsc.wrapping_sub(now.wrapping_add(shift)) as i64;
        shift.wrapping_add(behind.max(0) as u64)
    }

    /// For a KVM without offsets: the counter itself.
    fn set_tsc_value(&self, vcpu: u8, fd: &VcpuFd, saved: &Header) -> Result<(), VcpuError> {
        let mut data = saved.guest_tsc;
        if saved.host == self.host {
            data = data.wrapping_add(sys::host_tsc().wrapping_sub(saved.host_tsc));
        }
        let entry = kvm_msr_entry { index: IA32_TSC, data, ..Default::default() };
        let msrs = Msrs::from_entries(&[entry]).map_err(failed(vcpu, "KVM_SET_MSRS"))?;
        match fd.set_msrs(&msrs).map_err(failed(vcpu, "KVM_SET_MSRS"))? {
            1 => Ok(()),
            _ => Err(VcpuError::Call { vcpu, what: "KVM_SET_MSRS", cause: "the TSC keeps its value".into() }),
        }
    }
}

/// Writes those registers that differ from what the vCPU `has`. Writing some with the value that they have is refused, or
/// noted in the host's log each time.
fn set_msrs(vcpu: u8, fd: &VcpuFd, wanted: &[kvm_msr_entry], has: &mut Msrs) -> Result<(), VcpuError> {
    let mut differing = Vec::new();
    for entry in wanted {
        let Some(present) = has.as_mut_slice().iter_mut().find(|present| present.index == entry.index) else {
            continue;
        };
        if present.data != entry.data {
            present.data = entry.data;
            differing.push(*entry);
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    let list = Msrs::from_entries(&differing).map_err(failed(vcpu, "KVM_SET_MSRS"))?;
    let set = fd.set_msrs(&list).map_err(failed(vcpu, "KVM_SET_MSRS"))?;
    match differing.get(set) {
        None => Ok(()),
        Some(refused) => {
            let cause = format!("MSR {:#x} does not take {:#x}", refused.index, refused.data);
            Err(VcpuError::Call { vcpu, what: "KVM_SET_MSRS", cause })
        }
    }
}

fn put<T: IntoBytes + Immutable + ?Sized>(out: &mut Vec<u8>, value: &T) {
    out.extend_from_slice(value.as_bytes());
}

fn take<T: FromBytes>(rest: &mut &[u8]) -> Result<T, StateError> {
    let (value, after) = T::read_from_prefix(rest)
        .map_err(|_| StateError::Length { found: rest.len(), expected: size_of::<T>() })?;
    *rest = after;
    Ok(value)
}
