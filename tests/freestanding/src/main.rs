//! Both sides of a switchover in a program that has neither std, nor an allocator, nor libc.
//!
//! It includes the folder that `core/examples/no_os.rs` includes, and ends with exit code 0 if the first attempt was
//! undone and the second committed, both within the hard limit. `tests/tests/freestanding.rs` builds it, reads its
//! symbols and runs it. It runs under Linux on x86-64; all it asks of it is `exit`.
#![no_std]
#![no_main]

mod bare;
mod whole;
#[path = "../../../core/examples/no_os"]
mod no_os {
    pub mod guest;
    pub mod ports;
    pub mod rings;
    pub mod run;
}

use switchover_core::outcome::{Ending, Reason};
use switchover_core::time::Ns;

/// Exit codes besides 0.
const STUCK: i32 = 1;
const WRONG_END: i32 = 2;
const TOO_LONG: i32 = 3;
const CORRUPT: i32 = 4;

/// Called by the entry point, on an aligned stack.
fn main() -> i32 {
    let Ok(report) = no_os::run::both_sides(&|_, _, _| {}) else { return STUCK };
    let [first, second] = report.ended;
    let limit = no_os::run::LIMITS.hard();
    let in_time = |blackout: Ns| blackout > Ns::ZERO && blackout <= limit;
    planted(report.count as usize);
    whole::keep();
    if first.ending != Ending::Aborted(Reason::Doomed) || second.ending != Ending::Committed {
        WRONG_END
    } else if !in_time(first.blackout) || !in_time(second.blackout) {
        TOO_LONG
    } else if !report.intact {
        CORRUPT
    } else {
        0
    }
}

/// The negative controls: a panic that the optimiser cannot disprove.
fn planted(count: usize) {
    if cfg!(feature = "planted-index") {
        let table = core::hint::black_box([1_u8; 4]);
        core::hint::black_box(table[count]);
    }
    if cfg!(feature = "planted-unwrap") {
        core::hint::black_box(core::hint::black_box(Some(count)).unwrap());
    }
}
