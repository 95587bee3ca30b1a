//! A switchover as a picture of text, drawn from its record.
//!
//! ```text
//! attempt 1 of 1: committed; the guest stood still for 98.2ms of 310ms
//!   0 [##############################|...........................:......] 310ms
//!     # blackout  : latest time for go (282ms)
//!   source      vcpus    stop      [=                            ]  300us of 600us
//!   source      memory   transfer  [ ==========================  ] 89.1ms of 94ms
//!   destination vcpus    resume    [                            =]  150us of 300us
//! ```
//!
//! The first bar is the hard limit and how much of it was used. Below it, each phase of each port on its own line; the
//! bars share one scale, from t = 0 to the end of the blackout, so that what ran side by side is seen side by side.
//! Fits 80 columns; colour only where asked for.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use crate::record::{AttemptRecord, Offender, Outcome, PhaseRecord, RunRecord};
use crate::units::{Bytes, short_duration, short_rest};
use crate::words::Phase;

/// Cells of the bar for the hard limit.
const LIMIT_CELLS: usize = 58;
/// Cells of the bar of a phase.
const PHASE_CELLS: usize = 22;
/// The widest line.
pub const COLUMNS: usize = 80;

/// Whether to colour: [`Paint::for_stdout`] or [`Paint::for_stderr`] unless somebody knows better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text alone.
    Plain,
    /// With the colours of a terminal.
    Coloured,
}

