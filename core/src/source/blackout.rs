//! From t = 0 to `Go`: stop, save, transfer, seal, and the one deadline over all of it.
//!
//! A phase over its own contract is noted, not aborted. What ends an attempt here is
//! that the *other* phases' contracts no longer fit before `go_by` (\[SW-22\]).

use super::meet::record;
use super::state::{Attempt, Blackout, Lease, Overrun, Saving, Sealed, Sealing, Stage, State, Stopping};
use super::{Source, push};
use crate::action::{Actions, Note, SourceAction};
use crate::admission::Rest;
use crate::digest::Digest;
use crate::event::{Outcome, Pass};
use crate::journal::RecordKind;
use crate::mutant::Mutant;
use crate::outcome::Reason;
use crate::port::{Blame, Op, Phase, Port, PortSet, Side};
use crate::schedule::Schedule;
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, Seal, ToDestination};

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    /// t = 0: the first thing the guest can feel.
    // [SW-16]
    pub(super) fn stop(
        &mut self,
        now: At,
        attempt: Attempt,
        schedule: Schedule,
        rest: Rest,
        out: &mut Actions<SourceAction>,
    ) {
        let ports = self.config.contracts.ports();
        let (stage, op, pending) = if ports.devices().is_empty() {
            (Stage::Vcpus, Op::Stop, ports.vcpus())
        } else {
            (Stage::Quiesce, Op::Quiesce, ports.devices())
        };
        let blackout = Blackout { attempt, t0: now, schedule, rest, worst: None };
        self.state = State::Stopping(Stopping { blackout, stage, since: now, pending, touched: pending });
        push(out, SourceAction::Note(Note::Stopping));
        push(out, SourceAction::Ask(op, pending));
        let stopping = ToDestination::Stopping {
            elapsed: Ns::ZERO,
            hard_limit: self.config.limits.hard(),
            lease: schedule.lease,
        };
        push(out, SourceAction::Send(attempt.envelope(), stopping));
    }

    pub(super) fn on_stopped(
        &mut self,
        now: At,
        port: Port,
        op: Op,
        outcome: Outcome,
        out: &mut Actions<SourceAction>,
    ) {
        let State::Stopping(mut s) = self.state else { return };
        let one = PortSet::one(port);
        if op != s.stage.op() || !s.pending.meets(one) {
            return;
        }
        if outcome != Outcome::Done {
            return self.abort(now, Reason::PortFailed, Some(own(port, Phase::Stop)), out);
        }
        s.pending = s.pending.without(one);
        self.phase_ended(&mut s.blackout, port, op, now.since(s.since), out);
        if s.pending.is_empty() {
            self.next_stage(now, s, out);
        } else {
            self.state = State::Stopping(s);
        }
    }

    fn next_stage(&mut self, now: At, mut s: Stopping, out: &mut Actions<SourceAction>) {
        let ports = self.config.contracts.ports();
        let next = match s.stage {
            Stage::Quiesce => Some((Stage::Vcpus, ports.vcpus())),
            Stage::Vcpus => Some((Stage::Devices, ports.devices())),
            Stage::Devices => None,
        };
        match next.filter(|(_, pending)| !pending.is_empty()) {
            Some((stage, pending)) => {
                if self.config.wrong(Mutant::StopCountedLate) {
                    s.blackout.t0 = now;
                }
                s.touched = s.touched.with(pending);
                self.state = State::Stopping(Stopping { stage, pending, since: now, ..s });
                push(out, SourceAction::Ask(stage.op(), pending));
            }
            None => {
                self.state =
                    State::Saving(Saving { blackout: s.blackout, since: now, pending: ports, memory: true });
                push(out, SourceAction::Ask(Op::Save, ports));
                push(out, SourceAction::LastPages);
            }
        }
    }

    // [SW-17]
    pub(super) fn on_saved(
        &mut self,
        now: At,
        port: Port,
        outcome: Outcome,
        out: &mut Actions<SourceAction>,
    ) {
        let State::Saving(mut s) = self.state else { return };
        let one = PortSet::one(port);
        if !s.pending.meets(one) {
            return;
        }
        match outcome {
            // The next slice is asked for only while it can still help: no deadline waits for a device.
            Outcome::More if now <= s.blackout.transferred_by() => {
                push(out, SourceAction::Ask(Op::Save, one))
            }
            Outcome::More => {}
            Outcome::Done => {
                s.pending = s.pending.without(one);
                self.phase_ended(&mut s.blackout, port, Op::Save, now.since(s.since), out);
                self.saved(now, s, out);
            }
            Outcome::Failed | Outcome::FailedRunning => {
                self.abort(now, Reason::PortFailed, Some(own(port, Phase::Save)), out);
            }
        }
    }

    pub(super) fn on_last_pages(&mut self, now: At, pass: Pass, out: &mut Actions<SourceAction>) {
        let State::Saving(mut s) = self.state else { return };
        if !s.memory {
            return;
        }
        s.memory = false;
        push(out, SourceAction::Note(Note::Sent(pass.sent)));
        let planned = self.planned_transfer(&s.blackout);
        let measured = now.since(s.since);
        s.blackout.overran(own(Port::Link, Phase::Transfer), planned, measured);
        push(out, phase(Port::Memory, Phase::Transfer, planned, measured));
        self.saved(now, s, out);
    }

    /// Seals once every state and the last page are handed over.
    fn saved(&mut self, now: At, s: Saving, out: &mut Actions<SourceAction>) {
        if s.pending.is_empty() && !s.memory {
            self.state = State::Sealing(Sealing { blackout: s.blackout, since: now });
            push(out, SourceAction::Seal);
        } else {
            self.state = State::Saving(s);
        }
    }

    /// Sealed is sent, and `MayGo` begins to be written while the destination verifies (H1).
    // [SW-18]
    pub(super) fn on_sealed(&mut self, now: At, seal: Seal, out: &mut Actions<SourceAction>) {
        let State::Sealing(s) = self.state else { return };
        let attempt = s.blackout.attempt;
        self.state =
            State::Sealed(Sealed { blackout: s.blackout, since: now, seal, ready: None, may_go: false });
        push(out, SourceAction::Send(attempt.envelope(), ToDestination::Sealed(seal)));
        push(
            out,
            SourceAction::Write(record(RecordKind::MayGo, attempt.id, attempt.peer, attempt.incarnation)),
        );
        push(out, phase(Port::Memory, Phase::Seal, self.config.contracts.seal.time, now.since(s.since)));
    }

    // [SW-23]
    pub(super) fn on_ready(
        &mut self,
        now: At,
        envelope: Envelope,
        digest: Digest,
        left: Ns,
        out: &mut Actions<SourceAction>,
    ) {
        if let State::RollingBack(s) = self.state
            && self.config.wrong(Mutant::GoAfterAbort)
        {
            push(out, SourceAction::Send(s.blackout.attempt.envelope(), ToDestination::Go));
        }
        let State::Sealed(mut s) = self.state else { return };
        if s.blackout.attempt.envelope() != envelope {
            return self.abort(now, Reason::PeerChanged, None, out);
        }
        if digest != s.seal.digest {
            self.warm = false;
            let blame = Blame { side: Side::Destination, port: Port::Memory, phase: Phase::Seal };
            return self.abort(now, Reason::Digest, Some(blame), out);
        }
        if s.ready.is_none() {
            // A lease cannot be longer than the one that was asked for.
            s.ready = Some(Lease { read: now, left: left.or_shorter(s.blackout.schedule.lease) });
            push(out, phase(Port::Link, Phase::Ready, s.blackout.rest.after_seal, now.since(s.since)));
        }
        self.try_go(now, s, out);
    }

    pub(super) fn on_may_go(&mut self, now: At, durable: bool, out: &mut Actions<SourceAction>) {
        let State::Sealed(mut s) = self.state else { return };
        if !durable {
            return self.abort(now, Reason::JournalFailed, Some(own(Port::Journal, Phase::Ready)), out);
        }
        s.may_go = true;
        self.try_go(now, s, out);
    }

    /// `Go` needs Ready with my digest, a durable `MayGo`, and `now <= go_by` (\[SW-19\]).
    fn try_go(&mut self, now: At, s: Sealed, out: &mut Actions<SourceAction>) {
        let may_go = s.may_go || self.config.wrong(Mutant::GoBeforeMayGo);
        let in_time = now <= s.blackout.go_by() || self.config.wrong(Mutant::GoByLeftToTimer);
        match s.ready.filter(|_| may_go && in_time) {
            Some(lease) => self.go(now, s.blackout, lease, out),
            None => self.state = State::Sealed(s),
        }
    }

    /// Judged after every event of these states, so that no deadline waits for its timer.
    // [SW-20]
    pub(super) fn blackout_time(&mut self, now: At, out: &mut Actions<SourceAction>) {
        match self.state {
            _ if self.unbounded() => {}
            State::Stopping(s) if now > s.blackout.stopped_by() => {
                let waiting = self.waiting(now.since(s.since), s.pending, s.stage.op());
                self.doomed(now, &s.blackout, waiting, out);
            }
            State::Saving(s) if now > s.blackout.transferred_by() => {
                let waited = now.since(s.since);
                let waiting = self.waiting(waited, s.pending, Op::Save);
                let waiting = waiting.or(Some(self.transferring(&s.blackout, waited)));
                self.doomed(now, &s.blackout, waiting, out);
            }
            State::Sealing(s) if now > s.blackout.sealed_by() => {
                let planned = self.config.contracts.seal.time;
                let by = now.since(s.since).minus(planned);
                // Where sealing itself takes no time, it is the wire that is waited for.
                let blame = if planned == Ns::ZERO {
                    own(Port::Link, Phase::Transfer)
                } else {
                    own(Port::Memory, Phase::Seal)
                };
                let waiting = Overrun { blame, planned, by };
                self.doomed(now, &s.blackout, Some(waiting), out);
            }
            State::Sealed(s) if now > s.blackout.go_by() => {
                let (blame, guessed) = match (s.ready, s.may_go) {
                    (Some(_), false) => (own(Port::Journal, Phase::Ready), false),
                    // Where it got stuck the destination knows; nothing heard at all is the link's.
                    _ => (own(Port::Link, Phase::Transfer), true),
                };
                self.abort_guessing(now, Reason::TooLate, Some(blame), guessed, out);
            }
            State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::Idle { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Precopy(_)
            | State::GoSent(_)
            | State::InDoubt(_)
            | State::Fencing(_)
            | State::RollingBack(_)
            | State::Parting(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Committed { .. }
            | State::Held { .. } => {}
        }
    }

    /// Whether a mutant has taken the deadline of this state away.
    pub(super) fn unbounded(&self) -> bool {
        match self.state {
            State::Stopping(_) | State::Saving(_) | State::Sealing(_) => {
                self.config.wrong(Mutant::WorkUnbounded)
            }
            State::Sealed(s) => s.ready.is_some() && self.config.wrong(Mutant::GoByWaitsForJournal),
            _ => false,
        }
    }

    /// Aborts, and notes what was being waited for as far as it went.
    fn doomed(
        &mut self,
        now: At,
        blackout: &Blackout,
        waiting: Option<Overrun>,
        out: &mut Actions<SourceAction>,
    ) {
        if let Some(Overrun { blame, planned, by }) = waiting {
            let measured = planned.plus(by);
            push(out, SourceAction::Note(Note::CutShort { blame, planned, measured }));
        }
        self.abort(now, Reason::Doomed, blackout.offender(waiting), out);
    }

    /// The port that has been waited for the longest beyond its contract.
    fn waiting(&self, waited: Ns, pending: PortSet, op: Op) -> Option<Overrun> {
        let mut worst: Option<Overrun> = None;
        for port in pending {
            let planned = self.config.contracts.of(port, op);
            let by = waited.minus(planned);
            if worst.is_none_or(|worst| by > worst.by) {
                worst = Some(Overrun { blame: own(port, op.phase()), planned, by });
            }
        }
        worst
    }

    fn transferring(&self, blackout: &Blackout, waited: Ns) -> Overrun {
        let planned = self.planned_transfer(blackout);
        Overrun { blame: own(Port::Link, Phase::Transfer), planned, by: waited.minus(planned) }
    }

    /// What the transfer was planned to take: the rest after the stop, less the others.
    fn planned_transfer(&self, blackout: &Blackout) -> Ns {
        let rest = blackout.rest;
        rest.after_stop.minus(rest.after_transfer).minus(self.sums.save)
    }

    fn phase_ended(
        &self,
        blackout: &mut Blackout,
        port: Port,
        op: Op,
        measured: Ns,
        out: &mut Actions<SourceAction>,
    ) {
        let planned = self.config.contracts.of(port, op);
        blackout.overran(own(port, op.phase()), planned, measured);
        push(out, phase(port, op.phase(), planned, measured));
    }
}

impl Stage {
    fn op(self) -> Op {
        match self {
            Self::Quiesce => Op::Quiesce,
            Self::Vcpus | Self::Devices => Op::Stop,
        }
    }
}

/// Blame on this side.
pub(super) const fn own(port: Port, phase: Phase) -> Blame {
    Blame { side: Side::Source, port, phase }
}

/// A phase of this side that ended.
pub(super) const fn phase(port: Port, phase: Phase, planned: Ns, measured: Ns) -> SourceAction {
    SourceAction::Note(Note::Phase { side: Side::Source, port, phase, planned, measured })
}
