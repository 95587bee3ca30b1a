//! What the source asks, and how it is answered.

use switchover_core::action::{Note, SourceAction};
use switchover_core::event::{Outcome, Pass, SourceEvent};
use switchover_core::journal::{Record, RecordKind};
use switchover_core::port::{Op, Phase, Port, PortSet, Side};
use switchover_core::time::Ns;
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Seal, ToDestination};

use super::World;
use super::dice::For;
use super::host::{CONNECT, JOURNAL, Job, PASS, PORTS, RELEASE, SEAL, Slices, What, slot_of};
use super::letters::Letter;
use super::link::Load;
use super::queue::Happening;
use crate::run::Attempt;

impl World {
    /// Does what the source asked.
    pub(super) fn do_source(&mut self, action: &SourceAction) {
        match *action {
            SourceAction::Connect => {
                let time = self.dice.draw(For::Link, &self.plan.scenario.link.reconnect);
                self.start(Side::Source, CONNECT, What::Connect, time, None);
            }
            SourceAction::Send(envelope, message) => {
                self.source_says(Letter::ToDestination(envelope, message))
            }
            SourceAction::Write(record) => {
                self.write(Side::Source, record);
            }
            SourceAction::Round { fresh, .. } => {
                self.enters(Side::Source, Phase::Precopy);
                self.pass(What::Round, fresh);
            }
            SourceAction::Ask(op, ports) => {
                self.enters(Side::Source, op.phase());
                if self.hosts[0].alive {
                    self.asks(op, ports);
                }
            }
            SourceAction::LastPages => {
                self.enters(Side::Source, Phase::Transfer);
                self.pass(What::LastPages, false);
            }
            SourceAction::Seal => {
                self.enters(Side::Source, Phase::Seal);
                self.seal();
            }
            SourceAction::KeepPages => self.keep(),
            SourceAction::Claim(id) => self.claim(Side::Source, id),
            SourceAction::Release => {
                self.start(Side::Source, RELEASE, What::Release, Ns::from_micros(50), None);
            }
            SourceAction::Note(ref note) => self.source_notes(note),
        }
    }

    fn source_says(&mut self, letter: Letter) {
        let Letter::ToDestination(_, message) = letter else { return };
        if matches!(message, ToDestination::Hello(_)) {
            self.enters(Side::Source, Phase::Hello);
        }
        self.send(letter);
        if matches!(message, ToDestination::Go) {
            self.enters(Side::Source, Phase::Go);
        }
    }

    fn asks(&mut self, op: Op, ports: PortSet) {
        let now = self.source_now();
        match op {
            Op::Quiesce | Op::Stop if !self.checker.is_dark() => {
                let attempt = self.source.attempt().map_or(0, |id| id.counter);
                self.checker.stopping(attempt, now);
                self.hosts[0].slices = [Slices::default(); PORTS];
            }
            Op::Rollback => self.look_at_all(),
            _ => {}
        }
        if matches!(op, Op::Quiesce | Op::Stop) {
            self.checker.source_asked(ports);
        }
        self.ask(Side::Source, op, ports);
    }

    /// A pass over the dirty set: read now, on the wire when the bulk connection has taken it.
    fn pass(&mut self, what: What, all: bool) {
        if !self.hosts[0].alive {
            return;
        }
        self.guest.advance(self.now);
        let (pages, bytes) = self.guest.read_log(all);
        self.passing = Some((pages, bytes));
        self.fresh = all;
        let contract = (what == What::LastPages).then_some(self.planned_transfer);
        let (extra, fails, stuck) = self.strained(Side::Source, &what, Ns::ZERO, None);
        let sent = self.link.take(self.now, bytes, self.plan.scenario.link.bulk.bandwidth);
        let host = &mut self.hosts[0];
        host.token += 1;
        let token = host.token;
        let asked = host.clock.at(self.now);
        host.jobs[usize::from(PASS)] = Some(Job { what, token, asked, contract, fails, stuck });
        if !stuck {
            let at = host.clock.after(sent.max(self.link.stands_until), extra);
            self.queue.push(at, Happening::Handed { slot: PASS, token, stood: self.link.stood });
        }
    }

    /// Everything has to be on the wire before it is sealed.
    fn seal(&mut self) {
        if !self.hosts[0].alive {
            return;
        }
        let draw = self.dice.draw(For::Source, &self.plan.host(Side::Source).seal);
        let wire = Ns::new(self.link.busy_until.saturating_sub(self.now));
        let contract = self.plan.scenario.source_contracts.seal.time;
        self.start(Side::Source, SEAL, What::Seal, draw.or_longer(wire), Some(contract));
    }

    /// The attempt is over: a pass that is under way is cut off, and its pages are dirty again.
    fn keep(&mut self) {
        self.guest.advance(self.now);
        let under_way = self.hosts[0].jobs[usize::from(PASS)].take();
        self.hosts[0].jobs[usize::from(SEAL)] = None;
        let kept = self.passing.take().filter(|_| under_way.is_some());
        if under_way.is_some() {
            self.link.busy_until = self.link.busy_until.min(self.now.max(self.link.last_piece));
        }
        self.guest.keep(kept);
    }

    fn source_notes(&mut self, note: &Note) {
        let now = self.source_now();
        match note {
            Note::Began(_) => self.attempt += 1,
            Note::Verdict(verdict) if verdict.fits => {
                self.delta = verdict.traffic.delay;
                self.planned_transfer = verdict.transfer;
            }
            Note::Stopping => self.since_stop(),
            Note::Runs => self.look_at_all(),
            _ => {}
        }
        self.learned |= self.learner.note(note);
        if self.recorder.note(now, note) {
            self.ended();
        }
    }

