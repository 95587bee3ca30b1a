//! Dirty sources: who wrote which page since it was last asked.

mod bitmap;
mod source;

pub use bitmap::{Bitmap, PageRun, Runs};
pub use source::DirtySource;
