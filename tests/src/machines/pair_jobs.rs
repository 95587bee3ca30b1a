//! Jobs in the world: asked, under way, their effect, their answer.

use switchover_core::action::{DestinationAction, SourceAction};
use switchover_core::digest::{Digest, Piece};
use switchover_core::event::{DestinationEvent, Outcome, Owner, Pass, SourceEvent};
use switchover_core::id::AttemptId;
use switchover_core::journal::RecordKind;
use switchover_core::port::{Op, Port, PortSet, Side};
use switchover_core::units::Bytes;
use switchover_core::wire::message::{Seal, ToDestination, ToSource};

use super::host::{Ends, Fate, Job};
use super::network::Letter;
use super::pair::{Happening, Pair};

impl Pair {
    pub(super) fn source_asks(&mut self, action: SourceAction) {
        match action {
            SourceAction::Connect => self.start(Side::Source, Job::Connect),
            SourceAction::Send(envelope, message) => {
                match message {
                    ToDestination::Go => self.went(envelope.attempt),
                    ToDestination::Fin => self.judge.said_fin(),
                    _ => {}
                }
                self.send(Letter::ToDestination(envelope, message));
            }
            SourceAction::Write(record) => self.start(Side::Source, Job::Write(record)),
            SourceAction::Round { .. } => self.start(Side::Source, Job::Round),
            SourceAction::Ask(op, ports) => {
                if op == Op::Rollback {
                    let attempt = self.source.machine.as_ref().and_then(|machine| machine.attempt());
                    self.rolls_back(attempt);
                    self.take_back(Side::Source, ports);
                }
                ports.for_each(|port| self.start(Side::Source, Job::Port(port, op)));
            }
            SourceAction::LastPages => self.start(Side::Source, Job::LastPages),
            SourceAction::Seal => self.start(Side::Source, Job::Seal),
            SourceAction::KeepPages => {
                self.drop_jobs(Side::Source, |job| matches!(job, Job::Round | Job::LastPages | Job::Seal))
            }
            SourceAction::Claim(id) => self.start(Side::Source, Job::Claim(id)),
            SourceAction::Release => self.start(Side::Source, Job::Release),
            SourceAction::Note(_) => {}
        }
    }

    pub(super) fn destination_asks(&mut self, action: DestinationAction) {
        match action {
            DestinationAction::Send(envelope, message) => {
                match message {
                    ToSource::Running(_) => self.judge.said_running(),
                    ToSource::Refused { .. } => self.judge.said_refused(envelope.attempt),
                    _ => {}
                }
                self.send(Letter::ToSource(envelope, message));
            }
            DestinationAction::Write(record) => self.start(Side::Destination, Job::Write(record)),
            DestinationAction::Expect { .. } => {}
            DestinationAction::Drain { round, .. } => self.start(Side::Destination, Job::Drain(round)),
            DestinationAction::Verify(seal) => self.start(Side::Destination, Job::Verify(seal)),
            DestinationAction::Discard => {
                self.drop_jobs(Side::Destination, |job| matches!(job, Job::Drain(_) | Job::Verify(_)));
            }
            DestinationAction::Ask(op, ports) => {
                if op == Op::Unload {
                    self.take_back(Side::Destination, ports);
                }
                ports.for_each(|port| self.start(Side::Destination, Job::Port(port, op)));
            }
            DestinationAction::Claim(id) => self.start(Side::Destination, Job::Claim(id)),
            DestinationAction::Yield(id) => self.start(Side::Destination, Job::Yield(id)),
            DestinationAction::Note(_) => {}
        }
    }

    /// Undoing takes a port away from whatever else it was doing.
    fn take_back(&mut self, side: Side, ports: PortSet) {
        self.drop_jobs(side, |job| match job {
            Job::Port(port, _) => ports.meets(PortSet::one(*port)),
            _ => false,
        });
    }

