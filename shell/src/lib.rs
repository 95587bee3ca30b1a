//! The shell: everything that touches the operating system.

pub mod dirty;
pub mod exit_code;
pub mod faults;
pub mod guest;
pub mod sys;
pub mod units;
pub mod words;
