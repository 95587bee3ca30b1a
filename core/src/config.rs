//! Validated settings: a `Config` exists only if its numbers can hold together.

use serde::{Deserialize, Serialize};

use crate::contract::{DestinationContracts, SourceContracts};
use crate::id::{ArbiterKey, GuestInstance};
use crate::limits::{DURATION_MAX, PAGE_SIZE};
#[cfg(feature = "mutants")]
use crate::mutant::Mutant;
use crate::time::{Ns, Ppm};
use crate::units::Bytes;

/// What both sides have to agree on about the guest, as far as the core can tell.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Layout {
    /// Bytes in a page.
    pub page_size: u32,
    /// Guest memory.
    pub memory: Bytes,
    /// vCPU ports.
    pub vcpu_ports: u8,
    /// Devices.
    pub devices: u8,
}

/// The two limits, whose sum is enforced.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// What an attempt is planned to fit; default 300 ms.
    pub downtime: Ns,
    /// How far reality may exceed the plan; default 10 ms, and zero makes `downtime` hard.
    pub switchover: Ns,
}

impl Limits {
    /// H: the guest runs again, on one side or the other, by then.
    pub const fn hard(&self) -> Ns {
        self.downtime.plus(self.switchover)
    }
}

impl Default for Limits {
    /// 300 ms, as QEMU's `downtime-limit`, and 10 ms beyond.
    fn default() -> Self {
        Self { downtime: Ns::from_millis(300), switchover: Ns::from_millis(10) }
    }
}

/// How often to try, and what that may cost.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts in all.
    pub attempts: u8,
    /// The wait after the first aborted attempt; doubles after each.
    pub backoff: Ns,
    /// The guest's total blackout over all attempts; one that could exceed it is not begun.
    pub blackout_budget: Ns,
    /// Pre-copy of one attempt; not admitted by then, the run ends with the guest never stopped.
    pub precopy_limit: Ns,
}

impl Retry {
    /// So many attempts, each of which may use its limit up, half a second and more apart, a minute of pre-copy each.
    pub const fn attempts(attempts: u8, limits: Limits) -> Self {
        let blackout_budget = Ns::new(limits.hard().get().saturating_mul(attempts as u64));
        Self { attempts, backoff: Ns::from_millis(500), blackout_budget, precopy_limit: Ns::from_secs(60) }
    }
}

/// How often to say something again, and when silence means the peer is gone.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Cadence {
    /// Between pings in pre-copy.
    pub ping: Ns,
    /// Between repetitions of an unanswered message, reconnects and claims.
    pub again: Ns,
    /// With no Welcome for that long the peer counts as lost; in pre-copy it is given no
    /// longer than the hard limit, or five pings if that is longer.
    pub silence: Ns,
}

impl Default for Cadence {
    /// Pings at 20 Hz give a learner enough round trips in a second of pre-copy, and notice a
    /// dead peer within a hard limit of 250 ms and more; silence of 2 s is what operators
    /// are promised before a Welcome, and nothing is stopped yet.
    fn default() -> Self {
        Self { ping: Ns::from_millis(50), again: Ns::from_millis(50), silence: Ns::from_secs(2) }
    }
}

/// The source's settings.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct SourceConfig<const V: usize, const D: usize> {
    /// The limits.
    pub limits: Limits,
    /// Retries and their caps.
    pub retry: Retry,
    /// Repetition.
    pub cadence: Cadence,
    /// Declared clock drift of this host.
    pub drift: Ppm,
    /// The guest's shape.
    pub layout: Layout,
    /// The arbiter, where there is one.
    pub arbiter: Option<ArbiterKey>,
    /// Keep the guest stopped rather than run it without a device that does not come back.
    pub hold_on_lost_device: bool,
    /// Time contracts.
    pub contracts: SourceContracts<V, D>,
    /// The rule that this machine is to leave out; for the tests of the simulator's checkers.
    #[cfg(feature = "mutants")]
    #[serde(skip)]
    pub mutant: Option<Mutant>,
}

/// The destination's settings.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct DestinationConfig<const V: usize, const D: usize> {
    /// Repetition.
    pub cadence: Cadence,
    /// Declared clock drift of this host.
    pub drift: Ppm,
    /// The shape of guest it can take.
    pub layout: Layout,
    /// The arbiter, where there is one.
    pub arbiter: Option<ArbiterKey>,
    /// The guest that a `Running` record will name.
    pub instance: GuestInstance,
    /// Time contracts.
    pub contracts: DestinationContracts<V, D>,
    /// The rule that this machine is to leave out; for the tests of the simulator's checkers.
    #[cfg(feature = "mutants")]
    #[serde(skip)]
    pub mutant: Option<Mutant>,
}