    /// An attempt of the source's has ended: its record is whole.
    fn ended(&mut self) {
        self.look_at_all();
        let now = self.source_now();
        let drift = self.plan.drift;
        let record = self.recorder.current();
        let Some(ended) = record.ended else { return };
        self.checker.explained(record, Ns::ZERO, drift, now);
        let attempt = Attempt {
            counter: ended.attempt.counter,
            ending: ended.ending,
            offender: ended.offender,
            blackout: ended.blackout,
            seen: if record.stopping.is_some() { self.checker.latest(now) } else { Ns::ZERO },
            go: record.go.is_some(),
            in_doubt: record.in_doubt,
        };
        // No run has more attempts than a machine remembers.
        let _kept = self.attempts.push(attempt);
        if let Some(kept) = &mut self.records {
            kept.push(record.clone());
        }
    }

    /// A job of the source's has ended.
    pub(super) fn source_job(&mut self, job: Job) {
        self.look(Side::Source, &job);
        if let What::Claim(id) = job.what
            && self.claim_arrives(Side::Source, &job, id)
        {
            return;
        }
        let event = self.source_answer(&job);
        if matches!(job.what, What::Write(_)) {
            self.hosts[0].jobs[usize::from(JOURNAL)] = None;
            self.write_next(Side::Source);
        }
        if let Some(event) = event {
            self.tell_source(event);
        }
    }

    fn source_answer(&mut self, job: &Job) -> Option<SourceEvent> {
        let outcome = if job.fails { Outcome::Failed } else { Outcome::Done };
        Some(match job.what {
            What::Write(record) if job.fails => SourceEvent::NotWritten(record.kind, record.attempt),
            What::Write(record) => {
                self.durable(Side::Source, &record);
                SourceEvent::Written(record.kind, record.attempt)
            }
            What::Port(port, Op::Save) if !job.fails => SourceEvent::Port(port, Op::Save, self.saved(port)),
            What::Port(port, op) => {
                if !job.fails {
                    self.source_effect(port, op);
                }
                SourceEvent::Port(port, op, outcome)
            }
            What::Round | What::LastPages | What::Seal if job.fails => SourceEvent::MemoryFailed,
            What::Round => SourceEvent::Round(self.passed()),
            What::LastPages => SourceEvent::LastPages(self.passed()),
            What::Seal => {
                let (digest, chunks) = (self.link.sent, self.link.chunks_sent);
                SourceEvent::Sealed(Seal { digest, chunks, verify: None })
            }
            What::Claimed(id, owner) => {
                self.checker.source_claimed(id.counter, owner);
                SourceEvent::Claimed(id, owner)
            }
            What::Claim(id) => SourceEvent::NotClaimed(id),
            What::Release => {
                self.guest.advance(self.now);
                self.guest.runs = false;
                self.checker.source_released(self.source_now());
                SourceEvent::Released
            }
            What::Connect => {
                self.connected();
                return None;
            }
            What::Drain { .. } | What::Verify(_) | What::Yield(_) => return None,
        })
    }

    /// A pass is on the wire.
    fn passed(&mut self) -> Pass {
        self.guest.advance(self.now);
        let Some((pages, sent)) = self.passing.take() else { return Pass::default() };
        self.hand_over(Load::Pages { pages, fresh: self.fresh }, sent);
        Pass { sent, chunks: self.link.chunks_sent, dirty: self.guest.dirty(), throttled: Ns::ZERO }
    }

    /// A slice of a port's state is saved, and on the bulk connection.
    fn saved(&mut self, port: Port) -> Outcome {
        let slot = slot_of(port);
        let (many, bytes) = self.plan.slices(port);
        let generation = self.checker.generation();
        self.hosts[0].slices[usize::from(slot)].done += 1;
        self.slice_done(Side::Source, usize::from(slot));
        self.link.take(self.now, Bytes::new(bytes.get().max(1)), self.plan.scenario.link.bulk.bandwidth);
        let attempt = self.source.attempt().map_or(0, |id| id.counter);
        self.hand_over(Load::Slice { slot, generation, attempt }, bytes);
        if self.hosts[0].slices[usize::from(slot)].done >= many { Outcome::Done } else { Outcome::More }
    }

    /// What an operation does to the source's guest.
    pub(super) fn source_effect(&mut self, port: Port, op: Op) {
        let now = self.source_now();
        match op {
            Op::Quiesce | Op::Stop => {
                self.guest.advance(self.now);
                self.checker.source_stopped(port);
                self.guest.runs = self.checker.runs_on_source();
            }
            Op::Rollback => {
                self.guest.advance(self.now);
                if matches!(port, Port::Vcpus(_)) {
                    self.look_at_all();
                }
                self.checker.source_runs(port, now);
                self.guest.runs = self.checker.runs_on_source();
            }
            Op::Save | Op::Load | Op::Settle | Op::Resume | Op::Unload => {}
        }
    }

    /// A record is durable.
    pub(super) fn durable(&mut self, side: Side, record: &Record) {
        self.hosts[side as usize].journal.take(record);
        if side == Side::Source && record.kind == RecordKind::Fenced {
            self.checker.fence_durable(record.attempt.counter);
        }
    }
}
