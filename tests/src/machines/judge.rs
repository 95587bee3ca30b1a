//! Sees what happens to the guest's two copies, and says what must not have happened.
//!
//! It knows nothing of the machines' states: only effects on vCPUs and copies, and what was said aloud. Each way in
//! which a promise can break is a line in [`Judge::violations`].

use std::collections::BTreeSet;

use switchover_core::id::AttemptId;
use switchover_core::port::{Port, PortSet};
use switchover_core::time::{At, Ns};

/// A time in which the guest does not run, on the source's clock.
#[derive(Copy, Clone, Debug)]
pub struct Span {
    /// t = 0.
    pub began: At,
    /// When every vCPU ran again, on either side.
    pub ended: Option<At>,
}

/// The judge.
#[derive(Debug)]
pub struct Judge {
    vcpus: PortSet,
    /// vCPU ports that run on the source.
    source: PortSet,
    /// Whether the source's copy exists.
    source_copy: bool,
    /// Counts stops of a running guest: names the state that was saved.
    generation: u32,
    /// The state that the destination has loaded, and of which attempt.
    loaded: Option<(u32, AttemptId)>,
    /// The state that was verified before anything of it was loaded.
    verified: u32,
    /// vCPU ports that run on the destination.
    destination: PortSet,
    /// The state of which some vCPU has executed on the destination.
    executed: Option<u32>,
    /// The same, whatever was fenced since.
    ran: Option<u32>,
    refused: BTreeSet<AttemptId>,
    /// Blackouts, oldest first.
    pub spans: Vec<Span>,
    /// Broken promises, in words.
    pub violations: Vec<String>,
}

impl Judge {
    /// The guest runs on the source.
    pub fn new(vcpus: PortSet) -> Self {
        Self {
            vcpus,
            source: vcpus,
            source_copy: true,
            generation: 0,
            loaded: None,
            verified: 0,
            destination: PortSet::EMPTY,
            executed: None,
            ran: None,
            refused: BTreeSet::new(),
            spans: Vec::new(),
            violations: Vec::new(),
        }
    }

    /// All vCPUs run on the source.
    pub fn runs_on_source(&self) -> bool {
        self.source == self.vcpus
    }

    /// All vCPUs run on the destination.
    pub fn runs_on_destination(&self) -> bool {
        self.destination == self.vcpus
    }

    /// Some vCPU runs on the destination.
    pub fn any_on_destination(&self) -> bool {
        !self.destination.is_empty()
    }

    /// Whether the source's copy exists.
    pub fn source_copy(&self) -> bool {
        self.source_copy
    }

    /// Whether the destination has a copy, run or not.
    pub fn destination_copy(&self) -> bool {
        self.loaded.is_some()
    }

    /// Neither side has the guest.
    pub fn nowhere(&self) -> bool {
        !self.source_copy && self.loaded.is_none()
    }

    /// The longest blackout, one that still lasts counted until `now`.
    pub fn longest(&self, now: At) -> Ns {
        self.spans
            .iter()
            .map(|span| span.ended.unwrap_or(now).since(span.began))
            .fold(Ns::ZERO, Ns::or_longer)
    }

