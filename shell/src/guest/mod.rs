//! Guests: the memory that is moved, and what runs in it.

#[cfg(target_arch = "x86_64")]
pub mod kvm;
pub mod memory;
