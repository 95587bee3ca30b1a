//! QEMU's own measurement of a downtime: the lines of its trace events `vmstate_downtime_*`.
//!
//! ```text
//! PID@SECONDS.MICROS:vmstate_downtime_checkpoint src-downtime-start        log backend, -msg timestamp=on
//! 2026-01-31T12:00:00.000000Z vmstate_downtime_save type=iterable ...      the same of newer versions
//! ... vmstate_downtime_save type=iterable|non-iterable idstr=ID instance_id=N downtime=MICROS
//! ... vmstate_downtime_load type=...                                       on the destination
//! ```
//!
//! Source and destination log on their own; one file holds both, in any order. Other lines are passed over, and so are
//! those that begin with `#`. Not here: what is made of it.

use std::path::Path;

use switchover_core::time::Ns;

use super::error::ReplayError;

const PREFIX: &str = "vmstate_downtime_";
const AGAIN: &str =
    "trace again with `-trace 'vmstate_downtime*' -msg timestamp=on` on both sides, and let both end";
const CUT: &str = "the trace is torn: copy it when QEMU has ended, or remove what is left of that line";

/// A unit of work that QEMU saved or loaded as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unit {
    /// Saved on the source, or loaded on the destination.
    pub saved: bool,
    /// RAM and devices that also send while the guest runs.
    pub iterable: bool,
    /// QEMU's name of it, and its instance where there are several.
    pub name: String,
    /// How long it took.
    pub took: Ns,
    /// When it ended, from t = 0.
    pub ended: Ns,
}

/// A switchover as QEMU saw it; every instant from `src-downtime-start`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// `src-downtime-start` on QEMU's clock: its whole milliseconds are those of that clock.
    pub start: Ns,
    /// vCPUs and devices are stopped.
    pub stopped: Ns,
    /// RAM and iterable devices are saved.
    pub iterable_saved: Ns,
    /// All is saved.
    pub saved: Ns,
    /// The source has heard that it is over.
    pub ended: Ns,
    /// The destination, where it was traced: all is loaded, announced, and runs.
    pub destination: Option<Arrival>,
    /// Saves and loads in the order of their ends.
    pub units: Vec<Unit>,
}

/// The destination's checkpoints.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// All is loaded.
    pub loaded: Ns,
    /// vCPUs are about to be started.
    pub announced: Ns,
    /// The guest runs.
    pub runs: Ns,
}

impl Trace {
    /// From the first thing the guest can have felt until it ran again, as far as the trace knows.
    #[must_use]
    pub fn downtime(&self) -> Ns {
        self.destination.map_or(self.ended, |arrival| arrival.runs)
    }

