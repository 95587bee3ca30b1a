//! The shell: everything that touches the operating system.

pub mod agent;
pub mod calibrate;
pub mod cli;
pub mod clock;
pub mod control_socket;
pub mod dirty;
pub mod events;
pub mod faults;
pub mod guest;
pub mod journal;
pub mod link;
pub mod memory;
pub mod reactor;
pub mod realtime;
pub mod report;
pub mod run;
pub mod stolen;
pub mod sys;
pub mod ui;
pub mod wake;
pub mod witness;

/// What the simulator writes and reads as well has a package of its own.
pub use switchover_text::{contracts, exit_code, record, units, words};
