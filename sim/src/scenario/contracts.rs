//! The contracts of a scenario: what its table says, else the worst of what each thing takes.

use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::port::Side;
use switchover_core::time::Ns;
use switchover_text::contracts::{Contracts, SideContracts, Work};
use switchover_text::words::{self, Port};

use super::dist::Dist;
use super::model::{Arbiter, DEVICES, Device, Guest, Host, Link, Scenario, Times, VCPU_PORTS};
use super::section::Read;
use super::tree::{Node, Value};

/// Contracts of both sides.
pub(super) type Pair = (SourceContracts<VCPU_PORTS, DEVICES>, DestinationContracts<VCPU_PORTS, DEVICES>);

/// Everything that takes time in a world.
#[derive(Copy, Clone)]
pub(super) struct Bounds<'a> {
    pub source: &'a Host,
    pub destination: &'a Host,
    pub link: &'a Link,
    pub guest: &'a Guest,
    pub devices: &'a [Device],
    pub arbiter: Option<&'a Arbiter>,
}

impl<'a> Bounds<'a> {
    /// Those of a whole scenario.
    pub fn of(scenario: &'a Scenario) -> Self {
        Bounds {
            source: &scenario.source,
            destination: &scenario.destination,
            link: &scenario.link,
            guest: &scenario.guest,
            devices: &scenario.devices,
            arbiter: scenario.arbiter.as_ref(),
        }
    }

    /// Contracts that are just kept: the worst of each thing, and a pause of its processor on top.
    pub fn kept(&self) -> Pair {
        let on = |host: &Host, dist: &Dist| {
            let pause = host.stolen.as_ref().map_or(Ns::ZERO, |stolen| stolen.pause.worst());
            Term::declared(dist.worst().plus(pause))
        };
        let (here, there) = (self.source, self.destination);
        let source = |times: &Times| SourceTerms {
            quiesce: on(here, &times.quiesce),
            stop: on(here, &times.stop),
            save: on(here, &times.save),
            rollback: on(here, &times.rollback),
        };
        let destination = |times: &Times| DestinationTerms {
            load: on(there, &times.load),
            settle: on(there, &times.settle),
            resume: on(there, &times.resume),
        };
        let claim = |host, way: fn(&Arbiter) -> &Dist| {
            self.arbiter.map_or_else(Term::default, |arbiter| on(host, way(arbiter)))
        };
        let way = Dist::Constant(self.link.control.longest_way());
        let source = SourceContracts {
            vcpus: core::iter::once(source(&self.guest.times)).collect(),
            devices: self.devices.iter().map(|device| source(&device.times)).collect(),
            seal: on(here, &here.seal),
            journal: on(here, &here.journal),
            timer: on(here, &here.timer),
            claim: claim(here, |arbiter| &arbiter.from_source),
            link: LinkTerms {
                delay: on(here, &way).or_longer(on(there, &way)),
                rate: self.link.bulk.bandwidth,
                rate_origin: Origin::Declared,
            },
        };
        let destination = DestinationContracts {
            vcpus: core::iter::once(destination(&self.guest.times)).collect(),
            devices: self.devices.iter().map(|device| destination(&device.times)).collect(),
            verify: on(there, &there.seal),
            journal: on(there, &there.journal),
            timer: on(there, &there.timer),
            claim: claim(there, |arbiter| &arbiter.from_destination),
        };
        (source, destination)
    }
}

/// The contracts of a tree: its table over [`Bounds::kept`].
pub(super) fn read(tree: &Node, bounds: &Bounds<'_>) -> Read<Pair> {
    let (mut source, mut destination) = bounds.kept();
    let Some(table) = tree.entries().and_then(|entries| entries.get("contracts")) else {
        return Ok((source, destination));
    };
    let Value::Table(_) = &table.value else {
        return Err(table
            .place
            .error("`contracts` is no table", "write tables such as `[contracts.source.vcpus]`"));
    };
    let plain = table.plain();
    let said = plain.as_table().map_or_else(|| Ok(Contracts::default()), Contracts::from_table);
    let said = said.map_err(|error| {
        let at = error.place().map_or(table, |place| table.nearest(&place));
        at.place.error(format!("contracts: {error}"), "")
    })?;
    let unknown = |side: Side, (port, work): (Port, Work)| {
        let side = words::Side::from(side);
        let path = format!("{side}.{port}.{work}");
        let remedy = match port {
            Port::Device(number) if usize::from(number) >= bounds.devices.len() => {
                format!("the guest has {} devices; add a table `[[devices]]`", bounds.devices.len())
            }
            _ => format!("it is no work of that port on the {side}; leave it out"),
        };
        table.nearest(&path).place.error(format!("`contracts.{path}` is a contract for nothing"), remedy)
    };
    if let Some(what) = said.source.put_into_source(&mut source) {
        return Err(unknown(Side::Source, what));
    }
    if let Some(what) = said.destination.put_into_destination(&mut destination) {
        return Err(unknown(Side::Destination, what));
    }
    nothing_more(table, &said, bounds)?;
    Ok((source, destination))
}

/// A claim without an arbiter, or a link on the side that sends nothing.
fn nothing_more(table: &Node, said: &Contracts, bounds: &Bounds<'_>) -> Read<()> {
    for (side, contracts) in [("source", &said.source), ("destination", &said.destination)] {
        if contracts.arbiter_claim.is_some() && bounds.arbiter.is_none() {
            let what = format!("`contracts.{side}.arbiter` is a contract for nothing: there is no arbiter");
            let at = table.nearest(&format!("{side}.arbiter.claim"));
            return Err(at.place.error(what, "add a table `[arbiter]`, or leave it out"));
        }
    }
    if said.destination.round_trip.is_some() || said.destination.rate.is_some() {
        let at = table.nearest("destination.link");
        let what = "`contracts.destination.link` is a contract for nothing: the source plans with the link";
        return Err(at.place.error(what, "write it as `[contracts.source.link]`"));
    }
    Ok(())
}

/// The contracts of a scenario as tables; empty if they are what [`Bounds::kept`] makes of it.
pub(super) fn to_toml(scenario: &Scenario) -> String {
    let (source, destination) = Bounds::of(scenario).kept();
    if scenario.source_contracts == source && scenario.destination_contracts == destination {
        return String::new();
    }
    let contracts = Contracts {
        source: SideContracts::of_source(&scenario.source_contracts),
        destination: SideContracts::of_destination(&scenario.destination_contracts),
    };
    contracts.to_toml_in("contracts")
}
