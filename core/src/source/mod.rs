//! The side that has the guest.
//!
//! [`Source::step`] takes an event and returns what to do. Until `Go` is sent the source
//! decides alone, and by `go_by` it has decided; after it, only the destination's word,
//! a won claim or an operator's fence lets the guest run here again (\[SW-27\]).
//!
//! Files: `state` (what each state owns), `meet` (from idle to Welcome), `precopy`
//! (rounds and admission), `blackout` (stop, save, transfer, seal), `decide` (Go and what
//! follows), `rollback`, `restart`. Not here: contracts being learned, records being kept.

mod blackout;
mod decide;
mod meet;
mod precopy;
mod restart;
mod rollback;
mod state;

use heapless::Vec;

use crate::action::{Actions, Alarm, Note, SourceAction, Step};
use crate::config::{ConfigError, SourceConfig};
use crate::contract::{SourceContracts, SourceSums};
use crate::event::SourceEvent;
use crate::fmt::Watch;
use crate::id::{AttemptId, JournalId};
use crate::journal::RecordKind;
use crate::mutant::Mutant;
use crate::outcome::{Ended, Reason};
use crate::port::{Op, Port};
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, ToDestination, ToSource};
use state::State;

/// The source's machine: up to `V` vCPU ports, `D` devices, `N` attempts in one run.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Source<const V: usize = 4, const D: usize = 8, const N: usize = 8> {
    config: SourceConfig<V, D>,
    /// Of `config.contracts`.
    sums: SourceSums,
    identity: JournalId,
    /// The counter of the latest attempt.
    counter: u32,
    link: Link,
    /// What was sent is still in the destination's memory.
    warm: bool,
    ended: Vec<Ended, N>,
    blackout: Ns,
    /// No further attempt begins by itself: the operator wants the guest to stay, or has a
    /// lost device to look after.
    stays: bool,
    state: State,
}

/// The link as the source knows it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
enum Link {
    Down,
    Connecting,
    Up,
}

