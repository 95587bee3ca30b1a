//! The harness that the tests share.

pub mod host;
pub mod machines;
