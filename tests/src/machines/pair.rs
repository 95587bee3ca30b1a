//! The world: one source, one destination, and everything between them, step by step in true time.
//!
//! Inputs are taken before a deadline is judged, as a host must. Every step is kept in a log that a failing test
//! prints. The same calls give the same run.

use std::collections::{BTreeMap, BTreeSet};

use switchover_core::action::{Alarm, DestinationAction, Note, SourceAction};
use switchover_core::config::{DestinationConfig, SourceConfig};
use switchover_core::event::{DestinationEvent, Owner, SourceEvent};
use switchover_core::id::{AttemptId, Incarnation, JournalId};
use switchover_core::limits::ACTIONS_MAX;
use switchover_core::outcome::{Ended, Ending};
use switchover_core::port::Side;
use switchover_core::record::{AttemptRecord, Recorder};
use switchover_core::time::{At, Ns};

use super::build::{self, DESTINATION, FIRST, Shape, TestDestination, TestSource, us};
use super::clock::Clock;
use super::host::{Ends, Host, Job, On};
use super::judge::Judge;
use super::network::{Letter, Network, Way, Word};
use super::show;

/// What becomes of a guest when its agent's process dies.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Guest {
    /// World (a): it dies too.
    DiesWithAgent,
    /// World (b): it goes on as it is, running or stopped.
    OutlivesAgent,
}

/// What becomes of a job that a crash finds half done.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Torn {
    /// It took effect: the record is durable, the vCPUs run.
    Kept,
    /// It did not.
    Lost,
}

/// Something that will happen.
#[derive(Copy, Clone, Debug)]
pub(super) enum Happening {
    Job(Side, Job, Ends),
    Arrives(Letter),
    /// A host hears that its link is up or down.
    Link(Side, bool),
}

/// Chooses fates at random, where no rule speaks.
pub trait Adversary: std::fmt::Debug {
    /// How long a job takes and how it ends; `None`: as usual.
    fn job(&mut self, side: Side, job: &Job) -> Option<super::host::Fate>;
    /// The way of a message; `None`: as usual.
    fn letter(&mut self, letter: &Letter) -> Option<Way>;
}

/// The world.
#[derive(Debug)]
pub struct Pair {
    /// The guest's shape.
    pub shape: Shape,
    /// What a crash does to the guest.
    pub guest: Guest,
    /// True time in nanoseconds.
    pub(super) now: u64,
    sequence: u64,
    pub(super) queue: BTreeMap<(u64, u64), Happening>,
    /// The side that has the guest.
    pub source: Host<TestSource>,
    /// The side that will have it.
    pub destination: Host<TestDestination>,
    /// What is between them.
    pub network: Network,
    /// Who owns the run of an attempt.
    pub owners: BTreeMap<AttemptId, Owner>,
    /// Sees everything.
    pub judge: Judge,
    /// Chooses fates, if there is one.
    pub adversary: Option<Box<dyn Adversary>>,
    /// Whether a fence was ever used: the destination's guest died then.
    pub fenced: bool,
    /// The next digest that the destination computes is wrong.
    pub corrupt: bool,
    /// The destination's present incarnation.
    pub incarnation: Incarnation,
    /// The destination's journal identity; a test replaces it to replace the journal.
    pub identity: JournalId,
    pub(super) settings: (SourceConfig<2, 2>, DestinationConfig<2, 2>),
    /// Every note of the source's.
    pub notes: Vec<Note>,
    /// The source's record of each attempt that has ended.
    pub records: Vec<AttemptRecord>,
    recorder: Recorder,
    /// Every note of the destination's.
    pub destination_notes: Vec<Note>,
    pub(super) chunks: u64,
    /// Ports that the source has taken back, for the judge of P3.
    answered: BTreeSet<AttemptId>,
    gone: BTreeSet<AttemptId>,
    /// The most actions that any step returned.
    pub actions_most: usize,
    /// Everything that was ever said.
    sent: Vec<Letter>,
    turns: u32,
    log: Vec<String>,
}

impl Pair {
    /// Both processes run, their link is down, and the guest runs on the source.
    pub fn new(shape: Shape) -> Self {
        Self::drifting(shape, 0, 0)
    }

    /// The same with clocks that gain so many parts per million.
    pub fn drifting(shape: Shape, source_ppm: i64, destination_ppm: i64) -> Self {
        Self::with(shape, build::source(shape), build::destination(shape), source_ppm, destination_ppm)
    }

