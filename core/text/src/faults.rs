//! The language of `--fault`: `KIND:WHERE[:HOW][#N]`.
//!
//! ```text
//! stall:stop|save|link|load|seal|resume|rollback:DURATION    that work takes so much longer
//! drop:ready|go|running[:once]                               every copy of that message is lost, or the first only
//! kill:source|destination@PHASE                              that process dies on entry to the phase
//! corrupt:page|device                                        a bit flips on its way
//!      ... #2 | #all                                         in the second attempt, in all; otherwise in the first
//! ```
//!
//! Pure: nothing here stalls, drops, kills or corrupts. Each fault has one [side](Fault::side) whose process acts it out;
//! both sides know, and print, all of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units::{UnitError, exact_duration, parse_duration};
use crate::words;
use crate::words::{Phase, Side, UnknownWord};

/// The form of a fault, for messages.
const FORM: &str =
    "KIND:WHERE[:HOW][#N], as in `stall:save:2s`, `drop:ready:once`, `kill:source@go`, `corrupt:page#2`";

words! {
    /// Work that can be made to take longer.
    Stall, "a place to stall" {
        /// Bringing the guest to a halt.
        Stop = "stop",
        /// Reading out device and vCPU state.
        Save = "save",
        /// Both connections, from the first byte after t = 0.
        Link = "link",
        /// Taking in pages and state.
        Load = "load",
        /// Verifying what was loaded.
        Seal = "seal",
        /// Starting the guest on the destination.
        Resume = "resume",
        /// Starting it again on the source.
        Rollback = "rollback",
    }
}

words! {
    /// Messages that can be lost.
    Droppable, "a message to drop" {
        /// The destination could run the guest.
        Ready = "ready",
        /// It may.
        Go = "go",
        /// It does; answers to a query that say so included.
        Running = "running",
    }
}

words! {
    /// What a bit can flip in.
    Corruptible, "a thing to corrupt" {
        /// A page of guest memory.
        Page = "page",
        /// The state of a device or of the vCPUs.
        Device = "device",
    }
}

/// Which copies of a message are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Copies {
    /// Every one.
    Every,
    /// The first; later ones arrive.
    First,
}

/// Which attempts a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum When {
    /// One, counted from 1.
    Attempt(u32),
    /// All.
    All,
}

impl When {
    /// Whether it includes this attempt (counted from 1).
    #[must_use]
    pub fn strikes(self, attempt: u32) -> bool {
        match self {
            When::Attempt(number) => number == attempt,
            When::All => true,
        }
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Some work takes so much longer.
    Stall(Stall, Duration),
    /// A message is lost.
    Drop(Droppable, Copies),
    /// A process dies on entry to a phase; at [`Phase::Go`], just after `Go` was handed to the socket, or read.
    Kill(Side, Phase),
    /// A bit flips after the source took its digest.
    Corrupt(Corruptible),
}

/// One fault: what happens, and in which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// In which attempt.
    pub when: When,
}

/// Phases that the source enters, and so can die in.
const SOURCE_PHASES: [Phase; 9] = [
    Phase::Hello,
    Phase::Precopy,
    Phase::Stop,
    Phase::Save,
    Phase::Transfer,
    Phase::Seal,
    Phase::Ready,
    Phase::Go,
    Phase::Rollback,
];
/// Phases that the destination enters.
const DESTINATION_PHASES: [Phase; 9] = [
    Phase::Hello,
    Phase::Precopy,
    Phase::Stop,
    Phase::Transfer,
    Phase::Load,
    Phase::Seal,
    Phase::Ready,
    Phase::Go,
    Phase::Resume,
];

/// The phases that `side` enters, in the order of time: those it can die in.
#[must_use]
pub fn phases_of(side: Side) -> &'static [Phase] {
    match side {
        Side::Source => &SOURCE_PHASES,
        Side::Destination => &DESTINATION_PHASES,
    }
}

