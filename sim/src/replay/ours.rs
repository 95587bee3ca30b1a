//! What our machines make of a trace: its times become those of ports, and the real core decides.
//!
//! Twice. *Told*: the contracts are what the trace shows, as after one attempt that was measured. *Not told*: of ports
//! only what the promise assumes, how long a rollback and a resume take, as when everything else lies; then it is the
//! fence that ends it. QEMU saves and loads one after the other; here ports do it side by side.

use switchover_core::config::Limits;
use switchover_core::contract::{
    DestinationContracts, DestinationTerms, LinkTerms, Origin, SourceContracts, SourceTerms, Term,
};
use switchover_core::outcome::{Ending, Reason};
use switchover_core::port::{Blame, Port, Side};
use switchover_core::time::Ns;
use switchover_core::units::{Bytes, BytesPerSecond};
use switchover_text::record::Offender;

use super::drive::{DEVICES, Driven, PortTimes, Times, drive};
use super::rules::Ruling;
use super::trace::{Trace, Unit};

/// What no trace shows, as in the example of `docs/TIMING.md`.
const JOURNAL: Ns = Ns::from_millis(1);
const TIMER: Ns = Ns::from_millis(1);
const DELAY: Ns = Ns::from_micros(500);
/// How long vCPUs take to run again where the destination was not traced.
const START: Ns = Ns::from_millis(16);
/// Any rate does: the bytes follow from it and from the time.
const RATE: BytesPerSecond = BytesPerSecond::new(1_000_000_000);

/// What had to be assumed, in words.
pub(super) fn assumed(trace: &Trace) -> Vec<String> {
    let start = match trace.destination {
        Some(_) => "a rollback takes as long as QEMU took to start the vCPUs at the destination",
        None => {
            "the destination was not traced: a start or a rollback takes 16 ms, and all after the save is loading"
        }
    };
    let ours = "ours: journal 1 ms, timers 1 ms, a message's way 0.5 ms; ports save and load side by side";
    vec![start.to_owned(), ours.to_owned()]
}

/// How long vCPUs take to run again.
pub(super) fn restart(trace: &Trace) -> Ns {
    trace.destination.map_or(START, |arrival| arrival.runs.minus(arrival.announced))
}

/// Both.
pub(super) fn ours(trace: &Trace, limits: Limits) -> Vec<Ruling> {
    let ports = Ports::of(trace);
    let told = [("ours, told what the trace shows", true), ("ours, told only R and Res", false)];
    told.into_iter().filter_map(|(rule, all)| ports.ruled(rule, all, limits)).collect()
}

struct Ports {
    names: Vec<String>,
    times: Times,
}

impl Ports {
    fn of(trace: &Trace) -> Self {
        let names = slowest(trace);
        let sum = |name: &str, saved: bool, of: &dyn Fn(&Unit) -> Ns| {
            let units = trace.units.iter().filter(|unit| unit.saved == saved && unit.name == name);
            units.fold(Ns::ZERO, |sum, unit| sum.plus(of(unit)))
        };
        // What was loaded while the source still saved costs nothing.
        let after = |unit: &Unit| unit.took.or_shorter(unit.ended.minus(trace.saved));
        let took = |unit: &Unit| unit.took;
        let devices: Vec<PortTimes> = names
            .iter()
            .map(|name| PortTimes {
                save: sum(name, true, &took),
                load: sum(name, false, &after),
                ..PortTimes::default()
            })
            .collect();
        let of_devices =
            |of: fn(&PortTimes) -> Ns| devices.iter().fold(Ns::ZERO, |sum, port| sum.plus(of(port)));
        let iterable = |unit: &&Unit| unit.saved && unit.iterable && names.contains(&unit.name);
        let theirs = trace.units.iter().filter(iterable).fold(Ns::ZERO, |sum, unit| sum.plus(unit.took));
        let all_saved = trace.saved.minus(trace.iterable_saved).plus(theirs);
        let loaded = trace.destination.map_or(trace.ended, |arrival| arrival.loaded);
        let vcpus = PortTimes {
            stop: trace.stopped,
            save: all_saved.minus(of_devices(|port| port.save)),
            load: loaded.minus(trace.saved).minus(of_devices(|port| port.load)),
            resume: trace.destination.map_or(START, |arrival| arrival.runs.minus(arrival.loaded)),
            rollback: restart(trace),
        };
        let mut ports = vec![vcpus];
        ports.extend(devices);
        let transfer = trace.iterable_saved.minus(trace.stopped).minus(theirs);
        Self { names, times: Times { ports, transfer, delay: DELAY, journal: JOURNAL } }
    }

    fn ruled(&self, rule: &str, all: bool, limits: Limits) -> Option<Ruling> {
        // A byte a nanosecond.
        let left = if all { self.times.transfer.get() } else { 0 };
        let driven = drive(limits, self.contracts(all), Bytes::new(left), &self.times)?;
        Some(self.ruling(rule, limits, &driven))
    }

