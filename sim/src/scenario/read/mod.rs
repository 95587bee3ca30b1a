//! A scenario file, read: every table and key, defaults filled in, and each value checked against its neighbours.
//!
//! Files: `dist` (how a time varies), `guest` (memory, vCPUs, devices), `faults`. What the parts owe each other is
//! judged in [`check`](super::check) once all are read.

pub(super) mod dist;
mod faults;
mod guest;

pub(super) use faults::usual_phase;

use std::path::Path;
use std::sync::Arc;

use switchover_core::config::{Cadence, Limits, Retry};
use switchover_core::time::{Ns, Ppm};

use super::contracts::{self, Bounds};
use super::error::ScenarioError;
use super::model::{ATTEMPTS, Arbiter, Channel, Datagrams, Host, Link, Scenario, Stolen};
use super::section::{Read, Section};
use super::tree::{File, Node, Value};
use super::words::{self, SCENARIO};
use super::{check, shipped, values};

/// The version of the file's form.
pub const VERSION: u32 = 1;
/// Bases under each other, at most: more is a circle.
const BASES_MAX: usize = 8;
/// The world is calm for so long at the end, unless a scenario says otherwise: every repetition and silence has passed.
const CALM: Ns = Ns::from_secs(10);

impl Scenario {
    /// Reads the file at `path`; if there is none, the shipped scenario of that name (`standard`, `faults/drop-go`).
    ///
    /// # Errors
    /// The file cannot be read, or cannot be meant: with the line, and what would be right.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return match shipped::text(&name) {
                    Some(text) if error.kind() == std::io::ErrorKind::NotFound => Self::parse(&name, text),
                    _ => Err(unreadable(name, &error)),
                };
            }
        };
        let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let folder = path.parent().map(Path::to_path_buf);
        scenario(&stem, &merged(Arc::new(File { name, folder }), &text, BASES_MAX)?)
    }

    /// Reads a text that is in no file; it can name shipped scenarios as its base, and no files.
    ///
    /// # Errors
    /// It cannot be meant: with the line, and what would be right.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        scenario(name, &merged(Arc::new(File { name: name.into(), folder: None }), text, BASES_MAX)?)
    }
}

fn unreadable(file: String, error: &std::io::Error) -> ScenarioError {
    let remedy = format!("name a file, or one of: {}", shipped::names().collect::<Vec<_>>().join(" "));
    ScenarioError { file, line: None, what: format!("cannot be read: {error}"), remedy }
}

/// The tree of a text, over that of its base.
fn merged(file: Arc<File>, text: &str, bases_left: usize) -> Read<Node> {
    let mut tree = Node::parse(Arc::clone(&file), text)?;
    let section = Section::open("", &tree, &[SCENARIO])?;
    version(&section)?;
    let Some(node) = section.get("base") else { return Ok(tree) };
    let name = section.text("base", node, "the name of a scenario")?;
    if bases_left == 0 {
        return Err(section.error("base", "leads through too many others", "write a base that has none"));
    }
    let base = match (shipped::text(name), &file.folder) {
        (Some(text), _) => merged(Arc::new(File { name: name.into(), folder: None }), text, bases_left - 1)?,
        (None, Some(folder)) if name.ends_with(".toml") => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).map_err(|error| {
                section.error("base", &format!("`{}` cannot be read: {error}", path.display()), "")
            })?;
            let folder = path.parent().map(Path::to_path_buf);
            merged(Arc::new(File { name: path.display().to_string(), folder }), &text, bases_left - 1)?
        }
        _ => {
            let known = shipped::names().collect::<Vec<_>>().join(" ");
            let remedy = format!("write a file's name (`other.toml`), or one of: {known}");
            return Err(section.error("base", &format!("names no scenario: `{name}`"), remedy));
        }
    };
    tree.over(base);
    Ok(tree)
}

fn version(section: &Section<'_>) -> Read<()> {
    let node = section.need("version", "another version may mean other things", "1")?;
    if node.value == Value::Integer(i64::from(VERSION)) {
        return Ok(());
    }
    let what = format!("is not {VERSION}, the only one that this simulator knows");
    Err(section.error("version", &what, format!("write `version = {VERSION}`, and see docs/SCENARIOS.md")))
}

/// The whole scenario of a tree.
fn scenario(name: &str, tree: &Node) -> Read<Scenario> {
    let top = Section::open("", tree, &[SCENARIO])?;
    let about = top.get("about").map_or(Ok(""), |node| top.text("about", node, "a sentence"))?;
    let limits = limits(&top)?;
    let retry = retry(&top, limits)?;
    let (source, destination) = (host(&top, "source")?, host(&top, "destination")?);
    let link = link(&top)?;
    let (guest, devices) = (guest::guest(&top)?, guest::devices(&top)?);
    let arbiter = arbiter(&top)?;
    let bounds = Bounds {
        source: &source,
        destination: &destination,
        link: &link,
        guest: &guest,
        devices: &devices,
        arbiter: arbiter.as_ref(),
    };
    let (source_contracts, destination_contracts) = contracts::read(tree, &bounds)?;
    let faults = faults::faults(&top, retry.attempts, devices.len(), arbiter.is_some())?;
    let scenario = Scenario {
        name: name.into(),
        about: about.into(),
        limits,
        retry,
        cadence: cadence(&top)?,
        source,
        destination,
        link,
        guest,
        devices,
        arbiter,
        source_contracts,
        destination_contracts,
        hold_on_lost_device: top.flag("hold_on_lost_device")?,
        faults,
        calm: top.time_or("calm", CALM)?,
        #[cfg(feature = "mutants")]
        mutant: None,
    };
    check::relations(tree, &scenario)?;
    Ok(scenario)
}

