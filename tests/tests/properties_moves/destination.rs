//! Plays the destination.

use std::collections::VecDeque;

use switchover_core::action::DestinationAction;
use switchover_core::digest::Digest;
use switchover_core::event::{DestinationEvent, Owner};
use switchover_core::id::{AttemptId, Incarnation, JournalId};
use switchover_core::journal::RecordKind;
use switchover_core::port::{Op, Port, PortSet};
use switchover_core::time::{At, Ns};
use switchover_core::wire::message::{Envelope, Hello, Seal, ToDestination, ToSource};
use switchover_tests::machines::TestDestination;
use switchover_tests::machines::build::{self, SOURCE, Shape, ms};
use switchover_tests::machines::lone::{envelope, hello, seal};

use super::{Alone, Move, outcome};

/// A destination, and what it waits for.
#[derive(Clone, Debug)]
pub struct Player {
    machine: TestDestination,
    hello: Hello,
    due: Option<At>,
    asked: VecDeque<DestinationAction>,
    /// The latest attempt that a source has named, and how far it has got in saying things.
    counter: u32,
    said: u8,
}

impl Player {
    /// Nothing was asked of it.
    pub fn new(shape: Shape) -> Self {
        Self {
            machine: build::destination(shape),
            hello: hello(shape),
            due: None,
            asked: VecDeque::new(),
            counter: 0,
            said: 0,
        }
    }

    fn own(&self) -> Envelope {
        Envelope { attempt: AttemptId { journal: SOURCE, counter: self.counter }, ..envelope(1) }
    }

    /// What a source says next.
    fn next(&mut self, step: &Move) -> DestinationEvent {
        let served = self.machine.attempt().is_some_and(|id| id.counter == self.counter);
        if !served {
            self.counter = self.counter.wrapping_add(1);
            self.said = 0;
        }
        self.said = self.said.saturating_add(1);
        let message = match self.said {
            1 => ToDestination::Hello(self.hello),
            2 => ToDestination::Ping(u32::from(step.luck)),
            3 => ToDestination::RoundEnd { round: 0, chunks: 1 },
            4 => ToDestination::Stopping { elapsed: Ns::ZERO, hard_limit: ms(110), lease: ms(20) },
            5 => ToDestination::Sealed(seal()),
            6 | 7 => ToDestination::Go,
            8 | 9 => ToDestination::Query,
            _ => ToDestination::Fin,
        };
        DestinationEvent::Message(self.own(), message)
    }

    /// The answer to something that it asked.
    fn answer(&self, asked: DestinationAction, step: &Move) -> Option<DestinationEvent> {
        let good = step.luck < 90;
        Some(match asked {
            DestinationAction::Write(record) if good => {
                DestinationEvent::Written(record.kind, record.attempt)
            }
            DestinationAction::Write(record) => DestinationEvent::NotWritten(record.kind, record.attempt),
            DestinationAction::Drain { round, .. } if good => DestinationEvent::Drained(round),
            DestinationAction::Verify(seal) if good => DestinationEvent::Verified(seal),
            DestinationAction::Drain { .. } | DestinationAction::Verify(_) => DestinationEvent::MemoryFailed,
            DestinationAction::Ask(op, mut ports) => {
                DestinationEvent::Port(ports.next()?, op, outcome(step.luck))
            }
            DestinationAction::Claim(id) if step.luck < 70 => {
                DestinationEvent::Claimed(id, Owner::Destination)
            }
            DestinationAction::Claim(id) if good => DestinationEvent::Claimed(id, Owner::Source),
            DestinationAction::Yield(id) if good => DestinationEvent::Yielded(id),
            DestinationAction::Claim(id) | DestinationAction::Yield(id) => DestinationEvent::NotClaimed(id),
            DestinationAction::Send(of, ToSource::Running(_)) => {
                DestinationEvent::Message(of, ToDestination::Fin)
            }
            DestinationAction::Send(..)
            | DestinationAction::Expect { .. }
            | DestinationAction::Discard
            | DestinationAction::Note(_) => return None,
        })
    }