/// Why settings cannot hold together; each names what to change.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ConfigError {
    /// `limits.downtime` is zero: nothing can be planned into it.
    NoDowntime,
    /// A limit, or their sum, is beyond [`DURATION_MAX`].
    LimitTooLong,
    /// No attempt is allowed.
    NoAttempts,
    /// More attempts than the machine's capacity remembers.
    TooManyAttempts,
    /// The blackout budget does not cover one attempt.
    BudgetBelowLimit,
    /// A cadence of zero would spin.
    NoCadence,
    /// The page size is not the memory stream's.
    PageSize,
    /// The layout's ports are not those the contracts describe, or there is no vCPU port.
    Ports,
    /// A contract is beyond [`DURATION_MAX`].
    ContractTooLong,
}

impl Layout {
    /// A guest of so much memory behind so many vCPU ports, without devices.
    pub const fn new(memory: Bytes, vcpu_ports: u8) -> Self {
        Self { page_size: PAGE_SIZE as u32, memory, vcpu_ports, devices: 0 }
    }
}

impl<const V: usize, const D: usize> SourceConfig<V, D> {
    /// The default limits, three attempts, no arbiter, and a drift that any host's clock keeps.
    pub fn new(layout: Layout, contracts: SourceContracts<V, D>) -> Self {
        let limits = Limits::default();
        Self {
            limits,
            retry: Retry::attempts(3, limits),
            cadence: Cadence::default(),
            drift: Ppm::SOUND,
            layout,
            arbiter: None,
            hold_on_lost_device: false,
            contracts,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Whether the settings hold together for a machine that remembers `attempts_max` attempts.
    pub fn check(&self, attempts_max: usize) -> Result<(), ConfigError> {
        let hard = self.limits.hard();
        if self.limits.downtime == Ns::ZERO {
            return Err(ConfigError::NoDowntime);
        }
        if hard > DURATION_MAX {
            return Err(ConfigError::LimitTooLong);
        }
        if self.retry.attempts == 0 {
            return Err(ConfigError::NoAttempts);
        }
        if usize::from(self.retry.attempts) > attempts_max {
            return Err(ConfigError::TooManyAttempts);
        }
        if self.retry.blackout_budget < hard {
            return Err(ConfigError::BudgetBelowLimit);
        }
        self.cadence.check()?;
        self.layout.check(self.contracts.vcpus.len(), self.contracts.devices.len())?;
        let c = &self.contracts;
        let own = [c.seal.time, c.journal.time, c.timer.time, c.claim.time, c.link.delay.time];
        let sums = [c.stop(), c.save(), c.rollback()];
        if own.into_iter().chain(sums).any(|time| time > DURATION_MAX) {
            return Err(ConfigError::ContractTooLong);
        }
        Ok(())
    }
}

impl<const V: usize, const D: usize> DestinationConfig<V, D> {
    /// No arbiter, and a drift that any host's clock keeps.
    pub fn new(layout: Layout, instance: GuestInstance, contracts: DestinationContracts<V, D>) -> Self {
        Self {
            cadence: Cadence::default(),
            drift: Ppm::SOUND,
            layout,
            arbiter: None,
            instance,
            contracts,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Whether the settings hold together.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.cadence.check()?;
        self.layout.check(self.contracts.vcpus.len(), self.contracts.devices.len())?;
        let t = self.contracts.announced(self.drift, true);
        if [t.load, t.seal, t.claim, t.journal, t.resume, t.timer].into_iter().any(|time| time > DURATION_MAX)
        {
            return Err(ConfigError::ContractTooLong);
        }
        Ok(())
    }
}

/// Pings that may go unanswered before a peer counts as lost.
const PINGS_LOST: u64 = 5;
/// Repetitions inside a window that is shorter than the usual pause.
const REPEATS: u64 = 4;
/// However short the window: a message's way takes longer than this.
const PAUSE_MIN: Ns = Ns::from_micros(100);

impl Cadence {
    /// How long a peer may be silent in pre-copy: a dead one is noticed within the limit.
    pub(crate) fn patience(&self, hard_limit: Ns) -> Ns {
        hard_limit.or_longer(self.ping.times(PINGS_LOST)).or_shorter(self.silence)
    }

    /// The pause between repetitions that only count within `window`: what is said again
    /// after a lease has ended helps nobody.
    pub(crate) fn within(&self, window: Ns) -> Ns {
        self.again.or_shorter(window.part(REPEATS).or_longer(PAUSE_MIN))
    }

    fn check(&self) -> Result<(), ConfigError> {
        if [self.ping, self.again, self.silence].contains(&Ns::ZERO) {
            Err(ConfigError::NoCadence)
        } else {
            Ok(())
        }
    }
}

impl Layout {
    fn check(&self, vcpu_ports: usize, devices: usize) -> Result<(), ConfigError> {
        if self.page_size as usize != PAGE_SIZE {
            return Err(ConfigError::PageSize);
        }
        let agree = usize::from(self.vcpu_ports) == vcpu_ports && usize::from(self.devices) == devices;
        if agree && vcpu_ports > 0 { Ok(()) } else { Err(ConfigError::Ports) }
    }
}
