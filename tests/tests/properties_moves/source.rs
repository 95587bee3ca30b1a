//! Plays the source.

use std::collections::VecDeque;

use switchover_core::action::SourceAction;
use switchover_core::contract::PeerTerms;
use switchover_core::digest::Digest;
use switchover_core::event::{Owner, Pass, SourceEvent};
use switchover_core::id::{Incarnation, JournalId};
use switchover_core::journal::RecordKind;
use switchover_core::port::{Op, Port};
use switchover_core::time::{At, Ns};
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Echo, Envelope, Refusal, ToDestination, ToSource, Welcome};
use switchover_tests::machines::TestSource;
use switchover_tests::machines::build::{self, DESTINATION, FIRST, Shape};
use switchover_tests::machines::lone::{attempt, envelope, seal};

use super::{Alone, Move, outcome};

/// A source, and what it waits for.
#[derive(Clone, Debug)]
pub struct Player {
    machine: TestSource,
    terms: PeerTerms,
    due: Option<At>,
    asked: VecDeque<SourceAction>,
}

impl Player {
    /// Nothing was asked of it.
    pub fn new(shape: Shape) -> Self {
        let config = build::destination_config(shape);
        let terms = config.contracts.announced(config.drift, shape.arbiter);
        Self { machine: build::source(shape), terms, due: None, asked: VecDeque::new() }
    }

    /// The answer to something that it asked, or said.
    fn answer(&self, asked: SourceAction, step: &Move) -> Option<SourceEvent> {
        let good = step.luck < 90;
        Some(match asked {
            SourceAction::Connect if good => SourceEvent::LinkUp,
            SourceAction::Connect => SourceEvent::LinkDown,
            SourceAction::Write(record) if good => SourceEvent::Written(record.kind, record.attempt),
            SourceAction::Write(record) => SourceEvent::NotWritten(record.kind, record.attempt),
            SourceAction::Round { .. } | SourceAction::LastPages if !good => SourceEvent::MemoryFailed,
            SourceAction::Round { .. } => SourceEvent::Round(pass(step)),
            SourceAction::LastPages => SourceEvent::LastPages(pass(step)),
            SourceAction::Seal => SourceEvent::Sealed(seal()),
            SourceAction::Claim(id) if step.luck < 50 => SourceEvent::Claimed(id, Owner::Destination),
            SourceAction::Claim(id) if good => SourceEvent::Claimed(id, Owner::Source),
            SourceAction::Claim(id) => SourceEvent::NotClaimed(id),
            SourceAction::Release => SourceEvent::Released,
            SourceAction::Ask(op, mut ports) => SourceEvent::Port(ports.next()?, op, outcome(step.luck)),
            SourceAction::Send(of, message) => {
                let of = Envelope { peer: DESTINATION, incarnation: FIRST, ..of };
                SourceEvent::Message(of, self.reply(message, step)?)
            }
            SourceAction::KeepPages | SourceAction::Note(_) => return None,
        })
    }

    fn reply(&self, message: ToDestination, step: &Move) -> Option<ToSource> {
        let refused = ToSource::Refused { reason: Refusal::LeaseEnded, offender: None };
        let good = step.luck < 95;
        Some(match message {
            ToDestination::Hello(hello) if good => {
                ToSource::Welcome(Welcome { terms: self.terms, warm: hello.warm })
            }
            ToDestination::Ping(number) => ToSource::Pong(Echo::Ping(number)),
            ToDestination::RoundEnd { round, .. } => ToSource::Pong(Echo::Round(round)),
            ToDestination::Sealed(seal) if good => {
                ToSource::Ready { digest: seal.digest, lease_left: Ns::new(u64::from(step.wait)) }
            }
            ToDestination::Go | ToDestination::Query => match step.luck {
                0..=39 => ToSource::Running(Default::default()),
                40..=69 => refused,
                70..=79 => ToSource::Lost,
                80..=89 => ToSource::Pending { lease_left: Ns::new(u64::from(step.wait)) },
                _ => ToSource::Stranger,
            },
            ToDestination::Hello(_) | ToDestination::Sealed(_) | ToDestination::Abort { .. } => refused,
            ToDestination::Stopping { .. } | ToDestination::Fin => return None,
        })
    }

