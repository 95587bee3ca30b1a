//! The timed world: two hosts with clocks of their own, what is between them, and everything that can go wrong.
//!
//! ```text
//!  Scenario -> Plan --+                 +-- Checker: guests, words, clocks; which promise broke
//!  seed ----> Dice ---+--> World -------+-- Recorder: the source's records, as a host keeps them
//!                           |           +-- Trace: one line a step, if asked for
//!        +------------------+------------------+
//!     Queue (true time, order)   Link, Guest   Host: clock, timer, journal, jobs -- real Source, real Destination
//! ```
//!
//! Everything is drawn from the seed, and nothing depends on addresses, hash tables, floats or the word size: the same
//! seed gives the same run on any machine, in any build. A world is used again for seed after seed without allocating.
//!
//! Inputs are taken before a deadline is judged, as a host must ([SW-70]). Files: `plan` (what is worked out once), `dice`,
//! `clock`, `queue`, `guest`, `link`, `letters`, `journal`, `host` (the parts); `source`, `destination`, `jobs`, `wire`,
//! `life`, `faults` (what happens); `turn` (the loop). Not here: judging ([`crate::check`]), and what a machine decides.

mod clock;
mod destination;
mod dice;
mod faults;
mod guest;
mod host;
mod jobs;
mod journal;
mod letters;
mod life;
mod link;
mod mutants;
mod plan;
mod queue;
mod source;
mod trace;
mod turn;
mod wire;

use heapless::Vec as Fixed;
use switchover_core::event::Owner;
use switchover_core::id::AttemptId;
use switchover_core::learn::Learner;
use switchover_core::port::{Phase, Side};
use switchover_core::record::{AttemptRecord, Recorder};
use switchover_core::time::{At, Ns};
use switchover_core::units::Bytes;

use crate::check::Checker;
use crate::run::{ATTEMPTS_KEPT, Attempt, Run};
use crate::scenario::Scenario;
use crate::scenario::model::{DEVICES, VCPU_PORTS};
use clock::Clock;
use dice::{Dice, For};
use faults::Fault;
use guest::{Guest, Pages};
use host::Host;
use letters::Letters;
use link::Link;
use plan::{DESTINATION, Plan, SOURCE, SimDestination, SimSource};
use queue::{Happening, Queue};
pub use trace::Trace;

/// Where the clocks begin: each host's has run for a while, and they do not agree.
const BEGAN: [Ns; 2] = [Ns::from_secs(1_000), Ns::from_secs(7)];

/// A world that plays one seed after another.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    seed: u64,
    /// True time since the run began, in nanoseconds.
    now: u64,
    steps: u32,
    dice: Dice,
    queue: Queue,
    letters: Letters,
    link: Link,
    guest: Guest,
    source: SimSource,
    destination: SimDestination,
    hosts: [Host; 2],
    checker: Checker,
    recorder: Recorder,
    learner: Learner<VCPU_PORTS, DEVICES>,
    /// Something was learned that the machine does not know yet.
    learned: bool,
    /// Who owns the run of an attempt, at the arbiter.
    owners: Vec<(AttemptId, Owner)>,
    no_arbiter_until: [u64; 2],
    faults: Vec<Fault>,
    /// The phase that was entered last, where, and in which attempt.
    phase: Option<(Side, Phase, u32)>,
    /// Attempts of the source's process, and stops.
    attempt: u32,
    stops: u32,
    /// When the latest stop began, in true time.
    stopped_at: u64,
    /// The pass over the dirty set that is under way.
    passing: Option<(Pages, Bytes)>,
    /// It is of everything there is.
    fresh: bool,
    /// What the source computes its deadlines with.
    delta: Ns,
    planned_transfer: Ns,
    incarnation: u64,
    /// Restarts to come.
    restarts: u32,
    /// Up to then something goes wrong.
    noisy_until: u64,
    /// The guest died with a process: nobody can run it any more.
    guest_lost: bool,
    attempts: Fixed<Attempt, ATTEMPTS_KEPT>,
    records: Option<Vec<AttemptRecord>>,
    trace: Option<Trace>,
}

