//! An agent: a machine of the core, its driver, its ports and the real-time thread that runs them.
//!
//! ```text
//!   caller's thread                       the agent's real-time thread
//!   setup --------- start -------------->  reactor -> driver -> machine
//!   commands (begin, cancel, fence) ---->     |         |
//!   notes  <------------------------------ tap       ports -> helper threads
//! ```
//!
//! The `switchover` command and an embedder use the same: a [`SourceLoop`] or a [`DestinationLoop`] is made first, since
//! ports need something to wake; then it is started with ports. What happens is told in [`Noted`] notes, which the
//! caller takes at its own pace: telling never wakes or waits for anybody.
//!
//! Not here: what a guest is (`guest`), who listens or calls (`link`), what is done with notes (`run`).

mod destination;
mod notes;
mod source;
mod standing;
mod start;
mod tap;
mod usual;

pub use destination::{DestinationAgent, DestinationLoop, DestinationSetup};
pub use notes::{NoteReceiver, NoteSender, Noted, notes};
pub use source::{SourceAgent, SourceLoop, SourceSetup, StartError};
pub use standing::{Standing, StandingCell};
pub use start::{GuestStart, Started, StartingLink};

/// vCPU ports of an agent's machine: this shell puts all vCPUs of a guest into one, an embedder may have more.
pub const VCPU_PORTS: usize = 4;
/// Devices of an agent's machine.
pub const DEVICES: usize = 8;
/// Attempts of one run, and source journals that one destination remembers.
pub const ATTEMPTS: usize = 64;
