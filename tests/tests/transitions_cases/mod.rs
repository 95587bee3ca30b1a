//! The states and events of `transitions.rs`.
//!
//! One vCPU port, one device, an arbiter: every state there is, with lines that stay short.

pub mod destination;
pub mod source;

use switchover_tests::machines::Shape;

/// The guest of every line.
pub const SHAPE: Shape = Shape { vcpu_ports: 1, devices: 1, arbiter: true };
