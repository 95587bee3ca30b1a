//! Both sides of a switchover with no operating system beneath them.
//!
//! `no_os/` is what a firmware engineer writes: no std, no allocator, no thread, no interrupt; two super-loops in one
//! address space with ring buffers between them. This file alone knows that it runs on a PC: it prints what the
//! machines note, and holds the result against what was promised. `tests/freestanding` links the very same folder
//! into a program that has neither std nor libc.
//!
//! ```text
//! cargo run -p switchover-core --example no_os
//! ```

mod no_os {
    pub mod guest;
    pub mod ports;
    pub mod rings;
    pub mod run;
}

use switchover_core::outcome::{Ending, Reason};
use switchover_core::time::Ns;

fn main() {
    let limit = no_os::run::LIMITS.hard();
    let report = no_os::run::both_sides(&|side, now, note| {
        println!("{:>7} us  {side:?}: {note:?}", now.as_ns() / 1_000);
    });
    let report = report.expect("both sides come to an end");

    let [first, second] = report.ended;
    println!("\nfirst attempt:  {:?}, blackout {} us", first.ending, first.blackout.get() / 1_000);
    println!("second attempt: {:?}, blackout {} us", second.ending, second.blackout.get() / 1_000);
    println!("the guest counted to {} there; stopped for at most {} us", report.count, limit.get() / 1_000);

    // The first attempt's vCPU hangs in its save: what remains does not fit any more, and the guest runs again
    // within the hard limit. The second commits within it.
    assert_eq!(first.ending, Ending::Aborted(Reason::Doomed));
    assert_eq!(second.ending, Ending::Committed);
    assert!(first.blackout > Ns::ZERO && first.blackout <= limit);
    assert!(second.blackout > Ns::ZERO && second.blackout <= limit);
    assert!(report.intact, "the guest found its memory changed");
}
