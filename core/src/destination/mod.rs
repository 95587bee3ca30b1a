//! The side that will have the guest.
//!
//! [`Destination::step`] takes an event and returns what to do. It runs a guest only
//! after `Go`, inside the lease that its own Ready started, and only once `Running` is
//! durable (\[SW-51\]). Everything else it answers for good: Refused is never taken back.
//!
//! Files: `state` (what each state owns), `load` (Hello to Ready), `decide` (Go to
//! Running), `answer` (what is said about an attempt, and refusals), `restart`.

mod answer;
mod decide;
mod load;
mod restart;
mod state;

use heapless::Vec;

use crate::action::{Actions, DestinationAction, Step};
use crate::config::{ConfigError, DestinationConfig};
use crate::contract::DestinationContracts;
use crate::event::DestinationEvent;
use crate::fmt::Watch;
use crate::id::{AttemptId, Incarnation, JournalId};
use crate::journal::RecordKind;
use crate::mutant::Mutant;
use crate::port::Op;
use crate::time::{At, Ns};
use crate::wire::message::{Envelope, Refusal, ToDestination};
use state::State;

/// The destination's machine: up to `V` vCPU ports, `D` devices, `N` source journals in
/// one incarnation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Destination<const V: usize = 4, const D: usize = 8, const N: usize = 8> {
    config: DestinationConfig<V, D>,
    identity: JournalId,
    incarnation: Incarnation,
    link_up: bool,
    /// What arrived is in memory, and the digest's chain is whole.
    warm: bool,
    /// The highest attempt of each source journal that was taken up or turned away; never
    /// forgotten in this incarnation, so that a refusal is for good (\[SW-5\]).
    floors: Vec<AttemptId, N>,
    /// A claim was sent for this attempt and has not been yielded since.
    claimed: Option<Claim>,
    state: State,
}

/// A claim that a refusal has to yield (H18).
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
struct Claim {
    attempt: AttemptId,
    /// Whether it is to be yielded, and when that is asked again.
    give: Option<At>,
}

/// Where the guest is, as far as this side can say.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// No attempt is under way.
    Waits,
    /// An attempt is being loaded or waits for `Go`.
    Loading,
    /// `Go` was taken; the decision is under way.
    Deciding,
    /// The guest runs here.
    Runs,
    /// It was to run here, and is gone.
    Lost,
}

