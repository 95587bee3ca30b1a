//! What the benchmarks share: numbers and their judgement, runs of the real command, and the bare operations that they
//! are held against.
//!
//! Every verdict is a ratio of two things measured in the same run, alternating, so that a busy or a slow machine
//! changes both. Absolute times are printed for people, and judged by nobody.

pub mod abort;
pub mod floor;
pub mod peer;
pub mod plot;
pub mod raw;
pub mod report;
pub mod stats;
pub mod switch;
