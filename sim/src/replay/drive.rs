//! One attempt of the real machines with times that are known: nothing is drawn, nothing is lost.
//!
//! ```text
//!  events by time ---> Source --- actions ---+
//!        ^              Destination           |
//!        +---- each ends after its time <-----+
//! ```
//!
//! Both clocks are one here. Worlds in which something goes wrong are `world`'s; this is for a recorded switchover, whose
//! every duration is in the recording.

use std::collections::BTreeMap;

use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::admission::Verdict;
use switchover_core::config::{DestinationConfig, Layout, Limits, Retry, SourceConfig};
use switchover_core::contract::{DestinationContracts, SourceContracts};
use switchover_core::destination::Destination;
use switchover_core::event::{DestinationEvent, Outcome, Pass, SourceEvent};
use switchover_core::id::{GuestInstance, Incarnation, JournalId};
use switchover_core::outcome::{Ended, Reason};
use switchover_core::port::{Blame, Op, Port, Side};
use switchover_core::source::Source;
use switchover_core::time::{At, Ns};
use switchover_core::units::Bytes;
use switchover_core::wire::message::Seal;

/// Devices that a recorded switchover tells apart.
pub(super) const DEVICES: usize = 4;
/// Steps that one attempt may take; it needs a hundred.
const STEPS_MAX: usize = 10_000;
const SOURCE: JournalId = JournalId(1);
const DESTINATION: JournalId = JournalId(2);
/// How long a connection takes, of which no recording speaks.
const SOON: Ns = Ns::from_millis(1);
/// How long a round of pre-copy takes.
const ROUND: Ns = Ns::from_secs(1);

/// How long everything takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Times {
    /// Each port: vCPUs first, then devices.
    pub ports: Vec<PortTimes>,
    /// The last pages.
    pub transfer: Ns,
    /// A message's way.
    pub delay: Ns,
    /// A journal's write.
    pub journal: Ns,
}

/// How long a port takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct PortTimes {
    pub stop: Ns,
    pub save: Ns,
    pub load: Ns,
    pub resume: Ns,
    pub rollback: Ns,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Driven {
    /// How it ended at the source.
    pub ended: Ended,
    /// t = 0, if the guest was ever stopped.
    pub stopped: Option<At>,
    /// When it was aborted, why, and because of whom.
    pub aborting: Option<(At, Reason, Option<Blame>)>,
    /// When `Go` was sent.
    pub go: Option<At>,
    /// When the guest ran again.
    pub runs: Option<At>,
    /// The last verdict.
    pub verdict: Option<Verdict>,
}

/// Drives one attempt to its end; `None` if it has none, which would be a fault of this driver.
pub(super) fn drive(
    limits: Limits,
    told: (SourceContracts<1, DEVICES>, DestinationContracts<1, DEVICES>),
    last_pages: Bytes,
    times: &Times,
) -> Option<Driven> {
    let mut run = Run::new(limits, told, last_pages, times)?;
    run.at(Ns::ZERO, Happens::Source(SourceEvent::Begin));
    for _ in 0..STEPS_MAX {
        if run.ended.is_some_and(|_| run.driven.runs.is_some() || run.driven.stopped.is_none()) {
            break;
        }
        run.step()?;
    }
    run.ended.map(|ended| Driven { ended, ..run.driven })
}

#[derive(Clone, Debug)]
enum Happens {
    Source(SourceEvent),
    Destination(DestinationEvent),
}

struct Run<'a> {
    source: Source<1, DEVICES, 1>,
    destination: Destination<1, DEVICES, 1>,
    deadlines: [Option<At>; 2],
    queue: BTreeMap<(At, u64), Happens>,
    now: At,
    sequence: u64,
    last_pages: Bytes,
    times: &'a Times,
    ended: Option<Ended>,
    driven: Driven,
}

impl<'a> Run<'a> {
    fn new(
        limits: Limits,
        told: (SourceContracts<1, DEVICES>, DestinationContracts<1, DEVICES>),
        last_pages: Bytes,
        times: &'a Times,
    ) -> Option<Self> {
        let devices = u8::try_from(told.0.devices.len()).ok()?;
        let layout = Layout { devices, ..Layout::new(Bytes::from_mib(1), 1) };
        let mut config = SourceConfig::new(layout, told.0);
        config.limits = limits;
        config.retry = Retry { precopy_limit: ROUND.times(2), ..Retry::attempts(1, limits) };
        let theirs = DestinationConfig::new(layout, GuestInstance(1), told.1);
        let none = Ended {
            attempt: Default::default(),
            ending: switchover_core::outcome::Ending::Lost,
            offender: None,
            blackout: Ns::ZERO,
        };
        Some(Self {
            source: Source::new(config, SOURCE, 0).ok()?,
            destination: Destination::new(theirs, DESTINATION, Incarnation(1)).ok()?,
            deadlines: [None, None],
            queue: BTreeMap::new(),
            now: At::from_ns(1_000_000_000),
            sequence: 0,
            last_pages,
            times,
            ended: None,
            driven: Driven {
                ended: none,
                stopped: None,
                aborting: None,
                go: None,
                runs: None,
                verdict: None,
            },
        })
    }

    fn at(&mut self, after: Ns, what: Happens) {
        self.sequence += 1;
        self.queue.insert((self.now.plus(after), self.sequence), what);
    }

