//! Sees what happens to the guest's two copies, and says what must not have happened.
//!
//! It knows nothing of the machines' states: only effects on vCPUs, devices and copies, what was said aloud, and the
//! source's clock. It is part of each state, so it is small: flags, and numbers of attempts and of stops.

use zerocopy::{Immutable, IntoBytes};

/// A promise that is broken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Which: `P1` to `P5`, or `rule` for what the protocol forbids without naming a promise.
    pub promise: &'static str,
    /// What happened.
    pub what: &'static str,
}

/// What a step comes to for the checker.
pub(super) type Verdict = Result<(), Broken>;

const fn must(holds: bool, promise: &'static str, what: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(Broken { promise, what }) }
}

/// vCPUs run on the source.
const SOURCE_RUNS: u8 = 1;
/// The source's copy exists.
const SOURCE_COPY: u8 = 2;
/// vCPUs run on the destination.
const DESTINATION_RUNS: u8 = 4;
/// The destination has something loaded.
const LOADED: u8 = 8;
/// What is loaded is not what was saved.
const CORRUPT: u8 = 16;
/// Pages were read from the dirty log, and neither delivered nor given back.
const PAGES_OUT: u8 = 32;
/// The destination's memory has had every page since it was last forgotten.
const WHOLE: u8 = 64;
/// A device of the source is stopped.
const DEVICE_STOPPED: u8 = 128;

/// In `stopped`: the guest is dark.
const DARK: u8 = 1;
/// In `stopped`: every page is to be sent, by the next round that ends.
const OWED: u8 = 2;

/// The judge.
#[derive(Copy, Clone, PartialEq, Eq, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Judge {
    /// Since t = 0 while the guest does not run, in ticks.
    pub dark: u16,
    /// What the destination has refused, a bit each: see [`bit`].
    refused: u16,
    /// What `Go` was sent for.
    went: u16,
    /// Of what the source knows that it does not run.
    known: u16,
    flags: u8,
    /// Counts stops of a running guest: names the state that was saved.
    generation: u8,
    /// The state that has arrived at the destination and was verified; 0 is none.
    arrived: u8,
    /// The attempt that it was loaded for.
    attempt: u8,
    /// By which incarnation.
    incarnation: u8,
    /// The state of which a vCPU has executed on the destination; 0 is none.
    executed: u8,
    /// The same, whatever was fenced since.
    ran: u8,
    /// [`DARK`] and [`OWED`].
    stopped: u8,
}

/// An attempt with one incarnation of the destination: no other can run it. Three attempts and four incarnations
/// are told apart.
const fn bit(attempt: u8, incarnation: u8) -> u16 {
    1 << ((attempt & 3) * 4 + (incarnation & 3))
}

/// An attempt with whomever.
const fn bits(attempt: u8) -> u16 {
    15 << ((attempt & 3) * 4)
}

impl Judge {
    /// The guest runs on the source.
    pub(super) const NEW: Self = Self {
        dark: 0,
        flags: SOURCE_RUNS | SOURCE_COPY,
        generation: 0,
        arrived: 0,
        attempt: 0,
        incarnation: 0,
        executed: 0,
        ran: 0,
        refused: 0,
        went: 0,
        known: 0,
        stopped: 0,
    };

    const fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn set(&mut self, flag: u8, to: bool) {
        self.flags = if to { self.flags | flag } else { self.flags & !flag };
    }

    pub(super) const fn runs_on_source(&self) -> bool {
        self.is(SOURCE_RUNS)
    }

    pub(super) const fn runs_on_destination(&self) -> bool {
        self.is(DESTINATION_RUNS)
    }

    pub(super) const fn source_copy(&self) -> bool {
        self.is(SOURCE_COPY)
    }

    pub(super) const fn destination_copy(&self) -> bool {
        self.is(LOADED)
    }

    pub(super) const fn device_stopped(&self) -> bool {
        self.is(DEVICE_STOPPED)
    }

    /// The guest is dark: it runs nowhere since t = 0.
    pub(super) const fn is_dark(&self) -> bool {
        self.stopped & DARK != 0
    }

