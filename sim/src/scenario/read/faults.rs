//! Faults: as tables, or in the shell's words (`"stall:save:2s#2"`).

use switchover_core::port::{Op, Phase, Side};
use switchover_core::time::Ns;
use switchover_text::faults as shell;
use switchover_text::words as text;

use super::super::model::{Fault, What, When, Where};
use super::super::section::{Read, Section};
use super::super::tree::{Node, Value};
use super::super::values::ALWAYS;
use super::super::words::{FAULT, Kind, MESSAGES, WHEN};

/// The word for a time without an end.
const FOREVER: &str = "forever";
/// The word for a process that stays dead.
const NEVER: &str = "never";

/// What a fault can be about.
struct World {
    attempts: u8,
    devices: usize,
    arbiter: bool,
}

/// All faults of a world with so many attempts and devices, with or without an arbiter.
pub(super) fn faults(top: &Section<'_>, attempts: u8, devices: usize, arbiter: bool) -> Read<Vec<Fault>> {
    let Some(node) = top.get("faults") else { return Ok(Vec::new()) };
    let Value::List(nodes) = &node.value else {
        let remedy = "write a list (`[\"stall:save:2s\"]`), or a table `[[faults]]` for each";
        return Err(top.error("faults", &format!("is {}", node.value.kind()), remedy));
    };
    let world = World { attempts, devices, arbiter };
    nodes.iter().enumerate().map(|(number, node)| world.fault(number, node)).collect()
}

impl World {
    fn fault(&self, number: usize, node: &Node) -> Read<Fault> {
        if let Value::Text(text) = &node.value {
            let fault: shell::Fault =
                text.parse().map_err(|error: shell::SpecError| node.place.error(error.to_string(), ""))?;
            let fault = of_shell(fault);
            return match fault.when {
                When::Phase { attempt, .. } if attempt > u32::from(self.attempts) => Err(node.place.error(
                    format!("fault `{text}`: there are only {} attempts", self.attempts),
                    "write an earlier one, or a higher `retry.attempts`",
                )),
                _ => Ok(fault),
            };
        }
        let path = format!("faults[{number}]");
        let any: Vec<&[&str]> = Kind::ALL.iter().map(|kind| kind.keys()).chain([FAULT, WHEN]).collect();
        let section = Section::open(&path, node, &any)?;
        let why = "nobody knows what goes wrong";
        let kind: Kind = word(&section, "kind", section.need("kind", why, "\"stall\"")?)?;
        // Again, now that it is known which keys it can have.
        let section = Section::open(&format!("{path} ({kind})"), node, &[FAULT, WHEN, kind.keys()])?;
        let what = self.what(&section, kind)?;
        let when = self.when(&section, &what)?;
        Ok(Fault { what, when, chance: section.chance_or("chance", ALWAYS)? })
    }

    fn what(&self, section: &Section<'_>, kind: Kind) -> Read<What> {
        Ok(match kind {
            Kind::Stall => {
                let (side, port, phase) = self.work(section)?;
                let node = section.need("time", "a stall has a length", "\"2s\" (or \"forever\")")?;
                What::Stall { side, port, phase, time: section.time_or_word("time", node, FOREVER)? }
            }
            Kind::Fail => {
                let (side, port, phase) = self.work(section)?;
                What::Fail { side, port, phase }
            }
            Kind::Lie => {
                let (side, port, phase) = self.work(section)?;
                let node = section.need("percent", "a lie is some part of the contract", "150")?;
                What::Lie { side, port, phase, percent: section.number("percent", node, 101, 100_000)? }
            }
            Kind::Drop => {
                let node = section.need("message", "some message is lost", "\"go\"")?;
                What::Drop { message: message(section, "message", node)?, once: section.flag("once")? }
            }
            Kind::Partition => What::Partition { from: one_side(section, "from")?, time: length(section)? },
            Kind::Reset => What::Reset,
            Kind::StallLink => What::StallLink { time: length(section)? },
            Kind::Kill => {
                let restart = section.get("restart");
                let restart = restart.map(|node| section.time_or_word("restart", node, NEVER)).transpose()?;
                What::Kill { side: side(section)?, restart: restart.flatten(), torn: section.flag("torn")? }
            }
            Kind::Pause => What::Pause { side: side(section)?, time: length(section)? },
            Kind::Corrupt => What::Corrupt,
            Kind::Cancel => What::Cancel { side: side(section)? },
            Kind::NoArbiter if !self.arbiter => {
                let remedy = "add a table `[arbiter]`, or leave this fault out";
                return Err(section.error("kind", "is of an arbiter, and there is none", remedy));
            }
            Kind::NoArbiter => What::NoArbiter { side: one_side(section, "side")?, time: length(section)? },
        })
    }

