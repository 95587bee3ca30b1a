//! What is said about an attempt, and refusals: each for good (\[SW-6\]).

use super::state::{Attempt, Refusing, State};
use super::{Destination, push};
use crate::action::{Actions, DestinationAction, Note};
use crate::id::AttemptId;
use crate::journal::{Record, RecordKind};
use crate::mutant::Mutant;
use crate::outcome::{Ended, Ending, Reason};
use crate::port::{Blame, Op, Port, PortSet};
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, Refusal, ToDestination, ToSource};

impl<const V: usize, const D: usize, const N: usize> Destination<V, D, N> {
    /// A question met before the decision *is* a decision: Refused (H3).
    // [SW-57]
    pub(super) fn on_query(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        match self.state {
            State::Loading(_) | State::Verifying(_) | State::Settling(_) | State::Ready(_) => {
                self.refuse_undecided(now, Refusal::Asked, None, out);
            }
            State::Claiming(s) | State::Writing(s) => self.say_pending(now, s.attempt, s.lease_end, out),
            State::Resuming(s) => self.say_pending(now, s.deciding.attempt, s.deciding.lease_end, out),
            State::Superseding(s) => self.say_pending(now, s.attempt, s.lease_end, out),
            State::Running(s) => self.say_running(&s, out),
            State::Refusing(s) => self.say_refused(&s, out),
            State::Lost { attempt, .. } => {
                push(out, DestinationAction::Send(attempt.envelope(), ToSource::Lost));
            }
            State::Idle => {}
        }
    }

    fn say_pending(&self, now: At, attempt: Attempt, lease_end: At, out: &mut Actions<DestinationAction>) {
        let pending = ToSource::Pending { lease_left: lease_end.since(now) };
        push(out, DestinationAction::Send(attempt.envelope(), pending));
    }

    /// Before the decision, an abort ends the attempt; after it, the answer is what it is (H21).
    pub(super) fn on_abort(
        &mut self,
        now: At,
        offender: Option<Blame>,
        out: &mut Actions<DestinationAction>,
    ) {
        match self.state {
            State::Loading(_) | State::Verifying(_) | State::Settling(_) | State::Ready(_) => {
                let stuck = self.stuck(now).or(offender);
                self.refuse_undecided(now, Refusal::Aborted, stuck, out);
            }
            State::Running(s) => self.say_running(&s, out),
            State::Refusing(s) => self.say_refused(&s, out),
            State::Idle
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Lost { .. } => {}
        }
    }

    /// The source's copy is gone: the record has done its work (H11).
    // [SW-55]
    pub(super) fn on_fin(&mut self, out: &mut Actions<DestinationAction>) {
        match self.state {
            State::Running(mut s) if s.again.is_some() => {
                s.again = None;
                self.state = State::Running(s);
                self.claimed = None;
                push(out, DestinationAction::Write(self.record(RecordKind::Finished, s.attempt.id)));
                push(out, DestinationAction::Note(Note::Finished));
            }
            State::Lost { attempt, occupied } => self.forget_lost(attempt, occupied, out),
            State::Idle
            | State::Loading(_)
            | State::Verifying(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_) => {}
        }
    }

    /// Nobody will ask about a lost attempt any more. What the restart found here is gone before
    /// anything is taken up, and a guest that runs stays in its place.
    pub(super) fn forget_lost(
        &mut self,
        attempt: Attempt,
        occupied: bool,
        out: &mut Actions<DestinationAction>,
    ) {
        self.claimed = None;
        push(out, DestinationAction::Write(self.record(RecordKind::Finished, attempt.id)));
        if occupied {
            self.keep_found();
        } else {
            self.unload_found(out);
        }
    }

    /// A message about another attempt than the one at hand, or of another incarnation.
    // [SW-3] [SW-58]
    pub(super) fn on_stale(
        &mut self,
        now: At,
        envelope: Envelope,
        message: ToDestination,
        out: &mut Actions<DestinationAction>,
    ) {
        let asks = matches!(message, ToDestination::Go | ToDestination::Query);
        if envelope.peer != self.identity && !self.config.wrong(Mutant::JournalIdentityIgnored) {
            // Not this journal: what became of the attempt cannot be said from here (H10).
            if asks {
                let own = Envelope { peer: self.identity, incarnation: self.incarnation, ..envelope };
                push(out, DestinationAction::Send(own, ToSource::Stranger));
            }
            return;
        }
        if self.attempt() == Some(envelope.attempt) {
            return self.on_earlier_incarnation(now, message, out);
        }
        match message {
            ToDestination::Fin | ToDestination::Hello(_) => {}
            // No record of it, in this journal: it never ran here, and from now on never will (H8, H9).
            // The answer names what was asked about, with its incarnation: only so does it count after `Go` (B24).
            ToDestination::Go | ToDestination::Query | ToDestination::Abort { .. } => {
                let _known = self.raise_floor(envelope.attempt);
                self.say_no_record(envelope, envelope, out);
            }
            ToDestination::Ping(_)
            | ToDestination::RoundEnd { .. }
            | ToDestination::Stopping { .. }
            | ToDestination::Sealed(_) => {
                if self.floor(envelope.attempt) >= envelope.attempt.counter {
                    let own = Envelope { incarnation: self.incarnation, ..envelope };
                    self.say_no_record(envelope, own, out);
                }
            }
        }
    }

