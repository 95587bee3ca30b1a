//! Pre-copy: rounds, round trips, rates, and the verdict after each round.

use super::state::{Precopy, State};
use super::{Source, push};
use crate::action::{Actions, Note, SourceAction};
use crate::admission::{Rest, Traffic, Verdict, judge};
use crate::contract::{Origin, PeerTerms};
use crate::event::Pass;
use crate::mutant::Mutant;
use crate::outcome::Reason;
use crate::port::{Phase, Port, Side};
use crate::schedule::Schedule;
use crate::time::{At, Ns};
use crate::units::{Bytes, BytesPerSecond};
use crate::wire::message::{Echo, Envelope, ToDestination};

/// Rounds smaller than this say more about latency than about the rate.
const RATE_SAMPLE_MIN: Bytes = Bytes::from_mib(1);
/// Rounds begin no closer together: where it is not the dirty set that keeps an attempt
/// from being admitted, sending nothing more often does not help.
const ROUND_PERIOD_MIN: Ns = Ns::from_millis(10);

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    pub(super) fn precopy_deadline(&self, s: &Precopy) -> At {
        let cadence = self.config.cadence;
        let silent = s.heard.plus(cadence.patience(self.config.limits.hard()));
        let give_up = s.began.plus(self.config.retry.precopy_limit);
        let next = silent.or_earlier(give_up).or_earlier(s.ping.next);
        s.resting.map_or(next, |round| round.or_earlier(next))
    }

    // [SW-12] [SW-14]
    pub(super) fn precopy_time(&mut self, now: At, s: Precopy, out: &mut Actions<SourceAction>) {
        if now >= s.began.plus(self.config.retry.precopy_limit) {
            self.give_up(now, Reason::NotAdmitted, None, out);
        } else if now >= s.heard.plus(self.config.cadence.patience(self.config.limits.hard())) {
            self.give_up(now, Reason::PeerLost, None, out);
        } else {
            if now >= s.ping.next {
                self.ping(now, s, out);
            }
            self.next_round(now, out);
        }
    }

    /// Begins the next round if it is its time.
    fn next_round(&mut self, now: At, out: &mut Actions<SourceAction>) {
        let State::Precopy(mut s) = self.state else { return };
        if s.resting.is_some_and(|at| now >= at) {
            s.resting = None;
            s.since = now;
            self.state = State::Precopy(s);
            push(out, SourceAction::Round { attempt: s.attempt.id, fresh: false });
        }
    }

    fn ping(&mut self, now: At, mut s: Precopy, out: &mut Actions<SourceAction>) {
        s.ping.number = s.ping.number.wrapping_add(1);
        // A later one would never be timed where the round trip is longer than the pause.
        s.ping.timed = s.ping.timed.or(Some((s.ping.number, now)));
        s.ping.next = now.plus(self.config.cadence.ping);
        push(out, SourceAction::Send(s.attempt.envelope(), ToDestination::Ping(s.ping.number)));
        // It, or its echo, may be lost: nothing else would end the round.
        if let Some(pass) = s.pass {
            self.round_end(&s, pass, out);
        }
        self.state = State::Precopy(s);
    }

    fn round_end(&self, s: &Precopy, pass: Pass, out: &mut Actions<SourceAction>) {
        let end = ToDestination::RoundEnd { round: s.round, chunks: pass.chunks };
        push(out, SourceAction::Send(s.attempt.envelope(), end));
    }

    /// A round is on the wire; the destination says when it has arrived.
    pub(super) fn on_round(&mut self, _now: At, pass: Pass, out: &mut Actions<SourceAction>) {
        let State::Precopy(mut s) = self.state else { return };
        if s.pass.is_some() || s.resting.is_some() {
            return;
        }
        s.pass = Some(pass);
        self.state = State::Precopy(s);
        self.round_end(&s, pass, out);
        push(out, SourceAction::Note(Note::Round { number: s.round, sent: pass.sent, dirty: pass.dirty }));
    }

    pub(super) fn on_pong(
        &mut self,
        now: At,
        envelope: Envelope,
        echo: Echo,
        out: &mut Actions<SourceAction>,
    ) {
        let State::Precopy(mut s) = self.state else { return };
        if s.attempt.envelope() != envelope {
            return self.give_up(now, Reason::PeerChanged, None, out);
        }
        s.heard = now;
        match echo {
            Echo::Ping(number) => {
                if let Some((timed, sent)) = s.ping.timed.filter(|(timed, _)| number >= *timed) {
                    s.ping.timed = None;
                    // The echo of a later one only says that the timed one's is lost.
                    if number == timed {
                        let took = now.since(sent);
                        let low = self.config.wrong(Mutant::DelayLearnedTooLow);
                        s.took(if low { took.part(4) } else { took });
                    }
                }
                self.state = State::Precopy(s);
            }
            Echo::Round(number) => {
                self.state = State::Precopy(s);
                if let Some(pass) = s.pass.filter(|_| number == s.round) {
                    self.judge_round(now, s, pass, out);
                }
            }
        }
    }

    /// Judges this moment by the contracts of both sides.
    pub(super) fn judge(&self, terms: &PeerTerms, traffic: Traffic) -> (Verdict, Option<Schedule>) {
        let config = &self.config;
        let arbiter = config.arbiter.is_some();
        let judged =
            judge(config.limits, &config.contracts, self.sums, terms, config.drift, arbiter, traffic);
        #[cfg(feature = "mutants")]
        let judged = config.bend(judged, self.sums, terms);
        judged
    }

    // [SW-10]
    fn judge_round(&mut self, now: At, mut s: Precopy, pass: Pass, out: &mut Actions<SourceAction>) {
        let round = now.since(s.since);
        if pass.sent >= RATE_SAMPLE_MIN {
            // Until it was in the destination's memory: a backlog there is downtime too.
            s.rate = BytesPerSecond::over(pass.sent, round.minus(pass.throttled));
            s.rate_origin = Origin::Learned;
        }
        // Dirtied since the round's end, and until the vCPUs are out, at the pace of the round.
        let pace = BytesPerSecond::over(pass.dirty, round);
        let left = pass.dirty.plus(if pass.dirty > Bytes::ZERO {
            pace.bytes_in(self.sums.stop)
        } else {
            Bytes::ZERO
        });
        let (verdict, schedule) = self.judge(&s.terms, s.traffic(left));
        push(out, SourceAction::Note(Note::Verdict(verdict)));
        match schedule.filter(|_| verdict.fits || self.config.wrong(Mutant::AdmissionIgnored)) {
            Some(schedule) => {
                let precopy = Note::Phase {
                    side: Side::Source,
                    port: Port::Memory,
                    phase: Phase::Precopy,
                    planned: self.config.retry.precopy_limit,
                    measured: now.since(s.began),
                };
                push(out, SourceAction::Note(precopy));
                self.stop(now, s.attempt, schedule, Rest::from(&verdict), out);
            }
            None => {
                s.round = s.round.wrapping_add(1);
                s.pass = None;
                s.resting = Some(now.or_later(s.since.plus(ROUND_PERIOD_MIN)));
                self.state = State::Precopy(s);
            }
        }
    }
}

impl Precopy {
    /// The whole round trip stands for one way. The worst of late is remembered and fades by
    /// an eighth a sample: one stolen slice must not forbid for ever.
    fn took(&mut self, round_trip: Ns) {
        let faded = self.delay.minus(self.delay.part(8));
        self.delay =
            if self.delay_origin == Origin::Learned { round_trip.or_longer(faded) } else { round_trip };
        self.delay_origin = Origin::Learned;
    }
}
