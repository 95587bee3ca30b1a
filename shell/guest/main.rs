//! The guest program: what a switchover moves, and what notices when it was moved wrongly.
//!
//! It runs in long mode at ring 3 under the shell's small VMM, on one to four vCPUs, with no operating system, no
//! interrupts and no device but two ports. Each vCPU
//! - beats at a fixed rate through a port access, which also says how long there is nothing to do;
//! - dirties its part of the working set at a chosen rate. Pages are written in turn, so the number of writes so far
//!   tells which generation each page must hold: it is checked before each rewrite, and a page that is stale, torn or
//!   another's is found;
//! - keeps its counters in registers and in memory and compares them, and sees to it that its time never goes back.
//!
//! A failed check is noted in the vCPU's block (the first one with its particulars), told through a port, and the
//! guest goes on.
#![no_std]
#![no_main]

use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

#[allow(dead_code, reason = "the VMM includes this file too, for its half of the agreement")]
mod layout;
use layout::*;

const PAGE: u64 = 4096;
const WORDS: u64 = PAGE / 8;
/// Pages written between two looks at the clock.
const BATCH: u64 = 4;

/// What a vCPU starts with: the VMM sets the stack, and the first argument to the vCPU's index.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".entry")]
extern "sysv64" fn entry(vcpu: u64) -> ! {
    let mut this = Vcpu::new(vcpu);
    loop {
        this.beat();
    }
}

struct Vcpu {
    block: u64,
    /// This vCPU's part of the working set.
    first: u64,
    pages: u64,
    khz: u64,
    beat_ticks: u64,
    rate: u64,
    catch_up: u64,
    count: u64,
    writes: u64,
    /// The next page to write (relative to `first`) and its generation; both follow from `writes`.
    next_page: u64,
    generation: u64,
    last_tsc: u64,
    last_beat: u64,
    next_beat: u64,
    credited: u64,
    credit: u64,
}

impl Vcpu {
    fn new(vcpu: u64) -> Vcpu {
        let param = |index: usize| load(PARAMS, index);
        let (vcpus, total) = (param(PARAM_VCPUS).max(1), param(PARAM_WORK_PAGES));
        // The first `total % vcpus` parts are one page longer.
        let (share, extra) = (total.checked_div(vcpus).unwrap_or(0), total.checked_rem(vcpus).unwrap_or(0));
        let now = rdtsc();
        let this = Vcpu {
            block: BLOCKS + vcpu * BLOCK_SIZE,
            first: param(PARAM_WORK_FIRST) + share * vcpu + vcpu.min(extra),
            pages: share + (vcpu < extra) as u64,
            khz: param(PARAM_TSC_KHZ),
            beat_ticks: param(PARAM_BEAT_TICKS),
            rate: param(PARAM_RATE),
            catch_up: param(PARAM_CATCH_UP_TICKS),
            count: 0,
            writes: 0,
            next_page: 0,
            generation: 0,
            last_tsc: now,
            last_beat: now,
            next_beat: now,
            credited: now,
            credit: 0,
        };
        if param(PARAM_MAGIC) != MAGIC {
            this.failed(CHECK_PARAMS, PARAMS / PAGE, MAGIC, param(PARAM_MAGIC));
        }
        this
    }

    /// One period: dirty what is due, beat, and let the VMM wait out the rest.
    fn beat(&mut self) {
        let now = self.now();
        self.next_beat = self.next_beat.wrapping_add(self.beat_ticks);
        // A short delay is made up, so that the rate holds; after a long one (a blackout) the past is let go.
        if now.saturating_sub(self.next_beat) > 2 * self.beat_ticks {
            self.next_beat = now;
        }
        let mut due = self.due(now);
        while due > 0 {
            let batch = due.min(BATCH);
            for _ in 0..batch {
                self.write_page();
            }
            due -= batch;
            if self.rate != RATE_MAX {
                self.credit -= batch << RATE_SHIFT;
            }
            // Never late for the beat: what is not written by then stays due.
            if self.now() >= self.next_beat {
                break;
            }
        }
        let left = self.next_beat.saturating_sub(self.now());
        let wait_ns = (left * 1_000_000).checked_div(self.khz).unwrap_or(0);
        self.tell(wait_ns.min(u32::MAX as u64) as u32);
    }

    /// How many pages to write in this period.
    fn due(&mut self, now: u64) -> u64 {
        let since = now.saturating_sub(self.credited).min(self.catch_up);
        self.credited = now;
        if self.pages == 0 {
            return 0;
        }
        if self.rate == RATE_MAX {
            return u64::MAX;
        }
        // Bounded twice: by what may be made up at all, and to twice the usual amount in any one period.
        self.credit = (self.credit + since * self.rate).min(self.catch_up * self.rate);
        let usual = (self.beat_ticks * self.rate) >> RATE_SHIFT;
        (self.credit >> RATE_SHIFT).min(2 * usual + 1)
    }

