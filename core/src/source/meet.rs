//! From idle to Welcome: a durable name, a link, a Hello.

use super::state::{Aborted, Attempt, Ping, Precopy, State};
use super::{Link, Source, push};
use crate::action::{Actions, Alarm, Note, SourceAction};
use crate::contract::Origin;
use crate::id::{AttemptId, GuestInstance, Incarnation, JournalId};
use crate::journal::{Record, RecordKind};
use crate::limits::{DURATION_MAX, VERSION};
use crate::mutant::Mutant;
use crate::outcome::{Ended, Ending, Reason};
use crate::port::{Blame, Phase, Port, Side};
use crate::time::{At, Ns};
use crate::units::Bytes;
use crate::wire::message::{Envelope, Hello, Refusal, ToDestination, Welcome};

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    pub(super) fn on_begin(&mut self, now: At, out: &mut Actions<SourceAction>) {
        match self.state {
            State::Idle { next: None } => {
                // A new run: its attempts and its blackout are counted anew.
                self.ended.clear();
                self.blackout = Ns::ZERO;
                self.stays = false;
                self.state = State::Idle { next: Some(now) };
            }
            State::Idle { next: Some(_) }
            | State::Opening { .. }
            | State::Greeting { .. }
            | State::Precopy(_)
            | State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::GoSent(_)
            | State::InDoubt(_)
            | State::Fencing(_)
            | State::RollingBack(_)
            | State::Parting(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Committed { .. }
            | State::Held { .. } => push(out, SourceAction::Note(Note::Alarm(Alarm::Ineffective))),
        }
    }

    /// Begins an attempt: its name must be durable before anybody hears it (H12).
    // [SW-1]
    pub(super) fn open(&mut self, out: &mut Actions<SourceAction>) {
        let Some(counter) = self.counter.checked_add(1) else {
            // Four thousand million attempts: this journal's names are used up.
            self.state = State::Idle { next: None };
            return push(out, SourceAction::Note(Note::Finished));
        };
        self.counter = counter;
        let id = AttemptId { journal: self.identity, counter };
        self.state = State::Opening { id };
        push(out, SourceAction::Note(Note::Began(id)));
        push(
            out,
            SourceAction::Write(record(RecordKind::Open, id, JournalId::default(), Incarnation::default())),
        );
    }

    pub(super) fn on_open(&mut self, now: At, durable: bool, out: &mut Actions<SourceAction>) {
        let State::Opening { id } = self.state else { return };
        if !durable {
            return self.give_up(
                now,
                Reason::JournalFailed,
                Some(super::blackout::own(Port::Journal, Phase::Hello)),
                out,
            );
        }
        self.state = State::Greeting { id, since: now, again: now.plus(self.config.cadence.again) };
        if self.link == Link::Up {
            self.hello(id, out);
        } else {
            self.connect(out);
        }
    }

    fn hello(&mut self, id: AttemptId, out: &mut Actions<SourceAction>) {
        let config = &self.config;
        let hello = Hello {
            version: VERSION,
            downtime_limit: config.limits.downtime,
            switchover_limit: config.limits.switchover,
            page_size: config.layout.page_size,
            memory: config.layout.memory.get(),
            vcpu_ports: config.layout.vcpu_ports,
            devices: config.layout.devices,
            drift: config.drift,
            warm: self.warm,
            arbiter: config.arbiter,
        };
        let envelope = Envelope { attempt: id, ..Envelope::default() };
        push(out, SourceAction::Send(envelope, ToDestination::Hello(hello)));
    }

    pub(super) fn on_link_up(&mut self, now: At, out: &mut Actions<SourceAction>) {
        // A new connection is a new bulk stream: what an older one left behind is not known.
        self.warm = false;
        self.link = Link::Up;
        match self.state {
            State::Greeting { id, .. } => {
                self.state = State::Greeting { id, since: now, again: now.plus(self.config.cadence.again) };
                self.hello(id, out);
            }
            // On every reconnect the question is asked again (H3).
            State::GoSent(s) => self.query(s.blackout.attempt, out),
            State::InDoubt(s) => self.query(s.blackout.attempt, out),
            State::Committed { attempt, .. } => {
                push(out, SourceAction::Send(attempt.envelope(), ToDestination::Fin))
            }
            State::Idle { .. }
            | State::Opening { .. }
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
            | State::Held { .. } => {}
        }
    }

    pub(super) fn on_link_down(&mut self, now: At, out: &mut Actions<SourceAction>) {
        self.link = Link::Down;
        self.warm = false;
        match self.state {
            State::Greeting { .. } | State::Precopy(_) => {
                self.give_up(now, Reason::PeerLost, None, out);
            }
            State::Stopping(_) | State::Saving(_) | State::Sealing(_) | State::Sealed(_) => {
                let blame = super::blackout::own(Port::Link, Phase::Transfer);
                self.abort(now, Reason::PeerLost, Some(blame), out);
            }
            // Asked again at the next repetition: a link that fails at once must not be retried in a loop.
            State::GoSent(_) | State::InDoubt(_) => {}
            State::Parting(s) => self.part(now, s, None, out),
            State::Committed { attempt, .. } => {
                self.state = State::Committed { attempt, again: now.plus(self.config.cadence.again) };
            }
            State::RollingBack(mut s) => {
                s.parting = false;
                self.state = State::RollingBack(s);
            }
            State::Idle { .. }
            | State::Opening { .. }
            | State::Fencing(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Held { .. } => {}
        }
    }

    // [SW-14]
    pub(super) fn greeting_time(
        &mut self,
        now: At,
        id: AttemptId,
        since: At,
        again: At,
        out: &mut Actions<SourceAction>,
    ) {
        if now >= since.plus(self.config.cadence.silence) {
            self.give_up(now, Reason::PeerLost, None, out);
        } else if now >= again {
            self.state = State::Greeting { id, since, again: now.plus(self.config.cadence.again) };
            if self.link == Link::Up {
                self.hello(id, out);
            }
        }
    }

    // [SW-11]
    pub(super) fn on_welcome(
        &mut self,
        now: At,
        envelope: Envelope,
        welcome: Welcome,
        out: &mut Actions<SourceAction>,
    ) {
        let State::Greeting { id, since, .. } = self.state else { return };
        let terms = welcome.terms;
        let times = [terms.load, terms.seal, terms.claim, terms.journal, terms.resume, terms.timer];
        if times.into_iter().any(|time| time > DURATION_MAX) {
            return self.give_up(now, Reason::Refused(Refusal::Protocol), None, out);
        }
        let link = self.config.contracts.link;
        let attempt = Attempt { id, peer: envelope.peer, incarnation: envelope.incarnation };
        let precopy = Precopy {
            attempt,
            terms,
            began: now,
            heard: now,
            ping: Ping { number: 0, next: now, timed: None },
            delay: link.delay.time,
            delay_origin: link.delay.origin,
            rate: link.rate,
            rate_origin: link.rate_origin,
            round: 0,
            since: now,
            pass: None,
            resting: None,
        };
        // With nothing at all to send: a limit too small for that is too small for good. A delay
        // that an earlier attempt met is not for good, and fades in pre-copy.
        let mut traffic = precopy.traffic(Bytes::ZERO);
        if traffic.delay_origin == Origin::Learned {
            traffic.delay = Ns::ZERO;
        }
        let (verdict, _) = self.judge(&terms, traffic);
        self.state = State::Precopy(precopy);
        if verdict.work() > verdict.go_by {
            push(out, SourceAction::Note(Note::Verdict(verdict)));
            return self.give_up(now, Reason::LimitTooSmall(verdict.smallest_hard_limit()), None, out);
        }
        let hello = Note::Phase {
            side: Side::Source,
            port: Port::Link,
            phase: Phase::Hello,
            planned: self.config.cadence.silence,
            measured: now.since(since),
        };
        push(out, SourceAction::Note(hello));
        push(out, SourceAction::Round { attempt: id, fresh: !(welcome.warm && self.warm) });
        self.warm = true;
    }

    /// Ends an attempt whose guest was never stopped.
    // [SW-15]
    pub(super) fn give_up(
        &mut self,
        now: At,
        reason: Reason,
        offender: Option<Blame>,
        out: &mut Actions<SourceAction>,
    ) {
        let Some(id) = self.state.id() else { return };
        if let State::Precopy(s) = self.state {
            push(out, SourceAction::KeepPages);
            push(out, SourceAction::Send(s.attempt.envelope(), ToDestination::Abort { offender }));
        }
        push(out, SourceAction::Note(Note::Aborting { reason, offender }));
        self.end_aborted(now, id, Aborted { reason, offender, guessed: false }, Ns::ZERO, out);
    }

    /// Books an aborted attempt and decides whether there is another.
    // [SW-13]
    pub(super) fn end_aborted(
        &mut self,
        now: At,
        id: AttemptId,
        verdict: Aborted,
        took: Ns,
        out: &mut Actions<SourceAction>,
    ) {
        push(
            out,
            SourceAction::Write(record(
                RecordKind::Aborted,
                id,
                JournalId::default(),
                Incarnation::default(),
            )),
        );
        let ending = Ending::Aborted(verdict.reason);
        self.book(Ended { attempt: id, ending, offender: verdict.offender, blackout: took }, out);
        let retry = self.config.retry;
        let tried = self.ended.len();
        let affordable = self.blackout.plus(self.config.limits.hard()) <= retry.blackout_budget
            || self.config.wrong(Mutant::BudgetIgnored);
        let more = tried < usize::from(retry.attempts) || self.config.wrong(Mutant::AttemptsUncapped);
        if !self.stays && verdict.reason.retryable() && more && affordable {
            // Doubles after each attempt; 2^20 back-offs are beyond any run.
            let doublings = tried.saturating_sub(1).min(20) as u32;
            let hasty = self.config.wrong(Mutant::BackoffIgnored);
            let wait = if hasty { Ns::ZERO } else { retry.backoff.times(1 << doublings) };
            self.state = State::Idle { next: Some(now.plus(wait)) };
        } else {
            self.state = State::Idle { next: None };
            push(out, SourceAction::Note(Note::Finished));
        }
    }

    /// Books an attempt that has ended.
    pub(super) fn book(&mut self, ended: Ended, out: &mut Actions<SourceAction>) {
        if self.ended.push(ended).is_ok() {
            self.blackout = self.blackout.plus(ended.blackout);
        }
        push(out, SourceAction::Note(Note::Ended(ended)));
    }
}

impl Precopy {
    pub(super) fn traffic(&self, left: Bytes) -> crate::admission::Traffic {
        crate::admission::Traffic {
            left,
            rate: self.rate,
            rate_origin: self.rate_origin,
            delay: self.delay,
            delay_origin: self.delay_origin,
        }
    }
}

pub(super) fn record(
    kind: RecordKind,
    attempt: AttemptId,
    peer: JournalId,
    incarnation: Incarnation,
) -> Record {
    Record { kind, attempt, peer, incarnation, instance: GuestInstance::default() }
}
