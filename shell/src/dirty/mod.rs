//! Dirty sources: who wrote which page since it was last asked.
//!
//! A source that is not exact loses guest data in silence, so each states what its exactness rests on.

mod bitmap;
#[cfg(target_arch = "x86_64")]
mod kvm_bitmap;
mod marks;
mod source;

pub use bitmap::{Bitmap, PageRun, Runs};
#[cfg(target_arch = "x86_64")]
pub use kvm_bitmap::KvmDirtyBitmap;
pub use marks::PageMarks;
pub use source::DirtySource;
