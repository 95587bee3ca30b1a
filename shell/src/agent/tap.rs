//! What sees every step on the real-time thread: tells notes, counts attempts, learns, and injects what was ordered.

use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::event::{DestinationEvent, SourceEvent};
use switchover_core::hal::Observer;
use switchover_core::learn::Learner;
use switchover_core::time::At;
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Echo, ToSource};

use super::{DEVICES, NoteSender, VCPU_PORTS};
use crate::events::EventLog;
use crate::faults::{Corruptible, Injection, Stall};
use crate::link::bulk::{BulkHandle, SenderFaults};
use crate::realtime::Movers;

/// Sees the source's steps.
pub struct SourceTap {
    pub(super) notes: NoteSender,
    pub(super) learner: Learner<VCPU_PORTS, DEVICES>,
    /// Something was learned that the machine does not know yet.
    pub(super) learned: bool,
    pub(super) injection: Injection,
    pub(super) bulk: BulkHandle,
    /// The threads that move memory.
    pub(super) movers: Movers,
    /// Every event and its actions, for whoever replays them.
    pub(super) log: Option<EventLog<SourceEvent, SourceAction>>,
}

impl Observer<SourceEvent, SourceAction> for SourceTap {
    fn step(&mut self, now: At, event: &SourceEvent, actions: &[SourceAction]) {
        if let Some(log) = &mut self.log {
            log.step(now, event, actions);
        }
        for action in actions {
            // A round that is on the wire may be followed by the stop, which must not wait for a system call more.
            match action {
                SourceAction::Round { .. } => self.movers.beside_the_guest(),
                SourceAction::Note(Note::Round { .. } | Note::Stopping) => self.movers.urgent(),
                _ => {}
            }
            let SourceAction::Note(note) = action else { continue };
            if matches!(note, Note::Began(_)) {
                self.injection.attempt.next();
                self.arm();
            }
            self.learned |= self.learner.note(note);
            self.notes.tell(now, *note);
        }
        self.injection.kill_source(actions);
    }
}

impl SourceTap {
    /// Arms the faults that strike the attempt that begins.
    fn arm(&self) {
        if self.injection.faults.is_empty() {
            return;
        }
        let attempt = self.injection.attempt.get();
        let faults = &self.injection.faults;
        self.bulk.inject(SenderFaults {
            corrupt_page: faults.corrupts(Corruptible::Page, attempt),
            corrupt_state: faults.corrupts(Corruptible::Device, attempt),
            stall: faults.stall(Stall::Link, attempt),
        });
    }
}

/// Sees the destination's steps.
pub struct DestinationTap {
    pub(super) notes: NoteSender,
    /// The threads that move memory.
    pub(super) movers: Movers,
    pub(super) injection: Injection,
    /// `Ready` was said since this was looked at: `Go` comes next, and with it a record that the guest waits for.
    pub(super) ready: bool,
    /// Every event and its actions, for whoever replays them.
    pub(super) log: Option<EventLog<DestinationEvent, DestinationAction>>,
}

impl Observer<DestinationEvent, DestinationAction> for DestinationTap {
    fn step(&mut self, now: At, event: &DestinationEvent, actions: &[DestinationAction]) {
        if let Some(log) = &mut self.log {
            log.step(now, event, actions);
        }
        for action in actions {
            match action {
                DestinationAction::Expect { .. } => self.movers.beside_the_guest(),
                // While the source's vCPUs are on their way out: nothing waits for this.
                DestinationAction::Note(Note::Stopping) => self.movers.urgent(),
                // All of it is in memory here. Said again, it is the same round; its bytes are counted as they come.
                DestinationAction::Send(_, ToSource::Pong(Echo::Round(number))) => {
                    let (sent, dirty) = (Bytes::ZERO, Bytes::ZERO);
                    self.notes.tell(now, Note::Round { number: *number, sent, dirty });
                }
                DestinationAction::Send(_, ToSource::Ready { .. }) => self.ready = true,
                _ => {}
            }
            let DestinationAction::Note(note) = action else { continue };
            if matches!(note, Note::Began(_)) {
                self.injection.attempt.next();
            }
            self.notes.tell(now, *note);
        }
        self.injection.kill_destination(actions);
    }
}
