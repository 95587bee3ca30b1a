//! The memory ports of both sides: [`switchover_core::hal`]'s traits over the threads of [`crate::link::bulk`].
//!
//! What they are for: translating "start it, ask again" into posts and answers. What they are not: they move no byte
//! and wait for nothing; every method returns at once.

mod destination;
pub(crate) mod digest;
pub(crate) mod hash;
mod source;
pub(crate) mod zero;

pub use destination::{DestinationBulk, DestinationMemory};
pub use source::SourceMemory;