    /// The next thing that happens; an input before a deadline of the same instant.
    fn step(&mut self) -> Option<()> {
        let due = self.deadlines.iter().flatten().min().copied();
        let next = self.queue.first_key_value().map(|((at, _), _)| *at);
        if let Some(next) = next.filter(|next| due.is_none_or(|due| *next <= due)) {
            self.now = next;
            let (_, what) = self.queue.pop_first()?;
            match what {
                Happens::Source(event) => self.source(event),
                Happens::Destination(event) => self.destination(event),
            }
        } else {
            self.now = due?;
            if self.deadlines[0] == due {
                self.source(SourceEvent::Deadline);
            } else {
                self.destination(DestinationEvent::Deadline);
            }
        }
        Some(())
    }

    fn source(&mut self, event: SourceEvent) {
        let step = self.source.step(self.now, event);
        self.deadlines[0] = step.deadline;
        for action in step.actions {
            self.source_action(action);
        }
    }

    fn destination(&mut self, event: DestinationEvent) {
        let step = self.destination.step(self.now, event);
        self.deadlines[1] = step.deadline;
        for action in step.actions {
            self.destination_action(action);
        }
    }

    fn source_action(&mut self, action: SourceAction) {
        let pass = |sent, dirty| Pass { sent, chunks: 1, dirty, throttled: Ns::ZERO };
        let (after, event) = match action {
            SourceAction::Connect => {
                self.at(SOON, Happens::Destination(DestinationEvent::LinkUp));
                (SOON, SourceEvent::LinkUp)
            }
            SourceAction::Send(envelope, message) => {
                let event = DestinationEvent::Message(envelope, message);
                return self.at(self.times.delay, Happens::Destination(event));
            }
            SourceAction::Write(record) => {
                (self.times.journal, SourceEvent::Written(record.kind, record.attempt))
            }
            SourceAction::Round { .. } => (ROUND, SourceEvent::Round(pass(Bytes::ZERO, self.dirty()))),
            SourceAction::Ask(op, ports) => {
                for port in ports {
                    let event = SourceEvent::Port(port, op, Outcome::Done);
                    self.at(self.takes(port, op), Happens::Source(event));
                }
                return;
            }
            SourceAction::LastPages => {
                (self.times.transfer, SourceEvent::LastPages(pass(self.last_pages, Bytes::ZERO)))
            }
            SourceAction::Seal => (Ns::ZERO, SourceEvent::Sealed(Seal::default())),
            SourceAction::Claim(id) => (self.times.delay, SourceEvent::NotClaimed(id)),
            SourceAction::Release => (Ns::ZERO, SourceEvent::Released),
            SourceAction::Note(note) => return self.note(Side::Source, note),
            SourceAction::KeepPages => return,
        };
        self.at(after, Happens::Source(event));
    }

    fn destination_action(&mut self, action: DestinationAction) {
        let (after, event) = match action {
            DestinationAction::Send(envelope, message) => {
                return self.at(self.times.delay, Happens::Source(SourceEvent::Message(envelope, message)));
            }
            DestinationAction::Write(record) => {
                (self.times.journal, DestinationEvent::Written(record.kind, record.attempt))
            }
            DestinationAction::Drain { round, .. } => (Ns::ZERO, DestinationEvent::Drained(round)),
            DestinationAction::Verify(seal) => {
                // A load is counted from when all of it has arrived.
                for port in self.destination.config().contracts.ports() {
                    let event = DestinationEvent::Port(port, Op::Load, Outcome::Done);
                    self.at(self.takes(port, Op::Load), Happens::Destination(event));
                }
                (Ns::ZERO, DestinationEvent::Verified(seal))
            }
            DestinationAction::Ask(Op::Load, _) => return,
            DestinationAction::Ask(op, ports) => {
                for port in ports {
                    let event = DestinationEvent::Port(port, op, Outcome::Done);
                    self.at(self.takes(port, op), Happens::Destination(event));
                }
                return;
            }
            DestinationAction::Claim(id) | DestinationAction::Yield(id) => {
                (self.times.delay, DestinationEvent::NotClaimed(id))
            }
            DestinationAction::Note(note) => return self.note(Side::Destination, note),
            DestinationAction::Expect { .. } | DestinationAction::Discard => return,
        };
        self.at(after, Happens::Destination(event));
    }

    fn note(&mut self, side: Side, note: Note) {
        let driven = &mut self.driven;
        match (side, note) {
            (_, Note::Runs) => driven.runs = Some(self.now),
            (Side::Source, Note::Stopping) => driven.stopped = Some(self.now),
            (Side::Source, Note::Go) => driven.go = Some(self.now),
            (Side::Source, Note::Verdict(verdict)) => driven.verdict = Some(verdict),
            (Side::Source, Note::Aborting { reason, offender }) => {
                driven.aborting = Some((self.now, reason, offender));
            }
            (Side::Source, Note::Ended(ended)) => self.ended = Some(ended),
            _ => {}
        }
    }

    /// What is dirty after a round, such that the last pages are left once the vCPUs are out: the machine adds what is
    /// dirtied in the stop, at the pace of the round.
    fn dirty(&self) -> Bytes {
        let round = u128::from(ROUND.plus(self.times.delay.times(2)).get());
        let stop = u128::from(self.source.config().contracts.stop().get());
        let dirty = u128::from(self.last_pages.get()) * round / (round + stop);
        Bytes::new(u64::try_from(dirty).unwrap_or(u64::MAX))
    }

    fn takes(&self, port: Port, op: Op) -> Ns {
        let index = match port {
            Port::Vcpus(_) => 0,
            Port::Device(device) => usize::from(device) + 1,
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => return Ns::ZERO,
        };
        self.times.ports.get(index).map_or(Ns::ZERO, |times| match op {
            Op::Stop => times.stop,
            Op::Save => times.save,
            Op::Load => times.load,
            Op::Resume => times.resume,
            Op::Rollback => times.rollback,
            Op::Quiesce | Op::Settle | Op::Unload => Ns::ZERO,
        })
    }
}
