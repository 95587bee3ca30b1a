//! From Hello to Ready: memory fills, states load, everything is verified.

use super::state::{Attempt, Loading, Ready, Settling, State, Told, Verifying, succeeded};
use super::{Destination, push};
use crate::action::{Actions, DestinationAction, Note};
use crate::event::Outcome;
use crate::id::AttemptId;
use crate::journal::RecordKind;
use crate::limits::{DURATION_MAX, VERSION, VERSION_OLDEST};
use crate::mutant::Mutant;
use crate::port::{Blame, Op, Phase, Port, PortSet, Side};
use crate::time::{At, Ns};
use crate::wire::message::{Echo, Envelope, Hello, Measured, Refusal, Seal, ToSource, Welcome};

impl<const V: usize, const D: usize, const N: usize> Destination<V, D, N> {
    // [SW-41]
    pub(super) fn on_hello(
        &mut self,
        now: At,
        id: AttemptId,
        hello: Hello,
        out: &mut Actions<DestinationAction>,
    ) {
        let current = self.state.attempt().map(|attempt| attempt.id);
        match self.state {
            // Said again because Welcome was slow or lost. Refusing now could contradict a
            // decision; before one, the Welcome is simply said again (\[SW-7\]).
            State::Loading(s) if current == Some(id) => {
                self.heard(now);
                if s.told.is_none() {
                    self.welcome(&s.attempt, s.warm, out);
                }
                return;
            }
            State::Refusing(s) if current == Some(id) => return self.say_refused(&s, out),
            // The source will say it again when what was loaded is gone.
            State::Refusing(_) => return,
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
            | State::Lost { .. } => {}
        }
        if current == Some(id) && !self.config.wrong(Mutant::DuplicateHelloRefused) {
            return;
        }
        let same_source = current.is_some_and(|current| current.journal == id.journal);
        let newer = current.is_some_and(|current| id.counter > current.counter);
        match self.state {
            State::Idle => self.take_up(now, id, hello, out),
            // A newer attempt of the same source ends an undecided older one; the source says
            // its Hello again when that is unloaded.
            State::Loading(_) | State::Verifying(_) | State::Settling(_) | State::Ready(_)
                if same_source && newer =>
            {
                self.refuse_undecided(now, Refusal::Superseded, None, out);
            }
            // A source begins no attempt while an older one is open: its guest runs there, by its
            // operator's word, and nobody waits for this answer any more.
            State::Lost { attempt, occupied: false } if same_source && newer => {
                self.forget_lost(attempt, false, out);
            }
            State::Loading(_)
            | State::Verifying(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => self.turn_away(id, Refusal::Busy, out),
        }
    }

    fn take_up(&mut self, now: At, id: AttemptId, hello: Hello, out: &mut Actions<DestinationAction>) {
        if let Err(refusal) = self.admit(id, &hello) {
            return self.turn_away(id, refusal, out);
        }
        // A claim of its own would take the place of one that is still to be yielded; the source
        // says its Hello again.
        if self.config.arbiter.is_some() && self.claimed.is_some() {
            return;
        }
        if !self.raise_floor(id) {
            return self.turn_away(id, Refusal::Busy, out);
        }
        let attempt = Attempt {
            id,
            peer: self.identity,
            incarnation: self.incarnation,
            hard_limit: hello.downtime_limit.plus(hello.switchover_limit),
        };
        let warm = self.warm && hello.warm;
        self.warm = true;
        push(out, DestinationAction::Note(Note::Began(id)));
        push(out, DestinationAction::Expect { attempt: id, warm });
        let pending = self.config.contracts.ports();
        self.state = State::Loading(Loading { attempt, heard: now, told: None, warm, pending });
        self.welcome(&attempt, warm, out);
    }

    /// What a core can compare; the host has compared CPUs before (\[SW-40\]).
    // [SW-8]
    fn admit(&self, id: AttemptId, hello: &Hello) -> Result<(), Refusal> {
        let layout = self.config.layout;
        let same_layout = hello.page_size == layout.page_size
            && hello.memory == layout.memory.get()
            && hello.vcpu_ports == layout.vcpu_ports
            && hello.devices == layout.devices;
        if !(VERSION_OLDEST..=VERSION).contains(&hello.version) {
            Err(Refusal::Version)
        } else if self.floor(id) >= id.counter {
            Err(Refusal::Old)
        } else if !same_layout {
            Err(Refusal::Layout)
        } else if hello.arbiter != self.config.arbiter && !self.config.wrong(Mutant::ArbiterNotCompared) {
            Err(Refusal::Arbiter)
        } else if hello.downtime_limit.plus(hello.switchover_limit) > DURATION_MAX {
            Err(Refusal::Protocol)
        } else {
            Ok(())
        }
    }

    fn welcome(&self, attempt: &Attempt, warm: bool, out: &mut Actions<DestinationAction>) {
        let arbiter = self.config.arbiter.is_some();
        let terms = self.config.contracts.announced(self.config.drift, arbiter);
        let welcome = ToSource::Welcome(Welcome { terms, warm });
        push(out, DestinationAction::Send(attempt.envelope(), welcome));
    }

    /// Refuses an attempt that is not the one being served, for good.
    fn turn_away(&mut self, id: AttemptId, reason: Refusal, out: &mut Actions<DestinationAction>) {
        // With the table full, a journal that is not in it is turned away every time: for good too.
        let _known = self.config.wrong(Mutant::BusyNotRemembered) || self.raise_floor(id);
        let envelope = Envelope { attempt: id, peer: self.identity, incarnation: self.incarnation };
        push(out, DestinationAction::Send(envelope, ToSource::Refused { reason, offender: None }));
    }

    pub(super) fn on_ping(&self, number: u32, out: &mut Actions<DestinationAction>) {
        let Some(attempt) = self.state.attempt() else { return };
        push(out, DestinationAction::Send(attempt.envelope(), ToSource::Pong(Echo::Ping(number))));
    }

    pub(super) fn on_round_end(&self, round: u32, chunks: u64, out: &mut Actions<DestinationAction>) {
        if matches!(self.state, State::Loading(_)) {
            push(out, DestinationAction::Drain { round, chunks });
        }
    }

    pub(super) fn on_drained(&self, round: u32, out: &mut Actions<DestinationAction>) {
        if let State::Loading(s) = self.state {
            push(out, DestinationAction::Send(s.attempt.envelope(), ToSource::Pong(Echo::Round(round))));
        }
    }

    /// The blackout has begun. The limit is counted from reading this: the message's own
    /// way is the source's to reserve (\[SW-48\]).
    // [SW-43]
    pub(super) fn on_stopping(
        &mut self,
        now: At,
        elapsed: Ns,
        hard_limit: Ns,
        lease: Ns,
        out: &mut Actions<DestinationAction>,
    ) {
        let State::Loading(mut s) = self.state else { return };
        if s.told.is_some() {
            return;
        }
        if lease > DURATION_MAX || lease < self.need() {
            return self.refuse_undecided(now, Refusal::Protocol, None, out);
        }
        let hard_limit = hard_limit.or_shorter(s.attempt.hard_limit);
        s.told = Some(Told { limit_at: now.plus(hard_limit.minus(elapsed)), lease });
        self.state = State::Loading(s);
        push(out, DestinationAction::Note(Note::Stopping));
        push(out, DestinationAction::Ask(Op::Load, s.pending));
    }

    pub(super) fn on_loaded(
        &mut self,
        now: At,
        port: Port,
        outcome: Outcome,
        out: &mut Actions<DestinationAction>,
    ) {
        let one = PortSet::one(port);
        let (pending, attempt) = match self.state {
            State::Loading(s) if s.told.is_some() => (s.pending, s.attempt),
            State::Verifying(s) => (s.pending, s.attempt),
            // Before the blackout nothing was asked of a port.
            State::Idle
            | State::Loading(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => return,
        };
        if !pending.meets(one) {
            return;
        }
        if !succeeded(outcome) {
            // A state that cannot be loaded may be one that arrived damaged: the stream is not trusted further.
            self.warm = false;
            let offender = Blame { side: Side::Destination, port, phase: Phase::Load };
            return self.refuse(now, attempt, Refusal::PortFailed, Some(offender), out);
        }
        if outcome == Outcome::More && !self.config.wrong(Mutant::FirstSliceIsAll) {
            return push(out, DestinationAction::Ask(Op::Load, one));
        }
        match self.state {
            State::Loading(mut s) => {
                s.pending = s.pending.without(one);
                self.state = State::Loading(s);
                self.note_load(port, Ns::ZERO, out);
            }
            State::Verifying(mut s) => {
                s.pending = s.pending.without(one);
                let took = now.since(s.since);
                s.load = s.load.or_longer(took);
                self.note_load(port, took, out);
                self.state = State::Verifying(s);
                self.settle(now, s, out);
            }
            State::Idle
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => {}
        }
    }

    /// A load is measured as far as it went on after everything had arrived: what came
    /// before was hidden behind the transfer.
    fn note_load(&self, port: Port, measured: Ns, out: &mut Actions<DestinationAction>) {
        let planned = self.config.contracts.of(port, Op::Load);
        push(out, phase(port, Phase::Load, planned, measured));
    }

    pub(super) fn on_sealed(&mut self, now: At, seal: Seal, out: &mut Actions<DestinationAction>) {
        match self.state {
            State::Loading(Loading { attempt, told: Some(told), pending, .. }) => {
                self.state = State::Verifying(Verifying {
                    attempt,
                    told,
                    pending,
                    seal,
                    since: now,
                    load: Ns::ZERO,
                    verified: None,
                });
                push(out, DestinationAction::Verify(seal));
            }
            State::Loading(_) => self.refuse_undecided(now, Refusal::Protocol, None, out),
            State::Idle
            | State::Verifying(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => {}
        }
    }

    // [SW-44]
    pub(super) fn on_verified(&mut self, now: At, arrived: Seal, out: &mut Actions<DestinationAction>) {
        let State::Verifying(mut s) = self.state else { return };
        let offender = Blame { side: Side::Destination, port: Port::Memory, phase: Phase::Seal };
        if arrived != s.seal && !self.config.wrong(Mutant::DigestUnchecked) {
            self.warm = false;
            return self.refuse(now, s.attempt, Refusal::Digest, Some(offender), out);
        }
        let took = now.since(s.since);
        s.verified = Some(took);
        let planned = self.config.contracts.verify.time;
        push(out, phase(Port::Memory, Phase::Seal, planned, took));
        self.state = State::Verifying(s);
        self.settle(now, s, out);
    }

    /// Devices leave RESUMING once everything is loaded and verified.
    fn settle(&mut self, now: At, s: Verifying, out: &mut Actions<DestinationAction>) {
        let loaded = s.pending.is_empty() || self.config.wrong(Mutant::ReadyBeforeLoaded);
        let Some(seal) = s.verified.filter(|_| loaded) else { return };
        let devices = self.config.contracts.ports().devices();
        let measured = Measured { load: s.load, seal, resume: Ns::ZERO, offender: None };
        let settling = Settling {
            attempt: s.attempt,
            told: s.told,
            pending: devices,
            digest: s.seal.digest,
            since: now,
            measured,
        };
        if devices.is_empty() {
            return self.ready(now, settling, out);
        }
        self.state = State::Settling(settling);
        push(out, DestinationAction::Ask(Op::Settle, devices));
    }

    pub(super) fn on_settled(
        &mut self,
        now: At,
        port: Port,
        outcome: Outcome,
        out: &mut Actions<DestinationAction>,
    ) {
        let State::Settling(mut s) = self.state else { return };
        let one = PortSet::one(port);
        if !s.pending.meets(one) {
            return;
        }
        if outcome != Outcome::Done {
            let offender = Blame { side: Side::Destination, port, phase: Phase::Seal };
            return self.refuse(now, s.attempt, Refusal::PortFailed, Some(offender), out);
        }
        s.pending = s.pending.without(one);
        let took = now.since(s.since);
        push(out, phase(port, Phase::Seal, self.config.contracts.of(port, Op::Settle), took));
        if s.pending.is_empty() {
            s.measured.seal = s.measured.seal.plus(took);
            self.ready(now, s, out);
        } else {
            self.state = State::Settling(s);
        }
    }

    /// The lease starts here, before Ready is handed to the link, and is never started again (H13).
    // [SW-45]
    fn ready(&mut self, now: At, s: Settling, out: &mut Actions<DestinationAction>) {
        let arbiter = self.config.arbiter.is_some();
        let ready = Ready {
            attempt: s.attempt,
            digest: s.digest,
            lease_end: now.plus(s.told.lease),
            again: now.plus(self.config.cadence.within(s.told.lease.minus(self.need()))),
            claimable: !arbiter,
            going: None,
            measured: s.measured,
        };
        self.state = State::Ready(ready);
        self.say_ready(now, &ready, out);
        if arbiter {
            // What a restart will yield by; written while Ready is on its way.
            push(out, DestinationAction::Write(self.record(RecordKind::Claiming, s.attempt.id)));
        }
    }

    pub(super) fn say_ready(&self, now: At, s: &Ready, out: &mut Actions<DestinationAction>) {
        let ready = ToSource::Ready { digest: s.digest, lease_left: s.lease_end.since(now) };
        push(out, DestinationAction::Send(s.attempt.envelope(), ready));
    }

    pub(super) fn on_memory_failed(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        self.warm = false;
        let blame = |phase| Some(Blame { side: Side::Destination, port: Port::Memory, phase });
        match self.state {
            State::Loading(s) => {
                self.refuse(now, s.attempt, Refusal::PortFailed, blame(Phase::Transfer), out);
            }
            State::Verifying(s) => self.refuse(now, s.attempt, Refusal::PortFailed, blame(Phase::Seal), out),
            State::Idle
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => {}
        }
    }

    /// The hard limit holds here too, in every part of the load; silence only counts before t = 0.
    // [SW-48]
    pub(super) fn loading_time(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        let on_side = |port, phase| Some(Blame { side: Side::Destination, port, phase });
        match self.state {
            State::Loading(s) => match s.told {
                Some(told) if now > told.limit_at => {
                    self.refuse(now, s.attempt, Refusal::LimitReached, None, out);
                }
                None if now >= s.heard.plus(self.config.cadence.patience(s.attempt.hard_limit)) => {
                    self.refuse(now, s.attempt, Refusal::Silent, None, out);
                }
                Some(_) | None => {}
            },
            State::Verifying(s) if now > s.told.limit_at => {
                self.refuse(now, s.attempt, Refusal::LimitReached, self.stuck(now), out);
            }
            State::Settling(s) if now > s.told.limit_at => {
                let offender = s.pending.first().and_then(|port| on_side(port, Phase::Seal));
                self.refuse(now, s.attempt, Refusal::LimitReached, offender, out);
            }
            State::Idle
            | State::Verifying(_)
            | State::Settling(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => {}
        }
    }

    /// Who is being waited for beyond its contract, if an attempt ends now. What is cut short within it did nothing wrong.
    pub(super) fn stuck(&self, now: At) -> Option<Blame> {
        let contracts = &self.config.contracts;
        let blame = |port, phase| Blame { side: Side::Destination, port, phase };
        let slow = |mut pending: PortSet, op: Op, waited: Ns| {
            let port = pending.find(|port| waited > contracts.of(*port, op))?;
            Some(blame(port, op.phase()))
        };
        match self.state {
            State::Verifying(s) => match (s.pending.is_empty(), s.verified) {
                (false, Some(_)) => slow(s.pending, Op::Load, now.since(s.since)),
                (true, _) => {
                    let late = now.since(s.since) > contracts.verify.time;
                    late.then_some(blame(Port::Memory, Phase::Seal))
                }
                // Neither pages nor states are all here: it is not this side that is slow.
                (false, None) => Some(Blame { side: Side::Source, port: Port::Link, phase: Phase::Transfer }),
            },
            State::Settling(s) => slow(s.pending, Op::Settle, now.since(s.since)),
            State::Idle
            | State::Loading(_)
            | State::Ready(_)
            | State::Claiming(_)
            | State::Writing(_)
            | State::Resuming(_)
            | State::Superseding(_)
            | State::Running(_)
            | State::Refusing(_)
            | State::Lost { .. } => None,
        }
    }

    /// Any message of the attempt's shows that the source lives.
    pub(super) fn heard(&mut self, now: At) {
        if let State::Loading(s) = &mut self.state {
            s.heard = now;
        }
    }
}

/// A phase of this side that ended.
pub(super) const fn phase(port: Port, phase: Phase, planned: Ns, measured: Ns) -> DestinationAction {
    DestinationAction::Note(Note::Phase { side: Side::Destination, port, phase, planned, measured })
}
