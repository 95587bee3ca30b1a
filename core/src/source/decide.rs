//! `Go` and what follows: an answer, doubt, a claim, a fence; never a guess (\[SW-27\]).

use super::blackout::own;
use super::meet::record;
use super::state::{Attempt, Blackout, Committing, Fencing, GoSent, InDoubt, Lease, State};
use super::{Link, Source, push};
use crate::action::{Actions, Alarm, Note, SourceAction};
use crate::event::Owner;
use crate::id::AttemptId;
use crate::journal::RecordKind;
use crate::mutant::Mutant;
use crate::outcome::{Ended, Ending, Reason};
use crate::port::{Blame, Phase, Port, PortSet, Side};
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, Measured, Refusal, ToDestination};

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    /// The commit point.
    pub(super) fn go(&mut self, now: At, blackout: Blackout, lease: Lease, out: &mut Actions<SourceAction>) {
        push(out, SourceAction::Send(blackout.attempt.envelope(), ToDestination::Go));
        push(out, SourceAction::Note(Note::Go));
        let answer_by = lease.read.plus(self.answer_after(&blackout, lease.left));
        let again = now.plus(self.config.cadence.within(answer_by.since(now)));
        self.state = State::GoSent(GoSent { blackout, since: now, answer_by, again });
    }

    /// How long after reading Ready an answer can still be on its way. With an arbiter
    /// the source claims as soon as the destination must have decided (\[SW-67\]).
    fn answer_after(&self, blackout: &Blackout, left: Ns) -> Ns {
        let lasting = match self.config.arbiter {
            Some(_) => left.minus(blackout.schedule.lease.minus(blackout.schedule.decide)),
            None => left,
        };
        lasting.stretched(blackout.schedule.drift).plus(blackout.schedule.answer)
    }

    // [SW-28]
    pub(super) fn go_sent_time(&mut self, now: At, mut s: GoSent, out: &mut Actions<SourceAction>) {
        // Strictly after: an answer read at this very instant has been taken before (H14).
        if now > s.answer_by {
            let doubt = InDoubt { blackout: s.blackout, since: s.since, again: now, claiming: false };
            if self.config.wrong(Mutant::TimeRollsBack) {
                return self.roll_back_decided(now, doubt, Reason::TooLate, None, out);
            }
            push(out, SourceAction::Note(Note::InDoubt));
            self.in_doubt_time(now, doubt, out);
        } else if now >= s.again {
            s.again = now.plus(self.config.cadence.within(s.answer_by.since(now)));
            self.state = State::GoSent(s);
            if self.link == Link::Up {
                // Idempotent: the destination decides once.
                push(out, SourceAction::Send(s.blackout.attempt.envelope(), ToDestination::Go));
            } else {
                self.connect(out);
            }
        }
    }

    // [SW-33]
    pub(super) fn in_doubt_time(&mut self, now: At, mut s: InDoubt, out: &mut Actions<SourceAction>) {
        if now < s.again {
            return;
        }
        s.again = now.plus(self.config.cadence.again);
        if self.link == Link::Up {
            self.query(s.blackout.attempt, out);
        } else {
            self.connect(out);
        }
        // A claim that was lost may be yielded later, and an arbiter that failed may answer:
        // asked at this pace, never in a loop.
        if self.config.arbiter.is_some() && !s.claiming {
            s.claiming = true;
            push(out, SourceAction::Claim(s.blackout.attempt.id));
        }
        self.state = State::InDoubt(s);
    }

    /// Asks what became of it.
    pub(super) fn query(&self, attempt: Attempt, out: &mut Actions<SourceAction>) {
        if !self.config.wrong(Mutant::NoQuery) {
            push(out, SourceAction::Send(attempt.envelope(), ToDestination::Query));
        }
    }

    /// The answer to `Go` may come from a restarted destination, but only with its own journal (H10).
    pub(super) fn answered(&self, envelope: Envelope) -> Option<InDoubt> {
        let doubt = match self.state {
            State::GoSent(s) => {
                InDoubt { blackout: s.blackout, since: s.since, again: s.again, claiming: false }
            }
            State::InDoubt(s) => s,
            State::Idle { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Precopy(_)
            | State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::Fencing(_)
            | State::RollingBack(_)
            | State::Parting(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Committed { .. }
            | State::Held { .. } => return None,
        };
        let same = doubt.blackout.attempt.peer == envelope.peer;
        (same || self.config.wrong(Mutant::JournalIdentityIgnored)).then_some(doubt)
    }

    // [SW-36] [SW-37]
    pub(super) fn on_running(
        &mut self,
        now: At,
        envelope: Envelope,
        measured: Measured,
        out: &mut Actions<SourceAction>,
    ) {
        if let Some(doubt) = self.answered(envelope) {
            return self.commit(now, doubt, measured, out);
        }
        match self.state {
            State::Committed { attempt, .. } => {
                push(out, SourceAction::Send(attempt.envelope(), ToDestination::Fin))
            }
            State::Committing(_) | State::Releasing(_) | State::GoSent(_) | State::InDoubt(_) => {}
            State::Fencing(s) if self.config.wrong(Mutant::RunningEndsFence) => {
                self.commit(now, s.doubt, measured, out);
            }
            // The guest runs here, or is about to by an operator's word: only a false fence leads here.
            State::Idle { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Precopy(_)
            | State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::Fencing(_)
            | State::RollingBack(_)
            | State::Parting(_)
            | State::Held { .. } => push(out, SourceAction::Note(Note::Alarm(Alarm::RunsElsewhere))),
        }
    }

    fn commit(&mut self, now: At, doubt: InDoubt, measured: Measured, out: &mut Actions<SourceAction>) {
        let attempt = doubt.blackout.attempt;
        let theirs = |port, phase, measured| {
            SourceAction::Note(Note::Phase {
                side: Side::Destination,
                port,
                phase,
                planned: Ns::ZERO,
                measured,
            })
        };
        push(out, theirs(Port::Peer, Phase::Load, measured.load));
        push(out, theirs(Port::Peer, Phase::Seal, measured.seal));
        push(out, theirs(Port::Peer, Phase::Resume, measured.resume));
        push(
            out,
            super::blackout::phase(
                Port::Link,
                Phase::Go,
                doubt.blackout.schedule.answer,
                now.since(doubt.since),
            ),
        );
        push(
            out,
            SourceAction::Write(record(RecordKind::Committed, attempt.id, attempt.peer, attempt.incarnation)),
        );
        if self.config.wrong(Mutant::FinBeforeCommitted) {
            push(out, SourceAction::Send(attempt.envelope(), ToDestination::Fin));
        }
        let took = now.since(doubt.blackout.t0);
        self.state = State::Committing(Committing { attempt, took, measured });
    }

    /// Durable or not, the copy goes: the destination said that it runs the guest.
    /// Fin waits for one of the two (H11).
    // [SW-29]
    pub(super) fn on_committed(&mut self, out: &mut Actions<SourceAction>) {
        let State::Committing(s) = self.state else { return };
        if self.config.wrong(Mutant::FinBeforeRelease) {
            push(out, SourceAction::Send(s.attempt.envelope(), ToDestination::Fin));
        }
        self.state = State::Releasing(s);
        push(out, SourceAction::Release);
    }

    pub(super) fn on_released(&mut self, now: At, out: &mut Actions<SourceAction>) {
        let State::Releasing(s) = self.state else { return };
        self.state = State::Committed { attempt: s.attempt, again: now.plus(self.config.cadence.again) };
        push(out, SourceAction::Send(s.attempt.envelope(), ToDestination::Fin));
        let ended = Ended {
            attempt: s.attempt.id,
            ending: Ending::Committed,
            offender: s.measured.offender,
            blackout: s.took,
        };
        self.book(ended, out);
        push(out, SourceAction::Note(Note::Finished));
    }

    // [SW-30]
    /// `Fin` may have been lost with its link, and only this side can bring a new one up.
    pub(super) fn committed_time(
        &mut self,
        now: At,
        attempt: Attempt,
        again: At,
        out: &mut Actions<SourceAction>,
    ) {
        if self.link == Link::Down && now >= again && !self.config.wrong(Mutant::FinNotSaidAgain) {
            self.state = State::Committed { attempt, again: now.plus(self.config.cadence.again) };
            self.connect(out);
        }
    }

    pub(super) fn on_refused(
        &mut self,
        now: At,
        envelope: Envelope,
        refusal: Refusal,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        if refusal == Refusal::Digest {
            self.warm = false;
        }
        let deaf = self.config.arbiter.is_some()
            && (self.config.wrong(Mutant::RefusalKeepsClaim) || self.config.wrong(Mutant::RestartKeepsClaim));
        if let Some(doubt) = self.answered(envelope).filter(|_| !deaf) {
            // The word of an incarnation that `Go` was not meant for says nothing of the one that it was (B24).
            if doubt.blackout.attempt.envelope() != envelope {
                return;
            }
            // Whoever owns the token: a destination that refuses never runs it (H18).
            return self.roll_back_decided(now, doubt, Reason::Refused(refusal), offender, out);
        }
        match self.state {
            State::Greeting { .. } | State::Precopy(_) => {
                self.give_up(now, Reason::Refused(refusal), offender, out);
            }
            State::Stopping(s) => self.refused_before_go(now, s.blackout, envelope, refusal, offender, out),
            State::Saving(s) => self.refused_before_go(now, s.blackout, envelope, refusal, offender, out),
            State::Sealing(s) => self.refused_before_go(now, s.blackout, envelope, refusal, offender, out),
            State::Sealed(s) => self.refused_before_go(now, s.blackout, envelope, refusal, offender, out),
            State::RollingBack(mut s) => {
                s.parting = false;
                s.verdict.hear(offender);
                self.state = State::RollingBack(s);
            }
            State::Parting(s) => self.part(now, s, offender, out),
            // The fence is not needed any more, and its record may take for ever.
            State::Fencing(s) if s.held.is_none() && s.doubt.blackout.attempt.envelope() == envelope => {
                self.roll_back_decided(now, s.doubt, Reason::Refused(refusal), offender, out);
            }
            State::Idle { .. }
            | State::Opening { .. }
            | State::GoSent(_)
            | State::InDoubt(_)
            | State::Fencing(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Committed { .. }
            | State::Held { .. } => {}
        }
    }

    fn refused_before_go(
        &mut self,
        now: At,
        blackout: Blackout,
        envelope: Envelope,
        refusal: Refusal,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        let changed = blackout.attempt.envelope() != envelope;
        let reason = if changed { Reason::PeerChanged } else { Reason::Refused(refusal) };
        self.abort(now, reason, offender, out);
    }

    /// It was to run there and is gone: outcome Lost. The copy is kept for the operator (H5).
    // [SW-31]
    pub(super) fn on_lost(&mut self, now: At, envelope: Envelope, out: &mut Actions<SourceAction>) {
        let Some(doubt) = self.answered(envelope) else { return };
        let ended = Ended {
            attempt: doubt.blackout.attempt.id,
            ending: Ending::Lost,
            offender: Some(Blame { side: Side::Destination, port: Port::Vcpus(0), phase: Phase::Resume }),
            blackout: now.since(doubt.blackout.t0),
        };
        self.state = State::Held { doubt, ended };
        push(out, SourceAction::Note(Note::Ended(ended)));
    }

    // [SW-34]
    pub(super) fn on_claimed(
        &mut self,
        now: At,
        id: AttemptId,
        owner: Option<Owner>,
        out: &mut Actions<SourceAction>,
    ) {
        let State::InDoubt(mut s) = self.state else { return };
        if s.blackout.attempt.id != id {
            return;
        }
        match owner {
            Some(Owner::Source) => self.roll_back_decided(now, s, Reason::ClaimWon, None, out),
            Some(Owner::Destination) if self.config.wrong(Mutant::LostClaimReleases) => {
                self.commit(now, s, Measured::default(), out);
            }
            // A lost claim is not knowledge, and a failed one is none either (H17).
            Some(Owner::Destination) | None => {
                s.claiming = false;
                self.state = State::InDoubt(s);
            }
        }
    }

    /// The operator's word that the destination's host is dead: durable before it is acted upon (H22).
    // [SW-35]
    pub(super) fn on_fence(&mut self, out: &mut Actions<SourceAction>) {
        let (doubt, held) = match self.state {
            State::GoSent(s) => {
                (InDoubt { blackout: s.blackout, since: s.since, again: s.again, claiming: false }, None)
            }
            State::InDoubt(s) => (s, None),
            State::Held { doubt, ended } => (doubt, Some(ended)),
            State::Idle { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Precopy(_)
            | State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::Fencing(_)
            | State::RollingBack(_)
            | State::Parting(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Committed { .. } => {
                return push(out, SourceAction::Note(Note::Alarm(Alarm::Ineffective)));
            }
        };
        let attempt = doubt.blackout.attempt;
        self.state = State::Fencing(Fencing { doubt, held });
        push(
            out,
            SourceAction::Write(record(RecordKind::Fenced, attempt.id, attempt.peer, attempt.incarnation)),
        );
    }

    pub(super) fn on_fenced(&mut self, now: At, durable: bool, out: &mut Actions<SourceAction>) {
        let State::Fencing(s) = self.state else { return };
        if durable {
            return self.roll_back_decided(now, s.doubt, Reason::Fenced, None, out);
        }
        // Not durable: a restart would not know of it. The guest stays where it is.
        push(out, SourceAction::Note(Note::Alarm(Alarm::JournalFailed)));
        let doubt = InDoubt { again: now, claiming: false, ..s.doubt };
        self.state = match s.held {
            Some(ended) => State::Held { doubt, ended },
            None => State::InDoubt(doubt),
        };
    }

    fn roll_back_decided(
        &mut self,
        now: At,
        doubt: InDoubt,
        reason: Reason,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        let offender = offender.or_else(|| match reason {
            // An operator's wish is nobody's fault.
            Reason::Refused(Refusal::Cancelled | Refusal::Aborted) => None,
            Reason::Refused(_) => Some(own(Port::Link, Phase::Go)),
            _ => None,
        });
        let ports: PortSet = self.config.contracts.ports();
        self.undo(
            now,
            doubt.blackout,
            super::state::Aborted { reason, offender, guessed: false },
            ports,
            false,
            out,
        );
    }
}
