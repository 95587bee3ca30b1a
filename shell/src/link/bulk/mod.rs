//! The bulk connection: guest memory and states, in chunks, one way, from a thread of the source's to a thread of the
//! destination's.
//!
//! What it is for: moving bytes fast and exactly, and letting go of them at once when an attempt is over. The threads
//! hash what passes, in order, into the chained [`Digest`](switchover_core::digest::Digest) (\[SW-72\], \[SW-74\]).
//! What it is not: it decides nothing and knows no deadline. The memory ports ([`crate::memory`]) ask; the threads do,
//! store the result where the port looks for it, and wake the loop. Nothing here makes the loop's thread wait:
//! what both touch is an atomic, or a lock that the loop only tries and after whose release the thread wakes it.
//!
//! # What both sides must agree on
//! - Each entry of a chunk's run table is one piece of the digest, each slice of state is one, each run of zeros is one.
//! - A chunk is digested when it is complete, and taken back when the next header says that it was torn (\[SW-75\]).
//! - Chunks are counted from the opening of the connection, torn ones included.
//! - A fresh round begins the chain anew, with its first chunk.

mod connection;
mod counters;
mod faults;
mod handle;
mod inbox;
mod intake;
mod loop_lock;
mod outgoing;
mod pacer;
mod pass;
mod receiver;
mod request;
mod sender;
mod station;

pub use connection::Broken;
pub use counters::{Counters, Progress};
pub use faults::SenderFaults;
pub use handle::{BulkHandle, SendState, StateSender};
pub use inbox::{STATE_BYTES_MAX, StateInbox};
pub use receiver::{Receiver, ReceiverConfig};
pub use sender::{Sender, SenderConfig};

pub(crate) use intake::{Expectation, Intake};
pub(crate) use request::{Answer, Request};

/// Called at the start of a helper thread, on it: where a host sets its scheduling class, processor and name.
pub type OnThread = std::sync::Arc<dyn Fn(&'static str) + Send + Sync>;

/// The longest run of pages that is hashed and sent as one piece: what stays in a processor's own cache between the
/// hash and the copy into the socket.
pub(crate) const RUN_PAGES: u64 = 64;