    /// A world around these machines.
    pub fn with(
        shape: Shape,
        source: TestSource,
        destination: TestDestination,
        source_ppm: i64,
        destination_ppm: i64,
    ) -> Self {
        let vcpus = source.config().contracts.ports().vcpus();
        let settings = (source.config().clone(), destination.config().clone());
        Self {
            shape,
            guest: Guest::DiesWithAgent,
            now: 0,
            sequence: 0,
            queue: BTreeMap::new(),
            source: Host::new(Side::Source, source, Clock::new(Ns::from_secs(1_000), source_ppm)),
            destination: Host::new(
                Side::Destination,
                destination,
                Clock::new(Ns::from_secs(7), destination_ppm),
            ),
            network: Network::default(),
            owners: BTreeMap::new(),
            judge: Judge::new(vcpus),
            adversary: None,
            fenced: false,
            corrupt: false,
            incarnation: FIRST,
            identity: DESTINATION,
            settings,
            notes: Vec::new(),
            records: Vec::new(),
            recorder: Recorder::default(),
            destination_notes: Vec::new(),
            chunks: 0,
            answered: BTreeSet::new(),
            gone: BTreeSet::new(),
            actions_most: 0,
            sent: Vec::new(),
            turns: 0,
            log: Vec::new(),
        }
    }

