//! Which parts of CPUID are features that a guest may have come to rely on, and their names.
//!
//! Compared bit by bit are the leaves that list features; the rest (caches, topology, names, sizes) describes the
//! machine, and a guest keeps the description that it began with.

use super::descriptor::{CpuidEntry, Mismatch};

const REGISTERS: [&str; 4] = ["eax", "ebx", "ecx", "edx"];

/// (leaf, subleaf, register, bits that count): features the guest sees.
const FEATURES: &[(u32, u32, usize, u32)] = &[
    // Not the hypervisor bit (31), OSXSAVE (27: a mirror of CR4).
    (0x1, 0, 2, !(1 << 31 | 1 << 27)),
    (0x1, 0, 3, u32::MAX),
    (0x7, 0, 1, u32::MAX),
    // Not OSPKE (4: a mirror of CR4).
    (0x7, 0, 2, !(1 << 4)),
    (0x7, 0, 3, u32::MAX),
    (0x7, 1, 0, u32::MAX),
    (0x7, 1, 1, u32::MAX),
    (0x7, 1, 3, u32::MAX),
    (0xd, 1, 0, u32::MAX),
    (0x8000_0001, 0, 2, u32::MAX),
    (0x8000_0001, 0, 3, u32::MAX),
    (0x8000_0007, 0, 3, u32::MAX),
    (0x8000_0008, 0, 1, u32::MAX),
    (0x8000_0021, 0, 0, u32::MAX),
    (0x4000_0001, 0, 0, u32::MAX),
];

/// (leaf, subleaf, register, bit, name): the ones met most; others are named by their bit.
const NAMES: &[(u32, u32, usize, u32, &str)] = &[
    (0x1, 0, 2, 0, "sse3"),
    (0x1, 0, 2, 1, "pclmulqdq"),
    (0x1, 0, 2, 9, "ssse3"),
    (0x1, 0, 2, 12, "fma"),
    (0x1, 0, 2, 13, "cx16"),
    (0x1, 0, 2, 17, "pcid"),
    (0x1, 0, 2, 19, "sse4.1"),
    (0x1, 0, 2, 20, "sse4.2"),
    (0x1, 0, 2, 21, "x2apic"),
    (0x1, 0, 2, 22, "movbe"),
    (0x1, 0, 2, 23, "popcnt"),
    (0x1, 0, 2, 24, "tsc-deadline"),
    (0x1, 0, 2, 25, "aes"),
    (0x1, 0, 2, 26, "xsave"),
    (0x1, 0, 2, 28, "avx"),
    (0x1, 0, 2, 29, "f16c"),
    (0x1, 0, 2, 30, "rdrand"),
    (0x1, 0, 3, 4, "tsc"),
    (0x1, 0, 3, 25, "sse"),
    (0x1, 0, 3, 26, "sse2"),
    (0x7, 0, 1, 0, "fsgsbase"),
    (0x7, 0, 1, 3, "bmi1"),
    (0x7, 0, 1, 5, "avx2"),
    (0x7, 0, 1, 7, "smep"),
    (0x7, 0, 1, 8, "bmi2"),
    (0x7, 0, 1, 9, "erms"),
    (0x7, 0, 1, 10, "invpcid"),
    (0x7, 0, 1, 16, "avx512f"),
    (0x7, 0, 1, 17, "avx512dq"),
    (0x7, 0, 1, 18, "rdseed"),
    (0x7, 0, 1, 19, "adx"),
    (0x7, 0, 1, 20, "smap"),
    (0x7, 0, 1, 21, "avx512ifma"),
    (0x7, 0, 1, 23, "clflushopt"),
    (0x7, 0, 1, 24, "clwb"),
    (0x7, 0, 1, 28, "avx512cd"),
    (0x7, 0, 1, 29, "sha"),
    (0x7, 0, 1, 30, "avx512bw"),
    (0x7, 0, 1, 31, "avx512vl"),
    (0x7, 0, 2, 1, "avx512vbmi"),
    (0x7, 0, 2, 2, "umip"),
    (0x7, 0, 2, 3, "pku"),
    (0x7, 0, 2, 6, "avx512vbmi2"),
    (0x7, 0, 2, 8, "gfni"),
    (0x7, 0, 2, 9, "vaes"),
    (0x7, 0, 2, 10, "vpclmulqdq"),
    (0x7, 0, 2, 11, "avx512vnni"),
    (0x7, 0, 2, 12, "avx512bitalg"),
    (0x7, 0, 2, 14, "avx512vpopcntdq"),
    (0x7, 0, 2, 22, "rdpid"),
    (0x7, 0, 3, 4, "fsrm"),
    (0x7, 0, 3, 24, "amx-tile"),
    (0x7, 1, 0, 5, "avx512bf16"),
    (0x8000_0001, 0, 2, 5, "lzcnt"),
    (0x8000_0001, 0, 3, 20, "nx"),
    (0x8000_0001, 0, 3, 26, "1 GiB pages"),
    (0x8000_0001, 0, 3, 27, "rdtscp"),
    (0x8000_0007, 0, 3, 8, "invariant tsc"),
];