    fn drop_jobs(&mut self, side: Side, of: impl Fn(&Job) -> bool) {
        self.queue.retain(|_, happening| match happening {
            Happening::Job(at, job, _) => *at != side || !of(job),
            Happening::Arrives(_) | Happening::Link(..) => true,
        });
        match side {
            Side::Source => self.source.stuck.retain(|job| !of(job)),
            Side::Destination => self.destination.stuck.retain(|job| !of(job)),
        }
    }

    fn start(&mut self, side: Side, job: Job) {
        let ruled = match side {
            Side::Source => self.source.fate(&job),
            Side::Destination => self.destination.fate(&job),
        };
        let usual = match side {
            Side::Source => Fate::After(self.source.pace, Ends::Done),
            Side::Destination => Fate::After(self.destination.pace, Ends::Done),
        };
        let chosen = self.adversary.as_mut().and_then(|adversary| adversary.job(side, &job));
        let fate = if ruled == usual { chosen.unwrap_or(usual) } else { ruled };
        match fate {
            Fate::Stuck if side == Side::Source => self.source.stuck.push(job),
            Fate::Stuck => self.destination.stuck.push(job),
            Fate::After(time, ends) => {
                let clock = if side == Side::Source { self.source.clock } else { self.destination.clock };
                let at = clock.after(self.now, time);
                self.later(at, Happening::Job(side, job, ends));
            }
        }
    }

    /// Every job of that side that is stuck ends now.
    pub fn unstick(&mut self, side: Side) {
        let jobs = match side {
            Side::Source => std::mem::take(&mut self.source.stuck),
            Side::Destination => std::mem::take(&mut self.destination.stuck),
        };
        for job in jobs {
            self.later(self.now, Happening::Job(side, job, Ends::Done));
        }
    }

