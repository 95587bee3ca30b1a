//! Real processes under real witnesses: what the end-to-end tests share.
//!
//! A test starts the command itself ([`process`]), watches its guest from outside ([`watch`]) and measures in the same
//! time what this host's scheduling costs a thread like a vCPU's ([`baseline`]); [`play`] puts these together for a
//! `demo`, and for a source and a destination of their own. Whatever was started is gone when a test ends, passed or not.
//!
//! Not here: what must come of a run. That is in the tests.

pub mod baseline;
pub mod play;
pub mod process;
pub mod scratch;
pub mod watch;

pub use baseline::Baseline;
pub use play::{Ended, Pair, demo};
pub use process::Process;
pub use scratch::Scratch;
pub use watch::{Seen, Watch};
