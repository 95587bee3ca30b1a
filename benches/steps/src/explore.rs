//! The walk: breadth first over the machines, one case for each behaviour.

use std::collections::{HashSet, VecDeque};

use switchover_core::time::{At, Ns};

use crate::machine::{Machine, Shape};

/// How much later than the step before an event comes.
pub const MOMENTS: [Moment; 3] = [Moment::Soon, Moment::AtDeadline, Moment::FarBeyond];
/// States of one machine and shape that the walk goes on from.
const STATES_MAX: usize = 400;
/// The machines' clocks begin here.
const BEGIN: At = At::from_ns(1_000_000_000);

/// When an event comes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Moment {
    /// A microsecond later.
    Soon,
    /// When the machine wanted to be called.
    AtDeadline,
    /// Beyond any limit.
    FarBeyond,
}

impl Moment {
    fn of<M: Machine>(self, machine: &M, now: At) -> At {
        match self {
            Self::Soon => now.plus(Ns::from_micros(1)),
            Self::AtDeadline => machine.deadline().map_or(now, |at| at.or_later(now)),
            Self::FarBeyond => now.plus(Ns::from_secs(100)),
        }
    }
}

/// An event by its place in [`Machine::events`], and a moment by its place in [`MOMENTS`].
pub type Move = (usize, usize);

/// A way to a state, and the step there that is counted.
#[derive(Clone, Debug)]
pub struct Case {
    /// Leads there.
    pub path: Vec<Move>,
    /// Is counted.
    pub last: Move,
}

/// A machine at a point of the walk.
#[derive(Clone)]
pub struct Walker<M: Machine> {
    machine: M,
    now: At,
    shape: Shape,
}

impl<M: Machine> Walker<M> {
    /// At the start.
    pub fn new(shape: Shape) -> Self {
        Self { machine: M::start(shape), now: BEGIN, shape }
    }

    fn event(&self, (event, moment): Move) -> (At, M::Event) {
        let events = M::events(self.shape, self.machine.attempt());
        (MOMENTS[moment].of(&self.machine, self.now), events[event])
    }

    /// One move on.
    pub fn go(&mut self, step: Move) -> Vec<String> {
        let (now, event) = self.event(step);
        self.now = now;
        self.machine.step(now, event)
    }

    /// The same without the words.
    pub fn advance(&mut self, step: Move) {
        let (now, event) = self.event(step);
        self.now = now;
        self.machine.advance(now, event);
    }

    /// The same, counted.
    pub fn go_counted(&mut self, step: Move) {
        let (now, event) = self.event(step);
        self.now = now;
        self.machine.counted(now, event);
    }

    /// The event of a move, in words.
    pub fn describe(&self, step: Move) -> String {
        let (_, event) = self.event(step);
        format!("{:?}: {event:?}", MOMENTS[step.1])
    }

    /// The state's name.
    pub fn state(&self) -> String {
        let text = format!("{:?}", self.machine);
        let from = text.rfind(" state: ").map_or(0, |at| at + 8);
        text[from..].chars().take_while(|c| c.is_ascii_alphabetic()).collect()
    }

    /// The state's shape: its fields without their numbers, and how many ports a set has.
    fn shape(&self) -> String {
        let text = format!("{:?}", self.machine);
        // Settings do not change; attempts that have ended are a list that no step depends on.
        shape_of(&text[text.rfind(" state: ").unwrap_or(0)..])
    }
}

/// Digits of a number that takes other paths through the arithmetic, and so makes a shape of its own.
const LARGE: u32 = 13;

/// `text` without numbers (a digit stays of large ones), sets of ports as the number of their ports.
fn shape_of(text: &str) -> String {
    let mut shape = String::with_capacity(text.len());
    for (index, piece) in text.split("PortSet(").enumerate() {
        let (digits, rest) = piece.split_at(piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len()));
        if index > 0 {
            let ports = digits.parse::<u32>().map_or(0, u32::count_ones);
            shape.extend((0..ports).map(|_| '+'));
        }
        let mut digits = 0;
        for c in rest.chars() {
            digits = if c.is_ascii_digit() { digits + 1 } else { 0 };
            if digits == 0 || digits == LARGE {
                shape.push(c);
            }
        }
    }
    shape
}

/// What an event or an action is, without what it carries.
fn brief(shape: &str) -> String {
    shape.chars().filter(|c| c.is_ascii_alphabetic() || *c == '(').take(16).collect()
}

/// One case for each behaviour that the walk meets: the state, the kind of the event and its moment, the kinds of the
/// actions, the state that follows.
pub fn cases<M: Machine>(shape: Shape) -> Vec<Case> {
    let start = Walker::<M>::new(shape);
    let events = M::events(shape, start.machine.attempt());
    let kinds: Vec<String> = events.iter().map(|event| shape_of(&format!("{event:?}"))).collect();
    let mut seen = HashSet::from([start.shape()]);
    let mut waiting = VecDeque::from([(start, Vec::new())]);
    let mut behaviours = HashSet::new();
    let mut cases = Vec::new();
    while let Some((walker, path)) = waiting.pop_front() {
        let before = walker.state();
        for (event, kind) in kinds.iter().enumerate() {
            for moment in 0..MOMENTS.len() {
                let mut next = walker.clone();
                let actions: Vec<String> = next.go((event, moment)).iter().map(|a| brief(a)).collect();
                let changed = next.machine != walker.machine;
                // An event that does nothing is one case for each state, whenever it comes.
                let when = (changed || !actions.is_empty()).then_some(moment);
                let after = changed.then(|| next.state());
                if behaviours.insert((before.clone(), brief(kind), when, actions, after)) {
                    cases.push(Case { path: path.clone(), last: (event, moment) });
                }
                if changed && seen.len() < STATES_MAX && seen.insert(next.shape()) {
                    let mut longer = path.clone();
                    longer.push((event, moment));
                    waiting.push_back((next, longer));
                }
            }
        }
    }
    cases
}
