//! What a guest needs of its host, sent before anything else: a destination that lacks any of it refuses by name.

use heapless::Vec as BoundedVec;
use kvm_bindings::{CpuId, kvm_cpuid_entry2};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::cpuid;

/// The most CPUID entries of a guest.
pub const CPUID_MAX: usize = 160;
/// The most memory slots of a guest.
pub const SLOTS_MAX: usize = 4;
/// The most bytes a descriptor takes, encoded.
pub const DESCRIPTOR_MAX: usize = 8 * 1024;

/// One entry of what `cpuid` tells the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuidEntry {
    /// Leaf.
    pub function: u32,
    /// Subleaf, where `flags` says that it counts.
    pub index: u32,
    /// KVM's flags (bit 0: the subleaf counts).
    pub flags: u32,
    /// What it answers in EAX, EBX, ECX and EDX.
    pub registers: [u32; 4],
}

/// A range of guest physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemorySlot {
    /// Its first page.
    pub first_page: u64,
    /// How many pages.
    pub pages: u64,
}

/// What a guest needs of its host; or what a host has to offer, with the memory that was chosen for the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestDescriptor {
    /// Bytes in a page.
    pub page_size: u32,
    /// Its memory.
    pub slots: BoundedVec<MemorySlot, SLOTS_MAX>,
    /// How many vCPUs.
    pub vcpus: u8,
    /// Rate of its time stamp counter, kHz.
    pub tsc_khz: u32,
    /// The state components that XCR0 may enable.
    pub xcr0: u64,
    /// Bytes of extended state.
    pub xsave_size: u32,
    /// Its CPU.
    pub cpuid: BoundedVec<CpuidEntry, CPUID_MAX>,
}

/// The first thing that a destination lacks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Mismatch {
    /// Pages of another size.
    #[error("page size: the guest's is {source_bytes} bytes, this destination's {destination_bytes}")]
    PageSize {
        /// The guest's.
        source_bytes: u32,
        /// The destination's.
        destination_bytes: u32,
    },
    /// Other memory.
    #[error(
        "memory layout: the guest has {source_layout}, this destination {destination_layout}; give both the same --memory"
    )]
    MemoryLayout {
        /// The guest's.
        source_layout: String,
        /// The destination's.
        destination_layout: String,
    },
    /// Another number of vCPUs.
    #[error(
        "vCPUs: the guest has {source_vcpus}, this destination {destination_vcpus}; give both the same --vcpus"
    )]
    Vcpus {
        /// The guest's.
        source_vcpus: u8,
        /// The destination's.
        destination_vcpus: u8,
    },
    /// A time stamp counter of another rate, which this KVM cannot scale.
    #[error(
        "TSC rate: the guest's counter runs at {source_khz} kHz, this destination's at {destination_khz} kHz"
    )]
    TscRate {
        /// The guest's.
        source_khz: u32,
        /// The destination's.
        destination_khz: u32,
    },
    /// A state component that the destination lacks.
    #[error("xsave feature: the guest may use {0}, which this destination lacks")]
    Xsave(String),
    /// More extended state than the destination keeps.
    #[error(
        "xsave size: the guest's state has {source_bytes} bytes, this destination keeps {destination_bytes}"
    )]
    XsaveSize {
        /// The guest's.
        source_bytes: u32,
        /// The destination's.
        destination_bytes: u32,
    },
    /// A processor of another make.
    #[error("CPU vendor: the guest's is {source_vendor}, this destination's {destination_vendor}")]
    Vendor {
        /// The guest's.
        source_vendor: String,
        /// The destination's.
        destination_vendor: String,
    },
    /// A CPU feature that the destination lacks.
    #[error("CPUID {0}: this destination lacks it")]
    Cpuid(String),
    /// More entries than this format carries.
    #[error("CPUID: more than {CPUID_MAX} entries")]
    TooManyEntries,
}

impl GuestDescriptor {
    /// Whether the host described by `self` can run the guest described by `source`.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn covers(&self, source: &GuestDescriptor) -> Result<(), Mismatch> {
        if self.page_size != source.page_size {
            return Err(Mismatch::PageSize {
                source_bytes: source.page_size,
                destination_bytes: self.page_size,
            });
        }
        if self.slots != source.slots {
            return Err(Mismatch::MemoryLayout {
                source_layout: layout(&source.slots),
                destination_layout: layout(&self.slots),
            });
        }
        if self.vcpus != source.vcpus {
            return Err(Mismatch::Vcpus { source_vcpus: source.vcpus, destination_vcpus: self.vcpus });
        }
        // Measured rates differ by a little from boot to boot of the same machine; as KVM does, allow 250 ppm.
        if self.tsc_khz.abs_diff(source.tsc_khz) > source.tsc_khz / 4000 {
            return Err(Mismatch::TscRate { source_khz: source.tsc_khz, destination_khz: self.tsc_khz });
        }
        let lacking = source.xcr0 & !self.xcr0;
        if lacking != 0 {
            return Err(Mismatch::Xsave(cpuid::xsave_component(lacking.trailing_zeros())));
        }
        if source.xsave_size > self.xsave_size {
            return Err(Mismatch::XsaveSize {
                source_bytes: source.xsave_size,
                destination_bytes: self.xsave_size,
            });
        }
        cpuid::covers(&self.cpuid, &source.cpuid)
    }

    /// Total pages of its memory.
    pub fn pages(&self) -> u64 {
        self.slots.iter().fold(0, |sum, slot| sum.saturating_add(slot.pages))
    }
}

