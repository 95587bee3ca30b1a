//! Undoing the stop: devices first, then vCPUs, inside the hard limit.
//!
//! Nothing is waited for that is not needed for it: no journal write, no answer of the
//! peer's (\[SW-21\]). A device that does not come back does not keep the vCPUs beyond H
//! unless the operator asked for that (\[SW-25\]).

use super::state::{Aborted, Blackout, Parting, RollingBack, State};
use super::{Link, Source, push};
use crate::action::{Actions, Alarm, Note, SourceAction};
use crate::event::Outcome;
use crate::mutant::Mutant;
use crate::outcome::Reason;
use crate::port::{Blame, Op, Phase, Port, PortSet};
use crate::time::{At, Ns};
use crate::wire::message::ToDestination;

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    /// Ends an attempt before `Go`: Abort is told, and the rollback begins at once.
    pub(super) fn abort(
        &mut self,
        now: At,
        reason: Reason,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        self.abort_guessing(now, reason, offender, false, out);
    }

    pub(super) fn abort_guessing(
        &mut self,
        now: At,
        reason: Reason,
        offender: Option<Blame>,
        guessed: bool,
        out: &mut Actions<SourceAction>,
    ) {
        let ports = self.config.contracts.ports();
        let offender = offender.filter(|_| !self.config.wrong(Mutant::OffenderForgotten));
        let (blackout, touched) = match self.state {
            State::Stopping(s) => (s.blackout, s.touched),
            State::Saving(s) => (s.blackout, ports),
            State::Sealing(s) => (s.blackout, ports),
            State::Sealed(s) => (s.blackout, ports),
            State::Idle { .. }
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
            | State::Held { .. } => return,
        };
        // A destination that refused, or cannot be reached, has nothing more to say.
        let tell = !matches!(reason, Reason::Refused(_)) && self.link == Link::Up;
        self.undo(now, blackout, Aborted { reason, offender, guessed }, touched, tell, out);
    }

    /// Asks everything that was touched to run again, and only then speaks.
    pub(super) fn undo(
        &mut self,
        now: At,
        blackout: Blackout,
        verdict: Aborted,
        touched: PortSet,
        tell: bool,
        out: &mut Actions<SourceAction>,
    ) {
        let (devices, vcpus) = (touched.devices(), touched.vcpus());
        let vcpus_asked = devices.is_empty();
        push(out, SourceAction::Ask(Op::Rollback, if vcpus_asked { vcpus } else { devices }));
        if !self.config.wrong(Mutant::DirtyBitsLost) {
            push(out, SourceAction::KeepPages);
        }
        if tell {
            let abort = ToDestination::Abort { offender: verdict.offender };
            push(out, SourceAction::Send(blackout.attempt.envelope(), abort));
        }
        push(out, SourceAction::Note(Note::Aborting { reason: verdict.reason, offender: verdict.offender }));
        self.state = State::RollingBack(RollingBack {
            blackout,
            verdict,
            since: now,
            devices,
            vcpus,
            vcpus_asked,
            again: None,
            parting: tell,
        });
    }

    pub(super) fn on_rolled_back(
        &mut self,
        now: At,
        port: Port,
        outcome: Outcome,
        out: &mut Actions<SourceAction>,
    ) {
        let State::RollingBack(mut s) = self.state else { return };
        let one = PortSet::one(port);
        let asked = if s.vcpus_asked { s.vcpus } else { s.devices };
        if !asked.meets(one) {
            return;
        }
        let done = outcome == Outcome::Done;
        if done {
            let planned = self.config.contracts.of(port, Op::Rollback);
            let measured = now.since(s.since);
            s.blackout.overran(super::blackout::own(port, Phase::Rollback), planned, measured);
            push(out, super::blackout::phase(port, Phase::Rollback, planned, measured));
        }
        if s.devices.meets(one) {
            if !done {
                push(out, SourceAction::Note(Note::DeviceLost(one)));
            }
            // The guest goes on without a lost device, unless it is to be held for it: then the
            // device is asked again, for as long as it takes.
            if done || !self.config.hold_on_lost_device {
                self.stays |= !done;
                s.devices = s.devices.without(one);
            } else {
                s.again = Some(now.plus(self.config.cadence.again));
            }
        } else if done {
            s.vcpus = s.vcpus.without(one);
        } else {
            // The only vCPUs there are: asked again, for as long as it takes.
            push(out, SourceAction::Note(Note::Alarm(Alarm::RollbackFailed)));
            s.again = Some(now.plus(self.config.cadence.again));
        }
        self.roll_on(now, s, out);
    }

    fn roll_on(&mut self, now: At, mut s: RollingBack, out: &mut Actions<SourceAction>) {
        if s.devices.is_empty() && !s.vcpus_asked {
            s.vcpus_asked = true;
            s.since = now;
            s.again = None;
            if !s.vcpus.is_empty() {
                push(out, SourceAction::Ask(Op::Rollback, s.vcpus));
            }
        }
        if s.vcpus_asked && s.vcpus.is_empty() {
            self.runs_again(now, s, out);
        } else {
            self.state = State::RollingBack(s);
        }
    }

    fn runs_again(&mut self, now: At, s: RollingBack, out: &mut Actions<SourceAction>) {
        let took = now.since(s.blackout.t0);
        let mut verdict = s.verdict;
        if took > self.config.limits.hard() {
            // The attempt broke its promise: name what did, if the rollback was worse than the cause.
            verdict.offender = verdict.offender.or(s.blackout.worst.map(|worst| worst.blame));
        }
        push(out, SourceAction::Note(Note::Runs));
        let took = if self.config.wrong(Mutant::BlackoutNotBooked) { Ns::ZERO } else { took };
        let attempt = s.blackout.attempt;
        let parting = Parting { attempt, verdict, took, until: now.plus(self.parting_wait()) };
        if s.parting && self.link == Link::Up {
            self.state = State::Parting(parting);
        } else {
            self.part(now, parting, None, out);
        }
    }

    /// How long the destination's word on an abort is awaited. The guest runs: there is no hurry.
    fn parting_wait(&self) -> Ns {
        self.config.cadence.again.times(2)
    }

    pub(super) fn rollback_deadline(&self, s: &RollingBack) -> Option<At> {
        if s.vcpus_asked || self.holds() {
            return s.again;
        }
        Some(self.vcpus_by(s))
    }

    /// Whether the vCPUs wait for every device.
    fn holds(&self) -> bool {
        self.config.hold_on_lost_device || self.config.wrong(Mutant::VcpusWaitForDevices)
    }

    /// From when vCPUs wait for no device any more: asked then, with the timer as late as it may be,
    /// they run by H. Devices have their contract in any case: where H cannot be kept any more, as
    /// after a long doubt, they are not given up for it.
    fn vcpus_by(&self, s: &RollingBack) -> At {
        let contracts = &self.config.contracts;
        let ports = contracts.ports();
        let last = contracts.slowest(ports.vcpus(), Op::Rollback).plus(contracts.timer.time);
        let by = s.blackout.t0.plus(self.config.limits.hard().minus(last));
        let devices = contracts.slowest(ports.devices(), Op::Rollback);
        by.or_later(s.since.plus(devices).just_after())
    }

    pub(super) fn rollback_time(&mut self, now: At, mut s: RollingBack, out: &mut Actions<SourceAction>) {
        if !s.vcpus_asked && !self.holds() && now >= self.vcpus_by(&s) {
            push(out, SourceAction::Note(Note::DeviceLost(s.devices)));
            // It would be asked to stop next time, and end that attempt at the guest's expense.
            self.stays = true;
            s.devices = PortSet::EMPTY;
            self.roll_on(now, s, out);
        } else if s.again.is_some_and(|again| now >= again) {
            s.again = None;
            self.state = State::RollingBack(s);
            let ports = if s.vcpus_asked { s.vcpus } else { s.devices };
            push(out, SourceAction::Ask(Op::Rollback, ports));
        }
    }

    pub(super) fn parting_time(&mut self, now: At, s: Parting, out: &mut Actions<SourceAction>) {
        if now >= s.until {
            self.part(now, s, None, out);
        }
    }

    /// The attempt is over.
    pub(super) fn part(
        &mut self,
        now: At,
        mut s: Parting,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        s.verdict.hear(offender);
        self.end_aborted(now, s.attempt.id, s.verdict, s.took, out);
    }
}
