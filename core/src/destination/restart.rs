//! What a destination may do that finds its journal, and perhaps a guest, after a restart.

use heapless::Vec;

use super::state::{Attempt, Deciding, Refusing, Running, State};
use super::{Claim, Destination, push};
use crate::action::{Actions, DestinationAction, Step};
use crate::config::{ConfigError, DestinationConfig};
use crate::id::{AttemptId, Incarnation};
use crate::journal::{DestinationGuest, DestinationJournal};
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
        let claimed = journal
            .claiming
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
        let running =
            |attempt, again| State::Running(Running { attempt, measured: Measured::default(), again });
        match (journal.running, guest) {
            (Some((id, named)), DestinationGuest::Running(found)) if found == named => {
                let attempt = machine.found(id);
                machine.state = running(attempt, Some(now));
            }
            (Some((id, named)), DestinationGuest::Paused(found)) if found == named => {
                let attempt = machine.found(id);
                let deciding =
                    Deciding { attempt, lease_end: now, since: now, measured: Measured::default() };
                machine.resume(now, deciding, true, &mut out);
            }
            (
                Some((id, _)),
                DestinationGuest::Running(_) | DestinationGuest::Paused(_) | DestinationGuest::Gone,
            ) => {
                machine.state = State::Lost { attempt: machine.found(id) };
                if matches!(guest, DestinationGuest::Paused(_)) {
                    machine.unload(&mut out);
                }
            }
            (None, DestinationGuest::Running(_)) => {
                machine.state = running(machine.found(AttemptId::default()), None);
            }
            (None, DestinationGuest::Paused(_)) => {
                let pending = machine.config.contracts.ports();
                machine.state = State::Refusing(Refusing {
                    attempt: machine.found(AttemptId::default()),
                    reason: Refusal::NoRecord,
                    offender: None,
                    pending,
                });
                machine.unload(&mut out);
            }
            (None, DestinationGuest::Gone) => {}
        }
        machine.give_time(now, &mut out);
        let deadline = machine.deadline();
        Ok((machine, Step { actions: out, deadline }))
    }

    /// What is found loaded belongs to nobody.
    fn unload(&self, out: &mut Actions<DestinationAction>) {
        push(out, DestinationAction::Ask(Op::Unload, self.config.contracts.ports()));
    }

    fn found(&self, id: AttemptId) -> Attempt {
        Attempt { id, peer: self.identity, incarnation: self.incarnation, hard_limit: Ns::ZERO }
    }
}
