//! The KVM calls that `kvm-ioctls` leaves unsafe, trusts the caller with sizes in, or does not have.
//!
//! What it is not: a VMM. Policy is in [`crate::guest::kvm`].

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use kvm_bindings::{
    KVM_MEM_LOG_DIRTY_PAGES, KVMIO, kvm_clear_dirty_log, kvm_clear_dirty_log__bindgen_ty_1, kvm_device_attr,
    kvm_dirty_log, kvm_dirty_log__bindgen_ty_1, kvm_userspace_memory_region, kvm_xsave,
};
use kvm_ioctls::{VcpuFd, VmFd};

use super::mapping::{Mapping, PAGE};

const fn request(direction: u32, number: u32, size: usize) -> libc::c_ulong {
    ((direction << 30) | ((size as u32) << 16) | (KVMIO << 8) | number) as libc::c_ulong
}
const WRITE: u32 = 1;
const READ_WRITE: u32 = 3;
const GET_DIRTY_LOG: libc::c_ulong = request(WRITE, 0x42, size_of::<kvm_dirty_log>());
const CLEAR_DIRTY_LOG: libc::c_ulong = request(READ_WRITE, 0xc0, size_of::<kvm_clear_dirty_log>());
const GET_DEVICE_ATTR: libc::c_ulong = request(WRITE, 0xe2, size_of::<kvm_device_attr>());
const SET_DEVICE_ATTR: libc::c_ulong = request(WRITE, 0xe1, size_of::<kvm_device_attr>());
const VCPU_TSC_CTRL: u32 = 0;
const VCPU_TSC_OFFSET: u64 = 0;

/// A mapping that is a VM's memory slot, from guest physical address 0 up. It keeps both alive, and takes the slot away
/// before the mapping goes, so that KVM never holds the address of memory that became something else.
#[derive(Debug)]
pub struct MemorySlot {
    vm: Arc<VmFd>,
    map: Arc<Mapping>,
    slot: u32,
}

impl MemorySlot {
    /// Makes all of `map` the slot number `slot` of `vm`, its dirty log off.
    ///
    /// # Errors
    /// What `KVM_SET_USER_MEMORY_REGION` says.
    pub fn new(vm: Arc<VmFd>, map: Arc<Mapping>, slot: u32) -> io::Result<MemorySlot> {
        let this = MemorySlot { vm, map, slot };
        this.set(this.map.len(), 0)?;
        Ok(this)
    }

    /// Pages in the slot.
    pub fn pages(&self) -> u64 {
        (self.map.len() / PAGE) as u64
    }

    /// Switches the dirty log on or off. On an active guest this takes effect at once.
    ///
    /// # Errors
    /// What `KVM_SET_USER_MEMORY_REGION` says.
    pub fn log_dirty(&self, on: bool) -> io::Result<()> {
        self.set(self.map.len(), if on { KVM_MEM_LOG_DIRTY_PAGES } else { 0 })
    }

