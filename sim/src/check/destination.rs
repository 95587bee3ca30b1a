//! What the destination has of the guest, and runs.

use switchover_core::port::{Port, PortSet};
use switchover_core::time::At;

use super::{Broken, Checker};

/// What the destination's memory holds, compared with the source's at its latest stop.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Memory {
    /// The same, every page.
    Same,
    /// Not the same.
    Other,
    /// Not the same, and every page that differs was written before an earlier attempt was aborted.
    Forgotten,
}

impl Checker {
    /// A port's state was loaded whole. `generation` is that of the stop at which it was saved; `damaged`: it is not what
    /// was saved.
    pub fn loaded(&mut self, attempt: u32, port: Port, generation: u16, damaged: bool) {
        let copy = &mut self.destination;
        if !copy.exists || copy.attempt != attempt || copy.generation != generation {
            copy.states = PortSet::EMPTY;
            copy.memory = Memory::Other;
        }
        copy.exists = true;
        copy.attempt = attempt;
        copy.generation = generation;
        let one = PortSet::one(port);
        copy.states = if damaged { copy.states.without(one) } else { copy.states.with(one) };
    }

    /// A load of that attempt has begun: there is something now that would have to be dropped.
    pub fn loads(&mut self, attempt: u32) {
        let copy = &mut self.destination;
        if !copy.exists || copy.attempt != attempt {
            copy.states = PortSet::EMPTY;
            copy.memory = Memory::Other;
            copy.attempt = attempt;
        }
        copy.exists = true;
    }

    /// What the destination's memory is, as far as a comparison of every page says. Told once the last page of an attempt
    /// has arrived, or when the guest runs and looks.
    pub fn memory(&mut self, memory: Memory) {
        self.destination.memory = memory;
    }

    /// A vCPU port of the destination's executes.
    pub fn destination_runs(&mut self, port: Port, now: At) {
        self.check(self.source.runs.vcpus().is_empty(), Broken::BothRun, now);
        let copy = self.destination;
        self.check(copy.exists, Broken::RunsNothing, now);
        if copy.exists && copy.executed != Some(copy.generation) {
            self.check(copy.generation == self.source.generation, Broken::StaleRuns, now);
            self.check(!self.links.refused.has(copy.attempt), Broken::RefusedRan, now);
            self.check(copy.states == self.rules.ports, Broken::InexactState, now);
            self.check(copy.memory != Memory::Other, Broken::InexactMemory, now);
            self.check(copy.memory != Memory::Forgotten, Broken::PagesForgotten, now);
        }
        self.destination.executed = Some(copy.generation);
        self.destination.ran = Some(copy.generation);
        self.destination.runs = copy.runs.with(PortSet::one(port).vcpus());
        if self.runs_on_destination() {
            self.light(false, now);
        }
    }

    /// The destination drops what it has.
    pub fn unloaded(&mut self, now: At) {
        let copy = self.destination;
        let unused = !copy.exists || copy.executed != Some(copy.generation);
        self.check(copy.runs.is_empty() && unused, Broken::DroppedGuest, now);
        self.destination.exists = false;
        self.destination.states = PortSet::EMPTY;
    }

    /// The destination's guest dies, with its process or its host.
    pub fn destination_dies(&mut self) {
        self.destination.runs = PortSet::EMPTY;
        self.destination.exists = false;
        self.destination.states = PortSet::EMPTY;
    }

    /// The destination's guest is paused from outside.
    pub fn destination_pauses(&mut self) {
        self.destination.runs = PortSet::EMPTY;
    }

    /// The operator's word, and a true one, that the destination's host is dead and its guest with it.
    pub fn fenced(&mut self) {
        self.destination_dies();
        self.destination.executed = None;
    }
}