    /// Side, port and phase of work that exists.
    fn work(&self, section: &Section<'_>) -> Read<(Side, Where, Phase)> {
        let side = side(section)?;
        let node = section.need("port", "some port is meant", "\"vcpus\"")?;
        let port = match word(section, "port", node)? {
            text::Port::Vcpus => Where::Vcpus,
            text::Port::Device(number) if usize::from(number) < self.devices => Where::Device(number),
            text::Port::Device(_) => {
                let what = format!("is not there: the guest has {} devices", self.devices);
                return Err(section.error("port", &what, "add a table `[[devices]]`, or name another port"));
            }
            text::Port::Memory => Where::Memory,
            text::Port::Journal => Where::Journal,
            other => {
                let what = format!("is `{other}`, which does no work");
                return Err(section.error("port", &what, "write vcpus, a device, memory or journal"));
            }
        };
        let node = section.need("phase", "a port works in several", "\"save\"")?;
        let phase: text::Phase = word(section, "phase", node)?;
        let phases = phases_of_work(side, port);
        if !phases.contains(&phase.into()) {
            let known: Vec<_> = phases.iter().map(|phase| text::Phase::from(*phase).word()).collect();
            let what =
                format!("is `{phase}`, in which that port does no work on the {}", text::Side::from(side));
            return Err(section.error("phase", &what, format!("write one of: {}", known.join(" "))));
        }
        Ok((side, port, phase.into()))
    }

    fn when(&self, section: &Section<'_>, what: &What) -> Read<When> {
        let given: Vec<&str> =
            WHEN.iter().copied().filter(|key| *key != "attempt" && section.get(key).is_some()).collect();
        if let [_, second, ..] = given[..] {
            let remedy = format!("a fault begins once; write one of: {}", WHEN.join(" "));
            return Err(section.error(second, "is said beside another time", remedy));
        }
        let first = given.first().copied();
        let attempt = self.attempt(section, first)?;
        let Some((key, node)) = first.and_then(|key| Some((key, section.get(key)?))) else {
            let phase = usual_phase(what).ok_or_else(|| {
                let remedy = format!("write one of: {}", WHEN.join(" "));
                section.error("kind", "does not say when it begins", remedy)
            })?;
            return Ok(When::Phase { phase, attempt });
        };
        Ok(match key {
            "at" => When::Phase { phase: self.entry(section, what, node)?, attempt },
            "after" => When::After(section.dist_at(key, node)?),
            "since_stop" => When::SinceStop(section.dist_at(key, node)?),
            "within_steps" => When::Step { within: section.number(key, node, 1, u32::MAX)? },
            _ => When::Message { message: message(section, key, node)?, after: key == "after_message" },
        })
    }

    /// The attempt, 0 for all; only a phase is in an attempt.
    fn attempt(&self, section: &Section<'_>, when: Option<&str>) -> Read<u32> {
        let Some(node) = section.get("attempt") else { return Ok(1) };
        if let Some(other) = when.filter(|key| *key != "at") {
            let remedy = format!("leave out `attempt`, or `{other}`");
            return Err(section.error("attempt", "goes with `at` alone", remedy));
        }
        match &node.value {
            Value::Text(text) if text == "all" => Ok(0),
            Value::Text(_) => Err(section.error("attempt", "is a text", "write a number, or `\"all\"`")),
            _ => section.number("attempt", node, 1, self.attempts.into()),
        }
    }

    /// The phase on whose entry a fault begins.
    fn entry(&self, section: &Section<'_>, what: &What, node: &Node) -> Read<Phase> {
        let Value::Text(given) = &node.value else {
            return Err(section.error(
                "at",
                &format!("is {}", node.value.kind()),
                "write a phase (`\"go\"`)",
            ));
        };
        let phase: text::Phase = given
            .parse()
            .map_err(|error: text::UnknownWord| section.error("at", &format!("is wrong: {error}"), ""))?;
        if let What::Kill { side, .. } | What::Pause { side, .. } | What::Cancel { side } = what {
            let side = text::Side::from(*side);
            let phases = shell::phases_of(side);
            if !phases.contains(&phase) {
                let known: Vec<_> = phases.iter().map(|phase| phase.word()).collect();
                let what = format!("is `{phase}`, which the {side} never enters");
                return Err(section.error("at", &what, format!("write one of: {}", known.join(" "))));
            }
        }
        Ok(phase.into())
    }
}

fn word<T: std::str::FromStr<Err = text::UnknownWord>>(
    section: &Section<'_>,
    key: &str,
    node: &Node,
) -> Read<T> {
    let Value::Text(given) = &node.value else {
        return Err(section.error(key, &format!("is {}", node.value.kind()), "write a word, in quotes"));
    };
    given.parse().map_err(|error: T::Err| section.error(key, &format!("is wrong: {error}"), ""))
}