    fn anything(&self, step: &Move) -> SourceEvent {
        let current = self.machine.attempt().unwrap_or(attempt(1));
        let id = if step.luck < 80 { current } else { attempt(u32::from(step.luck % 4)) };
        let kinds = [
            RecordKind::Open,
            RecordKind::MayGo,
            RecordKind::Committed,
            RecordKind::Fenced,
            RecordKind::Aborted,
            RecordKind::Running,
        ];
        let kind = kinds[usize::from(step.pick) % kinds.len()];
        let ports =
            [Port::Vcpus(0), Port::Vcpus(1), Port::Device(0), Port::Device(1), Port::Vcpus(7), Port::Memory];
        let ops = [Op::Quiesce, Op::Stop, Op::Save, Op::Rollback, Op::Load, Op::Resume];
        let port = ports[usize::from(step.pick / 8) % ports.len()];
        let op = ops[usize::from(step.pick / 64) % ops.len()];
        match step.pick % 16 {
            0 => SourceEvent::Begin,
            1 => SourceEvent::Cancel,
            2 => SourceEvent::Fence,
            3 => SourceEvent::LinkUp,
            4 => SourceEvent::LinkDown,
            5 => SourceEvent::Written(kind, id),
            6 => SourceEvent::NotWritten(kind, id),
            7 => SourceEvent::Round(pass(step)),
            8 => SourceEvent::LastPages(pass(step)),
            9 => SourceEvent::Sealed(seal()),
            10 => SourceEvent::MemoryFailed,
            11 => SourceEvent::Released,
            12 => SourceEvent::Claimed(
                id,
                if step.luck.is_multiple_of(2) { Owner::Source } else { Owner::Destination },
            ),
            13 => SourceEvent::Port(port, op, outcome(step.luck)),
            _ => SourceEvent::Message(self.strange(id, step), any_message(self.terms, step)),
        }
    }

    /// An envelope that fits, or nearly.
    fn strange(&self, id: switchover_core::id::AttemptId, step: &Move) -> Envelope {
        let fits = Envelope { attempt: id, ..envelope(1) };
        match step.luck % 8 {
            0 => Envelope { peer: JournalId(0xbad), ..fits },
            1 => Envelope { incarnation: Incarnation(9), ..fits },
            _ => fits,
        }
    }
}

fn pass(step: &Move) -> Pass {
    let dirty = if step.luck.is_multiple_of(3) { u64::from(step.wait) * 64 } else { 0 };
    Pass {
        sent: Bytes::new(u64::from(step.wait)),
        chunks: u64::from(step.pick),
        dirty: Bytes::new(dirty),
        throttled: Ns::ZERO,
    }
}

fn any_message(terms: PeerTerms, step: &Move) -> ToSource {
    let time = Ns::new(u64::from(step.wait) << (step.luck % 40));
    match step.pick / 16 % 12 {
        0 => ToSource::Welcome(Welcome { terms, warm: true }),
        1 => {
            ToSource::Welcome(Welcome { terms: PeerTerms { resume: time, load: time, ..terms }, warm: false })
        }
        2 => ToSource::Pong(Echo::Ping(u32::from(step.luck % 3))),
        3 => ToSource::Pong(Echo::Round(u32::from(step.luck % 3))),
        4 => ToSource::Ready { digest: seal().digest, lease_left: time },
        5 => ToSource::Ready { digest: Digest::EMPTY, lease_left: time },
        6 => ToSource::Running(Default::default()),
        7 => ToSource::Refused { reason: Refusal::Digest, offender: None },
        8 => ToSource::Refused { reason: Refusal::Version, offender: None },
        9 => ToSource::Lost,
        10 => ToSource::Pending { lease_left: time },
        _ => ToSource::Stranger,
    }
}

impl Alone for Player {
    type Event = SourceEvent;
    type Key = TestSource;

    fn key(&self) -> &TestSource {
        &self.machine
    }

    fn step(&mut self, now: At, event: SourceEvent) -> (usize, Option<At>) {
        let step = self.machine.step(now, event);
        self.due = step.deadline;
        for action in &step.actions {
            if let SourceAction::Ask(op, ports) = action {
                ports.for_each(|port| {
                    let one = switchover_core::port::PortSet::one(port);
                    self.asked.push_back(SourceAction::Ask(*op, one));
                });
            } else if !matches!(action, SourceAction::Note(_)) {
                self.asked.push_back(*action);
            }
        }
        while self.asked.len() > 12 {
            self.asked.pop_front();
        }
        (step.actions.len(), step.deadline)
    }

    fn choose(&mut self, step: &Move) -> SourceEvent {
        match step.kind {
            // In order, or not; once, or again later.
            0..=74 if !self.asked.is_empty() => {
                let at = if step.kind < 60 { 0 } else { usize::from(step.pick) % self.asked.len() };
                let asked = if step.kind < 70 { self.asked.remove(at) } else { self.asked.get(at).copied() };
                let event = asked.and_then(|asked| self.answer(asked, step));
                event.unwrap_or(SourceEvent::Deadline)
            }
            0..=79 => SourceEvent::Begin,
            80..=87 => SourceEvent::Deadline,
            _ => self.anything(step),
        }
    }

    fn due(&self) -> Option<At> {
        self.due
    }

    fn rebase(&mut self, shift: i64) {
        self.machine.rebase(shift);
    }

    fn invariant(&self) -> bool {
        self.machine.invariant()
    }

    fn deadline_event() -> SourceEvent {
        SourceEvent::Deadline
    }
}
