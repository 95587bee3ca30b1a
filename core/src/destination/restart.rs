//! What a destination may do that finds its journal, and perhaps a guest, after a restart.

use heapless::Vec;

use super::state::{Attempt, Deciding, Refusing, Running, State};
use super::{Claim, Destination, push};
use crate::action::{Actions, DestinationAction, Step};
use crate::config::{ConfigError, DestinationConfig};
use crate::id::{AttemptId, Incarnation};
use crate::journal::{DestinationGuest, DestinationJournal};
use crate::mutant::Mutant;
use crate::port::Op;
use crate::time::{At, Ns};
use crate::wire::message::{Measured, Refusal};

impl<const V: usize, const D: usize, const N: usize> Destination<V, D, N> {
    /// A destination after a restart (\[SW-59\]): it never goes on with an undecided
    /// attempt (H8), and a record counts only for the guest it names (H7).
    ///
    /// | record | guest | then |
    /// |---|---|---|
    /// | `Running` of this guest | runs | says so until `Fin` |
    /// | `Running` of this guest | paused | runs it, however late (H6) |
    /// | `Running` | another, or none | Lost (H5); another that is paused is unloaded |
    /// | none | paused | unloads it |
    /// | none | runs | keeps it: its source has let go |
    ///
    /// # Errors
    /// Settings that cannot hold together.
    // [SW-60]
    pub fn restart(
        config: DestinationConfig<V, D>,
        journal: DestinationJournal,
        guest: DestinationGuest,
        incarnation: Incarnation,
        now: At,
    ) -> Result<(Self, Step<DestinationAction>), ConfigError> {
        config.check()?;
        // A record means that the claim was made: if it comes to a refusal after all, it is yielded then.
        let decided = journal.running.filter(|_| config.arbiter.is_some());
        // A claim for an attempt that is recorded as running is never yielded.
        let claimed = journal
            .claiming
            .filter(|_| !config.wrong(Mutant::RestartKeepsClaim))
            .filter(|claiming| journal.running.is_none_or(|(running, _)| running != *claiming))
            .map(|attempt| Claim { attempt, give: Some(now) })
            .or(decided.map(|(attempt, _)| Claim { attempt, give: None }));
        let mut machine = Self {
            config,
            identity: journal.identity,
            incarnation,
            link_up: false,
            warm: false,
            floors: Vec::new(),
            claimed,
            state: State::Idle,
        };
        let mut out = Actions::new();
        if let Some((id, _)) = journal.running {
            // Its Hello may still be under way; once forgotten, it is not to be taken up again.
            let _known = machine.raise_floor(id);
        }
        let any = machine.config.wrong(Mutant::RecordNamesNoGuest);
        let drops = machine.config.wrong(Mutant::RecordedGuestDropped);
        match (journal.running, guest) {
            (Some((id, _)), DestinationGuest::Gone) if machine.config.wrong(Mutant::GoneIsRunning) => {
                let attempt = machine.found(id);
                let measured = Measured::default();
                machine.state = State::Running(Running { attempt, measured, again: Some(now) });
            }
            (Some(_), DestinationGuest::Gone) if machine.config.wrong(Mutant::GoneIsRefused) => {}
            (None, DestinationGuest::Paused(_)) if machine.config.wrong(Mutant::FoundIsKept) => {}
            (Some((id, named)), DestinationGuest::Running(found)) if found == named || any => {
                let attempt = machine.found(id);
                let measured = Measured::default();
                machine.state = State::Running(Running { attempt, measured, again: Some(now) });
            }
            (Some((id, named)), DestinationGuest::Paused(found)) if (found == named || any) && !drops => {
                let attempt = machine.found(id);
                let deciding =
                    Deciding { attempt, lease_end: now, since: now, measured: Measured::default() };
                machine.resume(now, deciding, true, &mut out);
            }
            (
                Some((id, _)),
                DestinationGuest::Running(_) | DestinationGuest::Paused(_) | DestinationGuest::Gone,
            ) => {
                let occupied = matches!(guest, DestinationGuest::Running(_));
                machine.state = State::Lost { attempt: machine.found(id), occupied };
                if matches!(guest, DestinationGuest::Paused(_)) {
                    machine.unload(&mut out);
                }
            }
            (None, DestinationGuest::Running(_)) => {
                machine.keep_found();
            }
            (None, DestinationGuest::Paused(_)) => machine.unload_found(&mut out),
            (None, DestinationGuest::Gone) => {}
        }
        machine.give_time(now, &mut out);
        let deadline = machine.deadline();
        Ok((machine, Step { actions: out, deadline }))
    }

    /// A guest runs here under no attempt that anybody may ask about.
    pub(super) fn keep_found(&mut self) {
        let attempt = self.found(AttemptId::default());
        self.state = State::Running(Running { attempt, measured: Measured::default(), again: None });
    }

    /// What is loaded belongs to no attempt: nothing is taken up before it is gone.
    pub(super) fn unload_found(&mut self, out: &mut Actions<DestinationAction>) {
        let attempt = self.found(AttemptId::default());
        let pending = self.config.contracts.ports();
        self.state =
            State::Refusing(Refusing { attempt, reason: Refusal::NoRecord, offender: None, pending });
        self.unload(out);
    }

    /// What is found loaded belongs to nobody.
    fn unload(&self, out: &mut Actions<DestinationAction>) {
        push(out, DestinationAction::Ask(Op::Unload, self.config.contracts.ports()));
    }

    fn found(&self, id: AttemptId) -> Attempt {
        Attempt { id, peer: self.identity, incarnation: self.incarnation, hard_limit: Ns::ZERO }
    }
}
