//! What a person sees of a run: progress while memory is copied, and a timeline of the switchover afterwards.
//!
//! Only ever for reading: scripts have the [record](crate::record). Nothing here measures or decides anything.

pub mod progress;

pub use switchover_text::timeline;