    /// Checks the next page's previous generation and writes the new one.
    fn write_page(&mut self) {
        let page = self.first + self.next_page;
        let words = (page * PAGE) as *mut u64;
        // Before its first write a page is zero.
        let (base, step) = match self.generation {
            0 => (0, 0),
            generation => (pattern(page, generation - 1), PATTERN_STEP),
        };
        let mut differs = 0;
        for index in 0..WORDS {
            // SAFETY: the VMM laid the working set inside memory, apart from everything else here.
            let word = unsafe { words.add(index as usize).read() };
            differs |= word ^ base.wrapping_add(index.wrapping_mul(step));
        }
        if differs != 0 {
            self.page_failed(page, base, step);
        }
        let base = pattern(page, self.generation);
        for index in 0..WORDS {
            // SAFETY: as above.
            unsafe { words.add(index as usize).write(base.wrapping_add(index.wrapping_mul(PATTERN_STEP))) };
        }
        self.writes += 1;
        self.next_page += 1;
        if self.next_page == self.pages {
            self.next_page = 0;
            self.generation += 1;
        }
    }

    #[cold]
    #[inline(never)]
    fn page_failed(&self, page: u64, base: u64, step: u64) {
        for index in 0..WORDS {
            let (found, expected) =
                (load(page * PAGE, index as usize), base.wrapping_add(index.wrapping_mul(step)));
            if found != expected {
                return self.failed(CHECK_PAGE, page, expected, found);
            }
        }
    }

    /// Beats: counts, compares the copies, and goes out through the port, where the VMM waits for up to `wait_ns`.
    fn tell(&mut self, wait_ns: u32) {
        self.compare(CHECK_COUNT, BLOCK_COUNT, self.count);
        let now = self.now();
        let gap = now.wrapping_sub(self.last_beat);
        self.last_beat = now;
        if self.count > 0 && gap > load(self.block, BLOCK_LONGEST_GAP) {
            store(self.block, BLOCK_LONGEST_GAP, gap);
        }
        self.count += 1;
        store(self.block, BLOCK_COUNT, self.count);
        store(self.block, BLOCK_WRITES, self.writes);
        store(self.block, BLOCK_TSC, now);
        let (general, vector): (u64, u64);
        // SAFETY: the access leaves memory alone; the registers named are declared. Most switchovers happen inside it,
        // so the counters are carried over it in registers.
        unsafe {
            asm!(
                "movq xmm15, r12",
                "out dx, eax",
                "movq r13, xmm15",
                in("dx") PORT_BEAT,
                in("eax") wait_ns,
                inout("r12") self.count => general,
                out("r13") vector,
                out("xmm15") _,
            );
        }
        if general != self.count || vector != self.count {
            self.failed(CHECK_REGISTER, 0, self.count, if general != self.count { general } else { vector });
            (self.count, self.writes) = (load(self.block, BLOCK_COUNT), load(self.block, BLOCK_WRITES));
        }
        self.compare(CHECK_WRITES, BLOCK_WRITES, self.writes);
    }

    fn compare(&self, check: u64, index: usize, expected: u64) {
        let found = load(self.block, index);
        if found != expected {
            self.failed(check, self.block / PAGE, expected, found);
        }
    }

    fn now(&mut self) -> u64 {
        let now = rdtsc();
        if now < self.last_tsc {
            self.failed(CHECK_TSC, 0, self.last_tsc, now);
        }
        self.last_tsc = now;
        now
    }

    #[cold]
    #[inline(never)]
    fn failed(&self, check: u64, place: u64, expected: u64, found: u64) {
        failed(self.block, check, place, expected, found);
    }
}

fn failed(block: u64, check: u64, place: u64, expected: u64, found: u64) {
    let failures = load(block, BLOCK_FAILURES);
    if failures == 0 {
        store(block, BLOCK_FAILED_CHECK, check);
        store(block, BLOCK_FAILED_WHERE, place);
        store(block, BLOCK_FAILED_EXPECTED, expected);
        store(block, BLOCK_FAILED_FOUND, found);
    }
    store(block, BLOCK_FAILURES, failures + 1);
    // SAFETY: a port access with no effect on this program.
    unsafe { asm!("out dx, eax", in("dx") PORT_FAILED, in("eax") check as u32) };
}

fn load(base: u64, index: usize) -> u64 {
    // SAFETY: the VMM maps this page for us; words are aligned.
    unsafe { read_volatile((base as *const u64).add(index)) }
}

fn store(base: u64, index: usize, value: u64) {
    // SAFETY: as in `load`, and no reference to the page exists.
    unsafe { write_volatile((base as *mut u64).add(index), value) };
}

fn rdtsc() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: reads a counter. The fences keep it in program order.
    unsafe { asm!("lfence", "rdtsc", "lfence", out("rax") low, out("rdx") high, options(nomem, nostack)) };
    high << 32 | low
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Which vCPU is not known here; the first one's block serves.
    failed(BLOCKS, CHECK_PANIC, 0, 0, 0);
    loop {
        // SAFETY: a beat that is not counted: the VMM sees the count stand still. The wait keeps the host's CPU free.
        unsafe { asm!("out dx, eax", in("dx") PORT_BEAT, in("eax") 100_000_000u32) };
    }
}
