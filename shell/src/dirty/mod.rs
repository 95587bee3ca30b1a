//! Dirty sources: who wrote which page since it was last asked.

mod bitmap;

pub use bitmap::{Bitmap, PageRun, Runs};