    pub(super) fn later(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at.max(self.now), self.sequence), happening);
    }

    /// Hands the source an event now.
    pub fn source(&mut self, event: SourceEvent) {
        let Some(machine) = self.source.machine.as_mut() else { return };
        let now = self.source.clock.at(self.now);
        let step = machine.step(now, event);
        let (holds, state) = (machine.invariant(), show::state_of(machine));
        self.source.deadline = step.deadline;
        let actions: Vec<_> = step.actions.iter().map(show::source_action).collect();
        self.note_step("S", show::source_event(&event), state, &actions);
        self.must(holds, "the source's invariant");
        self.learn(&event);
        for action in &step.actions {
            self.do_source(*action);
        }
    }

    /// Hands the destination an event now.
    pub fn destination(&mut self, event: DestinationEvent) {
        let Some(machine) = self.destination.machine.as_mut() else { return };
        let now = self.destination.clock.at(self.now);
        let step = machine.step(now, event);
        let (holds, state) = (machine.invariant(), show::state_of(machine));
        self.destination.deadline = step.deadline;
        let actions: Vec<_> = step.actions.iter().map(show::destination_action).collect();
        self.note_step("D", show::destination_event(&event), state, &actions);
        self.must(holds, "the destination's invariant");
        for action in &step.actions {
            self.do_destination(*action);
        }
    }

    pub(super) fn note_step(&mut self, who: &str, event: String, state: String, actions: &[String]) {
        self.actions_most = self.actions_most.max(actions.len());
        let at = show::time(Ns::new(self.now));
        self.log.push(format!("{at:>12} {who} {event} => {state}: {}", actions.join("; ")));
        self.must(actions.len() < ACTIONS_MAX, "a step fills its list of actions");
    }

    pub(super) fn say(&mut self, what: &str) {
        self.log.push(format!("{:>12} - {what}", show::time(Ns::new(self.now))));
    }

    fn must(&mut self, holds: bool, what: &str) {
        if !holds {
            self.judge.violations.push(what.to_string());
        }
    }

    /// What entitles the source to run the guest again after `Go`.
    fn learn(&mut self, event: &SourceEvent) {
        use switchover_core::journal::RecordKind;
        use switchover_core::wire::message::ToSource;
        let knows = match event {
            SourceEvent::Message(envelope, ToSource::Refused { .. }) => Some(envelope.attempt),
            SourceEvent::Claimed(id, Owner::Source) => Some(*id),
            SourceEvent::Written(RecordKind::Fenced, id) => Some(*id),
            _ => None,
        };
        self.answered.extend(knows);
    }

    /// A fence is durable.
    pub(super) fn knows(&mut self, attempt: AttemptId) {
        self.answered.insert(attempt);
    }

    /// P3: after `Go` the source never guesses.
    pub(super) fn rolls_back(&mut self, attempt: Option<AttemptId>) {
        let guesses = attempt.is_some_and(|id| self.gone.contains(&id) && !self.answered.contains(&id));
        self.must(!guesses, "P3: the source rolls back after Go without knowing");
    }

    pub(super) fn went(&mut self, attempt: AttemptId) {
        self.gone.insert(attempt);
    }

    /// Delivers a message that was sent before, whatever became of it then, to whoever lives now.
    pub fn replay(&mut self, which: usize) {
        if let Some(letter) = self.sent.get(which % self.sent.len().max(1)).copied() {
            self.say("an old message comes again:");
            self.read(letter);
        }
    }

    /// Puts a message on its way.
    pub(super) fn send(&mut self, letter: Letter) {
        self.sent.push(letter);
        let chosen = self.adversary.as_mut().and_then(|adversary| adversary.letter(&letter));
        let way = match self.network.way(&letter) {
            Way::Takes(_) if chosen.is_some() => chosen.unwrap_or(Way::Lost),
            way => way,
        };
        match way {
            Way::Lost => self.say(&format!("lost: {:?}", letter.word())),
            Way::Held => self.network.held.push(letter),
            Way::Takes(_) | Way::Twice(_) if !self.network.up => {}
            Way::Takes(time) => self.arrive(letter, time),
            Way::Twice(later) => {
                let delay = self.network.delay;
                self.arrive(letter, delay);
                self.arrive(letter, delay.plus(later));
            }
        }
    }

    fn arrive(&mut self, letter: Letter, after: Ns) {
        let at = self.source.clock.after(self.now, after);
        self.later(at, Happening::Arrives(letter));
    }

    /// Delivers the oldest message of that word that is held, at once; false if there is none.
    pub fn deliver(&mut self, word: Word) -> bool {
        let Some(at) = self.network.held.iter().position(|letter| letter.word() == word) else {
            return false;
        };
        let letter = self.network.held.remove(at);
        self.read(letter);
        true
    }

    pub(super) fn read(&mut self, letter: Letter) {
        match letter {
            Letter::ToSource(envelope, message) => self.source(SourceEvent::Message(envelope, message)),
            Letter::ToDestination(envelope, message) => {
                self.destination(DestinationEvent::Message(envelope, message));
            }
        }
    }

    /// When the next thing happens, if anything will.
    fn next(&self) -> Option<u64> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let due = |clock: &Clock, deadline: Option<At>, lateness: Ns| {
            deadline.map(|at| clock.when(at.plus(lateness), self.now))
        };
        let source = due(&self.source.clock, self.source.deadline, self.source.lateness);
        let destination = due(&self.destination.clock, self.destination.deadline, self.destination.lateness);
        [queued, source, destination].into_iter().flatten().min()
    }

    /// Lets the next thing happen; false if nothing is due by `until`.
    ///
    /// # Panics
    /// When a machine asks to be called again without end.
    fn turn(&mut self, until: u64) -> bool {
        let Some(at) = self.next().filter(|at| *at <= until) else { return false };
        self.turns = if at == self.now { self.turns + 1 } else { 0 };
        assert!(self.turns < 2_000, "a machine spins at {at}\n{}", self.tail());
        self.now = at;
        if let Some(entry) = self.queue.first_entry()
            && entry.key().0 <= at
        {
            let happening = entry.remove();
            let before = self.judge.violations.len();
            self.happen(happening);
            if self.judge.violations.len() > before {
                self.say(&format!("^ BROKEN by {happening:?}"));
            }
            return true;
        }
        let source = self
            .source
            .deadline
            .is_some_and(|due| self.source.clock.when(due.plus(self.source.lateness), self.now) <= at);
        if source {
            self.source(SourceEvent::Deadline);
        } else {
            self.destination(DestinationEvent::Deadline);
        }
        true
    }

    /// Lets things happen for that long.
    pub fn run(&mut self, time: Ns) {
        let until = self.now.saturating_add(time.get());
        while self.turn(until) {}
        self.now = until;
    }

    /// Lets things happen until `done`; false if it was not after 20 s.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        let until = self.now.saturating_add(20_000_000_000);
        while !done(self) {
            if !self.turn(until) {
                self.now = until;
                return done(self);
            }
        }
        true
    }

    /// Lets things happen until the source is in the state of that name.
    ///
    /// # Panics
    /// When it never is.
    pub fn until_source(&mut self, state: &str) {
        let there =
            self.until(|pair| pair.source.machine.as_ref().is_some_and(|m| show::state_of(m) == state));
        assert!(there, "the source never is {state}\n{}", self.tail());
    }

    /// Lets things happen until the destination is in the state of that name.
    ///
    /// # Panics
    /// When it never is.
    pub fn until_destination(&mut self, state: &str) {
        let there =
            self.until(|pair| pair.destination.machine.as_ref().is_some_and(|m| show::state_of(m) == state));
        assert!(there, "the destination never is {state}\n{}", self.tail());
    }

    /// The operator wants the guest moved.
    pub fn begin(&mut self) {
        self.source(SourceEvent::Begin);
    }

    /// How the latest attempt of the source's ended, if it did.
    pub fn ended(&self) -> Option<Ended> {
        self.notes.iter().rev().find_map(|note| match note {
            Note::Ended(ended) => Some(*ended),
            _ => None,
        })
    }

    /// Whether the latest attempt committed.
    pub fn committed(&self) -> bool {
        self.ended().is_some_and(|ended| ended.ending == Ending::Committed)
    }

    /// The longest blackout so far, on the source's clock.
    pub fn blackout(&self) -> Ns {
        self.judge.longest(self.source.clock.at(self.now))
    }

    /// The source's settings' hard limit.
    pub fn hard_limit(&self) -> Ns {
        self.settings.0.limits.hard()
    }

    /// Whether the source has said `Go`.
    pub fn said_go(&self) -> bool {
        self.notes.contains(&Note::Go)
    }

    /// Whether the source was ever in doubt.
    pub fn doubted(&self) -> bool {
        self.notes.contains(&Note::InDoubt)
    }

    /// Whether either machine raised that alarm.
    pub fn alarmed(&self, alarm: Alarm) -> bool {
        let note = Note::Alarm(alarm);
        self.notes.contains(&note) || self.destination_notes.contains(&note)
    }

    /// `go_by` of the attempt that was admitted last, and when `Go` was said, both counted from t = 0.
    pub fn go_by(&self) -> Option<Ns> {
        self.notes.iter().rev().find_map(|note| match note {
            Note::Verdict(verdict) if verdict.fits => Some(verdict.go_by),
            _ => None,
        })
    }

    /// The source's clock since t = 0.
    pub fn since_stop(&self) -> Ns {
        let now = self.source.clock.at(self.now);
        self.judge.spans.last().map_or(Ns::ZERO, |span| now.since(span.began))
    }

    /// A world whose destination verifies for so long that `Go` is said at the last instant: `prepare` is done to
    /// both the world that measures and the one that is returned, which has begun.
    ///
    /// # Panics
    /// When no `Go` is said.
    pub fn latest_go(prepare: impl Fn(&mut Self), new: impl Fn() -> Self) -> Self {
        let begun = |verify: Ns| {
            let mut pair = new();
            prepare(&mut pair);
            pair.destination.slow(On::Verify, verify);
            pair.begin();
            assert!(pair.until(|pair| pair.said_go() || pair.ended().is_some()));
            pair
        };
        let early = begun(Ns::ZERO);
        assert!(early.said_go(), "no Go\n{}", early.tail());
        let spare = early.go_by().unwrap_or_default().minus(early.since_stop());
        let late = begun(spare.minus(us(100)));
        let left = late.go_by().unwrap_or_default().minus(late.since_stop());
        assert!(late.said_go() && left < us(300), "Go is {left:?} before go_by\n{}", late.tail());
        late
    }

    /// The last steps, for a message.
    pub fn tail(&self) -> String {
        let from = self.log.len().saturating_sub(80);
        self.log[from..].join("\n")
    }

    /// Nothing that must not happen has happened.
    ///
    /// # Panics
    /// When something has.
    pub fn check(&self) {
        let broken = &self.judge.violations;
        assert!(broken.is_empty(), "{}\n{}", broken.join("\n"), self.tail());
    }

    /// The guest runs where it should, and nothing was broken on the way.
    ///
    /// # Panics
    /// Otherwise.
    pub fn runs_on(&self, side: Side) {
        self.check();
        let (here, there) = (self.judge.runs_on_source(), self.judge.runs_on_destination());
        let right = match side {
            Side::Source => here && !self.judge.any_on_destination(),
            Side::Destination => there && !here,
        };
        assert!(right, "the guest does not run on {side:?}\n{}", self.tail());
    }

    /// Does what the source asked.
    pub(super) fn do_source(&mut self, action: SourceAction) {
        if let SourceAction::Note(note) = action {
            let now = self.source.clock.at(self.now);
            match note {
                Note::Stopping => self.judge.stopping(now),
                Note::Runs => self.judge.says_runs(now),
                _ => {}
            }
            if self.recorder.note(now, &note) {
                self.records.push(self.recorder.current().clone());
            }
            self.notes.push(note);
        } else {
            self.source_asks(action);
        }
    }

    /// Does what the destination asked.
    pub(super) fn do_destination(&mut self, action: DestinationAction) {
        if let DestinationAction::Note(note) = action {
            self.destination_notes.push(note);
        } else {
            self.destination_asks(action);
        }
    }
}