impl<const V: usize, const D: usize, const N: usize> Destination<V, D, N> {
    /// A destination with an empty journal. `incarnation` is drawn at random for each start.
    ///
    /// # Errors
    /// Settings that cannot hold together.
    pub fn new(
        config: DestinationConfig<V, D>,
        identity: JournalId,
        incarnation: Incarnation,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            identity,
            incarnation,
            link_up: false,
            warm: false,
            floors: Vec::new(),
            claimed: None,
            state: State::Idle,
        })
    }

    /// Takes one event. At most 2,000 instructions; no loop depends on anything but the
    /// number of ports and of source journals.
    // [SW-78]
    pub fn step(&mut self, now: At, event: DestinationEvent) -> Step<DestinationAction> {
        let mut out = Actions::new();
        let watch = Watch::begin("destination", || self.state.name());
        match event {
            DestinationEvent::Cancel => self.refuse_undecided(now, Refusal::Cancelled, None, &mut out),
            DestinationEvent::LinkUp => self.on_link_up(now, &mut out),
            DestinationEvent::LinkDown => self.on_link_down(now, &mut out),
            DestinationEvent::Message(envelope, message) => self.on_message(now, envelope, message, &mut out),
            DestinationEvent::Written(kind, id) => self.on_record(now, kind, id, true, &mut out),
            DestinationEvent::NotWritten(kind, id) => self.on_record(now, kind, id, false, &mut out),
            DestinationEvent::Drained(round) => self.on_drained(round, &mut out),
            DestinationEvent::Verified(seal) => self.on_verified(now, seal, &mut out),
            DestinationEvent::MemoryFailed => self.on_memory_failed(now, &mut out),
            DestinationEvent::Port(port, op, outcome) => match op {
                Op::Load => self.on_loaded(now, port, outcome, &mut out),
                Op::Settle => self.on_settled(now, port, outcome, &mut out),
                Op::Resume => self.on_resumed(now, port, outcome, &mut out),
                Op::Unload => self.on_unloaded(port),
                Op::Quiesce | Op::Stop | Op::Save | Op::Rollback => {}
            },
            DestinationEvent::Claimed(id, owner) => self.on_claimed(now, id, Some(owner), &mut out),
            DestinationEvent::NotClaimed(id) => self.on_claimed(now, id, None, &mut out),
            DestinationEvent::Yielded(id) => self.on_yielded(id),
            DestinationEvent::Deadline => {}
        }
        // Whatever happened, time has passed: a rule `now <= x` is judged after the input.
        self.on_time(now, &mut out);
        watch.end(|| self.state.name(), out.iter().filter_map(DestinationAction::note));
        Step { actions: out, deadline: self.deadline() }
    }

    /// When to call again at the latest.
    pub fn deadline(&self) -> Option<At> {
        let own = match self.state {
            State::Loading(s) => Some(match s.told {
                Some(told) => told.limit_at.just_after(),
                None => s.heard.plus(self.config.cadence.patience(s.attempt.hard_limit)),
            }),
            State::Verifying(s) => Some(s.told.limit_at.just_after()),
            State::Settling(s) => Some(s.told.limit_at.just_after()),
            State::Ready(s) if self.config.wrong(Mutant::DecideByNotArmed) => Some(s.again),
            State::Ready(s) => Some(self.decide_by(s.lease_end).just_after().or_earlier(s.again)),
            State::Resuming(s) => self.resuming_deadline(&s),
            State::Superseding(s) => s.again,
            State::Running(s) => s.again,
            State::Claiming(s) => Some(self.claimed_by(&s).just_after()),
            State::Idle | State::Writing(_) | State::Refusing(_) | State::Lost { .. } => None,
        };
        match (own, self.claimed.and_then(|claim| claim.give)) {
            (Some(own), Some(give)) => Some(own.or_earlier(give)),
            (own, give) => own.or(give),
        }
    }

    /// Where the guest is.
    pub fn standing(&self) -> Standing {
        match self.state {
            State::Idle | State::Refusing(_) => Standing::Waits,
            State::Loading(_) | State::Verifying(_) | State::Settling(_) | State::Ready(_) => {
                Standing::Loading
            }
            State::Claiming(_) | State::Writing(_) | State::Resuming(_) | State::Superseding(_) => {
                Standing::Deciding
            }
            State::Running(_) => Standing::Runs,
            State::Lost { .. } => Standing::Lost,
        }
    }

    /// The attempt under way or last decided, if any.
    pub fn attempt(&self) -> Option<AttemptId> {
        self.state.attempt().map(|attempt| attempt.id)
    }

    /// Whether the source has let go of a guest that runs here.
    pub fn finished(&self) -> bool {
        matches!(self.state, State::Running(s) if s.again.is_none())
    }

    /// The settings.
    pub fn config(&self) -> &DestinationConfig<V, D> {
        &self.config
    }

    /// Hands newly learned contracts in; they count from the next Welcome on.
    ///
    /// # Errors
    /// [`ConfigError`] if they do not describe the same ports, or are too long, and
    /// [`ConfigError::Ports`] while an attempt that was promised others is under way;
    /// nothing changes.
    pub fn set_contracts(&mut self, contracts: DestinationContracts<V, D>) -> Result<(), ConfigError> {
        if self.standing() != Standing::Waits {
            return Err(ConfigError::Ports);
        }
        let config = DestinationConfig { contracts, ..self.config.clone() };
        config.check()?;
        self.config = config;
        Ok(())
    }

    /// Moves every stored instant by `shift` nanoseconds: nothing else depends on when time began.
    // [SW-71]
    pub fn rebase(&mut self, shift: i64) {
        self.state.instants(|at| *at = at.shifted(shift));
        if let Some(Claim { give: Some(give), .. }) = &mut self.claimed {
            *give = give.shifted(shift);
        }
    }

    /// What must hold in every state; the tests assert it after each step.
    pub fn invariant(&self) -> bool {
        let own = self.state.attempt().is_none_or(|attempt| attempt.peer == self.identity);
        let needs_lease = match self.state {
            State::Ready(s) => s.lease_end >= s.again.minus(self.config.cadence.again),
            _ => true,
        };
        own && needs_lease
    }

    /// C + J + Res: one value, for the fit test and for `decide_by` alike (\[SW-63\]).
    fn need(&self) -> Ns {
        let need = self.config.contracts.need(self.config.arbiter.is_some());
        let journal = self.config.contracts.journal.time;
        if self.config.wrong(Mutant::NeedWithoutJournal) { need.minus(journal) } else { need }
    }

    /// The latest instant to take `Go` at.
    // [SW-65]
    fn decide_by(&self, lease_end: At) -> At {
        lease_end.minus(self.need())
    }

    // [SW-2]
    fn on_message(
        &mut self,
        now: At,
        envelope: Envelope,
        message: ToDestination,
        out: &mut Actions<DestinationAction>,
    ) {
        if let ToDestination::Hello(hello) = message {
            return self.on_hello(now, envelope.attempt, hello, out);
        }
        let mut named = envelope;
        if self.config.wrong(Mutant::IncarnationIgnored) {
            named.incarnation = self.incarnation;
        }
        let current = self.state.attempt().filter(|attempt| attempt.envelope() == named);
        if current.is_none() {
            return self.on_stale(now, envelope, message, out);
        }
        self.heard(now);
        match message {
            ToDestination::Hello(_) => {}
            ToDestination::Ping(number) => self.on_ping(number, out),
            ToDestination::RoundEnd { round, chunks } => self.on_round_end(round, chunks, out),
            ToDestination::Stopping { elapsed, hard_limit, lease } => {
                self.on_stopping(now, elapsed, hard_limit, lease, out);
            }
            ToDestination::Sealed(seal) => self.on_sealed(now, seal, out),
            ToDestination::Go => self.on_go(now, out),
            ToDestination::Query => self.on_query(now, out),
            ToDestination::Fin => self.on_fin(out),
            ToDestination::Abort { offender } => self.on_abort(now, offender, out),
        }
    }

    fn on_record(
        &mut self,
        now: At,
        kind: RecordKind,
        id: AttemptId,
        durable: bool,
        out: &mut Actions<DestinationAction>,
    ) {
        if self.attempt() != Some(id) {
            return;
        }
        match kind {
            RecordKind::Claiming => self.on_claimable(now, durable, out),
            RecordKind::Running => self.on_recorded(now, durable, out),
            RecordKind::Refused => self.on_superseded(now, durable, out),
            RecordKind::Finished
            | RecordKind::Open
            | RecordKind::MayGo
            | RecordKind::Committed
            | RecordKind::Fenced
            | RecordKind::Aborted => {}
        }
    }

    fn on_time(&mut self, now: At, out: &mut Actions<DestinationAction>) {
        match self.state {
            State::Loading(_) | State::Verifying(_) | State::Settling(_) => self.loading_time(now, out),
            State::Ready(s) => self.ready_time(now, s, out),
            State::Claiming(s) => self.claiming_time(now, s, out),
            State::Resuming(s) => self.resuming_time(now, s, out),
            State::Superseding(s) => self.superseding_time(now, s, out),
            State::Running(s) => self.running_time(now, s, out),
            State::Idle | State::Writing(_) | State::Refusing(_) | State::Lost { .. } => {}
        }
        self.give_time(now, out);
    }
}

/// Adds an action. The list is bounded by [`crate::limits::ACTIONS_MAX`]; that no step
/// fills it is a property that the tests hold, so nothing is ever dropped here.
fn push(out: &mut Actions<DestinationAction>, action: DestinationAction) {
    let _fits = out.push(action);
}
