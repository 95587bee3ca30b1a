//! A real source and a real destination in a world that the test controls.
//!
//! ```text
//!   test ---- rules: this write is slow, that message is lost, crash here -----+
//!                                                                              v
//!   Source  <- events -  Pair: clocks, jobs, network, journals, arbiter  - events ->  Destination
//!           - actions ->          |  every effect on the guest           <- actions -
//!                                 v
//!                               Judge: one runner, honest answers, blackout
//! ```
//!
//! The judge sees what happens to the guest's two copies and nothing of the machines' own state: it would notice a
//! wrong decision whatever the machines believe. Machines are stepped directly; their drivers have tests of their own.
//!
//! Not here: memory contents, real ports, real time.

pub mod build;
pub mod clock;
pub mod dice;
pub mod host;
pub mod judge;
pub mod lone;
pub mod network;
pub mod pair;
mod pair_jobs;
mod pair_life;
pub mod show;

pub use build::{Shape, TestDestination, TestSource, destination_config, ms, source_config, us};
pub use dice::Dice;
pub use host::{Ends, Fate, Job, On};
pub use network::Word;
pub use pair::{Guest, Pair, Torn};
