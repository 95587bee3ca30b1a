//! The system layer: every `unsafe` block of the shell, and the raw system calls that no crate owns well.
//!
//! Each file wraps one facility in a safe type. Nothing here knows what a switchover is.

pub mod child;
pub mod clock;
pub mod inherited;
#[cfg(target_arch = "x86_64")]
pub mod kick;
#[cfg(target_arch = "x86_64")]
pub mod kvm;
pub mod lock;
pub mod mapping;
pub mod sched;
pub mod signal;
pub mod socket;
pub mod udp;
pub mod vectored;
