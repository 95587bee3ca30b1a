//! The shell: everything that touches the operating system.

pub mod exit_code;
pub mod faults;
pub mod units;
pub mod words;
