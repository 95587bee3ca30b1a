//! From `Go` to a running guest: claim, record, check again, resume.

use super::state::{Deciding, Ready, Resuming, Running, State, Superseding};
use super::{Claim, Destination, push};
use crate::action::{Actions, Alarm, DestinationAction, Note};
use crate::event::{Outcome, Owner};
use crate::id::AttemptId;
use crate::journal::RecordKind;
use crate::mutant::Mutant;
use crate::outcome::{Ended, Ending};
use crate::port::{Blame, Op, Phase, Port, PortSet, Side};
use crate::time::{At, Ns};
use crate::wire::message::{Refusal, ToSource};

impl<const V: usize, const D: usize, const N: usize> Destination<V, D, N> {
    // [SW-49]
    pub(super) fn on_go(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        match self.state {
            State::Ready(mut s) => {
                // The fit test: what is left must hold C + J + Res (H15).
                if now > self.decide_by(s.lease_end) {
                    return self.refuse(now, s.attempt, Refusal::LeaseEnded, None, out);
                }
                if s.going.is_none() {
                    push(out, DestinationAction::Note(Note::Go));
                    s.going = Some(now);
                }
                self.state = State::Ready(s);
                self.try_decide(s, out);
            }
            // `Go` without Ready cannot be: nothing is recorded, so this never runs.
            State::Loading(_) | State::Verifying(_) | State::Settling(_) => {
                self.refuse_undecided(now, Refusal::Asked, None, out);
            }
            // Said again while the decision is under way: idempotent.
            State::Claiming(_) | State::Writing(_) | State::Resuming(_) | State::Superseding(_) => {}
            State::Running(s) => self.say_running(&s, out),
            State::Refusing(s) => self.say_refused(&s, out),
            State::Lost { attempt, .. } => {
                push(out, DestinationAction::Send(attempt.envelope(), ToSource::Lost));
            }
            State::Idle => {}
        }
    }

    /// With an arbiter, the record that a restart yields by is durable, or is not.
    pub(super) fn on_claimable(&mut self, now: At, durable: bool, out: &mut Actions<DestinationAction>) {
        let State::Ready(mut s) = self.state else { return };
        if !durable {
            return self.refuse(now, s.attempt, Refusal::JournalFailed, None, out);
        }
        s.claimable = true;
        self.state = State::Ready(s);
        self.try_decide(s, out);
    }

    fn try_decide(&mut self, s: Ready, out: &mut Actions<DestinationAction>) {
        let Some(since) = s.going.filter(|_| s.claimable) else { return };
        let deciding = Deciding { attempt: s.attempt, lease_end: s.lease_end, since, measured: s.measured };
        if self.config.arbiter.is_some() {
            self.claimed = Some(Claim { attempt: s.attempt.id, give: None });
            self.state = State::Claiming(deciding);
            push(out, DestinationAction::Claim(s.attempt.id));
        } else {
            self.write_running(deciding, out);
        }
    }

    // [SW-51]
    fn write_running(&mut self, deciding: Deciding, out: &mut Actions<DestinationAction>) {
        self.state = State::Writing(deciding);
        push(out, DestinationAction::Write(self.record(RecordKind::Running, deciding.attempt.id)));
        if self.config.wrong(Mutant::ResumeBeforeRecord) {
            self.resume(deciding.since, deciding, false, out);
        }
    }

    /// When an undecided Ready is said again, or refuses by itself (H4).
    // [SW-46] [SW-65]
    pub(super) fn ready_time(&mut self, now: At, mut s: Ready, out: &mut Actions<DestinationAction>) {
        if now > self.decide_by(s.lease_end) {
            self.refuse(now, s.attempt, Refusal::LeaseEnded, None, out);
        } else if now >= s.again {
            let window = self.decide_by(s.lease_end).since(now);
            if self.config.wrong(Mutant::LeaseRestarted) {
                s.lease_end = s.lease_end.plus(self.config.cadence.within(window));
            }
            s.again = now.plus(self.config.cadence.within(window));
            self.state = State::Ready(s);
            self.say_ready(now, &s, out);
        }
    }

    /// The latest instant at which a claim's answer still leaves J + Res.
    pub(super) fn claimed_by(&self, s: &Deciding) -> At {
        let contracts = &self.config.contracts;
        s.lease_end.minus(contracts.journal.time.plus(contracts.resume()))
    }

    // [SW-50]
    pub(super) fn on_claimed(
        &mut self,
        now: At,
        id: AttemptId,
        owner: Option<Owner>,
        out: &mut Actions<DestinationAction>,
    ) {
        let State::Claiming(s) = self.state else { return };
        if s.attempt.id != id {
            return;
        }
        match owner {
            Some(Owner::Destination) if now <= self.claimed_by(&s) => self.write_running(s, out),
            Some(Owner::Destination) => self.refuse(now, s.attempt, Refusal::LeaseEnded, None, out),
            Some(Owner::Source) if self.config.wrong(Mutant::ClaimIgnored) => self.write_running(s, out),
            Some(Owner::Source) => {
                // Nothing to yield: the source has it.
                self.claimed = None;
                self.refuse(now, s.attempt, Refusal::ClaimLost, None, out);
            }
            // Perhaps made, perhaps not: refused and yielded.
            None => self.refuse(now, s.attempt, Refusal::ClaimLost, None, out),
        }
    }

