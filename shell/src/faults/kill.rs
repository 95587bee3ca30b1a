//! Processes that die on entry to a phase: seen in what the machine is about to do.

use std::time::Duration;

use switchover_core::action::{DestinationAction, Note, SourceAction};
use switchover_core::port::Op;
use switchover_core::wire::message::{ToDestination, ToSource};

use super::Injection;
use crate::words::{Phase, Side};

/// What a watcher in another process may need to hear what came before.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// The phase that a source enters with this action. `Go` is not among them: it counts once it is handed to the socket.
fn source_enters(action: &SourceAction) -> Option<Phase> {
    match action {
        SourceAction::Send(_, message) => match message {
            ToDestination::Hello(_) => Some(Phase::Hello),
            ToDestination::Sealed(_) => Some(Phase::Ready),
            ToDestination::Ping(_)
            | ToDestination::RoundEnd { .. }
            | ToDestination::Stopping { .. }
            | ToDestination::Go
            | ToDestination::Query
            | ToDestination::Fin
            | ToDestination::Abort { .. } => None,
        },
        SourceAction::Round { .. } => Some(Phase::Precopy),
        SourceAction::Note(Note::Stopping) => Some(Phase::Stop),
        SourceAction::Ask(Op::Save, _) => Some(Phase::Save),
        SourceAction::Ask(Op::Rollback, _) => Some(Phase::Rollback),
        SourceAction::LastPages => Some(Phase::Transfer),
        SourceAction::Seal => Some(Phase::Seal),
        SourceAction::Connect
        | SourceAction::Write(_)
        | SourceAction::Ask(..)
        | SourceAction::KeepPages
        | SourceAction::Claim(_)
        | SourceAction::Release
        | SourceAction::Note(_) => None,
    }
}

/// The phase that a destination enters with this action. Its hello is not among them: it counts once the `Welcome` is
/// handed to the socket, since before that no guest has been started and no attempt has begun.
fn destination_enters(action: &DestinationAction) -> Option<Phase> {
    match action {
        DestinationAction::Note(Note::Stopping) => Some(Phase::Stop),
        DestinationAction::Ask(Op::Load, _) => Some(Phase::Load),
        DestinationAction::Ask(Op::Resume, _) => Some(Phase::Resume),
        DestinationAction::Verify(_) => Some(Phase::Seal),
        // The first that a source says once it has read its Welcome: all before it is the hello.
        DestinationAction::Send(_, ToSource::Pong(_)) => Some(Phase::Precopy),
        DestinationAction::Send(_, ToSource::Ready { .. }) => Some(Phase::Ready),
        DestinationAction::Send(..)
        | DestinationAction::Expect { .. }
        | DestinationAction::Write(_)
        | DestinationAction::Drain { .. }
        | DestinationAction::Discard
        | DestinationAction::Ask(..)
        | DestinationAction::Claim(_)
        | DestinationAction::Yield(_)
        | DestinationAction::Note(_) => None,
    }
}

impl Injection {
    /// Dies if the source enters a phase with one of these actions in which it is to die.
    pub fn kill_source(&self, actions: &[SourceAction]) {
        for phase in actions.iter().filter_map(source_enters) {
            self.kill(Side::Source, phase);
        }
    }

    /// Dies if the destination does; transfer counts when the guest stops. `Welcome` and `Go` are the link's to see, as
    /// one is sent and the other read.
    pub fn kill_destination(&self, actions: &[DestinationAction]) {
        for phase in actions.iter().filter_map(destination_enters) {
            self.kill(Side::Destination, phase);
            if phase == Phase::Stop {
                self.kill(Side::Destination, Phase::Transfer);
            }
        }
    }

    /// Dies if that side is to die in that phase of the present attempt.
    pub fn kill(&self, side: Side, phase: Phase) {
        if self.faults.kills(side, phase, self.attempt.get()) {
            std::thread::sleep(LAST_WORDS);
            crate::sys::signal::die();
        }
    }
}