fn side(section: &Section<'_>) -> Read<Side> {
    let side: text::Side = word(section, "side", section.need("side", "there are two", "\"source\"")?)?;
    Ok(side.into())
}

/// One side, or both.
fn one_side(section: &Section<'_>, key: &str) -> Read<Option<Side>> {
    section.get(key).map(|node| word::<text::Side>(section, key, node).map(Side::from)).transpose()
}

/// A time that ends: after it the world must settle.
fn length(section: &Section<'_>) -> Read<Ns> {
    section.time("time", section.need("time", "what never ends has no bound", "\"2s\"")?)
}

fn message(section: &Section<'_>, key: &str, node: &Node) -> Read<String> {
    let Value::Text(given) = &node.value else {
        return Err(section.error(key, &format!("is {}", node.value.kind()), "write a message, in quotes"));
    };
    if MESSAGES.contains(&given.as_str()) {
        return Ok(given.clone());
    }
    let error = text::UnknownWord::new(given, "a message", MESSAGES);
    Err(section.error(key, &format!("is wrong: {error}"), ""))
}

/// Phases in which a port does work on that side.
fn phases_of_work(side: Side, port: Where) -> &'static [Phase] {
    match (side, port) {
        (Side::Source, Where::Vcpus | Where::Device(_)) => &[Phase::Stop, Phase::Save, Phase::Rollback],
        (Side::Source, Where::Memory) => &[Phase::Transfer, Phase::Seal],
        (Side::Source, Where::Journal) => &[Phase::Hello, Phase::Seal, Phase::Go, Phase::Rollback],
        (Side::Destination, Where::Vcpus) => &[Phase::Load, Phase::Resume, Phase::Rollback],
        (Side::Destination, Where::Device(_)) => &[Phase::Load, Phase::Seal, Phase::Resume, Phase::Rollback],
        (Side::Destination, Where::Memory) => &[Phase::Seal],
        (Side::Destination, Where::Journal) => &[Phase::Go, Phase::Resume],
    }
}

/// When a fault begins that does not say so; none where it must.
pub(in super::super) fn usual_phase(what: &What) -> Option<Phase> {
    match what {
        What::Stall { phase, .. } | What::Fail { phase, .. } | What::Lie { phase, .. } => Some(*phase),
        What::Drop { .. } => Some(Phase::Hello),
        What::Corrupt => Some(Phase::Transfer),
        What::Partition { .. }
        | What::Reset
        | What::StallLink { .. }
        | What::Kill { .. }
        | What::Pause { .. }
        | What::Cancel { .. }
        | What::NoArbiter { .. } => None,
    }
}

/// A fault of the shell's `--fault`, in this world.
pub(in super::super) fn of_shell(fault: shell::Fault) -> Fault {
    let attempt = match fault.when {
        shell::When::Attempt(number) => number,
        shell::When::All => 0,
    };
    let stall = |side, port, op: Op, time: std::time::Duration| {
        let time = Some(Ns::new(switchover_text::units::nanoseconds(time)));
        (What::Stall { side, port, phase: op.phase(), time }, op.phase())
    };
    let (source, destination) = (Side::Source, Side::Destination);
    let (what, phase) = match fault.kind {
        shell::Kind::Stall(place, time) => match place {
            shell::Stall::Stop => stall(source, Where::Vcpus, Op::Stop, time),
            shell::Stall::Save => stall(source, Where::Vcpus, Op::Save, time),
            shell::Stall::Rollback => stall(source, Where::Vcpus, Op::Rollback, time),
            shell::Stall::Load => stall(destination, Where::Vcpus, Op::Load, time),
            shell::Stall::Resume => stall(destination, Where::Vcpus, Op::Resume, time),
            // Verifying memory is in the phase in which devices settle.
            shell::Stall::Seal => stall(destination, Where::Memory, Op::Settle, time),
            // From the first byte after t = 0.
            shell::Stall::Link => {
                let time = Ns::new(switchover_text::units::nanoseconds(time));
                (What::StallLink { time }, Phase::Stop)
            }
        },
        shell::Kind::Drop(message, copies) => {
            let once = copies == shell::Copies::First;
            (What::Drop { message: message.word().into(), once }, Phase::Hello)
        }
        shell::Kind::Kill(side, phase) => {
            (What::Kill { side: side.into(), restart: None, torn: false }, phase.into())
        }
        shell::Kind::Corrupt(_) => (What::Corrupt, Phase::Transfer),
    };
    Fault { what, when: When::Phase { phase, attempt }, chance: ALWAYS }
}