    /// The attempt at hand, named with an earlier incarnation: a decision outlives the
    /// process that made it, an undecided attempt does not.
    // [SW-4]
    fn on_earlier_incarnation(
        &mut self,
        now: At,
        message: ToDestination,
        out: &mut Actions<DestinationAction>,
    ) {
        let decided = match self.state {
            State::Resuming(_) | State::Superseding(_) | State::Running(_) | State::Lost { .. } => true,
            State::Idle
            | State::Loading(_)
            | State::Verifying(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Refusing(_) => false,
        };
        match message {
            ToDestination::Go | ToDestination::Query if decided => self.on_query(now, out),
            ToDestination::Fin if decided => self.on_fin(out),
            ToDestination::Go
            | ToDestination::Query
            | ToDestination::Fin
            | ToDestination::Hello(_)
            | ToDestination::Ping(_)
            | ToDestination::RoundEnd { .. }
            | ToDestination::Stopping { .. }
            | ToDestination::Sealed(_)
            | ToDestination::Abort { .. } => {}
        }
    }

    /// There is no record of it here, and none will be made: said in the envelope `from`.
    // [SW-58]
    fn say_no_record(&self, asked: Envelope, from: Envelope, out: &mut Actions<DestinationAction>) {
        let reason = if asked.incarnation == self.incarnation {
            Refusal::NoRecord
        } else {
            // Undecided when that one ended: a decision would be on record.
            Refusal::Incarnation
        };
        let refused = ToSource::Refused { reason, offender: None };
        push(out, DestinationAction::Send(from, refused));
    }

    pub(super) fn say_refused(&self, s: &Refusing, out: &mut Actions<DestinationAction>) {
        let refused = ToSource::Refused { reason: s.reason, offender: s.offender };
        push(out, DestinationAction::Send(s.attempt.envelope(), refused));
    }

    /// Refuses the attempt at hand if nothing is decided; otherwise does nothing.
    // [SW-47]
    pub(super) fn refuse_undecided(
        &mut self,
        now: At,
        reason: Refusal,
        offender: Option<Blame>,
        out: &mut Actions<DestinationAction>,
    ) {
        let attempt = match self.state {
            State::Loading(s) => s.attempt,
            State::Verifying(s) => s.attempt,
            State::Settling(s) => s.attempt,
            State::Ready(s) => s.attempt,
            State::Idle
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => return,
        };
        self.refuse(now, attempt, reason, offender, out);
    }

    /// It will never run here under this attempt: told at once, then unloaded, and the
    /// run given to the source if it was ever claimed (H18).
    pub(super) fn refuse(
        &mut self,
        now: At,
        attempt: Attempt,
        reason: Refusal,
        offender: Option<Blame>,
        out: &mut Actions<DestinationAction>,
    ) {
        let pending = self.config.contracts.ports();
        let refusing = Refusing { attempt, reason, offender, pending };
        self.state = State::Refusing(refusing);
        if reason != Refusal::LeaseEnded || !self.config.wrong(Mutant::LeaseEndsSilently) {
            self.say_refused(&refusing, out);
        }
        push(out, DestinationAction::Discard);
        push(out, DestinationAction::Ask(Op::Unload, pending));
        let reason = Reason::Refused(reason);
        let ended =
            Ended { attempt: attempt.id, ending: Ending::Aborted(reason), offender, blackout: Ns::ZERO };
        push(out, DestinationAction::Note(Note::Ended(ended)));
        if let Some(claim) = &mut self.claimed
            && !self.config.wrong(Mutant::RefusalKeepsClaim)
        {
            claim.give = Some(now);
        }
    }

    pub(super) fn on_unloaded(&mut self, port: Port) {
        let State::Refusing(mut s) = self.state else { return };
        // A port that could not be unloaded refuses the next load by itself.
        s.pending = s.pending.without(PortSet::one(port));
        self.state = if s.pending.is_empty() { State::Idle } else { State::Refusing(s) };
    }

    pub(super) fn on_link_up(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        self.link_up = true;
        // A new connection is a new bulk stream: what an older one left behind is not known.
        self.warm = false;
        if let State::Running(mut s) = self.state
            && s.again.is_some()
        {
            s.again = Some(now.plus(self.config.cadence.again));
            self.state = State::Running(s);
            self.say_running(&s, out);
        }
    }

    pub(super) fn on_link_down(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        self.link_up = false;
        self.warm = false;
        let stuck = self.stuck(now);
        self.refuse_undecided(now, Refusal::LinkLost, stuck, out);
    }

    /// The highest attempt of that journal that was ever taken up or turned away.
    pub(super) fn floor(&self, id: AttemptId) -> u32 {
        let seen = self.floors.iter().find(|floor| floor.journal == id.journal);
        seen.map_or(0, |floor| floor.counter)
    }

    /// Never takes this attempt, or an older one of that journal, up again. `false`: the
    /// table is full and the journal is not in it, so none of its attempts is ever taken up.
    // [SW-5]
    pub(super) fn raise_floor(&mut self, id: AttemptId) -> bool {
        if self.config.wrong(Mutant::FloorForgotten) {
            return true;
        }
        match self.floors.iter_mut().find(|floor| floor.journal == id.journal) {
            Some(floor) => {
                floor.counter = floor.counter.max(id.counter);
                true
            }
            None => self.floors.push(id).is_ok(),
        }
    }

    pub(super) fn record(&self, kind: RecordKind, attempt: AttemptId) -> Record {
        Record {
            kind,
            attempt,
            peer: self.identity,
            incarnation: self.incarnation,
            instance: self.config.instance,
        }
    }
}