fn layout(slots: &[MemorySlot]) -> String {
    let parts: Vec<String> =
        slots.iter().map(|slot| format!("{} pages at page {:#x}", slot.pages, slot.first_page)).collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

impl From<&kvm_cpuid_entry2> for CpuidEntry {
    fn from(entry: &kvm_cpuid_entry2) -> CpuidEntry {
        CpuidEntry {
            function: entry.function,
            index: entry.index,
            flags: entry.flags,
            registers: [entry.eax, entry.ebx, entry.ecx, entry.edx],
        }
    }
}

/// KVM's list as ours.
///
/// # Errors
/// More entries than a descriptor carries.
pub(super) fn from_kvm(list: &CpuId) -> Result<BoundedVec<CpuidEntry, CPUID_MAX>, Mismatch> {
    let mut entries = BoundedVec::new();
    for entry in list.as_slice() {
        entries.push(CpuidEntry::from(entry)).map_err(|_| Mismatch::TooManyEntries)?;
    }
    Ok(entries)
}

/// Our list as KVM's, for the vCPU whose number it is to tell.
pub(super) fn to_kvm(entries: &[CpuidEntry], vcpu: u8) -> Result<CpuId, Mismatch> {
    let list: Vec<kvm_cpuid_entry2> = entries
        .iter()
        .map(|entry| {
            let [eax, ebx, ecx, edx] = cpuid::for_vcpu(entry, vcpu);
            kvm_cpuid_entry2 {
                function: entry.function,
                index: entry.index,
                flags: entry.flags,
                eax,
                ebx,
                ecx,
                edx,
                padding: [0; 3],
            }
        })
        .collect();
    CpuId::from_entries(&list).map_err(|_| Mismatch::TooManyEntries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> GuestDescriptor {
        let leaf = |function, index, registers| CpuidEntry { function, index, flags: 1, registers };
        let vendor = |text: &[u8; 12]| {
            let word = |at: usize| u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]]);
            leaf(0, 0, [0x10, word(0), word(8), word(4)])
        };
        GuestDescriptor {
            page_size: 4096,
            slots: BoundedVec::from_slice(&[MemorySlot { first_page: 0, pages: 0x40000 }]).unwrap(),
            vcpus: 2,
            tsc_khz: 2_450_000,
            xcr0: 0xe7,
            xsave_size: 2696,
            cpuid: BoundedVec::from_slice(&[
                vendor(b"AuthenticAMD"),
                leaf(1, 0, [0xa20f12, 0x20800, 0x1eda_3203, 0x178b_fbff]),
                leaf(7, 0, [1, (1 << 16) | (1 << 5), 0, 0]),
            ])
            .unwrap(),
        }
    }

    fn refusal(change: impl FnOnce(&mut GuestDescriptor)) -> String {
        let source = host();
        let mut destination = host();
        change(&mut destination);
        destination.covers(&source).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named() {
        host().covers(&host()).unwrap();
        assert!(refusal(|d| d.cpuid[2].registers[1] &= !(1 << 16)).contains("leaf 0x7 ebx: avx512f"));
        assert!(refusal(|d| d.cpuid[1].registers[2] = 0).contains("leaf 0x1 ecx: sse3"));
        assert!(refusal(|d| d.cpuid[0].registers[1] = 0x756e_6547).contains("CPU vendor"));
        assert!(refusal(|d| d.tsc_khz = 2_400_000).contains("TSC rate"));
        assert!(refusal(|d| d.page_size = 65536).contains("page size"));
        assert!(refusal(|d| d.slots[0].pages = 1).contains("memory layout"));
        assert!(refusal(|d| d.vcpus = 1).contains("vCPUs"));
        assert!(refusal(|d| d.xcr0 = 7).contains("xsave feature: the guest may use avx512 opmask"));
        assert!(refusal(|d| d.xsave_size = 832).contains("xsave size"));
        assert!(refusal(|d| d.cpuid.truncate(2)).contains("leaf 0x7 ebx"));
    }

    #[test]
    fn more_than_the_guest_needs_is_no_hindrance() {
        let mut destination = host();
        destination.xcr0 |= 1 << 9;
        destination.cpuid[2].registers[2] = u32::MAX;
        destination.tsc_khz += 100;
        destination.covers(&host()).unwrap();
    }

    #[test]
    fn encoded_it_is_bounded_and_comes_back() {
        let mut full = host();
        let entry =
            CpuidEntry { function: u32::MAX, index: u32::MAX, flags: u32::MAX, registers: [u32::MAX; 4] };
        while full.cpuid.push(entry).is_ok() {}
        let mut buffer = [0u8; DESCRIPTOR_MAX];
        let bytes = postcard::to_slice(&full, &mut buffer).unwrap();
        assert_eq!(postcard::from_bytes::<GuestDescriptor>(bytes).unwrap(), full);
        for cut in [0, 1, 10, bytes.len() - 1] {
            assert!(postcard::from_bytes::<GuestDescriptor>(&bytes[..cut]).is_err());
        }
    }
}