    pub(super) fn claiming_time(&mut self, now: At, s: Deciding, out: &mut Actions<DestinationAction>) {
        if now > self.claimed_by(&s) {
            let offender = Blame { side: Side::Destination, port: Port::Arbiter, phase: Phase::Go };
            self.refuse(now, s.attempt, Refusal::LeaseEnded, Some(offender), out);
        }
    }

    pub(super) fn on_yielded(&mut self, id: AttemptId) {
        if self.claimed.is_some_and(|claim| claim.attempt == id) {
            self.claimed = None;
        }
    }

    /// A yield is asked until it is taken.
    // [SW-56]
    pub(super) fn give_time(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        let Some(claim) = &mut self.claimed else { return };
        if claim.give.is_some_and(|at| now >= at) {
            claim.give = Some(now.plus(self.config.cadence.again));
            push(out, DestinationAction::Yield(claim.attempt));
        }
    }

    /// The record is durable: is there still time to resume in (H15)?
    // [SW-52]
    pub(super) fn on_recorded(&mut self, now: At, durable: bool, out: &mut Actions<DestinationAction>) {
        let State::Writing(s) = self.state else { return };
        let offender = Blame { side: Side::Destination, port: Port::Journal, phase: Phase::Go };
        if !durable {
            self.supersede(s, Refusal::JournalFailed, Some(offender), out);
        } else if now > s.lease_end.minus(self.config.contracts.resume())
            && !self.config.wrong(Mutant::NoSecondLook)
        {
            self.supersede(s, Refusal::TooLate, Some(offender), out);
        } else {
            self.resume(now, s, false, out);
        }
    }

    pub(super) fn resume(
        &mut self,
        now: At,
        deciding: Deciding,
        forward: bool,
        out: &mut Actions<DestinationAction>,
    ) {
        let ports = self.config.contracts.ports();
        let (devices, vcpus) = (ports.devices(), ports.vcpus());
        let s = Resuming { deciding, asked: now, devices, vcpus, executed: false, forward, again: None };
        self.state = State::Resuming(s);
        if self.config.wrong(Mutant::RunningBeforeResume) {
            let running = ToSource::Running(deciding.measured);
            push(out, DestinationAction::Send(deciding.attempt.envelope(), running));
        }
        push(out, DestinationAction::Ask(Op::Resume, if devices.is_empty() { vcpus } else { devices }));
    }

    // [SW-53]
    pub(super) fn on_resumed(
        &mut self,
        now: At,
        port: Port,
        outcome: Outcome,
        out: &mut Actions<DestinationAction>,
    ) {
        let State::Resuming(mut s) = self.state else { return };
        let one = PortSet::one(port);
        let (planned, took) = (self.config.contracts.of(port, Op::Resume), now.since(s.asked));
        let blame = Blame { side: Side::Destination, port, phase: Phase::Resume };
        if outcome != Outcome::Done || took > planned {
            s.deciding.measured.offender = Some(blame);
        }
        if s.devices.meets(one) {
            if s.forward && outcome != Outcome::Done && !self.config.wrong(Mutant::RolledForwardRefused) {
                return self.resume_again(now, s, out);
            }
            s.devices = s.devices.without(one);
            push(out, super::load::phase(port, Phase::Resume, planned, took));
            if outcome != Outcome::Done {
                return self.supersede(s.deciding, Refusal::PortFailed, Some(blame), out);
            }
            self.resume_vcpus(now, s, out);
        } else if s.devices.is_empty() && s.vcpus.meets(one) {
            s.vcpus = s.vcpus.without(one);
            // A port that failed does not speak for those that run.
            let before = s.executed && !self.config.wrong(Mutant::OneFailedPortRefuses);
            s.executed = before || matches!(outcome, Outcome::Done | Outcome::FailedRunning);
            push(out, super::load::phase(port, Phase::Resume, planned, took));
            match (s.vcpus.is_empty(), s.executed) {
                (false, _) => self.state = State::Resuming(s),
                (true, true) => self.runs(now, s, out),
                (true, false) if s.forward && !self.config.wrong(Mutant::RolledForwardRefused) => {
                    s.vcpus = self.config.contracts.ports().vcpus();
                    self.resume_again(now, s, out);
                }
                (true, false) => self.supersede(s.deciding, Refusal::PortFailed, Some(blame), out),
            }
        }
    }

    /// The guest of a record that a restart found may have executed before it was paused, and may
    /// be the only copy: it is never refused. It is asked to run again, for as long as it takes.
    fn resume_again(&mut self, now: At, mut s: Resuming, out: &mut Actions<DestinationAction>) {
        s.again = Some(now.plus(self.config.cadence.again));
        self.state = State::Resuming(s);
        push(out, DestinationAction::Note(Note::Alarm(Alarm::ResumeFailed)));
    }

