//! How the core's values are written for people and scripts, and read back.
//!
//! What the shell and the simulator print and accept alike: the words for ports and phases, quantities with units, time
//! contracts as TOML, records as JSON, faults, event files, a switchover's timeline, exit codes. One spelling for both, so
//! that a file written by one is read by the other.
//!
//! Not here: anything that moves a guest, real or simulated; threads; a command line.

pub mod contracts;
pub mod events;
pub mod exit_code;
pub mod faults;
pub mod record;
pub mod timeline;
pub mod units;
pub mod words;