/// Where the guest is, for a person or a program that asks.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// It runs here; no attempt is under way and none will begin by itself.
    Rests,
    /// It runs here; the next attempt is waiting for its back-off.
    Waits,
    /// It runs here; an attempt is under way.
    Migrating,
    /// It is stopped here, and will run by H on one side.
    Stopped,
    /// It is stopped here; whether it runs on the destination is not known.
    InDoubt,
    /// It is stopped here, and gone on the destination.
    Held,
    /// It runs on the destination.
    Moved,
}

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    /// A source whose guest runs. `counter` is that of the latest attempt in its journal.
    ///
    /// # Errors
    /// Settings that cannot hold together.
    pub fn new(config: SourceConfig<V, D>, identity: JournalId, counter: u32) -> Result<Self, ConfigError> {
        config.check(N)?;
        Ok(Self {
            sums: config.contracts.sums(),
            config,
            identity,
            counter,
            link: Link::Down,
            warm: false,
            ended: Vec::new(),
            blackout: Ns::ZERO,
            stays: false,
            state: State::Idle { next: None },
        })
    }

    /// Takes one event. At most 2,000 instructions; no loop depends on anything but the
    /// number of ports.
    // [SW-78]
    pub fn step(&mut self, now: At, event: SourceEvent) -> Step<SourceAction> {
        let mut out = Actions::new();
        let watch = Watch::begin("source", || self.state.name());
        match event {
            SourceEvent::Begin => self.on_begin(now, &mut out),
            SourceEvent::Cancel => self.on_cancel(now, &mut out),
            SourceEvent::Fence => self.on_fence(&mut out),
            SourceEvent::LinkUp => self.on_link_up(now, &mut out),
            SourceEvent::LinkDown => self.on_link_down(now, &mut out),
            SourceEvent::Message(envelope, message) => self.on_message(now, envelope, message, &mut out),
            SourceEvent::Written(kind, id) => self.on_record(now, kind, id, true, &mut out),
            SourceEvent::NotWritten(kind, id) => self.on_record(now, kind, id, false, &mut out),
            SourceEvent::Round(pass) => self.on_round(now, pass, &mut out),
            SourceEvent::LastPages(pass) => self.on_last_pages(now, pass, &mut out),
            SourceEvent::Sealed(seal) => self.on_sealed(now, seal, &mut out),
            SourceEvent::MemoryFailed => self.on_memory_failed(now, &mut out),
            SourceEvent::Port(port, op, outcome) => match op {
                Op::Quiesce | Op::Stop => self.on_stopped(now, port, op, outcome, &mut out),
                Op::Save => self.on_saved(now, port, outcome, &mut out),
                Op::Rollback => self.on_rolled_back(now, port, outcome, &mut out),
                Op::Load | Op::Settle | Op::Resume | Op::Unload => {}
            },
            SourceEvent::Claimed(id, owner) => self.on_claimed(now, id, Some(owner), &mut out),
            SourceEvent::NotClaimed(id) => self.on_claimed(now, id, None, &mut out),
            SourceEvent::Released => self.on_released(now, &mut out),
            SourceEvent::Deadline => {}
        }
        // Whatever happened, time has passed: a rule `now <= x` is judged after the input.
        self.on_time(now, &mut out);
        watch.end(|| self.state.name(), out.iter().filter_map(SourceAction::note));
        Step { actions: out, deadline: self.deadline() }
    }

    /// When to call again at the latest.
    pub fn deadline(&self) -> Option<At> {
        match self.state {
            State::Idle { next } => next,
            _ if self.unbounded() => None,
            State::Opening { .. } => None,
            State::Greeting { since, again, .. } => {
                Some(since.plus(self.config.cadence.silence).or_earlier(again))
            }
            State::Precopy(s) => Some(self.precopy_deadline(&s)),
            State::Stopping(s) => Some(s.blackout.stopped_by().just_after()),
            State::Saving(s) => Some(s.blackout.transferred_by().just_after()),
            State::Sealing(s) => Some(s.blackout.sealed_by().just_after()),
            State::Sealed(s) => Some(s.blackout.go_by().just_after()),
            State::GoSent(s) => Some(s.answer_by.just_after().or_earlier(s.again)),
            State::InDoubt(s) => Some(s.again),
            State::RollingBack(s) => self.rollback_deadline(&s),
            State::Parting(s) => Some(s.until),
            State::Committed { again, .. } => {
                let calls = self.link == Link::Down && !self.config.wrong(Mutant::FinNotSaidAgain);
                calls.then_some(again)
            }
            State::Fencing(_) | State::Committing(_) | State::Releasing(_) | State::Held { .. } => None,
        }
    }

    /// Where the guest is.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Idle { next: None } => Standing::Rests,
            State::Idle { next: Some(_) } => Standing::Waits,
            State::Opening { .. } | State::Greeting { .. } | State::Precopy(_) | State::Parting(_) => {
                Standing::Migrating
            }
            State::Stopping(_)
            | State::Saving(_)
            | State::Sealing(_)
            | State::Sealed(_)
            | State::RollingBack(_) => Standing::Stopped,
            State::GoSent(_) | State::InDoubt(_) => Standing::InDoubt,
            State::Fencing(s) if s.held.is_none() => Standing::InDoubt,
            State::Fencing(_) | State::Held { .. } => Standing::Held,
            State::Committing(_) | State::Releasing(_) | State::Committed { .. } => Standing::Moved,
        }
    }

    /// The attempt under way or last decided, if any.
    pub fn attempt(&self) -> Option<AttemptId> {
        self.state.id()
    }

    /// The attempts of this run that have ended, oldest first.
    pub fn ended(&self) -> &[Ended] {
        &self.ended
    }

    /// The guest's blackout over all ended attempts of this run.
    pub fn blackout(&self) -> Ns {
        self.blackout
    }

    /// The settings.
    pub fn config(&self) -> &SourceConfig<V, D> {
        &self.config
    }

    /// Hands newly learned contracts in. They count from the next verdict on; a blackout
    /// that is under way keeps the schedule it began with.
    ///
    /// # Errors
    /// [`ConfigError`] if they do not describe the same ports, or are too long; nothing changes.
    pub fn set_contracts(&mut self, contracts: SourceContracts<V, D>) -> Result<(), ConfigError> {
        let config = SourceConfig { contracts, ..self.config.clone() };
        config.check(N)?;
        self.sums = config.contracts.sums();
        self.config = config;
        Ok(())
    }

    /// Moves every stored instant by `shift` nanoseconds: nothing else depends on when time began.
    // [SW-71]
    pub fn rebase(&mut self, shift: i64) {
        self.state.instants(|at| *at = at.shifted(shift));
    }

    /// What must hold in every state; the tests assert it after each step.
    pub fn invariant(&self) -> bool {
        let sum = self.ended.iter().fold(Ns::ZERO, |sum, ended| sum.plus(ended.blackout));
        let own = self.state.id().is_none_or(|id| id.journal == self.identity && id.counter <= self.counter);
        own && sum == self.blackout && self.sums == self.config.contracts.sums()
    }

    // [SW-2] [SW-32]
    fn on_message(
        &mut self,
        now: At,
        envelope: Envelope,
        message: ToSource,
        out: &mut Actions<SourceAction>,
    ) {
        if self.state.id() != Some(envelope.attempt) && !self.config.wrong(Mutant::AttemptIgnored) {
            // An answer about an attempt that is over here. Only one of them would matter.
            if matches!(message, ToSource::Running(_)) {
                push(out, SourceAction::Note(Note::Alarm(Alarm::RunsElsewhere)));
            }
            return;
        }
        match message {
            ToSource::Welcome(welcome) => self.on_welcome(now, envelope, welcome, out),
            ToSource::Pong(echo) => self.on_pong(now, envelope, echo, out),
            ToSource::Ready { digest, lease_left } => self.on_ready(now, envelope, digest, lease_left, out),
            ToSource::Running(measured) => self.on_running(now, envelope, measured, out),
            ToSource::Refused { reason, offender } => self.on_refused(now, envelope, reason, offender, out),
            ToSource::Lost => self.on_lost(now, envelope, out),
            // Neither says where the guest is: stay, and go on asking.
            ToSource::Pending { .. } => {
                if self.answered(envelope).is_some() {
                    push(out, SourceAction::Note(Note::PeerDecides));
                }
            }
            ToSource::Stranger => {}
        }
    }

    fn on_record(
        &mut self,
        now: At,
        kind: RecordKind,
        id: AttemptId,
        durable: bool,
        out: &mut Actions<SourceAction>,
    ) {
        if self.state.id() != Some(id) {
            return;
        }
        match kind {
            RecordKind::Open => self.on_open(now, durable, out),
            RecordKind::MayGo => self.on_may_go(now, durable, out),
            RecordKind::Committed => self.on_committed(out),
            RecordKind::Fenced => self.on_fenced(now, durable, out),
            RecordKind::Aborted
            | RecordKind::Running
            | RecordKind::Refused
            | RecordKind::Claiming
            | RecordKind::Finished => {}
        }
    }

    fn on_time(&mut self, now: At, out: &mut Actions<SourceAction>) {
        match self.state {
            State::Idle { next } => {
                if next.is_some_and(|at| now >= at) {
                    self.open(out);
                    if self.config.wrong(Mutant::HelloBeforeOpen) {
                        self.on_open(now, true, out);
                    }
                }
            }
            State::Greeting { id, since, again } => self.greeting_time(now, id, since, again, out),
            State::Precopy(s) => self.precopy_time(now, s, out),
            State::Stopping(_) | State::Saving(_) | State::Sealing(_) | State::Sealed(_) => {
                self.blackout_time(now, out);
            }
            State::GoSent(s) => self.go_sent_time(now, s, out),
            State::InDoubt(s) => self.in_doubt_time(now, s, out),
            State::RollingBack(s) => self.rollback_time(now, s, out),
            State::Parting(s) => self.parting_time(now, s, out),
            State::Committed { attempt, again } => self.committed_time(now, attempt, again, out),
            State::Fencing(_) if self.config.wrong(Mutant::FenceNotDurable) => self.on_fenced(now, true, out),
            State::Opening { .. }
            | State::Fencing(_)
            | State::Committing(_)
            | State::Releasing(_)
            | State::Held { .. } => {}
        }
    }

    // [SW-38]
    fn on_cancel(&mut self, now: At, out: &mut Actions<SourceAction>) {
        self.stays = true;
        match self.state {
            State::Idle { next: Some(_) } => {
                self.state = State::Idle { next: None };
                push(out, SourceAction::Note(Note::Finished));
            }
            State::Idle { next: None }
            | State::Committed { .. }
            | State::Committing(_)
            | State::Releasing(_) => {
                push(out, SourceAction::Note(Note::Alarm(Alarm::Ineffective)));
            }
            State::Opening { .. } | State::Greeting { .. } | State::Precopy(_) => {
                self.give_up(now, Reason::Cancelled, None, out);
            }
            State::Stopping(_) | State::Saving(_) | State::Sealing(_) | State::Sealed(_) => {
                self.abort(now, Reason::Cancelled, None, out);
            }
            // The guest runs again in a moment anyway; no further attempt begins.
            State::RollingBack(_) | State::Parting(_) => {}
            State::GoSent(s) if self.config.wrong(Mutant::CancelRollsBack) => {
                let ports = self.config.contracts.ports();
                let verdict = state::Aborted { reason: Reason::Cancelled, offender: None, guessed: false };
                self.undo(now, s.blackout, verdict, ports, true, out);
            }
            // After Go a cancel is a request: the destination's Refused would let the guest stay (H21).
            State::GoSent(s) => self.request_abort(s.blackout.attempt, out),
            State::InDoubt(s) => self.request_abort(s.blackout.attempt, out),
            State::Fencing(_) | State::Held { .. } => {
                push(out, SourceAction::Note(Note::Alarm(Alarm::Ineffective)));
            }
        }
    }

    fn on_memory_failed(&mut self, now: At, out: &mut Actions<SourceAction>) {
        // Bytes may be half-way: what the destination's memory holds is not known any more.
        self.warm = false;
        let blame = |phase| Some(blackout::own(Port::Memory, phase));
        match self.state {
            State::Precopy(_) => {
                self.give_up(now, Reason::PortFailed, blame(crate::port::Phase::Precopy), out);
            }
            State::Stopping(_) | State::Saving(_) | State::Sealing(_) | State::Sealed(_) => {
                self.abort(now, Reason::PortFailed, blame(crate::port::Phase::Transfer), out);
            }
            State::Idle { .. }
            | State::Opening { .. }
            | State::Greeting { .. }
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

    fn request_abort(&mut self, attempt: state::Attempt, out: &mut Actions<SourceAction>) {
        push(out, SourceAction::Send(attempt.envelope(), ToDestination::Abort { offender: None }));
    }

    /// Brings the link up unless that is under way.
    fn connect(&mut self, out: &mut Actions<SourceAction>) {
        if self.link == Link::Down {
            self.link = Link::Connecting;
            push(out, SourceAction::Connect);
        }
    }
}

/// Adds an action. The list is bounded by [`crate::limits::ACTIONS_MAX`]; that no step
/// fills it is a property that the tests hold, so nothing is ever dropped here.
fn push(out: &mut Actions<SourceAction>, action: SourceAction) {
    let _fits = out.push(action);
}
