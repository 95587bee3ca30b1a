//! A small world in motion: its tables, and how a machine's step acts on a state.
//!
//! Files beside it: `moves` (what can happen next), `effects` (what it does to the guest, the journals, the
//! processes), `time` (ticks of a timed world).

use foldhash::fast::FixedState;
use indexmap::IndexSet;

use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::digest::Piece;
use switchover_core::event::{DestinationEvent, Outcome as Answer, Pass, SourceEvent};
use switchover_core::id::AttemptId;
use switchover_core::journal::RecordKind;
use switchover_core::outcome::Ending;
use switchover_core::port::{Op, PortSet, Side};
use switchover_core::time::Ns;
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Measured, Seal, ToDestination, ToSource};

use super::judge::{Broken, Judge, Verdict};
use super::reached::Firsts;
use super::settings::{self, SmallDestination, SmallSource};
use super::state::{JOBS_MAX, LETTERS_MAX, State, place};
use super::tables::{Job, Letter, Machines, Memo, Moment};
use super::world::World;

/// How a job ends.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Ends {
    /// Done, and said so.
    Done,
    /// Failed with nothing done.
    Failed,
    /// Said to have failed, and done all the same: a durable record, a claim, a resume that executed something.
    FailedDone,
    /// Verified, and what arrived is not what was sent.
    Corrupt,
}

/// An event, by what it is about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Code {
    Begin,
    Cancel,
    Fence,
    LinkUp,
    LinkDown,
    Due,
    Letter(u8),
    /// With the state of the guest that it is about, for a seal.
    Job(u8, Ends, u8),
}

impl Code {
    fn key(self, moment: Moment) -> u32 {
        let (kind, a, b, c) = match self {
            Self::Begin => (1, 0, 0, 0),
            Self::Cancel => (2, 0, 0, 0),
            Self::Fence => (3, 0, 0, 0),
            Self::LinkUp => (4, 0, 0, 0),
            Self::LinkDown => (5, 0, 0, 0),
            Self::Due => (6, 0, 0, 0),
            Self::Letter(id) => (7, id, 0, 0),
            Self::Job(id, ends, generation) => (8, id, generation, ends as u8),
        };
        kind << 28 | u32::from(a) << 20 | u32::from(b) << 12 | u32::from(c) << 4 | moment as u32
    }
}

/// What an action comes to in the world.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Act {
    Send(u8),
    Start(u8),
    Write(u8),
    /// Ports are taken back from what they were doing, and undo it: by the source in that attempt.
    Undo(u8, PortSet),
    Unload(PortSet),
    Keep,
    Read,
    ReadAll,
    Expect(bool),
    Discard,
    Stopping,
    Runs,
    Aborted,
    DeviceLost,
    Go(u8, u8),
    Fin,
    Running,
    Refused(u8, u8),
    /// The machine's invariant does not hold, or it had no room for an action.
    Unsound,
}

/// The tables of one world, and what was seen in it.
pub(super) struct Walk {
    pub(super) world: World,
    pub(super) sources: Machines<SmallSource>,
    pub(super) destinations: Machines<SmallDestination>,
    pub(super) letters: IndexSet<Letter, FixedState>,
    pub(super) jobs: [IndexSet<Job, FixedState>; 2],
    pub(super) memo: [Memo<Act>; 2],
    pub(super) firsts: Firsts,
    /// The state that is being left.
    pub(super) at: u32,
    /// Faults have stopped: what is said on a connection arrives once, and nothing fails.
    pub(super) calm: bool,
    /// The longest that the guest was dark, in ticks, until it ran on the destination and on the source.
    pub(super) worst: [u16; 2],
}

impl Walk {
    pub(super) fn new(world: World) -> Self {
        Self {
            world,
            sources: Machines::new(),
            destinations: Machines::new(),
            letters: IndexSet::default(),
            jobs: [IndexSet::default(), IndexSet::default()],
            memo: [Memo::new(), Memo::new()],
            firsts: Firsts::new(),
            at: 0,
            calm: false,
            worst: [0; 2],
        }
    }

    pub(super) fn timed(&self) -> bool {
        self.world.timing.is_some()
    }

    /// Machines met and steps that they took.
    pub(super) fn machines(&self) -> (usize, usize) {
        (self.sources.len() + self.destinations.len(), self.memo[0].len() + self.memo[1].len())
    }

    /// The number of a message, which says nothing but what a rule reads.
    fn letter(&mut self, letter: Letter) -> u8 {
        let letter = bare(letter);
        let (number, _) = self.letters.insert_full(letter);
        assert!(number < LETTERS_MAX, "the world {} has too many messages", self.world.name);
        number as u8
    }

