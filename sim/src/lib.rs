//! The machines of `switchover-core`, unchanged, in a simulated world.
//!
//! The same [`Source`](switchover_core::source::Source) and [`Destination`](switchover_core::destination::Destination)
//! that move a real guest are driven here by a world in which time, links, guests, devices and processes are numbers
//! drawn from one seed. The same seed gives the same run, byte for byte.
//!
//! Not here: anything of the shell. The simulator opens no socket and no device.

pub mod bound;
pub mod campaign;
pub mod check;
pub mod cli;
pub mod command;
pub mod exit_code;
pub mod explore;
pub mod replay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod shorten;
pub mod world;
