//! Why a KVM guest cannot be made, or one of its vCPUs not do what it was asked; each names the remedy where there is one.

use std::io;

use thiserror::Error;

use super::state::StateError;
use crate::guest::memory::MemoryError;

/// Why a guest cannot be made.
#[derive(Debug, Error)]
pub enum KvmError {
    /// No `/dev/kvm`.
    #[error(
        "/dev/kvm is absent: this host offers no KVM (load the kvm_intel or kvm_amd module, or enable virtualisation in the firmware, or nested virtualisation in the outer hypervisor)"
    )]
    Absent,
    /// `/dev/kvm` may not be opened.
    #[error(
        "/dev/kvm is not permitted for this user: run as a member of its group (usually `kvm`), or as root"
    )]
    NotPermitted,
    /// A KVM that this VMM cannot use.
    #[error("this KVM lacks {0}: use a newer kernel")]
    Lacks(&'static str),
    /// A KVM call failed.
    #[error("{what} failed: {cause}")]
    Call {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        cause: io::Error,
    },
    /// Guest memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The wish cannot be granted by any host.
    #[error("{0}")]
    Spec(String),
    /// A vCPU's thread could not be started.
    #[error("cannot start a vCPU thread: {0}; raise the limit on threads (ulimit -u)")]
    Thread(io::Error),
    /// The heartbeat socket.
    #[error(
        "cannot send heartbeats to {to}: {cause}; give --heartbeat an address that this host has a route to"
    )]
    Heartbeat {
        /// Where to.
        to: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A vCPU's first answer was an error.
    #[error(transparent)]
    Vcpu(#[from] VcpuError),
}

impl KvmError {
    pub(super) fn call(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> KvmError {
        move |error| KvmError::Call { what, cause: crate::sys::kvm::errno(error) }
    }
}

/// Why a vCPU did not do what it was asked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum VcpuError {
    /// It has no state to run from.
    #[error("vCPU {0} was never loaded")]
    NotLoaded(u8),
    /// It is running; only a stopped vCPU takes a state.
    #[error("vCPU {0} is running")]
    Running(u8),
    /// The bytes are no state of this vCPU.
    #[error("vCPU {vcpu}: {error}")]
    State {
        /// Which vCPU.
        vcpu: u8,
        /// What is wrong with them.
        error: StateError,
    },
    /// KVM refused a part of the state, or could not give it.
    #[error("vCPU {vcpu}: {what} failed: {cause}")]
    Call {
        /// Which vCPU.
        vcpu: u8,
        /// Which part.
        what: &'static str,
        /// What the kernel said.
        cause: String,
    },
    /// The vCPU left the guest in a way that it cannot return from.
    #[error("vCPU {vcpu} has died: {why}")]
    Died {
        /// Which vCPU.
        vcpu: u8,
        /// How.
        why: String,
    },
    /// Its thread is gone: the VMM is being dropped.
    #[error("vCPU {0} is gone")]
    Gone(u8),
}