    /// The number of a job.
    pub(super) fn job(&mut self, side: Side, job: Job) -> u8 {
        let (number, _) = self.jobs[place(side)].insert_full(job);
        assert!(number < JOBS_MAX, "the world {} has too many jobs", self.world.name);
        number as u8
    }

    /// That side takes an event, and what it asks for is done or begun.
    pub(super) fn step(&mut self, s: &mut State, side: Side, moment: Moment, code: Code) -> Verdict {
        let (number, key) = (s.machines[place(side)], code.key(moment));
        let outcome = match self.memo[place(side)].find(number, key) {
            Some(outcome) => outcome,
            None => {
                let (next, acts) = match side {
                    Side::Source => self.step_source(number, moment, code),
                    Side::Destination => self.step_destination(number, moment, code),
                };
                self.memo[place(side)].keep(number, key, next, &acts)
            }
        };
        s.machines[place(side)] = outcome.next;
        self.act(s, side, outcome)
    }

    fn step_source(&mut self, number: u32, moment: Moment, code: Code) -> (u32, Vec<Act>) {
        let Some(event) = self.source_event(code) else { return (number, Vec::new()) };
        let stepped = self.sources.step(number, moment, event);
        let counter = self.sources.get(stepped.next).attempt().map_or(0, |id| id.counter);
        let mut acts: Vec<Act> = Vec::new();
        for action in &stepped.actions {
            let counter = counter.max(ended(action));
            self.firsts.source(action, counter, self.at);
            self.lower_source(action, counter as u8, &mut acts);
        }
        acts.extend((!stepped.sound).then_some(Act::Unsound));
        (stepped.next, acts)
    }

    fn step_destination(&mut self, number: u32, moment: Moment, code: Code) -> (u32, Vec<Act>) {
        let Some(event) = self.destination_event(code) else { return (number, Vec::new()) };
        let stepped = self.destinations.step(number, moment, event);
        let mut acts: Vec<Act> = Vec::new();
        for action in &stepped.actions {
            self.firsts.destination(action, self.at);
            self.lower_destination(action, &mut acts);
        }
        acts.extend((!stepped.sound).then_some(Act::Unsound));
        (stepped.next, acts)
    }

    /// What an action of the source's comes to; `counter` names the attempt at hand.
    pub(super) fn lower_source(&mut self, action: &SourceAction, counter: u8, acts: &mut Vec<Act>) {
        let side = Side::Source;
        match *action {
            SourceAction::Connect => acts.push(Act::Start(self.job(side, Job::Connect))),
            SourceAction::Send(envelope, message) => {
                match message {
                    ToDestination::Go => {
                        acts.push(Act::Go(counter_of(envelope.attempt), envelope.incarnation.0 as u8))
                    }
                    ToDestination::Fin => acts.push(Act::Fin),
                    _ => {}
                }
                acts.push(Act::Send(self.letter(Letter::ToDestination(envelope, message))));
            }
            // For the log only: nothing waits for it, and no restart reads it.
            SourceAction::Write(record) if record.kind == RecordKind::Aborted => {}
            SourceAction::Write(record) => acts.push(Act::Write(self.job(side, Job::Write(record)))),
            SourceAction::Round { fresh, .. } => {
                acts.push(Act::Read);
                acts.extend(fresh.then_some(Act::ReadAll));
                acts.push(Act::Start(self.job(side, Job::Round { fresh })));
            }
            SourceAction::Ask(op, ports) => {
                if op == Op::Rollback {
                    acts.push(Act::Undo(counter, ports));
                }
                for port in ports {
                    acts.push(Act::Start(self.job(side, Job::Port(port, op))));
                }
            }
            SourceAction::LastPages => {
                acts.push(Act::Read);
                acts.push(Act::Start(self.job(side, Job::LastPages)));
            }
            SourceAction::Seal => acts.push(Act::Start(self.job(side, Job::Seal))),
            SourceAction::KeepPages => acts.push(Act::Keep),
            SourceAction::Claim(id) => acts.push(Act::Start(self.job(side, Job::Claim(id)))),
            SourceAction::Release => acts.push(Act::Start(self.job(side, Job::Release))),
            SourceAction::Note(Note::Stopping) => acts.push(Act::Stopping),
            SourceAction::Note(Note::Runs) => acts.push(Act::Runs),
            SourceAction::Note(Note::DeviceLost(_)) => acts.push(Act::DeviceLost),
            SourceAction::Note(Note::Ended(ended)) if matches!(ended.ending, Ending::Aborted(_)) => {
                acts.push(Act::Aborted);
            }
            SourceAction::Note(_) => {}
        }
    }

