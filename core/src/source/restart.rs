//! What a source may do that finds its journal, and perhaps its guest, after a restart.

use heapless::Vec;

use super::state::{Aborted, Attempt, Blackout, InDoubt, State};
use super::{Link, Source, push};
use crate::action::{Actions, Note, SourceAction, Step};
use crate::admission::Rest;
use crate::config::{ConfigError, SourceConfig};
use crate::id::{Incarnation, JournalId};
use crate::journal::{SourceGuest, SourceJournal};
use crate::mutant::Mutant;
use crate::outcome::Reason;
use crate::schedule::Schedule;
use crate::time::{At, Ns};

impl<const V: usize, const D: usize, const N: usize> Source<V, D, N> {
    /// A source after a restart (\[SW-39\]): the guest decides first, then the records.
    ///
    /// | guest | latest attempt's records | then |
    /// |---|---|---|
    /// | runs | any | idle |
    /// | gone | any | moved: `Running` is answered with `Fin` |
    /// | stopped | none, no `MayGo`, or `Fenced` | rolls back |
    /// | stopped | `Committed` | destroys the copy, `Fin` |
    /// | stopped | `MayGo` | in doubt |
    ///
    /// # Errors
    /// Settings that cannot hold together.
    pub fn restart(
        config: SourceConfig<V, D>,
        journal: SourceJournal,
        guest: SourceGuest,
        now: At,
    ) -> Result<(Self, Step<SourceAction>), ConfigError> {
        config.check(N)?;
        let counter = journal.open.map_or(0, |open| open.counter);
        let counter = if config.wrong(Mutant::CounterFromOne) { 0 } else { counter };
        let (peer, incarnation) = journal.may_go.unwrap_or((JournalId::default(), Incarnation::default()));
        let mut machine = Self {
            sums: config.contracts.sums(),
            config,
            identity: journal.identity,
            counter,
            link: Link::Down,
            warm: false,
            ended: Vec::new(),
            blackout: Ns::ZERO,
            stays: false,
            state: State::Idle { next: None },
        };
        let mut out = Actions::new();
        let attempt = journal.open.map(|id| Attempt { id, peer, incarnation });
        match (guest, attempt) {
            (SourceGuest::Running, _) | (SourceGuest::Gone, None) => {}
            (SourceGuest::Gone, Some(attempt)) => {
                machine.state = State::Committed { attempt, again: now };
                machine.connect(&mut out);
            }
            (SourceGuest::Stopped, attempt) => {
                let blackout = machine.found(attempt, now);
                machine.stopped(now, blackout, &journal, &mut out);
            }
        }
        let deadline = machine.deadline();
        Ok((machine, Step { actions: out, deadline }))
    }

    /// When it was stopped is not known: its blackout is counted from here.
    fn found(&self, attempt: Option<Attempt>, now: At) -> Blackout {
        let nobody = Attempt {
            id: crate::id::AttemptId { journal: self.identity, counter: self.counter },
            peer: JournalId::default(),
            incarnation: Incarnation::default(),
        };
        Blackout {
            attempt: attempt.unwrap_or(nobody),
            t0: now,
            schedule: Schedule::default(),
            rest: Rest::default(),
            worst: None,
        }
    }

    fn stopped(
        &mut self,
        now: At,
        blackout: Blackout,
        journal: &SourceJournal,
        out: &mut Actions<SourceAction>,
    ) {
        let doubt = InDoubt { blackout, since: now, again: now, claiming: false };
        let fenced = journal.fenced && !self.config.wrong(Mutant::FenceForgotten);
        let may_go = journal.may_go.is_some() && !self.config.wrong(Mutant::MayGoForgotten);
        if fenced || !may_go && !journal.committed {
            let reason = if fenced { Reason::Fenced } else { Reason::Restarted };
            let verdict = Aborted { reason, offender: None, guessed: false };
            self.undo(now, blackout, verdict, self.config.contracts.ports(), false, out);
        } else if journal.committed {
            let measured = crate::wire::message::Measured::default();
            let committing = super::state::Committing { attempt: blackout.attempt, took: Ns::ZERO, measured };
            self.state = State::Releasing(committing);
            push(out, SourceAction::Release);
            self.connect(out);
        } else {
            push(out, SourceAction::Note(Note::InDoubt));
            self.in_doubt_time(now, doubt, out);
        }
    }
}