fn limits(top: &Section<'_>) -> Read<Limits> {
    let usual = Limits::default();
    let Some(section) = top.section("limits", &[words::LIMITS])? else { return Ok(usual) };
    Ok(Limits {
        downtime: section.time_or("downtime", usual.downtime)?,
        switchover: section.time_or("switchover", usual.switchover)?,
    })
}

fn retry(top: &Section<'_>, limits: Limits) -> Read<Retry> {
    const ATTEMPTS_USUAL: u8 = 3;
    let Some(section) = top.section("retry", &[words::RETRY])? else {
        return Ok(Retry::attempts(ATTEMPTS_USUAL, limits));
    };
    let most = ATTEMPTS as u32;
    let attempts = match section.get("attempts") {
        Some(node) => u8::try_from(section.number("attempts", node, 1, most)?).unwrap_or(u8::MAX),
        None => ATTEMPTS_USUAL,
    };
    let usual = Retry::attempts(attempts, limits);
    Ok(Retry {
        attempts,
        backoff: section.time_or("backoff", usual.backoff)?,
        blackout_budget: section.time_or("blackout_budget", usual.blackout_budget)?,
        precopy_limit: section.time_or("precopy_limit", usual.precopy_limit)?,
    })
}

fn cadence(top: &Section<'_>) -> Read<Cadence> {
    let usual = Cadence::default();
    let Some(section) = top.section("cadence", &[words::CADENCE])? else { return Ok(usual) };
    Ok(Cadence {
        ping: section.time_or("ping", usual.ping)?,
        again: section.time_or("again", usual.again)?,
        silence: section.time_or("silence", usual.silence)?,
    })
}

fn host(top: &Section<'_>, side: &str) -> Read<Host> {
    let section = top.need_section(side, &[words::HOST], "nothing is known of that host")?;
    let declared_drift = section.drift_or("declared_drift", Ppm::SOUND)?;
    Ok(Host {
        declared_drift,
        drift: section.drift_or("drift", declared_drift)?,
        timer: section.dist("timer")?,
        journal: section.dist("journal")?,
        seal: section.dist("seal")?,
        stolen: section.section("stolen", &[words::STOLEN])?.map(|section| stolen(&section)).transpose()?,
    })
}

fn stolen(section: &Section<'_>) -> Read<Stolen> {
    let node = section.need("every", "a processor is taken away again and again", "\"50ms\"")?;
    let stolen = Stolen { every: section.time("every", node)?, pause: section.dist("pause")? };
    let worst = stolen.pause.worst();
    if worst == Ns::ZERO {
        return Err(section.error("pause", "is zero", "leave `stolen` out, or write how long a pause is"));
    }
    if stolen.every <= worst {
        let remedy = format!("write more than the longest pause, {}", values::print_time(worst));
        return Err(section.error("every", "leaves the host no time between its pauses", remedy));
    }
    Ok(stolen)
}

fn link(top: &Section<'_>) -> Read<Link> {
    let section = top.need_section("link", &[words::LINK], "nothing connects the hosts")?;
    let datagrams = section.section("datagrams", &[words::DATAGRAMS])?;
    Ok(Link {
        control: channel(&section, "control")?,
        bulk: channel(&section, "bulk")?,
        reconnect: section.dist("reconnect")?,
        datagrams: datagrams.map(|section| self::datagrams(&section)).transpose()?,
    })
}

fn channel(link: &Section<'_>, name: &str) -> Read<Channel> {
    let section = link.need_section(name, &[words::CHANNEL], "each connection has its own bandwidth")?;
    let why = "what has no stated rate has no bound";
    let node = section.need("bandwidth", why, "\"10Gb/s\"")?;
    let bandwidth = section.rate("bandwidth", node)?.ok_or_else(|| {
        section.error("bandwidth", "is zero", "for a link that carries nothing, write a fault `partition`")
    })?;
    Ok(Channel { bandwidth, latency: section.dist("latency")? })
}

fn datagrams(section: &Section<'_>) -> Read<Datagrams> {
    let datagrams = Datagrams {
        lost: section.chance_or("lost", 0)?,
        doubled: section.chance_or("doubled", 0)?,
        reordered: section.chance_or("reordered", 0)?,
        late: section.get("late").map_or(Ok(super::Dist::default()), |node| section.dist_at("late", node))?,
    };
    if datagrams.lost == values::ALWAYS {
        return Err(section.error("lost", "is everything", "write a fault `partition` that ends"));
    }
    if datagrams.doubled.max(datagrams.reordered) > 0 && datagrams.late.worst() == Ns::ZERO {
        let what = "is missing: what is doubled or overtaken comes later than others";
        return Err(section.error("late", what, "write how much later, `late = \"1ms\"`"));
    }
    Ok(datagrams)
}

fn arbiter(top: &Section<'_>) -> Read<Option<Arbiter>> {
    let Some(section) = top.section("arbiter", &[words::ARBITER])? else { return Ok(None) };
    Ok(Some(Arbiter {
        from_source: section.dist("from_source")?,
        from_destination: section.dist("from_destination")?,
    }))
}