    fn anything(&self, step: &Move) -> DestinationEvent {
        let journal = if step.luck.is_multiple_of(5) { JournalId(u64::from(step.luck)) } else { SOURCE };
        let near = self.counter.wrapping_add(u32::from(step.luck % 4)).wrapping_sub(1);
        let id = AttemptId { journal, counter: if step.luck < 80 { self.counter } else { near } };
        let kinds = [RecordKind::Claiming, RecordKind::Running, RecordKind::Refused, RecordKind::Finished];
        let kind = kinds[usize::from(step.pick / 16) % kinds.len()];
        let ports = [Port::Vcpus(0), Port::Vcpus(1), Port::Device(0), Port::Device(1), Port::Link];
        let ops = [Op::Load, Op::Settle, Op::Resume, Op::Unload, Op::Rollback];
        let port = ports[usize::from(step.pick / 8) % ports.len()];
        let op = ops[usize::from(step.pick / 64) % ops.len()];
        match step.pick % 16 {
            0 => DestinationEvent::Cancel,
            1 => DestinationEvent::LinkUp,
            2 => DestinationEvent::LinkDown,
            3 => DestinationEvent::Written(kind, id),
            4 => DestinationEvent::NotWritten(kind, id),
            5 => DestinationEvent::Drained(u32::from(step.luck % 3)),
            6 => DestinationEvent::Verified(seal()),
            7 => DestinationEvent::Verified(Seal { digest: Digest::EMPTY, ..seal() }),
            8 => DestinationEvent::MemoryFailed,
            9 => DestinationEvent::Port(port, op, outcome(step.luck)),
            10 => DestinationEvent::Claimed(id, Owner::Destination),
            11 => DestinationEvent::Yielded(id),
            _ => {
                let fits = Envelope { attempt: id, ..envelope(1) };
                let of = match step.luck % 8 {
                    0 => Envelope { peer: JournalId(0xbad), ..fits },
                    1 => Envelope { incarnation: Incarnation(9), ..fits },
                    _ => fits,
                };
                DestinationEvent::Message(of, self.any_message(step))
            }
        }
    }

    fn any_message(&self, step: &Move) -> ToDestination {
        let time = Ns::new(u64::from(step.wait) << (step.luck % 40));
        match step.pick / 16 % 11 {
            0 => ToDestination::Hello(self.hello),
            1 => ToDestination::Hello(Hello { downtime_limit: time, switchover_limit: time, ..self.hello }),
            2 => ToDestination::Ping(u32::from(step.pick)),
            3 => ToDestination::RoundEnd { round: u32::from(step.luck % 3), chunks: u64::from(step.wait) },
            4 => ToDestination::Stopping { elapsed: time, hard_limit: time, lease: time },
            5 => ToDestination::Stopping { elapsed: Ns::ZERO, hard_limit: time, lease: ms(20) },
            6 => ToDestination::Sealed(seal()),
            7 => ToDestination::Go,
            8 => ToDestination::Query,
            9 => ToDestination::Fin,
            _ => ToDestination::Abort { offender: None },
        }
    }
}

impl Alone for Player {
    type Event = DestinationEvent;
    type Key = TestDestination;

    fn key(&self) -> &TestDestination {
        &self.machine
    }

    fn step(&mut self, now: At, event: DestinationEvent) -> (usize, Option<At>) {
        let step = self.machine.step(now, event);
        self.due = step.deadline;
        for action in &step.actions {
            if let DestinationAction::Ask(op, ports) = action {
                ports.for_each(|port| self.asked.push_back(DestinationAction::Ask(*op, PortSet::one(port))));
            } else if !matches!(action, DestinationAction::Note(_)) {
                self.asked.push_back(*action);
            }
        }
        while self.asked.len() > 12 {
            self.asked.pop_front();
        }
        (step.actions.len(), step.deadline)
    }

    fn choose(&mut self, step: &Move) -> DestinationEvent {
        match step.kind {
            0..=34 => self.next(step),
            35..=79 if !self.asked.is_empty() => {
                let at = if step.kind < 65 { 0 } else { usize::from(step.pick) % self.asked.len() };
                let asked = if step.kind < 75 { self.asked.remove(at) } else { self.asked.get(at).copied() };
                let event = asked.and_then(|asked| self.answer(asked, step));
                event.unwrap_or(DestinationEvent::Deadline)
            }
            35..=87 => DestinationEvent::Deadline,
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

    fn deadline_event() -> DestinationEvent {
        DestinationEvent::Deadline
    }
}