    /// Which state of the guest the source has stopped at.
    pub(super) const fn generation(&self) -> u8 {
        self.generation
    }

    /// t = 0, as the source says.
    pub(super) fn stopping(&mut self) {
        (self.stopped, self.dark) = (self.stopped | DARK, 0);
    }

    fn felt(&mut self) {
        (self.stopped, self.dark) = (self.stopped & !DARK, 0);
    }

    /// The source says that the guest runs.
    pub(super) const fn says_runs(&self) -> Verdict {
        must(self.is(SOURCE_RUNS), "P5", "the source says that the guest runs, and it does not")
    }

    /// The source says that an attempt was aborted.
    pub(super) fn says_aborted(&self) -> Verdict {
        must(self.is(SOURCE_RUNS), "P5", "an attempt is aborted, and the guest does not run on the source")?;
        must(
            !self.is(PAGES_OUT),
            "P5",
            "an attempt is aborted, and pages that were read are not dirty again",
        )?;
        must(!self.is(DEVICE_STOPPED), "P5", "an attempt is aborted, and a device is still stopped")
    }

    /// A device of the source runs or is stopped. One that the source gave up, and said so, counts as running.
    pub(super) fn source_device(&mut self, runs: bool) {
        self.set(DEVICE_STOPPED, !runs);
    }

    /// The source's vCPUs are stopped.
    pub(super) fn source_stopped(&mut self) {
        if self.is(SOURCE_RUNS) {
            self.generation += 1;
        }
        self.set(SOURCE_RUNS, false);
    }

    /// The source's vCPUs run.
    pub(super) fn source_ran(&mut self) -> Verdict {
        let alone = !self.is(DESTINATION_RUNS);
        let only = self.executed == 0 || self.executed != self.generation;
        must(self.is(SOURCE_COPY), "rule", "the source runs a guest whose copy it destroyed")?;
        must(alone, "P1", "the source runs a guest that runs on the destination")?;
        must(only, "P1", "the source runs a guest from a state that has run on the destination")?;
        self.set(SOURCE_RUNS, true);
        self.felt();
        Ok(())
    }

    /// The source's copy is destroyed by its agent.
    pub(super) fn released(&mut self) -> Verdict {
        let ran = self.ran != 0 && self.ran == self.generation;
        must(ran, "rule", "the source destroys the only copy: the destination has not run it")?;
        self.set(SOURCE_COPY, false);
        Ok(())
    }

    /// The source says `Fin`.
    pub(super) const fn says_fin(&self) -> Verdict {
        must(!self.is(SOURCE_COPY), "rule", "Fin is said while the source's copy exists")
    }

    /// The source says `Go`.
    pub(super) fn says_go(&mut self, attempt: u8, incarnation: u8) {
        self.went |= bit(attempt, incarnation);
    }

    /// The source hears that the attempt will never run with that incarnation.
    pub(super) fn hears_refused(&mut self, attempt: u8, incarnation: u8) {
        self.known |= bit(attempt, incarnation);
    }

    /// The source has it from the arbiter, or durable from the operator, that the attempt will never run elsewhere.
    pub(super) fn knows(&mut self, attempt: u8) {
        self.known |= bits(attempt);
    }

    /// The source begins to roll back.
    pub(super) const fn rolls_back(&self, attempt: u8) -> Verdict {
        let guesses = self.went & !self.known & bits(attempt) != 0;
        must(!guesses, "P3", "the source rolls back after Go without knowing")
    }

    /// The source reads pages from its dirty log; all of them, or those of before are delivered.
    pub(super) fn reads_pages(&mut self) {
        self.set(PAGES_OUT, true);
    }

    /// What was read and not sent is dirty again.
    pub(super) fn keeps_pages(&mut self) {
        self.set(PAGES_OUT, false);
    }

    /// A round that sends every page is asked for: what of it is cut short stays dirty, and goes with the next.
    pub(super) fn owes_all_pages(&mut self) {
        self.stopped |= OWED;
    }

    /// A round has been put on the wire, and all that was dirty with it.
    pub(super) fn round_ends(&mut self) {
        if self.stopped & OWED != 0 {
            self.stopped &= !OWED;
            self.set(WHOLE, true);
        }
    }