    /// While a device is waited for: the latest instant at which vCPUs can still be run inside
    /// the lease. None has executed then, so a device that does not come back is not waited for
    /// any longer.
    fn vcpus_by(&self, s: &Resuming) -> Option<At> {
        let vcpus = self.config.contracts.slowest(s.vcpus, Op::Resume);
        (!s.forward && !s.devices.is_empty()).then(|| s.deciding.lease_end.minus(vcpus))
    }

    pub(super) fn resuming_deadline(&self, s: &Resuming) -> Option<At> {
        self.vcpus_by(s).map(At::just_after).or(s.again)
    }

    // [SW-52]
    pub(super) fn resuming_time(&mut self, now: At, mut s: Resuming, out: &mut Actions<DestinationAction>) {
        if self.vcpus_by(&s).is_some_and(|by| now > by) {
            let stuck = s.devices.first();
            let offender = stuck.map(|port| Blame { side: Side::Destination, port, phase: Phase::Resume });
            return self.supersede(s.deciding, Refusal::TooLate, offender, out);
        }
        if s.again.is_some_and(|at| now >= at) {
            s.again = None;
            self.state = State::Resuming(s);
            let ports = if s.devices.is_empty() { s.vcpus } else { s.devices };
            push(out, DestinationAction::Ask(Op::Resume, ports));
        }
    }

    /// Devices run; vCPUs follow if there is still time for them.
    fn resume_vcpus(&mut self, now: At, mut s: Resuming, out: &mut Actions<DestinationAction>) {
        if !s.devices.is_empty() {
            self.state = State::Resuming(s);
            return;
        }
        let last = self.config.contracts.slowest(s.vcpus, Op::Resume);
        if !s.forward && now > s.deciding.lease_end.minus(last) {
            let offender = s.deciding.measured.offender;
            return self.supersede(s.deciding, Refusal::TooLate, offender, out);
        }
        (s.asked, s.again) = (now, None);
        self.state = State::Resuming(s);
        push(out, DestinationAction::Ask(Op::Resume, s.vcpus));
    }

    /// Said only now: by a process that sees the guest run (H5).
    // [SW-54]
    fn runs(&mut self, now: At, s: Resuming, out: &mut Actions<DestinationAction>) {
        let mut measured = s.deciding.measured;
        measured.resume = now.since(s.deciding.since);
        let again = Some(now.plus(self.config.cadence.again));
        let running = Running { attempt: s.deciding.attempt, measured, again };
        self.state = State::Running(running);
        if self.config.wrong(Mutant::RecordEndsWithResume) {
            push(out, DestinationAction::Write(self.record(RecordKind::Finished, running.attempt.id)));
        }
        self.say_running(&running, out);
        push(out, DestinationAction::Note(Note::Runs));
        let ended = Ended {
            attempt: running.attempt.id,
            ending: Ending::Committed,
            offender: measured.offender,
            blackout: Ns::ZERO,
        };
        push(out, DestinationAction::Note(Note::Ended(ended)));
    }

    pub(super) fn say_running(&self, s: &Running, out: &mut Actions<DestinationAction>) {
        push(out, DestinationAction::Send(s.attempt.envelope(), ToSource::Running(s.measured)));
    }

    pub(super) fn running_time(&mut self, now: At, mut s: Running, out: &mut Actions<DestinationAction>) {
        if s.again.is_some_and(|at| now >= at) {
            s.again = Some(now.plus(self.config.cadence.again));
            self.state = State::Running(s);
            if self.link_up {
                self.say_running(&s, out);
            }
        }
    }

    /// No vCPU has executed: `Refused` supersedes `Running`, durably, before it is said.
    fn supersede(
        &mut self,
        s: Deciding,
        reason: Refusal,
        offender: Option<Blame>,
        out: &mut Actions<DestinationAction>,
    ) {
        let superseding =
            Superseding { attempt: s.attempt, lease_end: s.lease_end, reason, offender, again: None };
        self.state = State::Superseding(superseding);
        push(out, DestinationAction::Write(self.record(RecordKind::Refused, s.attempt.id)));
        if self.config.wrong(Mutant::RefusedBeforeSuperseded) {
            let refused = ToSource::Refused { reason, offender };
            push(out, DestinationAction::Send(s.attempt.envelope(), refused));
        }
    }

    pub(super) fn on_superseded(&mut self, now: At, durable: bool, out: &mut Actions<DestinationAction>) {
        let State::Superseding(mut s) = self.state else { return };
        if durable {
            return self.refuse(now, s.attempt, s.reason, s.offender, out);
        }
        // A restart would still find `Running`: nothing is said until this is durable.
        s.again = Some(now.plus(self.config.cadence.again));
        self.state = State::Superseding(s);
        push(out, DestinationAction::Note(Note::Alarm(Alarm::JournalFailed)));
    }

    pub(super) fn superseding_time(
        &mut self,
        now: At,
        mut s: Superseding,
        out: &mut Actions<DestinationAction>,
    ) {
        if s.again.is_some_and(|at| now >= at) {
            s.again = None;
            self.state = State::Superseding(s);
            push(out, DestinationAction::Write(self.record(RecordKind::Refused, s.attempt.id)));
        }
    }
}