    fn contracts(&self, all: bool) -> (SourceContracts<1, DEVICES>, DestinationContracts<1, DEVICES>) {
        let known = |time: Ns| if all { Term::learned(time) } else { Term::declared(Ns::ZERO) };
        let source = |port: &PortTimes| SourceTerms {
            quiesce: Term::default(),
            stop: known(port.stop),
            save: known(port.save),
            rollback: Term::declared(port.rollback),
        };
        let destination = |port: &PortTimes| DestinationTerms {
            load: known(port.load),
            settle: Term::default(),
            resume: Term::declared(port.resume),
        };
        let (vcpus, devices) = self.times.ports.split_at(1);
        let link = LinkTerms { delay: Term::declared(DELAY), rate: RATE, rate_origin: Origin::Learned };
        let own = SourceContracts {
            vcpus: vcpus.iter().map(source).collect(),
            devices: devices.iter().map(source).collect(),
            seal: Term::default(),
            journal: Term::declared(JOURNAL),
            timer: Term::declared(TIMER),
            claim: Term::default(),
            link,
        };
        let theirs = DestinationContracts {
            vcpus: vcpus.iter().map(destination).collect(),
            devices: devices.iter().map(destination).collect(),
            verify: Term::default(),
            journal: Term::declared(JOURNAL),
            timer: Term::declared(TIMER),
            claim: Term::default(),
        };
        (own, theirs)
    }

    fn ruling(&self, rule: &str, limits: Limits, driven: &Driven) -> Ruling {
        let since = |at: switchover_core::time::At| driven.stopped.map_or(Ns::ZERO, |t0| at.since(t0));
        let felt = driven.runs.map_or(Ns::ZERO, since);
        let (outcome, by) = match (driven.ended.ending, driven.stopped) {
            (Ending::Committed, _) => ("committed", None),
            (Ending::Aborted(_), None) => ("not admitted", Some(Side::Source)),
            (Ending::Aborted(Reason::Refused(_)), _) => ("aborted", Some(Side::Destination)),
            _ => ("aborted", Some(Side::Source)),
        };
        let stopped = driven.stopped.is_some();
        Ruling {
            rule: rule.into(),
            outcome: outcome.into(),
            decided_ns: driven.aborting.filter(|_| stopped).map(|(at, _, _)| since(at)),
            by,
            felt_ns: felt,
            held: felt <= limits.hard(),
            blamed: driven.ended.offender.map_or_else(String::new, |blame| self.named(blame)),
            remark: remark(driven, limits),
        }
    }

    /// The port in our words, and its name in the trace.
    fn named(&self, blame: Blame) -> String {
        let name = match blame.port {
            Port::Device(device) => self.names.get(usize::from(device)),
            _ => None,
        };
        let words = Offender::from(blame);
        name.map_or_else(|| words.to_string(), |name| format!("{words} ({name})"))
    }
}

fn remark(driven: &Driven, limits: Limits) -> String {
    let millis = |time: Ns| format!("{}.{} ms", time.get() / 1_000_000, time.get() / 100_000 % 10);
    let Some(verdict) = driven.verdict else { return String::new() };
    let sum = millis(verdict.downtime());
    if driven.stopped.is_some() {
        return format!("predicted {sum}; Go by {}", millis(verdict.go_by));
    }
    let terms = [
        ("stop", verdict.stop),
        ("save", verdict.save),
        ("transfer", verdict.transfer),
        ("load", verdict.load),
        ("resume", verdict.resume),
    ];
    let (heaviest, time) = terms.into_iter().max_by_key(|(_, time)| *time).unwrap_or_default();
    let (limit, time) = (millis(limits.downtime), millis(time));
    match driven.ended.ending {
        Ending::Aborted(Reason::LimitTooSmall(hard)) => {
            format!(
                "{sum} without a byte to send, {heaviest} {time} of it: no limit below H {} would do",
                millis(hard)
            )
        }
        _ => format!("predicted {sum} for {limit}, {heaviest} {time} of it; the guest felt nothing"),
    }
}

/// The names of the devices that took the longest: RAM is memory, and what belongs to processors is theirs.
fn slowest(trace: &Trace) -> Vec<String> {
    let processors = ["cpu", "apic", "kvm-tpr-opt"];
    let mut sums: Vec<(String, Ns)> = Vec::new();
    for unit in trace.units.iter().filter(|unit| unit.name != "ram") {
        if processors.iter().any(|word| unit.name.starts_with(word)) {
            continue;
        }
        match sums.iter_mut().find(|(name, _)| *name == unit.name) {
            Some((_, sum)) => *sum = sum.plus(unit.took),
            None => sums.push((unit.name.clone(), unit.took)),
        }
    }
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    sums.into_iter().take(DEVICES).map(|(name, _)| name).collect()
}
