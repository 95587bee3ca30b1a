//! Laying the guest program into memory, and giving its vCPUs their first registers: long mode, ring 3, identity-mapped.
//!
//! No descriptor tables are laid out: segments are set in the vCPU, and a guest without faults and interrupts never
//! looks at a table. A fault ends the vCPU (`Died`), which is what a test guest should do.

use kvm_bindings::{kvm_regs, kvm_segment};
use kvm_ioctls::VcpuFd;

use super::error::KvmError;
use super::layout::*;
use super::spec::{DirtyRate, KvmSpec};
use crate::guest::memory::{GuestMemory, MemoryError, PAGE};

/// The guest program, built by the crate's build script.
static PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/guest.bin"));

/// Dirtying that may be made up after a delay, in ms.
const CATCH_UP_MS: u64 = 20;

// Page table bits; accessed and dirty are set beforehand, so that the processor never writes the tables.
const PRESENT_WRITE_USER: u64 = 0b111;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;

/// Writes program, page tables and parameters.
pub(super) fn lay_out(memory: &GuestMemory, spec: &KvmSpec, tsc_khz: u32) -> Result<(), KvmError> {
    if PROGRAM.is_empty() || PROGRAM.len() as u64 > IMAGE_MAX {
        return Err(KvmError::Spec(format!(
            "the guest program has {} bytes: this build has none that fits",
            PROGRAM.len()
        )));
    }
    memory.write_pages(IMAGE / PAGE as u64, PROGRAM)?;
    let gibs = spec.memory.div_ceil(1 << 30);
    let (top, second, third) = (TABLES, TABLES + PAGE as u64, TABLES + 2 * PAGE as u64);
    let link = |to: u64| to | PRESENT_WRITE_USER | ACCESSED;
    word(memory, top, link(second))?;
    for gib in 0..gibs {
        word(memory, second + gib * 8, link(third + gib * PAGE as u64))?;
    }
    // The last large page may reach beyond memory; nothing there is ever touched.
    for large in 0..spec.memory.div_ceil(2 << 20) {
        word(memory, third + large * 8, (large << 21) | PRESENT_WRITE_USER | ACCESSED | DIRTY | LARGE)?;
    }
    let param = |index: usize, value: u64| word(memory, PARAMS + index as u64 * 8, value);
    let per_second = u64::from(tsc_khz) * 1000;
    param(PARAM_VCPUS, spec.vcpus.into())?;
    // At the end of memory: a guest of tens of GiB then shows that all of them can be reached.
    param(PARAM_WORK_FIRST, (spec.memory - spec.working_set) / PAGE as u64)?;
    param(PARAM_WORK_PAGES, spec.working_set / PAGE as u64)?;
    param(PARAM_TSC_KHZ, tsc_khz.into())?;
    param(
        PARAM_BEAT_TICKS,
        (u128::from(per_second) * u128::from(spec.beat_period_ns) / 1_000_000_000) as u64,
    )?;
    param(PARAM_RATE, rate(spec, per_second))?;
    param(PARAM_CATCH_UP_TICKS, u64::from(tsc_khz) * CATCH_UP_MS)?;
    param(PARAM_MAGIC, MAGIC)
}

/// Pages in 2^40 ticks for each vCPU; more than any machine can write counts as all it can.
fn rate(spec: &KvmSpec, ticks_per_second: u64) -> u64 {
    const ENOUGH: u64 = 64 << 30;
    match spec.dirty_rate {
        DirtyRate::Max => RATE_MAX,
        DirtyRate::BytesPerSecond(bytes) if bytes > ENOUGH => RATE_MAX,
        DirtyRate::BytesPerSecond(bytes) => {
            let divisor = u128::from(ticks_per_second.max(1)) * u128::from(spec.vcpus.max(1)) * PAGE as u128;
            ((u128::from(bytes) << RATE_SHIFT) / divisor) as u64
        }
    }
}

fn word(memory: &GuestMemory, at: u64, value: u64) -> Result<(), KvmError> {
    if memory.store_u64(at, value) {
        return Ok(());
    }
    let first = at / PAGE as u64;
    Err(MemoryError::OutOfRange { first, end: first + 1, pages: memory.pages() }.into())
}

/// Sets a vCPU to the program's beginning.
pub(super) fn set_registers(fd: &VcpuFd, vcpu: u8) -> Result<(), KvmError> {
    let mut sregs = fd.get_sregs().map_err(KvmError::call("KVM_GET_SREGS"))?;
    // Flat segments of ring 3; the type bits: code, executable, readable, accessed; data, writable, accessed.
    let code = kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector: 0x33,
        type_: 0b1011,
        present: 1,
        dpl: 3,
        db: 0,
        s: 1,
        l: 1,
        g: 1,
        avl: 0,
        unusable: 0,
        padding: 0,
    };
    let data = kvm_segment { selector: 0x2b, type_: 0b0011, db: 1, l: 0, ..code };
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.cr3 = TABLES;
    // PAE, OSFXSR, OSXMMEXCPT.
    sregs.cr4 = 1 << 5 | 1 << 9 | 1 << 10;
    // PE, MP, ET, NE, WP, PG.
    sregs.cr0 = 1 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 16 | 1 << 31;
    // LME, LMA.
    sregs.efer = 1 << 8 | 1 << 10;
    fd.set_sregs(&sregs).map_err(KvmError::call("KVM_SET_SREGS"))?;
    let stack_end = STACKS + (u64::from(vcpu) + 1) * STACK_SIZE;
    let regs = kvm_regs {
        rip: IMAGE,
        // As after a call: the return address's place below a multiple of 16.
        rsp: stack_end - 8,
        rdi: vcpu.into(),
        // Bit 1 is always set; I/O privilege level 3, so that ring 3 may use ports.
        rflags: 1 << 1 | 3 << 12,
        ..Default::default()
    };
    fd.set_regs(&regs).map_err(KvmError::call("KVM_SET_REGS"))
}
