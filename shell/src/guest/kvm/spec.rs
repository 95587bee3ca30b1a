//! What guest is wanted, and what the VMM tells its surroundings.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::descriptor::CpuidEntry;
use super::error::KvmError;
use super::heartbeat::GuestName;
use super::layout;
use crate::guest::memory::PAGE;
use crate::realtime::VCPU_PRIORITY;
use crate::words::Side;

/// How fast the guest dirties its working set, all vCPUs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirtyRate {
    /// So many bytes a second; 0: not at all.
    BytesPerSecond(u64),
    /// As fast as it can.
    Max,
}

/// The guest that is wanted.
#[derive(Clone, Debug)]
pub struct KvmSpec {
    /// Bytes of guest memory; whole pages.
    pub memory: u64,
    /// Bytes of the working set, all vCPUs together; whole pages, 0 allowed.
    pub working_set: u64,
    /// How fast the working set is dirtied.
    pub dirty_rate: DirtyRate,
    /// How many vCPUs, 1 to 4.
    pub vcpus: u8,
    /// The CPU that the guest sees: the source's, on a destination. `None`: all that this host supports.
    pub cpuid: Option<Vec<CpuidEntry>>,
    /// Time between two beats of a vCPU, in ns.
    pub beat_period_ns: u64,
    /// The real-time priority (1..=99) that a vCPU's thread has from the request to stop until it runs again, and on a
    /// destination until it first runs. `None`: the ordinary class throughout. Where not permitted: as `None`.
    pub urgent_priority: Option<u8>,
}

impl KvmSpec {
    /// The command line's defaults.
    pub fn new(memory: u64, vcpus: u8) -> KvmSpec {
        KvmSpec {
            memory,
            working_set: 64 << 20,
            dirty_rate: DirtyRate::BytesPerSecond(200 << 20),
            vcpus,
            cpuid: None,
            beat_period_ns: DEFAULT_BEAT_NS,
            urgent_priority: Some(VCPU_PRIORITY),
        }
    }

    /// Checks what can be checked without a host.
    ///
    /// # Errors
    /// A wish that contradicts itself, with the remedy.
    pub fn check(&self) -> Result<(), KvmError> {
        let wrong = |text: String| Err(KvmError::Spec(text));
        if self.vcpus == 0 || u64::from(self.vcpus) > layout::VCPUS_MAX {
            return wrong(format!("{} vCPUs: a guest has 1 to {}", self.vcpus, layout::VCPUS_MAX));
        }
        if !self.memory.is_multiple_of(PAGE as u64) || !self.working_set.is_multiple_of(PAGE as u64) {
            return wrong(format!("guest memory and working set must be multiples of {PAGE} bytes"));
        }
        if self.memory > 512 << 30 {
            return wrong("guest memory is at most 512 GiB".into());
        }
        let own = own_memory(self.memory);
        if self.memory < own || self.working_set > self.memory - own {
            return wrong(format!(
                "a working set of {} KiB does not fit into guest memory of {} KiB, of which the guest itself needs {} KiB: \
                 make the memory larger or the working set smaller",
                self.working_set >> 10,
                self.memory >> 10,
                own >> 10
            ));
        }
        if !(10_000..=1_000_000_000).contains(&self.beat_period_ns) {
            return wrong("the beat period must lie between 10 us and 1 s".into());
        }
        Ok(())
    }
}

/// 1250 beats a second: some way above the 1000 that are promised.
pub const DEFAULT_BEAT_NS: u64 = 800_000;

/// The slices in which a vCPU's thread shares a CPU with others. It wakes every period and works for a part of it; in the
/// usual slices of some ms it would wait behind others for tens of ms, with four of them to two CPUs. A thread that is
/// to show what the host's scheduling alone costs a vCPU takes the same ([`crate::sys::sched::set_prompt`]).
pub const VCPU_SLICE: Duration = Duration::from_micros(100);

/// Bytes that the guest's program, stacks and page tables take, at the beginning of its memory.
pub const fn own_memory(memory: u64) -> u64 {
    layout::TABLES + (2 + memory.div_ceil(1 << 30)) * PAGE as u64
}

/// Where heartbeats go, and under which names.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    /// The witness.
    pub to: SocketAddr,
    /// The guest's name.
    pub guest: GuestName,
    /// Which side this VMM is.
    pub runner: Side,
}

/// What the VMM calls, from its threads. Each must return at once.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Something asked of a vCPU is done, or a vCPU has died: poll again. Typically wakes an event loop.
    pub notify: Option<Arc<dyn Fn() + Send + Sync>>,
    /// A vCPU's thread has started: set its affinity and class.
    pub vcpu_thread: Option<Arc<dyn Fn(u8) + Send + Sync>>,
    /// Where heartbeats go.
    pub heartbeats: Option<Heartbeats>,
}

impl Hooks {
    pub(super) fn notify(&self) {
        if let Some(notify) = &self.notify {
            notify();
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("heartbeats", &self.heartbeats).finish_non_exhaustive()
    }
}
