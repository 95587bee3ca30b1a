//! What the checker is told before a run, and what excuses a late guest.

use switchover_core::port::PortSet;
use switchover_core::time::Ns;

/// What is fixed for a run.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// The guest's vCPU ports and devices.
    pub ports: PortSet,
    /// H, on the source's clock; `None`: the world has no time, and P2 is not judged.
    pub hard_limit: Option<Ns>,
    /// Attempts of one run, at most.
    pub attempts: u8,
    /// The wait after the first aborted attempt; it doubles.
    pub backoff: Ns,
    /// The guest's blackout over all attempts of one run.
    pub blackout_budget: Ns,
    /// The source's vCPUs wait for their devices, however long.
    pub hold_on_lost_device: bool,
    /// Both clocks keep their declared drift.
    pub drift_kept: bool,
    /// Messages are lost and doubled one by one: P2 is judged only until `Go`.
    pub datagrams: bool,
}

/// Something outside the protocol that broke its word in the present blackout. P2 holds only without.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Excuse {
    /// The source's process died.
    SourceDied,
    /// The source's vCPUs (with `hold_on_lost_device`: or a device) took longer to roll back than R, or failed.
    Rollback,
    /// The source's timer was later than W_s.
    SourceTimer,
    /// The destination's process died.
    DestinationDied,
    /// The destination's timer was later than W_d.
    DestinationTimer,
    /// A journal write of the destination's took longer than J, or failed.
    DestinationJournal,
    /// A resume took longer than Res, or failed.
    Resume,
    /// A claim took longer than C, or could not be made.
    Claim,
    /// A message from `Ready` on took longer than delta, or was lost.
    Link,
    /// The operator fenced the destination.
    Operator,
}

/// Which of them are there.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Excuses(u16);

impl Excuses {
    /// None.
    pub const NONE: Self = Self(0);

    /// One more.
    #[must_use]
    pub const fn with(self, excuse: Excuse) -> Self {
        Self(self.0 | 1 << excuse as u8)
    }

    /// Whether it is there.
    #[must_use]
    pub const fn has(self, excuse: Excuse) -> bool {
        self.0 & (1 << excuse as u8) != 0
    }

    /// Whether any of `these` is there.
    #[must_use]
    pub fn any(self, these: &[Excuse]) -> bool {
        these.iter().any(|excuse| self.has(*excuse))
    }

    /// Whether none is there.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
