//! The journal: decisions that outlive the process that took them.
//!
//! A file of fixed-size checksummed slots, appended by `pwrite` from a helper thread: a `pwrite` that returned has left
//! the process, so a kill cannot undo it, and a full disk is an error value. The file is locked exclusively for the life
//! of the process (\[SW-9\]), and its random identity is made with it (\[SW-3\]).
//!
//! - `slot`: the bytes of one slot;
//! - `file`: opening, locking, reading back, compacting, appending;
//! - `summary`: what the records amount to after a restart;
//! - `port`: [`Journal`](switchover_core::hal::Journal) for the loop's thread.
//!
//! Not here: deciding anything. What a record means is the machines' business.

mod file;
mod place;
mod port;
mod slot;
mod summary;

pub use file::{Durability, JournalError, JournalFile};
pub use place::default_path;
pub use port::{JournalHint, JournalPort};
pub use slot::{SLOT, decode_record, encode_record};
pub use summary::Summary;