/// Why a fault could not be read. The message says what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A word is not one of those that may stand there.
    #[error("fault `{fault}`: {source}")]
    Word {
        /// What was written.
        fault: String,
        /// Which word.
        source: UnknownWord,
    },
    /// A part is missing.
    #[error("fault `{fault}`: {missing} is missing; write {FORM}")]
    Missing {
        /// What was written.
        fault: String,
        /// What is not there.
        missing: &'static str,
    },
    /// There is a part too many.
    #[error("fault `{fault}`: `{rest}` is too much; {remedy}")]
    TooMuch {
        /// What was written.
        fault: String,
        /// What nobody can use.
        rest: String,
        /// What may stand there.
        remedy: &'static str,
    },
    /// The duration of a stall.
    #[error("fault `{fault}`: {source}")]
    Duration {
        /// What was written.
        fault: String,
        /// What is wrong with the duration.
        source: UnitError,
    },
    /// The number of the attempt.
    #[error("fault `{fault}`: `#{given}` is not an attempt; write `#1` for the first, `#2`, ..., or `#all`")]
    Attempt {
        /// What was written.
        fault: String,
        /// What should be a number.
        given: String,
    },
    /// A process cannot die in a phase that it never enters.
    #[error("fault `{fault}`: the {side} never enters `{phase}`; it can be killed at: {known}")]
    NeverThere {
        /// What was written.
        fault: String,
        /// Which process.
        side: Side,
        /// Which phase.
        phase: Phase,
        /// Where it can die.
        known: String,
    },
}

const KINDS: [&str; 4] = ["stall", "drop", "kill", "corrupt"];

impl FromStr for Fault {
    type Err = SpecError;

    fn from_str(fault: &str) -> Result<Self, SpecError> {
        let word = |source| SpecError::Word { fault: fault.into(), source };
        let missing = |missing| SpecError::Missing { fault: fault.into(), missing };
        let too_much =
            |rest: &str, remedy| SpecError::TooMuch { fault: fault.into(), rest: rest.into(), remedy };

        let (what, when) = match fault.split_once('#') {
            None => (fault, When::Attempt(1)),
            Some((what, "all")) => (what, When::All),
            Some((what, number)) => match number.parse() {
                Ok(attempt @ 1..) => (what, When::Attempt(attempt)),
                _ => {
                    return Err(SpecError::Attempt { fault: fault.into(), given: number.into() });
                }
            },
        };
        let (kind, rest) = match what.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (what, None),
        };
        if !KINDS.contains(&kind) {
            return Err(word(UnknownWord::new(kind, "a kind of fault", &KINDS)));
        }
        let rest = rest.filter(|rest| !rest.is_empty()).ok_or_else(|| missing("where it strikes"))?;
        let (place, how) = match rest.split_once(':') {
            Some((place, how)) => (place, Some(how)),
            None => (rest, None),
        };
        let kind = match kind {
            "stall" => {
                let place = place.parse().map_err(word)?;
                let how = how.ok_or_else(|| missing("for how long"))?;
                let duration = parse_duration(how)
                    .map_err(|source| SpecError::Duration { fault: fault.into(), source })?;
                Kind::Stall(place, duration)
            }
            "drop" => {
                let message = place.parse().map_err(word)?;
                match how {
                    None => Kind::Drop(message, Copies::Every),
                    Some("once") => Kind::Drop(message, Copies::First),
                    Some(how) => return Err(too_much(how, "a drop is of every copy, or `:once`")),
                }
            }
            "kill" => {
                if let Some(how) = how {
                    return Err(too_much(how, "a kill is `kill:SIDE@PHASE`"));
                }
                let (side, phase) = place.split_once('@').unwrap_or((place, ""));
                let side: Side = side.parse().map_err(word)?;
                if phase.is_empty() {
                    return Err(missing("at which phase (`@go`)"));
                }
                let phase: Phase = phase.parse().map_err(word)?;
                if !phases_of(side).contains(&phase) {
                    let known: Vec<_> = phases_of(side).iter().map(|phase| phase.word()).collect();
                    return Err(SpecError::NeverThere {
                        fault: fault.into(),
                        side,
                        phase,
                        known: known.join(" "),
                    });
                }
                Kind::Kill(side, phase)
            }
            _ => {
                if let Some(how) = how {
                    return Err(too_much(how, "a corruption is `corrupt:page` or `corrupt:device`"));
                }
                Kind::Corrupt(place.parse().map_err(word)?)
            }
        };
        Ok(Fault { kind, when })
    }
}

