//! Distributions: a plain time, or a table that says how it varies; and times that were recorded, in a file.

use switchover_core::limits::DURATION_MAX;
use switchover_core::time::Ns;

use super::super::dist::Dist;
use super::super::error::ScenarioError;
use super::super::section::{Read, Section};
use super::super::tree::{Node, Value};
use super::super::values;
use super::super::words::DISTRIBUTION;

const FORMS: &str = "write a time (`\"5ms\"`), `{ uniform = [\"1ms\", \"3ms\"] }`, \
                     `{ typical = \"1ms\", worst = \"30ms\" }` or `{ recorded = [...] }`";

/// The distribution that `node`, the value of `key`, describes.
pub(in super::super) fn dist<'a>(section: &Section<'a>, key: &str, node: &'a Node) -> Read<Dist> {
    let dist = match &node.value {
        Value::Text(_) => Dist::Constant(section.time(key, node)?),
        Value::Table(_) => varying(&Section::open(&section.path(key), node, &[DISTRIBUTION])?, node)?,
        other => return Err(section.error(key, &format!("is {}", other.kind()), FORMS)),
    };
    if dist.worst() > DURATION_MAX {
        let most = format!("write at most {}", values::print_time(DURATION_MAX));
        return Err(section.error(key, "is longer than any contract may be", most));
    }
    Ok(dist)
}

fn varying<'a>(section: &Section<'a>, node: &'a Node) -> Read<Dist> {
    let keys: Vec<&str> = DISTRIBUTION.iter().copied().filter(|key| section.get(key).is_some()).collect();
    let get = |key| section.need(key, "a distribution needs it", "\"30ms\"");
    match keys[..] {
        ["uniform"] => uniform(section, get("uniform")?),
        ["typical", "worst"] => {
            let typical = section.time("typical", get("typical")?)?;
            let worst = section.time("worst", get("worst")?)?;
            if typical == Ns::ZERO {
                let remedy = "write how long it takes mostly; it grows from there by doubling";
                return Err(section.error("typical", "is zero", remedy));
            }
            if typical > worst {
                let remedy = "write a `worst` that is no shorter";
                return Err(section.error("typical", "is longer than `worst`", remedy));
            }
            Ok(Dist::HeavyTail { typical, worst })
        }
        ["typical"] => {
            let remedy = "write the longest that it may take, too: `worst = \"30ms\"`";
            Err(section.error("typical", "alone has no bound", remedy))
        }
        ["recorded"] => recorded(section, get("recorded")?),
        _ => {
            let found = if keys.is_empty() { "nothing".into() } else { keys.join(", ") };
            Err(node.place.error(format!("`{}` has {found}", section.path("").trim_end_matches('.')), FORMS))
        }
    }
}

fn uniform<'a>(section: &Section<'a>, node: &'a Node) -> Read<Dist> {
    let remedy = "write the least and the most: `uniform = [\"1ms\", \"3ms\"]`";
    let Value::List(ends) = &node.value else {
        return Err(section.error("uniform", &format!("is {}", node.value.kind()), remedy));
    };
    let [from, to] = &ends[..] else {
        return Err(section.error("uniform", &format!("has {} times", ends.len()), remedy));
    };
    let (from, to) = (section.time("uniform", from)?, section.time("uniform", to)?);
    if from > to {
        return Err(section.error("uniform", "ends before it begins", remedy));
    }
    Ok(Dist::Uniform { from, to })
}

fn recorded<'a>(section: &Section<'a>, node: &'a Node) -> Read<Dist> {
    let times = match &node.value {
        Value::List(times) => {
            times.iter().map(|time| section.time("recorded", time)).collect::<Read<Vec<Ns>>>()?
        }
        Value::Text(name) => file(section, node, name)?,
        other => {
            let remedy = "write a list of times, or the name of a file with one in each line";
            return Err(section.error("recorded", &format!("is {}", other.kind()), remedy));
        }
    };
    if times.is_empty() {
        return Err(section.error("recorded", "has no times", "record at least one"));
    }
    Ok(Dist::Recorded(times))
}

/// One time in each line; what follows `#` is for people.
fn file(section: &Section<'_>, node: &Node, name: &str) -> Read<Vec<Ns>> {
    let Some(folder) = &node.place.file.folder else {
        let remedy = "write the times as a list";
        return Err(section.error("recorded", "names a file, but this scenario is in no folder", remedy));
    };
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let what = format!("cannot be read from `{}`: {error}", path.display());
        section.error("recorded", &what, "name a file beside the scenario, or write a list")
    })?;
    let mut times = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let time = line.split('#').next().unwrap_or_default().trim();
        if !time.is_empty() {
            let read = values::time(time).map_err(|what| ScenarioError {
                file: path.display().to_string(),
                line: Some(number + 1),
                what,
                remedy: "each line has one time, or none".into(),
            });
            times.push(read?);
        }
    }
    Ok(times)
}
