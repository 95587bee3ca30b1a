//! What the core drives, what it asks of it, and whom it blames.

use serde::{Deserialize, Serialize};

/// One of the two hosts.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Side {
    /// The host that has the guest.
    Source,
    /// The host that will have it.
    Destination,
}

/// The phases of a switchover, in the order in which a committed one meets them.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Phase {
    /// Meeting: Hello and Welcome.
    Hello,
    /// Copying memory while the guest runs.
    Precopy,
    /// Quiescing devices, stopping vCPUs, stopping devices.
    Stop,
    /// Taking the state of vCPUs and devices.
    Save,
    /// Moving the last dirty pages and the states.
    Transfer,
    /// Loading states on the destination, as far as it goes on after everything has arrived.
    Load,
    /// Verifying what arrived; devices leave RESUMING.
    Seal,
    /// Ready's way to the source.
    Ready,
    /// Go's way to the destination.
    Go,
    /// Journaling the decision and running the guest.
    Resume,
    /// Undoing the stop on the source.
    Rollback,
}

/// A part of a host that the core drives or waits for.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Port {
    /// A group of vCPUs that stop and run together.
    Vcpus(u8),
    /// A device.
    Device(u8),
    /// Guest memory and the stream that carries it.
    Memory,
    /// The connection between the hosts.
    Link,
    /// The durable record of decisions.
    Journal,
    /// The arbiter.
    Arbiter,
    /// The other side, where no closer word is known.
    Peer,
}

/// Who used more than its contract when an attempt ended.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Blame {
    /// On which host.
    pub side: Side,
    /// Which part of it.
    pub port: Port,
    /// Doing what.
    pub phase: Phase,
}

/// What can be asked of vCPUs and devices. Each is asked once and answered once, save
/// [`Op::Save`] and [`Op::Load`], which are asked again for each slice.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Op {
    /// Devices: stop initiating DMA to each other (P2P quiescence).
    Quiesce,
    /// vCPUs: leave guest mode and stay out. Devices: stop altogether.
    Stop,
    /// Put the next slice of state on the bulk stream.
    Save,
    /// Take the next slice of state from the bulk stream.
    Load,
    /// Devices: all state is here; leave RESUMING.
    Settle,
    /// Run.
    Resume,
    /// Undo everything that was asked since [`Op::Quiesce`]: run as before.
    Rollback,
    /// Drop what was loaded.
    Unload,
}

impl Op {
    /// The phase an operation belongs to.
    pub const fn phase(self) -> Phase {
        match self {
            Self::Quiesce | Self::Stop => Phase::Stop,
            Self::Save => Phase::Save,
            Self::Load => Phase::Load,
            Self::Settle => Phase::Seal,
            Self::Resume => Phase::Resume,
            Self::Rollback | Self::Unload => Phase::Rollback,
        }
    }
}

/// A set of vCPU ports and devices: what one action asks for at once.
///
/// The low [`crate::limits::VCPU_PORTS_MAX`] bits are vCPU ports, the rest devices.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PortSet(u32);

const VCPU_BITS: u32 = crate::limits::VCPU_PORTS_MAX as u32;
const VCPU_MASK: u32 = (1 << VCPU_BITS) - 1;

impl PortSet {
    /// No port.
    pub const EMPTY: Self = Self(0);

    /// The first `vcpus` vCPU ports and the first `devices` devices.
    pub const fn of(vcpus: usize, devices: usize) -> Self {
        Self(low_bits(vcpus) & VCPU_MASK | (low_bits(devices) << VCPU_BITS))
    }

    /// The set of one port; empty for a port that is neither vCPUs nor a device.
    pub const fn one(port: Port) -> Self {
        match port {
            Port::Vcpus(i) if (i as u32) < VCPU_BITS => Self(1 << i),
            Port::Device(i) if (i as u32) < 32 - VCPU_BITS => Self(1 << (VCPU_BITS + i as u32)),
            _ => Self::EMPTY,
        }
    }

    /// Only the vCPU ports.
    #[must_use]
    pub const fn vcpus(self) -> Self {
        Self(self.0 & VCPU_MASK)
    }

    /// Only the devices.
    #[must_use]
    pub const fn devices(self) -> Self {
        Self(self.0 & !VCPU_MASK)
    }

    /// Everything in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Everything here that is not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any port of `other` is here.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many ports.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest port: vCPUs before devices.
    pub const fn first(self) -> Option<Port> {
        if self.0 == 0 {
            return None;
        }
        let bit = self.0.trailing_zeros();
        Some(if bit < VCPU_BITS { Port::Vcpus(bit as u8) } else { Port::Device((bit - VCPU_BITS) as u8) })
    }
}

impl Iterator for PortSet {
    type Item = Port;

    /// Takes the lowest port out; at most 32 times.
    fn next(&mut self) -> Option<Port> {
        let first = self.first()?;
        self.0 &= self.0.wrapping_sub(1);
        Some(first)
    }
}

const fn low_bits(n: usize) -> u32 {
    if n >= 32 { u32::MAX } else { (1 << n) - 1 }
}