impl Paint {
    /// Colours if standard error is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn for_stderr() -> Self {
        Self::for_terminal(std::io::stderr().is_terminal())
    }

    /// Colours if standard output is a terminal and `NO_COLOR` is not set.
    #[must_use]
    pub fn for_stdout() -> Self {
        Self::for_terminal(std::io::stdout().is_terminal())
    }

    fn for_terminal(terminal: bool) -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if terminal && !refused { Paint::Coloured } else { Paint::Plain }
    }

    fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self {
            Paint::Plain => text.into(),
            Paint::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

/// At most 7 characters: beyond hours it does not matter how long it was.
fn short(ns: u64) -> String {
    if ns >= 10_000_000_000_000 { ">9999s".into() } else { short_duration(Duration::from_nanos(ns)) }
}

/// The whole run: each attempt, and how it ended.
#[must_use]
pub fn timeline(record: &RunRecord, paint: Paint) -> String {
    let mut text = String::new();
    let of = record.attempts.len();
    for (index, attempt) in record.attempts.iter().enumerate() {
        draw_attempt(&mut text, attempt, (index + 1, of), record.hard_limit_ns, paint);
        text.push('\n');
    }
    line(&mut text, &paint.bold(&conclusion(record)));
    if let Some(explanation) = explanation(record) {
        line(&mut text, &explanation);
    }
    if let (Some(estimate), Some(error)) = (record.downtime_estimate_ns, record.downtime_estimate_error_ns) {
        line(&mut text, &format!("without the answer's way back: {} +- {}", short(estimate), short(error)));
    }
    text
}

fn line(text: &mut String, content: &str) {
    text.push_str(content.trim_end());
    text.push('\n');
}

/// How the run ended, in a sentence.
fn conclusion(record: &RunRecord) -> String {
    let place = match record.outcome {
        Outcome::Committed => "committed: the guest runs on the destination",
        Outcome::Aborted => "aborted: the guest runs on the source",
        Outcome::InDoubt => "in doubt: it is not known where the guest runs",
        Outcome::Lost => "lost: the guest runs nowhere",
    };
    let limit = short(record.hard_limit_ns);
    match (record.downtime_ns, record.within_limit) {
        (Some(0), true) => format!("{place}; it never stood still"),
        (Some(downtime), true) => format!("{place}; downtime {} <= {limit}", short(downtime)),
        (Some(downtime), false) if downtime > record.hard_limit_ns => {
            format!("{place}; downtime {} > {limit}", short(downtime))
        }
        _ => format!("{place}; limit {limit} not kept"),
    }
}

/// What made it so, or what it means, where there is more to say.
fn explanation(record: &RunRecord) -> Option<String> {
    let offender = record.attempts.last().and_then(|attempt| attempt.offender);
    let because = offender.map(|offender| format!("because of {offender}"));
    let limit = record.hard_limit_ns;
    let rest = match (record.outcome, record.downtime_ns) {
        (Outcome::InDoubt, _) => "start it nowhere before you have found out, at the destination".into(),
        (Outcome::Lost, _) => "what may be left of it: see `Lost` in docs/OPERATING.md".into(),
        (_, None | Some(0)) => return because,
        (_, Some(downtime)) if downtime > limit => format!("{} over the limit", short(downtime - limit)),
        (_, Some(downtime)) => {
            format!("{} of the limit left", short_rest(Duration::from_nanos(limit - downtime)))
        }
    };
    Some(because.map_or(rest.clone(), |because| format!("{rest}; {because}")))
}

fn draw_attempt(
    text: &mut String,
    attempt: &AttemptRecord,
    place: (usize, usize),
    hard_limit: u64,
    paint: Paint,
) {
    let (number, of) = place;
    let stood = match attempt.downtime_ns {
        Some(0) => "the guest never stood still".into(),
        Some(downtime) => format!("the guest stood still for {} of {}", short(downtime), short(hard_limit)),
        None => format!("the guest stood still; limit {}", short(hard_limit)),
    };
    let outcome = attempt.outcome.to_string().replace('_', " ");
    line(text, &paint.bold(&format!("attempt {number} of {of}: {outcome}; {stood}")));
    if let Some(reason) = &attempt.reason {
        line(text, &format!("  reason: {}", clip(&reason.replace('_', " "), 60)));
    }
    if let Some(offender) = &attempt.offender {
        line(text, &paint.red(&format!("  offender: {offender}")));
    }
    if !attempt.faults_injected.is_empty() {
        wrapped(text, "  injected: ", attempt.faults_injected.iter().map(String::as_str));
    }
    let sent = Bytes(attempt.bytes).short();
    let at_rest = Bytes(attempt.stop_copy_bytes).short();
    let copied = format!("{sent} in {} rounds, {at_rest} of it while the guest stood still", attempt.rounds);
    wrapped(text, "  sent: ", copied.split(' '));
    if let Some(admission) = &attempt.admission {
        let verdict = admission.to_string();
        wrapped(text, "  predicted: ", verdict.split(' '));
    }
    draw_limit(text, attempt, hard_limit, paint);
    draw_phases(text, attempt, paint);
}

/// The hard limit, what of it was used, and by when `Go` had to be sent.
fn draw_limit(text: &mut String, attempt: &AttemptRecord, hard_limit: u64, paint: Paint) {
    let Some(downtime) = attempt.downtime_ns.filter(|downtime| *downtime > 0) else { return };
    let scale = hard_limit.max(downtime).max(1);
    let mut cells = vec!['.'; LIMIT_CELLS];
    let used = cell(downtime, scale, LIMIT_CELLS);
    cells[..=used].fill('#');
    if let Some(go_by) = attempt.go_by_ns {
        cells[cell(go_by, scale, LIMIT_CELLS)] = ':';
    }
    if downtime > hard_limit {
        cells[cell(hard_limit, scale, LIMIT_CELLS)] = 'H';
    }
    let bar: String = cells.into_iter().collect();
    let bar = if downtime > hard_limit { paint.red(&bar) } else { bar };
    line(text, &format!("  0 [{bar}] {}", short(scale)));
    let mut legend = String::from("    # blackout");
    if let Some(go_by) = attempt.go_by_ns {
        let _ = write!(legend, "  : latest time for go ({})", short(go_by));
    }
    if downtime > hard_limit {
        let _ = write!(legend, "  H hard limit ({})", short(hard_limit));
    }
    line(text, &legend);
}

/// The cell of `at` on a bar of `cells` that stands for `scale`.
fn cell(at: u64, scale: u64, cells: usize) -> usize {
    let cell = u128::from(at) * cells as u128 / u128::from(scale.max(1));
    usize::try_from(cell).unwrap_or(cells).min(cells - 1)
}

fn draw_phases(text: &mut String, attempt: &AttemptRecord, paint: Paint) {
    let mut phases: Vec<&PhaseRecord> = attempt.phases.iter().collect();
    phases.sort_by_key(|phase| (phase.start_ns.unwrap_or(i64::MIN), phase.phase, phase.side, phase.port));
    let end = |phase: &PhaseRecord| {
        let start = u64::try_from(phase.start_ns?).ok()?;
        Some(start.saturating_add(phase.measured_ns.unwrap_or(0)))
    };
    let last = phases.iter().filter_map(|phase| end(phase)).max().unwrap_or(0);
    let scale = last.max(attempt.downtime_ns.unwrap_or(0)).max(1);
    for phase in phases {
        draw_phase(text, phase, attempt.offender.as_ref(), scale, paint);
    }
}

fn draw_phase(text: &mut String, phase: &PhaseRecord, offender: Option<&Offender>, scale: u64, paint: Paint) {
    let mut cells = [' '; PHASE_CELLS];
    let while_it_ran = phase.phase < Phase::Stop || phase.start_ns.is_some_and(|start| start < 0);
    let bar = match phase.start_ns.map(u64::try_from) {
        Some(Ok(start)) if !while_it_ran => {
            let end = start.saturating_add(phase.measured_ns.unwrap_or(0));
            // What ends where the next begins must not hide the next one's first cell.
            let (first, last) =
                (cell(start, scale, PHASE_CELLS), cell(end.saturating_sub(1).max(start), scale, PHASE_CELLS));
            cells[first..=last].fill('=');
            format!("[{}]", cells.iter().collect::<String>())
        }
        _ if while_it_ran => format!(" {:<PHASE_CELLS$} ", "while the guest ran"),
        _ => format!(" {:<PHASE_CELLS$} ", ""),
    };
    let measured = phase.measured_ns.map_or("?".into(), short);
    let planned = phase.planned_ns.map(|planned| format!(" of {}", short(planned))).unwrap_or_default();
    let over = matches!((phase.measured_ns, phase.planned_ns), (Some(took), Some(plan)) if took > plan);
    let blamed = offender == Some(&Offender { side: phase.side, port: phase.port, phase: phase.phase });
    let mark = match (blamed, over) {
        (true, _) => " <-",
        (false, true) => " !",
        (false, false) => "",
    };
    let content = format!(
        "  {:<11} {:<9} {:<8} {bar} {measured:>7}{planned}{mark}",
        phase.side.word(),
        phase.port.to_string(),
        phase.phase.word()
    );
    line(text, &if blamed || over { paint.red(&content) } else { content });
}

/// Words after `head`, on as many lines as they need.
fn wrapped<'a>(text: &mut String, head: &str, words: impl Iterator<Item = &'a str>) {
    let mut current = String::from(head);
    let mut empty = true;
    for word in words {
        let word = clip(word, COLUMNS - head.len());
        if !empty && current.chars().count() + 1 + word.chars().count() > COLUMNS {
            line(text, &current);
            current = " ".repeat(head.len());
            empty = true;
        }
        if !empty {
            current.push(' ');
        }
        current.push_str(&word);
        empty = false;
    }
    line(text, &current);
}

fn clip(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests;
