//! Hosts that are wrong on purpose: each breaks one rule that no machine can see (`Place::Host` of `switchover_core::mutant`).
//!
//! Only in builds for the tests of the checker; every other world asks [`World::wrong`] a question whose answer is `false`.

#[cfg(feature = "mutants")]
use switchover_core::mutant::Mutant;
use switchover_core::port::Side;

use super::World;

/// The hosts' mutants, by the names that `switchover_core::mutant` gives them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    WrittenBeforeDurable,
    JournalLostSilently,
    ClockBeforeInput,
    DeadlineWaitsForDevice,
}

impl World {
    /// Whether the hosts of this world are wrong in that way.
    #[cfg(feature = "mutants")]
    pub(super) fn wrong(&self, way: Wrong) -> bool {
        let mutant = match way {
            Wrong::WrittenBeforeDurable => Mutant::WrittenBeforeDurable,
            Wrong::JournalLostSilently => Mutant::JournalLostSilently,
            Wrong::ClockBeforeInput => Mutant::ClockBeforeInput,
            Wrong::DeadlineWaitsForDevice => Mutant::DeadlineWaitsForDevice,
        };
        self.plan.scenario.mutant == Some(mutant)
    }

    /// Whether the hosts of this world are wrong in that way: never.
    #[cfg(not(feature = "mutants"))]
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the same call with the feature and without")]
    pub(super) const fn wrong(&self, _: Wrong) -> bool {
        false
    }

    /// The true time that a host stamps an input with: now, unless it read its clock before it waited for one (H14).
    // [SW-70]
    pub(super) fn stamp(&mut self, side: Side, due: bool) -> u64 {
        let stale = !due && self.wrong(Wrong::ClockBeforeInput);
        let host = &mut self.hosts[side as usize];
        let began = std::mem::replace(&mut host.waits_since, self.now);
        if stale { began } else { self.now }
    }

    /// The host does nothing else until the device it has asked something is done (a whole device, not a slice).
    // [SW-17]
    pub(super) fn wait_for(&mut self, side: Side, until: u64) {
        if self.wrong(Wrong::DeadlineWaitsForDevice) {
            let host = &mut self.hosts[side as usize];
            host.stands_until = host.stands_until.max(until);
        }
    }
}
