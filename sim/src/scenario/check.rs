//! What the parts of a scenario owe each other.

use switchover_core::config::ConfigError;
use switchover_core::id::GuestInstance;
use switchover_core::limits::DURATION_MAX;
use switchover_core::time::Ns;

use super::error::ScenarioError;
use super::model::{ATTEMPTS, Scenario, Times};
use super::section::Read;
use super::tree::Node;
use super::values::{print_rate, print_time};

/// Judges a whole scenario; `tree` says where its parts stand.
pub(super) fn relations(tree: &Node, scenario: &Scenario) -> Read<()> {
    contracts_are_kept(tree, scenario)?;
    let source = scenario.source_config().check(ATTEMPTS);
    let destination = scenario.destination_config(GuestInstance(1)).check();
    source.and(destination).map_err(|error| refused(tree, scenario, error))?;
    let settled = scenario.cadence.silence.plus(scenario.cadence.again);
    if scenario.calm < settled {
        let what = "`calm` ends before silence would be noticed";
        let remedy = format!("write at least {}, `cadence.silence` and `cadence.again`", print_time(settled));
        return Err(tree.nearest("calm").place.error(what, remedy));
    }
    Ok(())
}

/// What the machines' own check says, with the key to change.
fn refused(tree: &Node, scenario: &Scenario, error: ConfigError) -> ScenarioError {
    let hard = print_time(scenario.limits.hard());
    let longest = print_time(DURATION_MAX);
    let (path, what, remedy) = match error {
        ConfigError::NoDowntime => {
            ("limits.downtime", "is zero: no switchover takes no time", "write `downtime = \"300ms\"`".into())
        }
        ConfigError::LimitTooLong => {
            ("limits.downtime", "is too long", format!("both limits together are at most {longest}"))
        }
        ConfigError::NoAttempts | ConfigError::TooManyAttempts => (
            "retry.attempts",
            "is not a number of attempts that a machine remembers",
            format!("write a number from 1 to {ATTEMPTS}"),
        ),
        ConfigError::BudgetBelowLimit => (
            "retry.blackout_budget",
            "does not cover one attempt, which may take the hard limit",
            format!("write at least {hard}, the sum of both limits"),
        ),
        ConfigError::NoCadence => {
            ("cadence", "has a pause of zero, which would spin", "write a pause, such as `50ms`".into())
        }
        ConfigError::PageSize | ConfigError::Ports => (
            "devices",
            "are not those of the contracts",
            "give each device its contracts, and no other".into(),
        ),
        ConfigError::ContractTooLong => (
            "contracts",
            "add up to more than a machine plans with",
            format!(
                "stop, save, rollback and resume, devices and vCPUs together, take at most {longest} each"
            ),
        ),
    };
    tree.nearest(path).place.error(format!("`{path}` {what}"), remedy)
}

/// No contract is shorter than what it is about takes: a port that breaks its contract is a fault.
fn contracts_are_kept(tree: &Node, scenario: &Scenario) -> Read<()> {
    for (path, told, takes) in compared(scenario) {
        if told < takes {
            let path = format!("contracts.{path}");
            let what = format!("`{path}` is {}, but it takes up to {}", print_time(told), print_time(takes));
            let remedy = "write a longer contract; a port that does not keep its own is a fault, `lie`";
            return Err(tree.nearest(&path).place.error(what, remedy));
        }
    }
    let (told, carries) = (scenario.source_contracts.link.rate, scenario.link.bulk.bandwidth);
    if told > carries {
        let path = "contracts.source.link.rate";
        let what = format!("`{path}` is {}, but the link carries {}", print_rate(told), print_rate(carries));
        return Err(tree
            .nearest(path)
            .place
            .error(what, "write a lower rate, or a higher `link.bulk.bandwidth`"));
    }
    Ok(())
}

/// Contracts that can be written, by their path: what is told, and the worst that it really takes.
fn compared(scenario: &Scenario) -> Vec<(String, Ns, Ns)> {
    let (own, peer) = (&scenario.source_contracts, &scenario.destination_contracts);
    let mut all = Vec::new();
    let ports = std::iter::once(("vcpus".to_owned(), &scenario.guest.times));
    let devices =
        scenario.devices.iter().enumerate().map(|(n, device)| (format!("device{n}"), &device.times));
    let sources = own.vcpus.iter().chain(&own.devices);
    let destinations = peer.vcpus.iter().chain(&peer.devices);
    let terms = sources.zip(destinations);
    for ((port, times), (here, there)) in ports.chain(devices).zip(terms) {
        let Times { quiesce, stop, save, load, settle, resume, rollback } = times;
        for (side, work, told, takes) in [
            ("source", "quiesce", here.quiesce, quiesce),
            ("source", "stop", here.stop, stop),
            ("source", "save", here.save, save),
            ("source", "rollback", here.rollback, rollback),
            ("destination", "load", there.load, load),
            ("destination", "settle", there.settle, settle),
            ("destination", "resume", there.resume, resume),
        ] {
            all.push((format!("{side}.{port}.{work}"), told.time, takes.worst()));
        }
    }
    let claims = scenario.arbiter.as_ref();
    let claim = |way: Option<Ns>| way.unwrap_or(Ns::ZERO);
    let (source, destination) = (&scenario.source, &scenario.destination);
    for (path, told, takes) in [
        ("source.memory.seal", own.seal, source.seal.worst()),
        ("source.journal.write", own.journal, source.journal.worst()),
        ("source.timer.lateness", own.timer, source.timer.worst()),
        ("source.arbiter.claim", own.claim, claim(claims.map(|arbiter| arbiter.from_source.worst()))),
        ("source.link.round_trip", own.link.delay, scenario.link.control.longest_way()),
        ("destination.memory.seal", peer.verify, destination.seal.worst()),
        ("destination.journal.write", peer.journal, destination.journal.worst()),
        ("destination.timer.lateness", peer.timer, destination.timer.worst()),
        ("destination.arbiter.claim", peer.claim, claim(claims.map(|a| a.from_destination.worst()))),
    ] {
        all.push((path.to_owned(), told.time, takes));
    }
    all
}