    /// What an action of the destination's comes to.
    pub(super) fn lower_destination(&mut self, action: &DestinationAction, acts: &mut Vec<Act>) {
        let side = Side::Destination;
        match *action {
            DestinationAction::Send(envelope, message) => {
                match message {
                    ToSource::Running(_) => acts.push(Act::Running),
                    ToSource::Refused { .. } => {
                        acts.push(Act::Refused(counter_of(envelope.attempt), envelope.incarnation.0 as u8));
                    }
                    _ => {}
                }
                acts.push(Act::Send(self.letter(Letter::ToSource(envelope, message))));
            }
            DestinationAction::Write(record) => acts.push(Act::Write(self.job(side, Job::Write(record)))),
            DestinationAction::Expect { warm, .. } => acts.push(Act::Expect(warm)),
            DestinationAction::Drain { round, .. } => {
                acts.push(Act::Start(self.job(side, Job::Drain(round))));
            }
            DestinationAction::Verify(seal) => acts.push(Act::Start(self.job(side, Job::Verify(seal)))),
            DestinationAction::Discard => acts.push(Act::Discard),
            DestinationAction::Ask(op, ports) => {
                if op == Op::Unload {
                    acts.push(Act::Unload(ports));
                }
                for port in ports {
                    acts.push(Act::Start(self.job(side, Job::Port(port, op))));
                }
            }
            DestinationAction::Claim(id) => acts.push(Act::Start(self.job(side, Job::Claim(id)))),
            DestinationAction::Yield(id) => acts.push(Act::Start(self.job(side, Job::Yield(id)))),
            DestinationAction::Note(_) => {}
        }
    }

    fn source_event(&self, code: Code) -> Option<SourceEvent> {
        Some(match code {
            Code::Begin => SourceEvent::Begin,
            Code::Cancel => SourceEvent::Cancel,
            Code::Fence => SourceEvent::Fence,
            Code::LinkUp => SourceEvent::LinkUp,
            Code::LinkDown => SourceEvent::LinkDown,
            Code::Due => SourceEvent::Deadline,
            Code::Letter(number) => match self.letters[usize::from(number)] {
                Letter::ToSource(envelope, message) => SourceEvent::Message(envelope, message),
                Letter::ToDestination(..) => return None,
            },
            Code::Job(number, ends, generation) => {
                source_answer(&self.jobs[0][usize::from(number)], ends, generation)?
            }
        })
    }

    fn destination_event(&self, code: Code) -> Option<DestinationEvent> {
        Some(match code {
            Code::Begin | Code::Fence => return None,
            Code::Cancel => DestinationEvent::Cancel,
            Code::LinkUp => DestinationEvent::LinkUp,
            Code::LinkDown => DestinationEvent::LinkDown,
            Code::Due => DestinationEvent::Deadline,
            Code::Letter(number) => match self.letters[usize::from(number)] {
                Letter::ToDestination(envelope, message) => DestinationEvent::Message(envelope, message),
                Letter::ToSource(..) => return None,
            },
            Code::Job(number, ends, _) => destination_answer(&self.jobs[1][usize::from(number)], ends)?,
        })
    }

    /// The state that every behaviour begins with: both processes run, nothing is connected.
    ///
    /// # Panics
    /// When the settings of the world do not hold together.
    pub(super) fn start(&mut self) -> State {
        let world = self.world;
        let source = SmallSource::new(settings::source(&world), settings::SOURCE, 0);
        let destination = SmallDestination::new(
            settings::destination(&world, 1),
            settings::DESTINATIONS[0],
            switchover_core::id::Incarnation(1),
        );
        let source = self.sources.number(source.expect("the settings of a world hold together"));
        let destination =
            self.destinations.number(destination.expect("the settings of a world hold together"));
        State {
            machines: [source, destination],
            letters: super::state::Pool::EMPTY,
            jobs: [super::state::Pool::EMPTY; 2],
            judge: Judge::NEW,
            writes: [[0; 4]; 2],
            source: Default::default(),
            destination: Default::default(),
            left: super::state::Left {
                runs: world.runs,
                crashes: world.crashes,
                cuts: world.cuts,
                failures: world.failures,
                cancels: world.cancels,
                fences: world.fences,
                lost_journals: world.lost_journals,
            },
            facts: super::state::Facts { incarnation: 1, instance: 1, ..Default::default() },
            spare: [0; 3],
        }
    }
}

