//! Sees the guest's two copies, what is said, and the clocks; says which promise broke.
//!
//! ```text
//!  world or explorer --- effects on guests: stopped, saved, loaded, runs, destroyed, died --+
//!                    --- what was handed to the link, and what was read from it ------------+--> Checker -> Violation
//!                    --- contracts that were broken: what excuses a late guest --------------+
//! ```
//!
//! It is independent of the machines: it never looks at a machine's state, so it notices a wrong decision whatever the
//! machines believe. P1, P3, P4 and P5 are judged always; P2 is judged under its assumption (see [`Excuse`]), to the
//! nanosecond: by H on the source's clock. P6 is judged when a record is handed in.
//!
//! A checker is small, `Clone + Eq + Hash`, and allocates nothing: an explorer keeps one in every state. Instants are
//! those of the source's clock, and [`Checker::rebase`] moves them.

mod bound;
mod destination;
mod explain;
mod links;
mod rules;
mod settle;
mod source;
mod violation;

use heapless::Vec;
use switchover_core::port::PortSet;
use switchover_core::time::{At, Ns};

use bound::Dark;
pub use destination::Memory;
pub use explain::{Overruns, Word};
pub use rules::{Excuse, Excuses, Rules};
pub use settle::Knows;
pub use violation::{Broken, Promise, Violation};

/// Broken promises that are kept, each kind once.
const VIOLATIONS_MAX: usize = 4;

/// Sees everything and judges it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Checker {
    rules: Rules,
    source: SourceCopy,
    destination: DestinationCopy,
    links: Links,
    dark: Option<Dark>,
    run: RunSoFar,
    over: Overruns,
    violations: Vec<Violation, VIOLATIONS_MAX>,
}

/// The source's copy of the guest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct SourceCopy {
    exists: bool,
    /// vCPU ports and devices that run.
    runs: PortSet,
    /// Counts how often the guest was stopped: names the state it stopped at.
    generation: u16,
    /// The attempt for which it was stopped last, by its counter.
    attempt: u32,
    /// Devices that broke their contract in a rollback, or failed in it.
    lost: PortSet,
    /// Ports that were asked to stop: until they run again the guest may feel it, stopped or not.
    asked: PortSet,
}

/// What the destination has of the guest.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct DestinationCopy {
    /// Something is loaded, or runs.
    exists: bool,
    /// Of which attempt, by its counter.
    attempt: u32,
    /// Ports whose state of `generation` is loaded whole and undamaged.
    states: PortSet,
    /// Which of the source's stops it is a copy of.
    generation: u16,
    memory: Memory,
    /// vCPU ports that execute.
    runs: PortSet,
    /// The state of which some vCPU has executed here; forgotten with a fence.
    executed: Option<u16>,
    /// The same, whatever was fenced since.
    ran: Option<u16>,
}

/// What was said, as sets of attempts.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Links {
    go: links::Attempts,
    abort: links::Attempts,
    refused: links::Attempts,
    /// Attempts that the source may roll back although `Go` was said.
    freed: links::Attempts,
}

/// The run of attempts under way, for the caps.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
struct RunSoFar {
    /// The latest attempt that was announced, by its counter.
    latest: u32,
    attempts: u8,
    /// Blackouts that are over, of this run of the source's process.
    blackout: Ns,
    /// All that are over.
    total: Ns,
    /// When the source's guest ran again last.
    ran_again: Option<At>,
    /// The longest blackout ever, and the latest one.
    longest: Ns,
    last: Ns,
}

impl Checker {
    /// The guest runs on the source, whole.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            source: SourceCopy {
                exists: true,
                runs: rules.ports,
                generation: 0,
                attempt: 0,
                lost: PortSet::EMPTY,
                asked: PortSet::EMPTY,
            },
            destination: DestinationCopy {
                exists: false,
                attempt: 0,
                states: PortSet::EMPTY,
                generation: 0,
                memory: Memory::Other,
                runs: PortSet::EMPTY,
                executed: None,
                ran: None,
            },
            links: Links::default(),
            dark: None,
            run: RunSoFar::default(),
            over: Overruns::NONE,
            violations: Vec::new(),
        }
    }

    /// Broken promises, each kind once, the first first.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The first broken promise.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violations.first().copied()
    }

    /// All vCPUs run on the source.
    #[must_use]
    pub fn runs_on_source(&self) -> bool {
        self.source.runs.vcpus() == self.rules.ports.vcpus()
    }

    /// All vCPUs run on the destination.
    #[must_use]
    pub fn runs_on_destination(&self) -> bool {
        self.destination.runs == self.rules.ports.vcpus()
    }

    /// Some vCPU runs on the destination.
    #[must_use]
    pub fn any_on_destination(&self) -> bool {
        !self.destination.runs.is_empty()
    }

    /// The source's copy exists, running or not.
    #[must_use]
    pub fn source_has_copy(&self) -> bool {
        self.source.exists
    }

    /// The destination has something of the guest, running or not.
    #[must_use]
    pub fn destination_has_copy(&self) -> bool {
        self.destination.exists
    }

    /// Which of its stops the source's guest stopped at last: what is saved now is a state of this generation.
    #[must_use]
    pub fn generation(&self) -> u16 {
        self.source.generation
    }

    /// The longest blackout so far, one that still lasts counted until `now`.
    #[must_use]
    pub fn longest(&self, now: At) -> Ns {
        self.run.longest.or_longer(self.dark_for(now))
    }

    /// The latest blackout, counted until `now` if it still lasts.
    #[must_use]
    pub fn latest(&self, now: At) -> Ns {
        if self.dark.is_some() { self.dark_for(now) } else { self.run.last }
    }

    /// The sum of all blackouts, one that still lasts counted until `now`.
    #[must_use]
    pub fn blackout(&self, now: At) -> Ns {
        self.run.total.plus(self.dark_for(now))
    }

    /// Moves every stored instant by `shift` nanoseconds.
    pub fn rebase(&mut self, shift: i64) {
        if let Some(dark) = &mut self.dark {
            dark.since = dark.since.shifted(shift);
        }
        if let Some(at) = &mut self.run.ran_again {
            *at = at.shifted(shift);
        }
        for violation in &mut self.violations {
            violation.at = violation.at.shifted(shift);
        }
    }

    fn dark_for(&self, now: At) -> Ns {
        self.dark.map_or(Ns::ZERO, |dark| now.since(dark.since))
    }

    fn check(&mut self, holds: bool, what: Broken, at: At) {
        if !holds && !self.violations.iter().any(|violation| violation.what == what) {
            // Beyond the first few nothing is learned.
            let _kept = self.violations.push(Violation { promise: what.promise(), what, at });
        }
    }
}