impl fmt::Display for Fault {
    /// As it was written, in its shortest form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Stall(place, duration) => write!(f, "stall:{place}:{}", exact_duration(duration))?,
            Kind::Drop(message, Copies::Every) => write!(f, "drop:{message}")?,
            Kind::Drop(message, Copies::First) => write!(f, "drop:{message}:once")?,
            Kind::Kill(side, phase) => write!(f, "kill:{side}@{phase}")?,
            Kind::Corrupt(what) => write!(f, "corrupt:{what}")?,
        }
        match self.when {
            When::Attempt(1) => Ok(()),
            When::Attempt(number) => write!(f, "#{number}"),
            When::All => f.write_str("#all"),
        }
    }
}

impl Fault {
    /// The side whose process acts it out.
    #[must_use]
    pub fn side(&self) -> Side {
        match self.kind {
            Kind::Stall(Stall::Stop | Stall::Save | Stall::Link | Stall::Rollback, _) => Side::Source,
            Kind::Stall(Stall::Load | Stall::Seal | Stall::Resume, _) => Side::Destination,
            Kind::Drop(Droppable::Go, _) | Kind::Corrupt(_) => Side::Source,
            Kind::Drop(Droppable::Ready | Droppable::Running, _) => Side::Destination,
            Kind::Kill(side, _) => side,
        }
    }

    /// Whether it is about the same thing as `other` in an attempt that both strike.
    #[must_use]
    pub fn collides(&self, other: &Fault) -> bool {
        let same = match (self.kind, other.kind) {
            (Kind::Stall(a, _), Kind::Stall(b, _)) => a == b,
            (Kind::Drop(a, _), Kind::Drop(b, _)) => a == b,
            // A process dies once in an attempt.
            (Kind::Kill(a, _), Kind::Kill(b, _)) => a == b,
            (Kind::Corrupt(a), Kind::Corrupt(b)) => a == b,
            _ => false,
        };
        same && match (self.when, other.when) {
            (When::Attempt(a), When::Attempt(b)) => a == b,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_fault_prints_as_it_is_written() {
        for text in [
            "stall:stop:2s",
            "stall:save:1.5ms#2",
            "stall:link:2s#all",
            "stall:load:10us",
            "stall:seal:2s",
            "stall:resume:2s",
            "stall:rollback:2s",
            "drop:ready",
            "drop:go:once",
            "drop:running#3",
            "kill:source@go",
            "kill:destination@resume#2",
            "corrupt:page",
            "corrupt:device#all",
        ] {
            assert_eq!(fault(text).to_string(), text);
        }
        assert_eq!(fault("stall:save:2000#1").to_string(), "stall:save:2s");
    }

    #[test]
    fn a_bad_fault_says_what_would_be_right() {
        for (text, says) in [
            ("stal:save:2s", "`stal` is not a kind of fault; did you mean `stall`?"),
            ("", "known: stall drop kill corrupt"),
            ("stall", "where it strikes is missing"),
            ("stall:", "where it strikes is missing"),
            ("stall:sav:2s", "`sav` is not a place to stall; did you mean `save`?"),
            ("stall:save", "for how long is missing"),
            ("stall:save:2sec", "`sec` in `2sec` is not a unit"),
            ("drop:goo", "did you mean `go`?"),
            ("drop:hello", "known: ready go running"),
            ("drop:go:twice", "`:once`"),
            ("kill:source", "at which phase"),
            ("kill:sauce@go", "did you mean `source`?"),
            ("kill:source@savee", "did you mean `save`?"),
            ("kill:source@load", "the source never enters `load`"),
            (
                "kill:destination@save",
                "it can be killed at: hello precopy stop transfer load seal ready go resume",
            ),
            ("kill:source@go:now", "kill:SIDE@PHASE"),
            ("corrupt:pages", "did you mean `page`?"),
            ("corrupt:page:1", "corrupt:page"),
            ("corrupt:page#0", "`#0` is not an attempt"),
            ("corrupt:page#", "`#all`"),
            ("corrupt:page#al", "`#all`"),
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.contains(&format!("fault `{text}`")), "{text}: not quoted in {error}");
        }
    }
}