/// A broken rule of the machines themselves.
pub(super) const UNSOUND: Broken = Broken {
    promise: "P7",
    what: "a machine's invariant does not hold, or a step fills its list of actions",
};

/// A message without what is said for the record alone: who was slow, and what was measured. Machines hand these on
/// and keep them; no rule asks for them.
fn bare(letter: Letter) -> Letter {
    match letter {
        Letter::ToDestination(to, ToDestination::Abort { .. }) => {
            Letter::ToDestination(to, ToDestination::Abort { offender: None })
        }
        Letter::ToSource(from, ToSource::Running(_)) => {
            Letter::ToSource(from, ToSource::Running(Measured::default()))
        }
        Letter::ToSource(from, ToSource::Refused { reason, .. }) => {
            Letter::ToSource(from, ToSource::Refused { reason, offender: None })
        }
        Letter::ToSource(from, ToSource::Pending { .. }) => {
            Letter::ToSource(from, ToSource::Pending { lease_left: Ns::ZERO })
        }
        said => said,
    }
}

/// The attempt that a note books, if it is one that does.
fn ended(action: &SourceAction) -> u32 {
    match action.note() {
        Some(Note::Ended(ended)) => ended.attempt.counter,
        _ => 0,
    }
}

pub(super) const fn counter_of(id: AttemptId) -> u8 {
    id.counter as u8
}

/// The seal of the state of that number, which it names.
fn seal(generation: u8) -> Seal {
    let mut digest = switchover_core::digest::Digest::EMPTY;
    digest.update(Piece::Vcpus(0), &[generation]);
    Seal { digest, chunks: 1, verify: Some((u64::from(generation), 0)) }
}

fn outcome(ends: Ends) -> Answer {
    match ends {
        Ends::Done => Answer::Done,
        Ends::FailedDone => Answer::FailedRunning,
        Ends::Failed | Ends::Corrupt => Answer::Failed,
    }
}

fn source_answer(job: &Job, ends: Ends, generation: u8) -> Option<SourceEvent> {
    let done = ends == Ends::Done;
    let pass = Pass { sent: Bytes::new(1), chunks: 1, ..Pass::default() };
    Some(match *job {
        Job::Write(record) if done => SourceEvent::Written(record.kind, record.attempt),
        Job::Write(record) => SourceEvent::NotWritten(record.kind, record.attempt),
        Job::Port(port, op) => SourceEvent::Port(port, op, outcome(ends)),
        Job::Round { .. } if done => SourceEvent::Round(pass),
        Job::LastPages if done => SourceEvent::LastPages(pass),
        Job::Seal if done => SourceEvent::Sealed(seal(generation)),
        Job::Round { .. } | Job::LastPages | Job::Seal => SourceEvent::MemoryFailed,
        Job::Claimed(id, owner) if done => SourceEvent::Claimed(id, owner),
        Job::Claim(id) | Job::Claimed(id, _) => SourceEvent::NotClaimed(id),
        Job::Release => SourceEvent::Released,
        Job::Connect | Job::Drain(_) | Job::Verify(_) | Job::Yield(_) => return None,
    })
}

fn destination_answer(job: &Job, ends: Ends) -> Option<DestinationEvent> {
    let done = ends == Ends::Done;
    Some(match *job {
        Job::Write(record) if done => DestinationEvent::Written(record.kind, record.attempt),
        Job::Write(record) => DestinationEvent::NotWritten(record.kind, record.attempt),
        Job::Port(port, op) => DestinationEvent::Port(port, op, outcome(ends)),
        Job::Drain(round) if done => DestinationEvent::Drained(round),
        Job::Verify(seal) if done => DestinationEvent::Verified(seal),
        Job::Verify(mut seal) if ends == Ends::Corrupt => {
            seal.digest.update(Piece::Device(0), b"flipped");
            DestinationEvent::Verified(seal)
        }
        Job::Drain(_) | Job::Verify(_) => DestinationEvent::MemoryFailed,
        Job::Claimed(id, owner) if done => DestinationEvent::Claimed(id, owner),
        Job::Yield(id) if done => DestinationEvent::Yielded(id),
        Job::Claim(id) | Job::Claimed(id, _) | Job::Yield(id) => DestinationEvent::NotClaimed(id),
        Job::Connect | Job::Round { .. } | Job::LastPages | Job::Seal | Job::Release => return None,
    })
}