    /// Reads a trace.
    ///
    /// # Errors
    /// A line that is cut, without a time, or missing.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ReplayError> {
        let wrong =
            |line: usize, what: String, remedy| ReplayError::Line { path: path.into(), line, what, remedy };
        let mut points: Vec<(usize, String, u64)> = Vec::new();
        let mut units: Vec<(Unit, u64)> = Vec::new();
        let lines = text.lines().count();
        for (number, line) in (1..).zip(text.lines()) {
            let torn = number == lines && !text.ends_with('\n');
            let Some((at, event)) = split(line).filter(|_| !line.starts_with('#')) else {
                if torn && line.contains("vmstate_") {
                    return Err(wrong(number, format!("`{line}` is cut off"), CUT));
                }
                continue;
            };
            let at = at.ok_or_else(|| wrong(number, "there is no time before the event".into(), AGAIN))?;
            match event_of(event) {
                Some(Event::Point(name)) if !torn || POINTS.contains(&name) => {
                    points.push((number, name.into(), at))
                }
                Some(Event::Unit(unit)) if !torn => units.push((unit, at)),
                _ => return Err(wrong(number, format!("`{event}` is cut off, or no such event"), CUT)),
            }
        }
        Self::build(&points, units).map_err(|what| wrong(lines.max(1), what, AGAIN))
    }

    fn build(points: &[(usize, String, u64)], units: Vec<(Unit, u64)>) -> Result<Self, String> {
        let find = |name: &str| points.iter().find(|(_, point, _)| point == name).map(|(_, _, at)| *at);
        let needed = |name: &str| find(name).ok_or_else(|| format!("the checkpoint `{name}` is missing"));
        let start = needed("src-downtime-start")?;
        let since = |at: u64| {
            let micros = at
                .checked_sub(start)
                .ok_or("something ended before src-downtime-start: are both clocks one?")?;
            Ok::<Ns, String>(Ns::from_micros(micros))
        };
        let point = |name: &str| since(needed(name)?);
        let destination = match find("dst-precopy-bh-vm-started") {
            Some(runs) => Some(Arrival {
                loaded: point("dst-precopy-loadvm-completed")?,
                announced: point("dst-precopy-bh-announced")?,
                runs: since(runs)?,
            }),
            None => None,
        };
        let timed = units.into_iter().map(|(unit, at)| Ok(Unit { ended: since(at)?, ..unit }));
        let mut units = timed.collect::<Result<Vec<Unit>, String>>()?;
        units.sort_by_key(|unit| unit.ended);
        let trace = Self {
            start: Ns::from_micros(start),
            stopped: point("src-vm-stopped")?,
            iterable_saved: point("src-iterable-saved")?,
            saved: point("src-non-iterable-saved")?,
            ended: point("src-downtime-end")?,
            destination,
            units,
        };
        trace.in_order().map(|()| trace)
    }

    fn in_order(&self) -> Result<(), String> {
        let mut points = vec![self.stopped, self.iterable_saved, self.saved];
        points.extend(self.destination.into_iter().flat_map(|d| [d.loaded, d.announced, d.runs]));
        points.push(self.ended);
        if points.is_sorted() { Ok(()) } else { Err("the checkpoints are not in the order of time".into()) }
    }
}

const POINTS: [&str; 9] = [
    "src-downtime-start",
    "src-vm-stopped",
    "src-iterable-saved",
    "src-non-iterable-saved",
    "src-downtime-end",
    "dst-precopy-loadvm-completed",
    "dst-precopy-bh-enter",
    "dst-precopy-bh-announced",
    "dst-precopy-bh-vm-started",
];

enum Event<'a> {
    Point(&'a str),
    Unit(Unit),
}

/// The time in microseconds of whatever clock, if there is one, and the event.
fn split(line: &str) -> Option<(Option<u64>, &str)> {
    let at = line.find(PREFIX)?;
    let (before, event) = line.split_at(at);
    Some((micros(before.trim_end()), event.trim_end()))
}

fn micros(before: &str) -> Option<u64> {
    match before.strip_suffix(':').and_then(|before| before.split_once('@')) {
        Some((_, time)) => seconds(time),
        None => iso(before),
    }
}

/// `1719308400.074244`
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction = format!("{fraction:0<6}");
    let micros: u64 = fraction.get(..6)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

/// `2026-01-31T12:00:00.000000Z`: only differences count, so that days are enough of a calendar.
fn iso(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut numbers = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut parts = time.splitn(3, ':');
    let (hours, minutes) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let days = (year * 12 + month) * 31 + day;
    let before =
        days.checked_mul(86_400)?.checked_add(hours * 3_600 + minutes * 60)?.checked_mul(1_000_000)?;
    before.checked_add(seconds(parts.next()?)?)
}

fn event_of(event: &str) -> Option<Event<'_>> {
    let (name, rest) = event.strip_prefix(PREFIX)?.split_once(' ')?;
    match name {
        "checkpoint" => Some(Event::Point(rest)),
        "save" | "load" => unit(name == "save", rest).map(Event::Unit),
        _ => None,
    }
}

/// `type=iterable idstr=ram instance_id=0 downtime=151054`; a name may hold blanks.
fn unit(saved: bool, rest: &str) -> Option<Unit> {
    let (kind, rest) = rest.strip_prefix("type=")?.split_once(" idstr=")?;
    let (rest, took) = rest.rsplit_once(" downtime=")?;
    let (name, instance) = rest.rsplit_once(" instance_id=")?;
    let iterable = match kind {
        "iterable" => true,
        "non-iterable" => false,
        _ => return None,
    };
    let name = if instance == "0" { name.to_owned() } else { format!("{name}:{instance}") };
    let took = Ns::from_micros(took.parse().ok()?);
    Some(Unit { saved, iterable, name, took, ended: Ns::ZERO })
}