    fn check(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.violations.push(otherwise.to_string());
        }
    }

    /// t = 0, as the source says.
    pub fn stopping(&mut self, now: At) {
        self.spans.push(Span { began: now, ended: None });
    }

    /// The guest can be felt again.
    fn felt(&mut self, now: At) {
        if let Some(span) = self.spans.last_mut()
            && span.ended.is_none()
        {
            span.ended = Some(now);
        }
    }

    /// The source says that the guest runs.
    pub fn says_runs(&mut self, now: At) {
        let runs = self.runs_on_source();
        self.check(runs, "the source says that the guest runs, and it does not");
        self.felt(now);
    }

    /// A vCPU port of the source is stopped.
    pub fn source_stopped(&mut self, port: Port) {
        if self.runs_on_source() {
            self.generation += 1;
        }
        self.source = self.source.without(PortSet::one(port));
    }

    /// A vCPU port of the source runs.
    pub fn source_ran(&mut self, port: Port, now: At) {
        let copy = self.source_copy;
        self.check(copy, "the source runs a guest whose copy it destroyed");
        let alone = self.destination.is_empty();
        self.check(alone, "P1: the source runs a guest that runs on the destination");
        let only = self.executed != Some(self.generation);
        self.check(only, "P1: the source runs a guest from a state that has run on the destination");
        self.source = self.source.with(PortSet::one(port));
        if self.runs_on_source() {
            self.felt(now);
        }
    }

    /// The source's copy is destroyed by its agent.
    pub fn released(&mut self) {
        // A fence that was lost with its process before it was durable is as if not said: Running still counts.
        let ran = self.ran == Some(self.generation);
        self.check(ran, "the source destroys the only copy: the destination has not run it");
        self.source_copy = false;
    }

    /// The source says `Fin`.
    pub fn said_fin(&mut self) {
        let gone = !self.source_copy;
        self.check(gone, "Fin is said while the source's copy exists");
    }

    /// The source's guest dies with its process.
    pub fn source_dies(&mut self) {
        self.source = PortSet::EMPTY;
        self.source_copy = false;
    }

    /// Which state of the guest the source has stopped at.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Something is in the destination's memory; which state is known once it is verified.
    pub fn loaded(&mut self, attempt: AttemptId) {
        if self.loaded.is_none_or(|(_, of)| of != attempt) {
            self.loaded = Some((std::mem::take(&mut self.verified), attempt));
        }
    }

    /// Everything of that state is in the destination's memory.
    pub fn verified(&mut self, generation: u32) {
        self.verified = generation;
        if let Some(loaded) = &mut self.loaded {
            loaded.0 = generation;
        }
    }

    /// A vCPU port of the destination executes.
    pub fn destination_ran(&mut self, port: Port, now: At) {
        let alone = self.source.is_empty();
        self.check(alone, "P1: the destination runs a guest that runs on the source");
        match self.loaded {
            None => self.check(false, "the destination runs a guest that it does not have"),
            Some((generation, attempt)) => {
                let current = generation == self.generation;
                self.check(current, "P1: the destination runs a state that the source has run on from");
                let open = !self.refused.contains(&attempt);
                self.check(open, "the destination runs an attempt that it had refused");
                self.executed = Some(generation);
                self.ran = Some(generation);
            }
        }
        self.destination = self.destination.with(PortSet::one(port));
        if self.runs_on_destination() {
            self.felt(now);
        }
    }

    /// The destination drops what it has loaded.
    pub fn unloaded(&mut self) {
        let idle = self.destination.is_empty();
        self.check(idle, "the destination drops a guest that runs");
        let unused = self.loaded.is_none_or(|(g, _)| Some(g) != self.executed);
        self.check(unused, "the destination drops a guest that has run on it");
        self.loaded = None;
    }

    /// The destination's guest dies, with its process or its host.
    pub fn destination_dies(&mut self) {
        self.destination = PortSet::EMPTY;
        self.loaded = None;
    }

    /// The destination's guest is paused from outside.
    pub fn destination_pauses(&mut self) {
        self.destination = PortSet::EMPTY;
    }

    /// The operator's word that nothing of the destination's counts any more.
    pub fn fenced(&mut self) {
        self.destination_dies();
        self.executed = None;
    }

    /// The destination says `Running`.
    pub fn said_running(&mut self) {
        let runs = self.any_on_destination();
        self.check(runs, "Running is said of a guest that does not run");
    }

    /// The destination says `Refused`.
    pub fn said_refused(&mut self, attempt: AttemptId) {
        let ran = self.loaded.is_some_and(|(g, of)| of == attempt && self.executed == Some(g));
        // Once the source's copy is gone and Fin was read, the record may be forgotten: nobody can act on it.
        self.check(!ran || !self.source_copy, "Refused is said of a guest that has run");
        self.refused.insert(attempt);
    }
}