    pub(super) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(letter) => self.read(letter),
            Happening::Link(side, up) => self.hear_link(side, up),
            Happening::Job(side, Job::Connect, _) => self.connected(side),
            Happening::Job(side, Job::Claim(id), Ends::Done) => {
                // Two steps: granted there, heard here.
                let owner = self.owner_of(id, side);
                self.start(side, Job::Claimed(id, owner));
            }
            Happening::Job(side, job, ends) => {
                if matches!(ends, Ends::Done | Ends::FailedDone) {
                    self.takes_effect(side, &job);
                }
                match side {
                    Side::Source => {
                        if let Some(event) = self.source_answer(&job, ends) {
                            self.source(event);
                        }
                    }
                    Side::Destination => {
                        if let Some(event) = self.destination_answer(&job, ends) {
                            self.destination(event);
                        }
                    }
                }
            }
        }
    }

    /// Who owns the run, `side` being the one that asks.
    fn owner_of(&mut self, id: AttemptId, side: Side) -> Owner {
        let asks = if side == Side::Source { Owner::Source } else { Owner::Destination };
        *self.owners.entry(id).or_insert(asks)
    }

    /// What a job changes in the world, apart from its answer.
    pub(super) fn takes_effect(&mut self, side: Side, job: &Job) {
        let now = self.source.clock.at(self.now);
        match (side, job) {
            (Side::Source, Job::Write(record)) => {
                self.source.journal.push(*record);
                if record.kind == RecordKind::Fenced {
                    self.knows(record.attempt);
                }
            }
            (Side::Destination, Job::Write(record)) => self.destination.journal.push(*record),
            (Side::Source, Job::Port(port @ Port::Vcpus(_), Op::Stop)) => self.judge.source_stopped(*port),
            (Side::Source, Job::Port(port @ Port::Vcpus(_), Op::Rollback)) => {
                self.judge.source_ran(*port, now);
            }
            (Side::Source, Job::Release) => self.judge.released(),
            (Side::Destination, Job::Port(_, Op::Load)) => {
                let attempt = self.destination.machine.as_ref().and_then(|machine| machine.attempt());
                self.judge.loaded(attempt.unwrap_or_default());
            }
            (Side::Destination, Job::Verify(seal)) => {
                let generation = seal.verify.map_or(0, |(generation, _)| generation as u32);
                self.judge.verified(generation);
            }
            (Side::Destination, Job::Port(port @ Port::Vcpus(_), Op::Resume)) => {
                self.judge.destination_ran(*port, now);
            }
            (Side::Destination, Job::Port(_, Op::Unload)) => self.judge.unloaded(),
            (_, Job::Claim(id)) => {
                self.owner_of(*id, side);
            }
            (_, Job::Yield(id)) => {
                // Destination or nobody becomes source; sticky.
                self.owners.insert(*id, Owner::Source);
            }
            _ => {}
        }
    }

    fn pass(&mut self, sent: u64) -> Pass {
        self.chunks += 1;
        Pass { sent: Bytes::new(sent), chunks: self.chunks, ..Pass::default() }
    }

    fn seal(&self) -> Seal {
        let mut digest = Digest::EMPTY;
        digest.update(Piece::Device(0), &self.chunks.to_le_bytes());
        // Which state this is: the judge will ask when it runs.
        Seal { digest, chunks: self.chunks, verify: Some((u64::from(self.judge.generation()), self.chunks)) }
    }

    fn source_answer(&mut self, job: &Job, ends: Ends) -> Option<SourceEvent> {
        let done = ends == Ends::Done;
        Some(match job {
            Job::Write(record) if done => SourceEvent::Written(record.kind, record.attempt),
            Job::Write(record) => SourceEvent::NotWritten(record.kind, record.attempt),
            Job::Port(port, op) => SourceEvent::Port(*port, *op, outcome(ends)),
            Job::Round if done => SourceEvent::Round(self.pass(1 << 20)),
            Job::LastPages if done => SourceEvent::LastPages(self.pass(1 << 12)),
            Job::Seal if done => SourceEvent::Sealed(self.seal()),
            Job::Round | Job::LastPages | Job::Seal => SourceEvent::MemoryFailed,
            Job::Claimed(id, owner) if done => SourceEvent::Claimed(*id, *owner),
            Job::Claim(id) | Job::Claimed(id, _) => SourceEvent::NotClaimed(*id),
            Job::Release => SourceEvent::Released,
            Job::Connect | Job::Drain(_) | Job::Verify(_) | Job::Yield(_) => return None,
        })
    }

    fn destination_answer(&mut self, job: &Job, ends: Ends) -> Option<DestinationEvent> {
        let done = ends == Ends::Done;
        Some(match job {
            Job::Write(record) if done => DestinationEvent::Written(record.kind, record.attempt),
            Job::Write(record) => DestinationEvent::NotWritten(record.kind, record.attempt),
            Job::Port(port, op) => DestinationEvent::Port(*port, *op, outcome(ends)),
            Job::Drain(round) if done => DestinationEvent::Drained(*round),
            Job::Verify(seal) if done => {
                let mut arrived = *seal;
                if std::mem::take(&mut self.corrupt) {
                    arrived.digest.update(Piece::Device(1), b"flipped");
                }
                DestinationEvent::Verified(arrived)
            }
            Job::Drain(_) | Job::Verify(_) => DestinationEvent::MemoryFailed,
            Job::Claimed(id, owner) if done => DestinationEvent::Claimed(*id, *owner),
            Job::Yield(id) if done => DestinationEvent::Yielded(*id),
            Job::Claim(id) | Job::Claimed(id, _) | Job::Yield(id) => DestinationEvent::NotClaimed(*id),
            Job::Connect | Job::Round | Job::LastPages | Job::Seal | Job::Release => return None,
        })
    }
}

fn outcome(ends: Ends) -> Outcome {
    match ends {
        Ends::Done => Outcome::Done,
        Ends::More => Outcome::More,
        Ends::Failed => Outcome::Failed,
        Ends::FailedDone => Outcome::FailedRunning,
    }
}
