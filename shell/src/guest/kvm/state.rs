//! One vCPU's state as bytes: taken from KVM, and given to another KVM.
//!
//! Layout, little-endian: a fixed header, then KVM's own structs (`REGS SREGS XSAVE XCRS VCPU_EVENTS MP_STATE
//! DEBUGREGS`), then the MSRs. Everything is bounded and checked before anything reaches the kernel, which checks the
//! values themselves. There is no checksum here: what carries the bytes has one.
//!
//! Time: the guest's time stamp counter must never go back. On the host it was saved on, its *offset* to the host's
//! counter is set again, so it goes on as if nothing had been. On another host the counter is set to a little more
//! than the saved value, by one offset for all vCPUs, so that they stay in step with each other.

use std::sync::{Mutex, PoisonError};

use kvm_bindings::{
    KVM_VCPUEVENT_VALID_SMM, Msrs, kvm_debugregs, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs, kvm_xsave,
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
    /// The MSRs that this host can both give and take.
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
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: kvm_xsave,
    xcrs: kvm_xcrs,
    events: kvm_vcpu_events,
    mp_state: kvm_mp_state,
    debug: kvm_debugregs,
    msrs: Msrs,
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
    /// Takes the state of a vCPU that is not running. `msrs` is a list from [`msr_list`], used again each time.
    pub(super) fn save(&self, vcpu: u8, fd: &VcpuFd, msrs: &mut Msrs) -> Result<Vec<u8>, VcpuError> {
        let mut out = Vec::with_capacity(STATE_MAX);
        out.resize(size_of::<Header>(), 0);
        put(&mut out, &fd.get_regs().map_err(failed(vcpu, "KVM_GET_REGS"))?);
        put(&mut out, &fd.get_sregs().map_err(failed(vcpu, "KVM_GET_SREGS"))?);
        put(&mut out, &fd.get_xsave().map_err(failed(vcpu, "KVM_GET_XSAVE"))?.region);
        put(&mut out, &fd.get_xcrs().map_err(failed(vcpu, "KVM_GET_XCRS"))?);
        put(&mut out, &fd.get_vcpu_events().map_err(failed(vcpu, "KVM_GET_VCPU_EVENTS"))?);
        put(&mut out, &fd.get_mp_state().map_err(failed(vcpu, "KVM_GET_MP_STATE"))?);
        put(&mut out, &fd.get_debug_regs().map_err(failed(vcpu, "KVM_GET_DEBUGREGS"))?);
        let read = fd.get_msrs(msrs).map_err(failed(vcpu, "KVM_GET_MSRS"))?;
        let mut guest_tsc = 0;
        for entry in msrs.as_slice() {
            if entry.index == IA32_TSC {
                guest_tsc = entry.data;
            }
            put(&mut out, entry);
        }
        if read != self.msrs.len() {
            let cause = format!("MSR {:#x} cannot be read", self.msrs[read]);
            return Err(VcpuError::Call { vcpu, what: "KVM_GET_MSRS", cause });
        }
        let offset = sys::tsc_offset(fd);
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            vcpu,
            has_offset: u8::from(offset.is_some()),
            msrs: self.msrs.len() as u32,
            tsc_khz: self.tsc_khz,
            host: self.host,
            host_tsc: sys::host_tsc(),
            guest_tsc,
            tsc_offset: offset.unwrap_or(0),
        };
        out[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        Ok(out)
    }

    /// Checks bytes that claim to be the state of `vcpu`.
    pub(super) fn decode(&self, vcpu: u8, bytes: &[u8]) -> Result<Decoded, StateError> {
        let fixed = size_of::<Header>()
            + size_of::<kvm_regs>()
            + size_of::<kvm_sregs>()
            + XSAVE_BYTES
            + size_of::<kvm_xcrs>()
            + size_of::<kvm_vcpu_events>()
            + size_of::<kvm_mp_state>()
            + size_of::<kvm_debugregs>();
        let (header, mut rest) = Header::read_from_prefix(bytes)
            .map_err(|_| StateError::Length { found: bytes.len(), expected: fixed })?;
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
        let expected = fixed + count * size_of::<kvm_msr_entry>();
        if bytes.len() != expected || expected > STATE_MAX {
            return Err(StateError::Length { found: bytes.len(), expected });
        }
        let regs = take(&mut rest)?;
        let sregs: kvm_sregs = take(&mut rest)?;
        let xsave = kvm_xsave { region: take(&mut rest)?, ..Default::default() };
        let xcrs: kvm_xcrs = take(&mut rest)?;
        if xcrs.nr_xcrs as usize > xcrs.xcrs.len() || xcrs.flags != 0 {
            return Err(StateError::Value("XCRS"));
        }
        let events = take(&mut rest)?;
        let mp_state = take(&mut rest)?;
        let debug = take(&mut rest)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let entry: kvm_msr_entry = take(&mut rest)?;
            if !self.msrs.contains(&entry.index) {
                return Err(StateError::UnknownMsr(entry.index));
            }
            // The counter is set apart from the others.
            if entry.index != IA32_TSC {
                entries.push(entry);
            }
        }
        let msrs = Msrs::from_entries(&entries).map_err(|_| StateError::Value("number of MSRs"))?;
        Ok(Decoded { header, regs, sregs, xsave, xcrs, events, mp_state, debug, msrs })
    }

    /// Gives a state to a vCPU that is not running. After an error the vCPU is in no usable state.
    pub(super) fn load(&self, vcpu: u8, fd: &VcpuFd, state: &Decoded) -> Result<(), VcpuError> {
        fd.set_sregs(&state.sregs).map_err(failed(vcpu, "KVM_SET_SREGS"))?;
        fd.set_regs(&state.regs).map_err(failed(vcpu, "KVM_SET_REGS"))?;
        fd.set_xcrs(&state.xcrs).map_err(failed(vcpu, "KVM_SET_XCRS"))?;
        sys::set_xsave(fd, &state.xsave, self.xsave_size).map_err(failed(vcpu, "KVM_SET_XSAVE"))?;
        self.set_tsc(vcpu, fd, &state.header)?;
        let set = fd.set_msrs(&state.msrs).map_err(failed(vcpu, "KVM_SET_MSRS"))?;
        if let Some(refused) = state.msrs.as_slice().get(set) {
            let cause = format!("MSR {:#x} does not take {:#x}", refused.index, refused.data);
            return Err(VcpuError::Call { vcpu, what: "KVM_SET_MSRS", cause });
        }
        fd.set_debug_regs(&state.debug).map_err(failed(vcpu, "KVM_SET_DEBUGREGS"))?;
        fd.set_mp_state(state.mp_state).map_err(failed(vcpu, "KVM_SET_MP_STATE"))?;
        let mut events = state.events;
        // Told only by kernels that can emulate system management mode, which this VMM never enters.
        events.flags &= !KVM_VCPUEVENT_VALID_SMM;
        fd.set_vcpu_events(&events).map_err(failed(vcpu, "KVM_SET_VCPU_EVENTS"))
    }

    fn set_tsc(&self, vcpu: u8, fd: &VcpuFd, saved: &Header) -> Result<(), VcpuError> {
        if saved.has_offset == 1 {
            if saved.host == self.host {
                return sys::set_tsc_offset(fd, saved.tsc_offset)
                    .map_err(failed(vcpu, "setting the TSC offset"));
            }
            // Another host: `shift` takes its counter's place, plus a step ahead, for all vCPUs alike.
            let now = sys::host_tsc();
            let ahead = u64::from(self.tsc_khz) * STEP_AHEAD_MS;
            let mut shift = self.shift.lock().unwrap_or_else(PoisonError::into_inner);
            let shift = *shift.get_or_insert(saved.host_tsc.wrapping_add(ahead).wrapping_sub(now));
            // Never back, even where this vCPU was saved later than the step makes up for.
            let behind = saved.host_tsc.wrapping_sub(now.wrapping_add(shift)) as i64;
            let shift = shift.wrapping_add(behind.max(0) as u64);
            return sys::set_tsc_offset(fd, saved.tsc_offset.wrapping_add(shift))
                .map_err(failed(vcpu, "setting the TSC offset"));
        }
        // A KVM without offsets: the counter itself. On the same host this KVM's own writes keep its vCPUs in step.
        let mut guest_tsc = saved.guest_tsc;
        if saved.host == self.host {
            guest_tsc = guest_tsc.wrapping_add(sys::host_tsc().wrapping_sub(saved.host_tsc));
        }
        let entry = kvm_msr_entry { index: IA32_TSC, data: guest_tsc, ..Default::default() };
        let msrs = Msrs::from_entries(&[entry]).map_err(failed(vcpu, "KVM_SET_MSRS"))?;
        match fd.set_msrs(&msrs).map_err(failed(vcpu, "KVM_SET_MSRS"))? {
            1 => Ok(()),
            _ => Err(VcpuError::Call {
                vcpu,
                what: "KVM_SET_MSRS",
                cause: "the TSC does not take its value".into(),
            }),
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