    /// The source's agent dies: its dirty log goes with it, and the next one sends everything.
    pub(super) fn source_agent_dies(&mut self, guest_too: bool) {
        self.set(PAGES_OUT, false);
        self.stopped &= !OWED;
        if guest_too {
            self.set(SOURCE_RUNS | SOURCE_COPY, false);
        }
    }

    /// The destination expects pages; not warm: it forgets what it has.
    pub(super) fn expects(&mut self, warm: bool) {
        self.arrived = 0;
        if !warm {
            self.set(WHOLE, false);
        }
    }

    /// Something is loaded at the destination.
    pub(super) fn loaded(&mut self, attempt: u8, incarnation: u8) {
        (self.attempt, self.incarnation) = (attempt, incarnation);
        self.set(LOADED, true);
    }

    /// Everything of that state has arrived; or something that is not that.
    pub(super) fn arrived(&mut self, generation: u8, corrupt: bool) {
        self.arrived = generation;
        self.set(CORRUPT, corrupt);
    }

    /// The destination's vCPUs execute.
    pub(super) fn destination_ran(&mut self) -> Verdict {
        must(!self.is(SOURCE_RUNS), "P1", "the destination runs a guest that runs on the source")?;
        must(self.is(LOADED), "rule", "the destination runs a guest that it does not have")?;
        let current = self.arrived == self.generation;
        must(current, "P1", "the destination runs a state that the source has run on from")?;
        must(!self.is(CORRUPT), "P4", "the destination runs what the source did not save")?;
        must(self.is(WHOLE), "P4", "the destination runs a guest whose memory was not all sent")?;
        let open = self.refused & bit(self.attempt, self.incarnation) == 0;
        must(open, "rule", "the destination runs an attempt that it had refused")?;
        self.executed = self.arrived;
        self.ran = self.arrived;
        self.set(DESTINATION_RUNS, true);
        self.felt();
        Ok(())
    }

    /// The destination drops what it has loaded.
    pub(super) fn unloaded(&mut self) -> Verdict {
        must(!self.is(DESTINATION_RUNS), "rule", "the destination drops a guest that runs")?;
        let unused = !self.is(LOADED) || self.arrived == 0 || self.arrived != self.executed;
        must(unused, "rule", "the destination drops a guest that has run on it")?;
        self.destination_dies();
        Ok(())
    }

    /// The destination's guest dies with its process or its host.
    pub(super) fn destination_dies(&mut self) {
        self.set(DESTINATION_RUNS | LOADED | CORRUPT, false);
        (self.arrived, self.attempt, self.incarnation) = (0, 0, 0);
    }

    /// The operator's word that nothing of the destination's counts any more.
    pub(super) fn fenced(&mut self) {
        self.destination_dies();
        self.set(WHOLE, false);
        self.executed = 0;
    }

    /// The destination says `Running`.
    pub(super) const fn says_running(&self) -> Verdict {
        must(self.is(DESTINATION_RUNS), "rule", "Running is said of a guest that does not run")
    }

    /// The destination says `Refused`.
    pub(super) fn says_refused(&mut self, attempt: u8, incarnation: u8) -> Verdict {
        let same = self.attempt == attempt && self.incarnation == incarnation;
        let ran = same && self.executed != 0 && self.executed == self.arrived;
        // Once the source's copy is gone and Fin was read, the record may be forgotten: nobody can act on it.
        let harmless = !ran || !self.is(SOURCE_COPY);
        must(harmless, "rule", "Refused is said of a guest that has run")?;
        self.refused |= bit(attempt, incarnation);
        Ok(())
    }

    /// A tick passes, the guest being dark or not. `limit` is H in ticks of the source's clock.
    pub(super) fn tick(&mut self, limit: impl Fn(u16) -> bool) -> Verdict {
        if self.stopped & DARK == 0 {
            return Ok(());
        }
        self.dark = self.dark.saturating_add(1);
        must(limit(self.dark), "P2", "the guest runs nowhere at H")
    }
}
