//! A small VMM for a real guest under KVM: the guest program of this repository on one to four vCPUs.
//!
//! What it is for: giving a switchover a guest whose every fault shows. It keeps to what that needs: one memory slot,
//! vCPU threads that stop at a kick with their state saved, heartbeats, a dirty log.
//! What it is not: a VMM for operating systems. There are no devices, no interrupt controller and no firmware.

mod boot;
mod calibrate;
mod cpuid;
mod descriptor;
mod destination_port;
mod error;
mod heartbeat;
#[path = "../../../guest/layout.rs"]
#[allow(missing_docs, reason = "shared with the guest program, which has the comments")]
#[allow(dead_code, reason = "holds the guest program's half of the agreement too")]
mod layout;
mod pending;
mod run;
mod source_port;
mod spec;
mod state;
mod stats;
mod vcpu;
mod vmm;

pub use calibrate::{CalibrateError, VcpuTimes, calibrate};
pub use descriptor::{
    CPUID_MAX, CpuidEntry, DESCRIPTOR_MAX, GuestDescriptor, MemorySlot, Mismatch, SLOTS_MAX,
};
pub use destination_port::KvmDestinationVcpus;
pub use error::{KvmError, VcpuError};
pub use heartbeat::{GuestName, HeartbeatSink, UdpHeartbeat};
pub use pending::Pending;
pub use source_port::KvmSourceVcpus;
pub use spec::{DEFAULT_BEAT_NS, DirtyRate, Heartbeats, Hooks, KvmSpec, VCPU_SLICE, own_memory};
pub use state::{STATE_MAX, StateError};
pub use stats::{SelfCheckFailure, VcpuReport};
pub use vcpu::{Loaded, Resumed, Stopped, Vcpu};
pub use vmm::Vmm;
