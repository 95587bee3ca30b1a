//! Numbers for what is large: machines, messages, jobs; and what a machine does with an event, remembered.
//!
//! A step is a function of the machine and the event (\[SW-71\]: not of when time began), so the real machine takes
//! each event in each of its states once, and every state of the world in which that happens again looks the answer
//! up. That is what makes the walk fast; nothing of the machine is left out.

use std::hash::Hash;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use indexmap::IndexSet;

use switchover_core::action::{DestinationAction, SourceAction};
use switchover_core::event::{DestinationEvent, Owner, SourceEvent};
use switchover_core::id::AttemptId;
use switchover_core::journal::Record;
use switchover_core::limits::ACTIONS_MAX;
use switchover_core::port::{Op, Port};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{Envelope, Seal, ToDestination, ToSource};

use super::settings::{SmallDestination, SmallSource};

/// What every machine's clock reads before a step: machines are moved there after it.
///
/// Instants that lie further back than this are moved to the clock's start. No rule of a machine tells them apart: the
/// durations that it adds to an instant before it compares are far shorter, in every world.
pub(super) const NOW: At = At::from_ns(10_000);
/// Beyond every deadline that a machine can have: then every instant of before lies at the clock's start.
const FAR: Ns = Ns::new(20_000);

/// A message.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Letter {
    ToSource(Envelope, ToSource),
    ToDestination(Envelope, ToDestination),
}

/// Something that a machine asked for and that takes time.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Job {
    Connect,
    Write(Record),
    Port(Port, Op),
    Round {
        fresh: bool,
    },
    LastPages,
    Seal,
    Release,
    Drain(u32),
    Verify(Seal),
    Claim(AttemptId),
    /// The arbiter has decided; its answer is on the way.
    Claimed(AttemptId, Owner),
    Yield(AttemptId),
}

/// When an event is taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    /// At once.
    Now,
    /// Beyond every deadline, before any was judged.
    Late,
    /// When the machine wanted to be called.
    Due,
}

/// A machine, as the tables need it.
pub(super) trait Machine: Clone + Eq + Hash {
    type Event: Copy;
    type Action: Copy;
    /// One step; the actions.
    fn take(&mut self, now: At, event: Self::Event) -> heapless::Vec<Self::Action, ACTIONS_MAX>;
    fn rebase(&mut self, shift: i64);
    fn deadline(&self) -> Option<At>;
    fn invariant(&self) -> bool;
}

impl Machine for SmallSource {
    type Event = SourceEvent;
    type Action = SourceAction;

    fn take(&mut self, now: At, event: SourceEvent) -> heapless::Vec<SourceAction, ACTIONS_MAX> {
        self.step(now, event).actions
    }

    fn rebase(&mut self, shift: i64) {
        Self::rebase(self, shift);
    }

    fn deadline(&self) -> Option<At> {
        Self::deadline(self)
    }

    fn invariant(&self) -> bool {
        Self::invariant(self)
    }
}

impl Machine for SmallDestination {
    type Event = DestinationEvent;
    type Action = DestinationAction;

    fn take(&mut self, now: At, event: DestinationEvent) -> heapless::Vec<DestinationAction, ACTIONS_MAX> {
        self.step(now, event).actions
    }

    fn rebase(&mut self, shift: i64) {
        Self::rebase(self, shift);
    }

    fn deadline(&self) -> Option<At> {
        Self::deadline(self)
    }

    fn invariant(&self) -> bool {
        Self::invariant(self)
    }
}

/// Every machine of one kind that was met.
pub(super) struct Machines<M> {
    all: IndexSet<M, FixedState>,
    deadlines: Vec<Option<At>>,
}

impl<M: Machine> Machines<M> {
    pub(super) fn new() -> Self {
        Self { all: IndexSet::default(), deadlines: Vec::new() }
    }

    /// Its number. Its clock reads [`NOW`].
    pub(super) fn number(&mut self, machine: M) -> u32 {
        let deadline = machine.deadline();
        let (number, new) = self.all.insert_full(machine);
        if new {
            self.deadlines.push(deadline);
        }
        number as u32
    }

    pub(super) fn get(&self, number: u32) -> &M {
        &self.all[number as usize]
    }

    pub(super) fn deadline(&self, number: u32) -> Option<At> {
        self.deadlines[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Lets the machine take an event. Its next number, its actions, and whether its invariant holds and its list of
    /// actions was not full.
    pub(super) fn step(&mut self, number: u32, moment: Moment, event: M::Event) -> Stepped<M> {
        let mut machine = self.get(number).clone();
        let now = match moment {
            Moment::Now => NOW,
            Moment::Late => NOW.plus(FAR),
            Moment::Due => machine.deadline().unwrap_or(NOW).or_later(NOW),
        };
        let actions = machine.take(now, event);
        let sound = machine.invariant() && actions.len() < ACTIONS_MAX;
        machine.rebase(-(now.since(NOW).get() as i64));
        Stepped { next: self.number(machine), actions, sound }
    }

    /// So much time passes for the machine.
    pub(super) fn later(&mut self, number: u32, gain: u8) -> u32 {
        let mut machine = self.get(number).clone();
        machine.rebase(-i64::from(gain));
        self.number(machine)
    }
}

/// See [`Machines::step`].
pub(super) struct Stepped<M: Machine> {
    pub next: u32,
    pub actions: heapless::Vec<M::Action, ACTIONS_MAX>,
    pub sound: bool,
}

/// What a step came to: the machine that follows, and what it does to the world.
#[derive(Copy, Clone)]
pub(super) struct Outcome {
    pub next: u32,
    from: u32,
    to: u32,
}

/// Remembered steps; `A` is what an action comes to in the world.
pub(super) struct Memo<A> {
    steps: HashMap<u64, Outcome, FixedState>,
    acts: Vec<A>,
}

impl<A: Copy> Memo<A> {
    pub(super) fn new() -> Self {
        Self { steps: HashMap::default(), acts: Vec::new() }
    }

    /// `event` is any number that stands for the event and its moment.
    pub(super) fn find(&self, machine: u32, event: u32) -> Option<Outcome> {
        self.steps.get(&key(machine, event)).copied()
    }

    pub(super) fn keep(&mut self, machine: u32, event: u32, next: u32, acts: &[A]) -> Outcome {
        let from = self.acts.len() as u32;
        self.acts.extend_from_slice(acts);
        let outcome = Outcome { next, from, to: self.acts.len() as u32 };
        self.steps.insert(key(machine, event), outcome);
        outcome
    }

    /// What the step does, in order.
    pub(super) fn acts(&self, outcome: Outcome) -> &[A] {
        &self.acts[outcome.from as usize..outcome.to as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }
}

const fn key(machine: u32, event: u32) -> u64 {
    (machine as u64) << 32 | event as u64
}
