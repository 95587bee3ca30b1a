//! The harness that the tests share.

pub mod e2e;
pub mod host;
pub mod machines;
