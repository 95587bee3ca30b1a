//! The guest and its devices: memory and how it is written to, states and how long they take.

use switchover_core::limits::PAGE_SIZE;
use switchover_core::time::Ns;
use switchover_core::units::{Bytes, BytesPerSecond};

use super::super::dist::Dist;
use super::super::model::{DEVICES, Device, Dirty, Guest, Times};
use super::super::section::{Read, Section};
use super::super::tree::{Node, Value};
use super::super::{values, words};

/// A steady rate is one stretch that is repeated.
const STEADY: Ns = Ns::from_secs(1);
const DIRTY_FORMS: &str =
    "write a rate (`\"200MiB/s\"`), or a list of `{ rate = \"200MiB/s\", time = \"1s\" }`";

/// The guest.
pub(super) fn guest(top: &Section<'_>) -> Read<Guest> {
    let section = top.need_section("guest", &[words::GUEST], "there is nothing to move")?;
    let size = |key, why, write| section.bytes(key, section.need(key, why, write)?);
    let memory = size("memory", "nobody knows how much to copy", "\"4GiB\"")?;
    if memory == Bytes::ZERO || !memory.get().is_multiple_of(PAGE_SIZE as u64) {
        let remedy = format!("write a multiple of {PAGE_SIZE} bytes (`4GiB`)");
        return Err(section.error("memory", "is not a number of pages", remedy));
    }
    let why = "what a guest writes to without end has no bound";
    let working_set = size("working_set", why, "\"256MiB\"")?;
    let most = |key, bytes: Bytes, of: &str, most: Bytes| {
        if bytes <= most {
            return Ok(());
        }
        let what = format!("is more than {of}, {}", values::print_bytes(most));
        Err(section.error(key, &what, format!("write at most {}", values::print_bytes(most))))
    };
    most("working_set", working_set, "`guest.memory`", memory)?;
    let burst_after_read = section.bytes_or("burst_after_read", Bytes::ZERO)?;
    most("burst_after_read", burst_after_read, "`guest.working_set`", working_set)?;
    let times = section.need_section("times", &[words::GUEST_TIMES], "work without a time has no bound")?;
    Ok(Guest {
        memory,
        working_set,
        dirty: dirty(&section)?,
        burst_after_read,
        vcpus: section.get("vcpus").map_or(Ok(1), |node| section.number("vcpus", node, 1, 65_536))?,
        state: size("state", "nobody knows how much to save", "\"64KiB\"")?,
        times: Times {
            stop: times.dist("stop")?,
            save: times.dist("save")?,
            load: times.dist("load")?,
            resume: times.dist("resume")?,
            rollback: times.dist("rollback")?,
            // vCPUs are neither quiesced nor settled.
            quiesce: Dist::default(),
            settle: Dist::default(),
        },
        outlives_agent: section.flag("outlives_agent")?,
    })
}

fn dirty(section: &Section<'_>) -> Read<Vec<Dirty>> {
    let node =
        section.need("dirty", "a rate that nobody states has no bound", "\"200MiB/s\" (or `\"0\"`)")?;
    match &node.value {
        Value::Text(_) => Ok(vec![stretch(section.rate("dirty", node)?, STEADY)]),
        Value::List(stretches) if !stretches.is_empty() => {
            stretches.iter().map(|node| one_stretch(section, node)).collect()
        }
        Value::List(_) => Err(section.error("dirty", "is an empty list", DIRTY_FORMS)),
        other => Err(section.error("dirty", &format!("is {}", other.kind()), DIRTY_FORMS)),
    }
}

fn one_stretch(guest: &Section<'_>, node: &Node) -> Read<Dirty> {
    let section = Section::open(&guest.path("dirty"), node, &[words::DIRTY])?;
    let why = "a stretch has a rate and a time";
    let rate = section.rate("rate", section.need("rate", why, "\"200MiB/s\"")?)?;
    let time = section.time("time", section.need("time", why, "\"1s\"")?)?;
    if time == Ns::ZERO {
        return Err(section.error("time", "is zero", "leave the stretch out, or write how long it is"));
    }
    Ok(stretch(rate, time))
}

fn stretch(rate: Option<BytesPerSecond>, time: Ns) -> Dirty {
    Dirty { rate: rate.unwrap_or(BytesPerSecond::new(1)), idle: rate.is_none(), time }
}

/// The devices, in the order of their numbers.
pub(super) fn devices(top: &Section<'_>) -> Read<Vec<Device>> {
    let Some(node) = top.get("devices") else { return Ok(Vec::new()) };
    let Value::List(nodes) = &node.value else {
        let remedy = "write a table `[[devices]]` for each";
        return Err(top.error("devices", &format!("is {}", node.value.kind()), remedy));
    };
    if let Some(beyond) = nodes.get(DEVICES) {
        let what = format!("`devices` are {}", nodes.len());
        let remedy = format!("a simulated machine has at most {DEVICES}: join those that act alike");
        return Err(beyond.place.error(what, remedy));
    }
    let mut devices: Vec<Device> = Vec::new();
    for (number, node) in nodes.iter().enumerate() {
        let device = device(number, node)?;
        if devices.iter().any(|other| other.name == device.name) {
            let what = format!("`devices[{number}].name` is another device's, too: `{}`", device.name);
            return Err(node.place.error(what, "give each a name of its own"));
        }
        devices.push(device);
    }
    Ok(devices)
}

fn device(number: usize, node: &Node) -> Read<Device> {
    let section = Section::open(&format!("devices[{number}]"), node, &[words::DEVICE])?;
    let usual = format!("device{number}");
    let name = section.get("name").map_or(Ok(&*usual), |node| section.text("name", node, "a name"))?;
    let state =
        section.bytes("state", section.need("state", "nobody knows how much to save", "\"8MiB\"")?)?;
    let slices = section.get("slices").map_or(Ok(1), |node| section.number("slices", node, 1, u32::MAX))?;
    if u64::from(slices) > state.get().max(1) {
        let remedy =
            format!("write at most one slice for each byte of `state`, {}", values::print_bytes(state));
        return Err(section.error("slices", "are more than there are bytes", remedy));
    }
    let times = section.need_section("times", &[words::DEVICE_TIMES], "work without a time has no bound")?;
    Ok(Device {
        name: name.into(),
        state,
        slices,
        times: Times {
            quiesce: times.dist("quiesce")?,
            stop: times.dist("stop")?,
            save: times.dist("save")?,
            load: times.dist("load")?,
            settle: times.dist("settle")?,
            resume: times.dist("resume")?,
            rollback: times.dist("rollback")?,
        },
    })
}