impl World {
    /// A world of that scenario, which was validated.
    ///
    /// # Panics
    /// If the scenario's settings do not hold together: a validated scenario's do.
    #[must_use]
    pub fn new(scenario: &Scenario) -> Self {
        let plan = Plan::new(scenario);
        Self {
            seed: 0,
            now: 0,
            steps: 0,
            dice: Dice::new(0),
            queue: Queue::default(),
            letters: Letters::default(),
            link: Link::new(),
            guest: Guest::new(&scenario.guest),
            source: plan.source.clone(),
            destination: plan.destination.clone(),
            hosts: [
                Host::new(Clock::new(Ns::ZERO, 0), SOURCE),
                Host::new(Clock::new(Ns::ZERO, 0), DESTINATION),
            ],
            checker: Checker::new(plan.rules),
            recorder: Recorder::default(),
            learner: Learner::new(scenario.source_contracts.clone()),
            learned: false,
            owners: Vec::new(),
            no_arbiter_until: [0; 2],
            faults: Vec::new(),
            phase: None,
            attempt: 0,
            stops: 0,
            stopped_at: 0,
            passing: None,
            fresh: false,
            delta: scenario.source_contracts.link.delay.time,
            planned_transfer: Ns::ZERO,
            incarnation: 0,
            restarts: 0,
            noisy_until: 0,
            guest_lost: false,
            attempts: Fixed::new(),
            records: None,
            trace: None,
            plan,
        }
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &Scenario {
        &self.plan.scenario
    }

    /// Plays the run of that seed.
    pub fn run(&mut self, seed: u64) -> Run {
        self.reset(seed);
        self.play();
        self.result()
    }

    /// The same, and what happened at every step.
    pub fn run_traced(&mut self, seed: u64) -> (Run, Trace) {
        self.trace = Some(Trace::default());
        self.records = Some(Vec::new());
        let run = self.run(seed);
        (run, self.trace.take().unwrap_or_default())
    }

    /// Plays that seed and keeps the records of its attempts, as a host writes them: of the latest attempt too, if it has
    /// not ended.
    pub fn run_recorded(&mut self, seed: u64) -> (Run, Vec<AttemptRecord>) {
        self.records = Some(Vec::new());
        let run = self.run(seed);
        (run, self.take_records())
    }

    /// The records that [`World::run_traced`] kept.
    pub fn take_records(&mut self) -> Vec<AttemptRecord> {
        let mut records = self.records.take().unwrap_or_default();
        let current = self.recorder.current();
        if current.ended.is_none() && current.attempt != AttemptId::default() {
            records.push(current.clone());
        }
        records
    }

    /// What the source's clock reads.
    #[must_use]
    pub fn source_now(&self) -> At {
        self.hosts[0].clock.at(self.now)
    }

    fn reset(&mut self, seed: u64) {
        self.seed = seed;
        (self.now, self.steps) = (0, 0);
        self.dice = Dice::new(seed);
        self.queue.clear();
        self.letters.clear();
        self.link.reset();
        self.guest.reset();
        self.source.clone_from(&self.plan.source);
        self.destination.clone_from(&self.plan.destination);
        let drifts = [
            self.dice.either_way(For::Source, self.plan.scenario.source.drift.get()),
            self.dice.either_way(For::Destination, self.plan.scenario.destination.drift.get()),
        ];
        self.hosts[0] = Host::new(Clock::new(BEGAN[0], drifts[0]), SOURCE);
        self.hosts[1] = Host::new(Clock::new(BEGAN[1], drifts[1]), DESTINATION);
        self.checker = Checker::new(self.plan.rules);
        self.recorder = Recorder::default();
        if self.learned || self.attempt > 0 {
            self.learner = Learner::new(self.plan.scenario.source_contracts.clone());
        }
        self.learned = false;
        self.owners.clear();
        self.no_arbiter_until = [0; 2];
        self.phase = None;
        (self.attempt, self.stops, self.restarts) = (0, 0, 0);
        self.stopped_at = 0;
        self.passing = None;
        self.delta = self.plan.scenario.source_contracts.link.delay.time;
        self.planned_transfer = Ns::ZERO;
        (self.incarnation, self.noisy_until) = (0, 0);
        self.guest_lost = false;
        self.attempts.clear();
        self.queue.push(0, Happening::Begin);
        for side in [Side::Source, Side::Destination] {
            self.next_theft(side);
        }
        self.draw_faults();
    }
}
