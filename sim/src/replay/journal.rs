//! A shell's event journal, run through the core again: do the same events give the same actions?
//!
//! A machine is a pure function of its settings and its events, so that a difference means another core, another file,
//! or a fault of either. The first line that differs is named.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use switchover_core::action::{DestinationAction, SourceAction};
use switchover_core::config::{DestinationConfig, Limits, SourceConfig};
use switchover_core::contract::SourceContracts;
use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::id::Incarnation;
use switchover_core::source::Source;
use switchover_text::events::{Header, Line, Step, read};
use switchover_text::words::Side;

use super::error::ReplayError;
use super::whatif::{WhatIf, what_if};

/// The shell's machines.
pub(super) type ShellSource = Source<4, 8, 64>;
type ShellDestination = Destination<4, 8, 64>;
/// The settings of the shell's source.
pub(super) type Settings = SourceConfig<4, 8>;
/// The source's lines.
pub(super) type SourceLine = Line<SourceEvent, SourceAction>;

const OTHER: &str = "replay it with the version that wrote it";
const GAP: &str = "the file is whole only up to there; a slower log or a faster disk loses nothing";

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct JournalReplay {
    /// Whose journal.
    pub side: Side,
    /// Events that were run again.
    pub events: u64,
    /// The first line whose actions differ; `None`: all are the same.
    pub difference: Option<Difference>,
    /// Steps that the file itself says are missing, and at which line: what follows is not replayed.
    pub gap: Option<(usize, u64)>,
    /// The source's: what another limit, or its own, would have made of it.
    pub what_if: Option<WhatIf>,
}

/// A line that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Difference {
    /// Which, from 1.
    pub line: usize,
    /// The event.
    pub event: String,
    /// What the file says was asked for.
    pub recorded: String,
    /// What this core asks for.
    pub replayed: String,
}

/// Runs `path` again; with `limits` the question is asked of these.
pub(super) fn journal(path: &Path, limits: impl Fn(Limits) -> Limits) -> Result<JournalReplay, ReplayError> {
    let (header, lines) = read::<Value, Value>(path)?;
    match header.side {
        Side::Source => source(path, &header, limits),
        Side::Destination => destination(path, &header),
    }
    .map(|replay| JournalReplay { gap: gap(&lines), ..replay })
}

fn gap(lines: &[Line<Value, Value>]) -> Option<(usize, u64)> {
    lines.iter().enumerate().find_map(|(index, line)| match line {
        Line::Lost(steps) => Some((index + 2, *steps)),
        Line::Step(_) | Line::Settings(_) => None,
    })
}

fn source(
    path: &Path,
    header: &Header,
    limits: impl Fn(Limits) -> Limits,
) -> Result<JournalReplay, ReplayError> {
    let (_, lines) = read::<SourceEvent, SourceAction>(path)?;
    let settings: Settings = settings(path, 1, &header.settings)?;
    let counter = u32::try_from(header.number).map_err(|_| bad(path, 1, "its number is no attempt's"))?;
    let machine = |settings: Settings| {
        ShellSource::new(settings, header.journal, counter)
            .map_err(|error| bad(path, 1, &format!("its settings cannot hold together: {error:?}")))
    };
    let mut replayed = machine(settings.clone())?;
    let (events, difference) = again(path, &lines, |line| match line {
        Again::Step(step) => Ok(replayed.step(step.at, step.event).actions.to_vec()),
        Again::Settings(number, value) => {
            let contracts: SourceContracts<4, 8> = self::settings(path, number, value)?;
            let _kept = replayed.set_contracts(contracts);
            Ok(Vec::new())
        }
    })?;
    let asked = Settings { limits: limits(settings.limits), ..settings.clone() };
    let what_if = Some(what_if(machine(within(asked))?, machine(settings)?, &lines));
    Ok(JournalReplay { side: header.side, events, difference, gap: None, what_if })
}

/// A larger limit is no reason to run out of budget.
fn within(mut settings: Settings) -> Settings {
    settings.retry.blackout_budget = settings.retry.blackout_budget.or_longer(settings.limits.hard());
    settings
}

fn destination(path: &Path, header: &Header) -> Result<JournalReplay, ReplayError> {
    let (_, lines) = read::<DestinationEvent, DestinationAction>(path)?;
    let settings: DestinationConfig<4, 8> = settings(path, 1, &header.settings)?;
    let mut replayed = ShellDestination::new(settings, header.journal, Incarnation(header.number))
        .map_err(|error| bad(path, 1, &format!("its settings cannot hold together: {error:?}")))?;
    let (events, difference) = again(path, &lines, |line| match line {
        Again::Step(step) => Ok(replayed.step(step.at, step.event).actions.to_vec()),
        // A destination is never handed any.
        Again::Settings(..) => Ok(Vec::new()),
    })?;
    Ok(JournalReplay { side: header.side, events, difference, gap: None, what_if: None })
}

enum Again<'a, E, A> {
    Step(&'a Step<E, A>),
    Settings(usize, &'a Value),
}

/// Hands every line to `run` until one differs or is missing.
fn again<E, A>(
    path: &Path,
    lines: &[Line<E, A>],
    mut run: impl FnMut(Again<'_, E, A>) -> Result<Vec<A>, ReplayError>,
) -> Result<(u64, Option<Difference>), ReplayError>
where
    E: Serialize + DeserializeOwned,
    A: Serialize + PartialEq,
{
    let mut events = 0;
    for (number, line) in (2..).zip(lines) {
        match line {
            Line::Step(step) => {
                let replayed = run(Again::Step(step))?;
                events += 1;
                if replayed[..] != step.actions[..] {
                    let text = |value: &dyn Fn() -> serde_json::Result<String>| value().unwrap_or_default();
                    let difference = Difference {
                        line: number,
                        event: text(&|| serde_json::to_string(&step.event)),
                        recorded: text(&|| serde_json::to_string(&step.actions)),
                        replayed: text(&|| serde_json::to_string(&replayed)),
                    };
                    return Ok((events, Some(difference)));
                }
            }
            Line::Settings(value) => {
                run(Again::Settings(number, value))?;
            }
            Line::Lost(0) => {}
            Line::Lost(missing) if events == 0 => {
                let what = format!("{missing} steps are missing before the first");
                return Err(ReplayError::Line { path: path.into(), line: number, what, remedy: GAP });
            }
            Line::Lost(_) => break,
        }
    }
    Ok((events, None))
}

fn settings<T: DeserializeOwned>(path: &Path, line: usize, value: &Value) -> Result<T, ReplayError> {
    T::deserialize(value).map_err(|error| bad(path, line, &format!("its settings are not ours: {error}")))
}

fn bad(path: &Path, line: usize, what: &str) -> ReplayError {
    ReplayError::Line { path: path.into(), line, what: what.to_owned(), remedy: OTHER }
}
