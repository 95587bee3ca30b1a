//! Where things lie in the guest's memory, and the ports it talks through: the one agreement between the guest program
//! (`shell/guest/main.rs`) and the VMM (`shell/src/guest/kvm/`). Both include this file.
//!
//! Everything the guest needs lies in its memory, so a destination needs nothing but memory and vCPU states.

/// The parameter page: little-endian 64-bit words, `PARAM_*` their indices.
pub const PARAMS: u64 = 0x8000;
/// The first vCPU's block, one page each: 64-bit words, `BLOCK_*` their indices.
pub const BLOCKS: u64 = 0x9000;
/// Distance between two vCPUs' blocks.
pub const BLOCK_SIZE: u64 = 0x1000;
/// The first vCPU's stack, lowest address.
pub const STACKS: u64 = 0x1_0000;
/// Bytes of stack for each vCPU.
pub const STACK_SIZE: u64 = 0x4000;
/// Where the image lies, and where it begins to run. The linker script repeats this number.
pub const IMAGE: u64 = 0x2_0000;
/// The image is no longer than this.
pub const IMAGE_MAX: u64 = 0x2_0000;
/// The page tables, as many as the memory needs. The working set lies at the end of memory.
pub const TABLES: u64 = 0x4_0000;
/// Most vCPUs of one guest.
pub const VCPUS_MAX: u64 = 4;

/// Marks a filled parameter page.
pub const PARAM_MAGIC: usize = 0;
/// How many vCPUs share the working set.
pub const PARAM_VCPUS: usize = 1;
/// First page of the working set.
pub const PARAM_WORK_FIRST: usize = 2;
/// Pages of the working set, all vCPUs together.
pub const PARAM_WORK_PAGES: usize = 3;
/// The time stamp counter's rate in kHz.
pub const PARAM_TSC_KHZ: usize = 4;
/// Ticks between two beats.
pub const PARAM_BEAT_TICKS: usize = 5;
/// Pages to dirty in 2^40 ticks, for each vCPU; all ones: as fast as it can.
pub const PARAM_RATE: usize = 6;
/// Ticks of dirtying that may be made up after a delay; what is beyond is forgone.
pub const PARAM_CATCH_UP_TICKS: usize = 7;

/// Value of the word `PARAM_MAGIC`.
pub const MAGIC: u64 = u64::from_le_bytes(*b"SWGUEST1");
/// Value of the word `PARAM_RATE` for "as fast as it can".
pub const RATE_MAX: u64 = u64::MAX;
/// `PARAM_RATE` counts pages in 2 to this power ticks.
pub const RATE_SHIFT: u32 = 40;

/// Beats so far; strictly increasing.
pub const BLOCK_COUNT: usize = 0;
/// Page writes so far.
pub const BLOCK_WRITES: usize = 1;
/// The time stamp counter at the last beat.
pub const BLOCK_TSC: usize = 2;
/// The longest time between two beats, in ticks, as seen inside.
pub const BLOCK_LONGEST_GAP: usize = 3;
/// How many self-checks failed.
pub const BLOCK_FAILURES: usize = 4;
/// The first failure: what was checked (`CHECK_*`).
pub const BLOCK_FAILED_CHECK: usize = 5;
/// The first failure: where (a page, or zero).
pub const BLOCK_FAILED_WHERE: usize = 6;
/// The first failure: what should have been there.
pub const BLOCK_FAILED_EXPECTED: usize = 7;
/// The first failure: what was there.
pub const BLOCK_FAILED_FOUND: usize = 8;

/// A page of the working set does not hold what was last written to it.
pub const CHECK_PAGE: u64 = 1;
/// The beat counter in memory differs from the one in registers.
pub const CHECK_COUNT: u64 = 2;
/// The write counter in memory differs from the one in registers.
pub const CHECK_WRITES: u64 = 3;
/// A general or vector register changed over a port access.
pub const CHECK_REGISTER: u64 = 4;
/// The time stamp counter went back.
pub const CHECK_TSC: u64 = 5;
/// The parameter page is not as the VMM wrote it.
pub const CHECK_PARAMS: u64 = 6;
/// The guest program panicked (a defect of its own).
pub const CHECK_PANIC: u64 = 7;

/// `out` of 32 bits: one beat, counted in `BLOCK_COUNT`; the value is how long to wait afterwards, in ns, at most.
pub const PORT_BEAT: u16 = 0x5300;
/// `out` of 32 bits: a self-check failed (`CHECK_*`); particulars in the block.
pub const PORT_FAILED: u16 = 0x5304;

/// The content of word `index` of a page that was written the `generation`th time is `base + index * PATTERN_STEP`.
pub const PATTERN_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The base of the pattern; never that of another page or generation nearby, and never of a page of zeros.
pub const fn pattern(page: u64, generation: u64) -> u64 {
    let mut mixed = page.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ generation.wrapping_mul(0xA076_1D64_78BD_642F);
    mixed ^= mixed >> 32;
    mixed.wrapping_mul(0xE703_7ED1_A0B4_28DB) | 1
}
