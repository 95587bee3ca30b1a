//! What happened, for people: one line a step, and who said what to whom.

use std::fmt::{self, Debug, Write};

use switchover_core::port::Side;
use switchover_core::time::Ns;

use super::letters::Letter;
use crate::scenario::model::What;

/// One run, step by step.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    lines: Vec<String>,
    drawn: Vec<Drawn>,
}

/// A line of the diagram.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Drawn {
    /// A message that was said, read or lost.
    Message { at: u64, word: &'static str, from: Side, way: Way },
    /// Something that a side did, or that happened to both (`None`).
    Note { at: u64, side: Option<Side>, what: String },
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Way {
    Said,
    Read,
    Lost,
}

/// Columns between the two lifelines.
const BETWEEN: usize = 34;

impl Trace {
    /// One line a step: true time in milliseconds, whose step, the event, what was asked.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Who said what to whom: two lifelines, the source's on the left.
    #[must_use]
    pub fn diagram(&self) -> String {
        let mut out = format!("{:>12}  source{:>width$}\n", "ms", "destination", width = BETWEEN + 1);
        for drawn in &self.drawn {
            // Writing to a string cannot fail.
            let _written = match drawn {
                Drawn::Message { at, word, from, way } => message(&mut out, *at, word, *from, *way),
                Drawn::Note { at, side, what } => note(&mut out, *at, *side, what),
            };
        }
        out
    }

    pub(super) fn step<E: Debug + ?Sized, A: Debug + ?Sized>(
        &mut self,
        at: u64,
        side: Side,
        event: &E,
        actions: &A,
    ) {
        let who = if side == Side::Source { "S" } else { "D" };
        self.lines.push(format!("{:>12} {who} {event:?} -> {actions:?}", ms(at)));
    }

    pub(super) fn sent(&mut self, at: u64, letter: &Letter) {
        self.message(at, letter, Way::Said);
    }

    pub(super) fn read(&mut self, at: u64, letter: &Letter) {
        self.message(at, letter, Way::Read);
    }

    pub(super) fn lost(&mut self, at: u64, letter: &Letter) {
        self.message(at, letter, Way::Lost);
    }

    fn message(&mut self, at: u64, letter: &Letter, way: Way) {
        let (word, from) = (letter.word(), letter.from());
        // Pings are many, and say nothing.
        if !matches!(word, "ping" | "pong" | "round_end") {
            self.drawn.push(Drawn::Message { at, word, from, way });
        }
        if way == Way::Lost {
            self.lines.push(format!("{:>12} - {word} is lost", ms(at)));
        }
    }

    pub(super) fn say(&mut self, at: u64, side: Side, what: &str) {
        let who = if side == Side::Source { "S" } else { "D" };
        self.lines.push(format!("{:>12} {who} {what}", ms(at)));
        self.drawn.push(Drawn::Note { at, side: Some(side), what: what.to_owned() });
    }

    pub(super) fn fault(&mut self, at: u64, what: &What) {
        self.lines.push(format!("{:>12} - fault {what:?}", ms(at)));
        self.drawn.push(Drawn::Note { at, side: None, what: format!("fault: {what:?}") });
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// `12.345678`: milliseconds of true time.
fn ms(at: u64) -> String {
    let at = Ns::new(at).get();
    format!("{}.{:06}", at / 1_000_000, at % 1_000_000)
}

fn message(out: &mut String, at: u64, word: &str, from: Side, way: Way) -> fmt::Result {
    let fill = "-".repeat(BETWEEN.saturating_sub(word.len() + 4));
    let blank = " ".repeat(fill.len());
    let (left, right) = match (way, from) {
        (Way::Said, Side::Source) => (format!("--{word}-{fill}"), "> "),
        (Way::Said, Side::Destination) => (format!("<-{fill}{word}--"), ""),
        (Way::Read, Side::Source) => (format!("  {blank}{word} "), "* "),
        (Way::Read, Side::Destination) => (format!("* {word} {blank} "), ""),
        (Way::Lost, Side::Source) => (format!("--{word}--x"), ""),
        (Way::Lost, Side::Destination) => (format!("  {blank}x-{word}--"), ""),
    };
    writeln!(out, "{:>12}     |{left}{right}", ms(at))
}

fn note(out: &mut String, at: u64, side: Option<Side>, what: &str) -> fmt::Result {
    let gap = " ".repeat(BETWEEN);
    match side {
        Some(Side::Source) => writeln!(out, "{:>12}     # {what}", ms(at)),
        Some(Side::Destination) => writeln!(out, "{:>12}     |{gap}# {what}", ms(at)),
        None => writeln!(out, "{:>12}     == {what}", ms(at)),
    }
}
