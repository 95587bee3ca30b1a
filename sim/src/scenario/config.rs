//! The settings of both machines in a scenario.

use switchover_core::config::{DestinationConfig, Layout, SourceConfig};
use switchover_core::id::{ArbiterKey, GuestInstance};

use super::model::{DEVICES, Scenario, VCPU_PORTS};

/// There is one arbiter in a world.
const ARBITER: ArbiterKey = ArbiterKey(1);

impl Scenario {
    /// The guest's shape: all vCPUs are one port.
    #[must_use]
    pub fn layout(&self) -> Layout {
        // As many as a machine can have at most, which is few.
        let devices = u8::try_from(self.devices.len()).unwrap_or(u8::MAX);
        Layout { devices, ..Layout::new(self.guest.memory, 1) }
    }

    /// What the source's machine is told.
    #[must_use]
    pub fn source_config(&self) -> SourceConfig<VCPU_PORTS, DEVICES> {
        SourceConfig {
            limits: self.limits,
            retry: self.retry,
            cadence: self.cadence,
            drift: self.source.declared_drift,
            layout: self.layout(),
            arbiter: self.arbiter.as_ref().map(|_| ARBITER),
            hold_on_lost_device: self.hold_on_lost_device,
            #[cfg(not(feature = "mutants"))]
            contracts: self.source_contracts.clone(),
            #[cfg(feature = "mutants")]
            contracts: self.told_contracts(),
            #[cfg(feature = "mutants")]
            mutant: self.mutant,
        }
    }

    /// What the destination's machine is told, to make a guest of that name.
    #[must_use]
    pub fn destination_config(&self, instance: GuestInstance) -> DestinationConfig<VCPU_PORTS, DEVICES> {
        DestinationConfig {
            cadence: self.cadence,
            drift: self.destination.declared_drift,
            layout: self.layout(),
            arbiter: self.arbiter.as_ref().map(|_| ARBITER),
            instance,
            contracts: self.destination_contracts.clone(),
            #[cfg(feature = "mutants")]
            mutant: self.mutant,
        }
    }
}

#[cfg(feature = "mutants")]
impl Scenario {
    /// What the machine is told of the source's ports, perhaps by a host that measured wrong.
    fn told_contracts(&self) -> switchover_core::contract::SourceContracts<VCPU_PORTS, DEVICES> {
        let mut contracts = self.source_contracts.clone();
        if self.mutant == Some(switchover_core::mutant::Mutant::ContractTooLow) {
            for terms in contracts.vcpus.iter_mut().chain(&mut contracts.devices) {
                terms.rollback.time = terms.rollback.time.part(4);
            }
        }
        contracts
    }
}