/// Whether a host with `destination`'s CPUID offers all that a guest with `source`'s has.
pub(super) fn covers(destination: &[CpuidEntry], source: &[CpuidEntry]) -> Result<(), Mismatch> {
    let (theirs, ours) = (vendor(source), vendor(destination));
    if theirs != ours {
        return Err(Mismatch::Vendor { source_vendor: theirs, destination_vendor: ours });
    }
    for (leaf, index, register, counts) in FEATURES {
        let value = |list| find(list, *leaf, *index).map_or(0, |entry| entry.registers[*register]);
        let lacking = value(source) & counts & !value(destination);
        if lacking != 0 {
            return Err(Mismatch::Cpuid(name(*leaf, *index, *register, lacking.trailing_zeros())));
        }
    }
    Ok(())
}

/// An entry's registers, with the vCPU's own number where CPUID tells it.
pub(super) fn for_vcpu(entry: &CpuidEntry, vcpu: u8) -> [u32; 4] {
    let [eax, mut ebx, ecx, mut edx] = entry.registers;
    match entry.function {
        0x1 => ebx = ebx & 0x00ff_ffff | u32::from(vcpu) << 24,
        0xb | 0x1f => edx = vcpu.into(),
        _ => {}
    }
    [eax, ebx, ecx, edx]
}

/// The name of a component of the extended state.
pub(super) fn xsave_component(bit: u32) -> String {
    let name = match bit {
        0 => "x87",
        1 => "sse",
        2 => "avx",
        5 => "avx512 opmask",
        6 => "avx512 upper halves",
        7 => "avx512 upper registers",
        9 => "pku",
        17 | 18 => "amx",
        _ => return format!("component {bit}"),
    };
    name.into()
}

/// The state components that XCR0 may enable, and the bytes they take, as a CPUID list tells.
pub(super) fn xsave(list: &[CpuidEntry]) -> (u64, u32) {
    match find(list, 0xd, 0) {
        Some(entry) => {
            let [low, _, size, high] = entry.registers;
            (u64::from(high) << 32 | u64::from(low), size)
        }
        // Without XSAVE: x87 and SSE, in the 512 bytes of FXSAVE and an empty header.
        None => (0b11, 576),
    }
}

fn find(list: &[CpuidEntry], leaf: u32, index: u32) -> Option<&CpuidEntry> {
    list.iter().find(|entry| entry.function == leaf && (entry.index == index || entry.flags & 1 == 0))
}

fn vendor(list: &[CpuidEntry]) -> String {
    let Some(entry) = find(list, 0, 0) else {
        return "unknown".into();
    };
    let [_, b, c, d] = entry.registers;
    let bytes: Vec<u8> = [b, d, c].iter().flat_map(|word| word.to_le_bytes()).collect();
    // A peer's bytes, shown on a terminal: nothing but what can be seen.
    bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect()
}

fn name(leaf: u32, index: u32, register: usize, bit: u32) -> String {
    let place = match index {
        0 => format!("leaf {leaf:#x} {}", REGISTERS[register]),
        _ => format!("leaf {leaf:#x}.{index} {}", REGISTERS[register]),
    };
    match NAMES.iter().find(|known| (known.0, known.1, known.2, known.3) == (leaf, index, register, bit)) {
        Some(known) => format!("{place}: {}", known.4),
        None => format!("{place}: bit {bit}"),
    }
}
