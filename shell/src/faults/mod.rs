//! Faults to order: what a run is to suffer, so that its promises can be seen to hold.
//!
//! Faults are injected in the ports, never in the machines (\[SW-80\]): the machine under test is the machine in use. [`switchover_text::faults`]
//! reads and prints one fault, `list` holds all of a run; ports ask a [`Faults`] whether the moment has come.

mod hold;
mod kill;
mod link;
mod list;
mod ports;

pub use hold::{AttemptNumber, Hold, Injection};
pub use link::{FaultyLink, Marked};
pub use list::{FaultConflict, Faults};
pub use ports::{StallingMemory, StallingVcpus};
pub use switchover_text::faults::{Copies, Corruptible, Droppable, Fault, Kind, SpecError, Stall, When};