    /// Reads the dirty log: one bit a page. Unless the VM's log is cleared by hand, this also clears it and arms the
    /// pages again.
    ///
    /// # Errors
    /// `words` too short for the slot; else what `KVM_GET_DIRTY_LOG` says (`ENOENT` while the log is off).
    pub fn dirty_log(&self, words: &mut [u64]) -> io::Result<()> {
        if (words.len() as u64) < self.pages().div_ceil(64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let log = kvm_dirty_log {
            slot: self.slot,
            padding1: 0,
            __bindgen_anon_1: kvm_dirty_log__bindgen_ty_1 { dirty_bitmap: words.as_mut_ptr().cast() },
        };
        // SAFETY: the kernel writes one bit for each page of the slot, rounded up to 64: checked to fit.
        check(unsafe { libc::ioctl(self.vm.as_raw_fd(), GET_DIRTY_LOG, &log) })
    }

    /// Clears from the log, and arms again, the pages set in `words`, whose first bit is page `first` (a multiple of
    /// 64). For a VM whose log is cleared by hand.
    ///
    /// # Errors
    /// A range outside the slot; else what `KVM_CLEAR_DIRTY_LOG` says.
    pub fn clear_dirty_log(&self, first: u64, words: &[u64]) -> io::Result<()> {
        if !first.is_multiple_of(64) || first >= self.pages() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let pages = (words.len() as u64 * 64).min(self.pages() - first);
        let clear = kvm_clear_dirty_log {
            slot: self.slot,
            num_pages: u32::try_from(pages).map_err(|_| io::ErrorKind::InvalidInput)?,
            first_page: first,
            __bindgen_anon_1: kvm_clear_dirty_log__bindgen_ty_1 {
                dirty_bitmap: words.as_ptr().cast_mut().cast(),
            },
        };
        // SAFETY: the kernel reads one bit for each of `num_pages`, all of them in `words`, and writes nothing.
        check(unsafe { libc::ioctl(self.vm.as_raw_fd(), CLEAR_DIRTY_LOG, &clear) })
    }

    fn set(&self, len: usize, flags: u32) -> io::Result<()> {
        let region = kvm_userspace_memory_region {
            slot: self.slot,
            flags,
            guest_phys_addr: 0,
            memory_size: len as u64,
            userspace_addr: self.map.address() as u64,
        };
        // SAFETY: the range is a mapping that this value keeps alive until the slot is taken away in `drop`.
        unsafe { self.vm.set_user_memory_region(region) }.map_err(errno)
    }
}

impl Drop for MemorySlot {
    fn drop(&mut self) {
        // A slot of size 0 is none. Should the kernel refuse, the mapping must stay for as long as the process.
        if self.set(0, 0).is_err() {
            std::mem::forget(Arc::clone(&self.map));
        }
    }
}

/// Sets the extended processor state; only for hosts whose state is no larger than this struct.
///
/// # Errors
/// `size` (what `KVM_CAP_XSAVE2` says) larger than the struct; else what `KVM_SET_XSAVE` says.
pub fn set_xsave(vcpu: &VcpuFd, xsave: &kvm_xsave, size: usize) -> io::Result<()> {
    if size > size_of::<kvm_xsave>() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: the kernel reads `size` bytes, checked to be within the struct.
    unsafe { vcpu.set_xsave(xsave) }.map_err(errno)
}

/// The difference between the guest's time stamp counter and the host's, if this KVM tells.
pub fn tsc_offset(vcpu: &VcpuFd) -> Option<u64> {
    let mut offset = 0u64;
    let attr = tsc_attr(&raw mut offset as u64);
    // SAFETY: the kernel writes 8 bytes to `offset`, which outlives the call.
    let done = unsafe { libc::ioctl(vcpu.as_raw_fd(), GET_DEVICE_ATTR, &attr) };
    (done == 0).then_some(offset)
}

/// Sets the difference between the guest's time stamp counter and the host's.
///
/// # Errors
/// What `KVM_SET_DEVICE_ATTR` says; `ENXIO` where it is unknown.
pub fn set_tsc_offset(vcpu: &VcpuFd, offset: u64) -> io::Result<()> {
    let attr = tsc_attr(&raw const offset as u64);
    // SAFETY: the kernel reads 8 bytes from `offset`, which outlives the call.
    check(unsafe { libc::ioctl(vcpu.as_raw_fd(), SET_DEVICE_ATTR, &attr) })
}

fn tsc_attr(addr: u64) -> kvm_device_attr {
    kvm_device_attr { flags: 0, group: VCPU_TSC_CTRL, attr: VCPU_TSC_OFFSET, addr }
}

/// The host's time stamp counter, now.
pub fn host_tsc() -> u64 {
    // SAFETY: reading the counter touches nothing.
    unsafe { std::arch::x86_64::_rdtsc() }
}

fn check(done: libc::c_int) -> io::Result<()> {
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The `io::Error` of a KVM error.
pub fn errno(error: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}
