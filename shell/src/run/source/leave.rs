//! What signals mean to a running source, and how it leaves without losing the guest.

use std::time::{Duration, Instant};

use switchover_core::event::SourceEvent;

use super::watch::Run;
use crate::agent::Standing;
use crate::exit_code::ExitCode;
use crate::sys::signal::Signal;

/// Within which a second signal ends a source that is in doubt, or holds a copy.
const TWICE: Duration = Duration::from_secs(5);
/// How long a source that is told to end, with its guest gone already, waits for `Fin` to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

impl Run {
    /// What a signal means depends on where the guest is; the exit code if it ends the run.
    pub(super) fn hear(&mut self, outcome: Option<ExitCode>) -> Option<ExitCode> {
        let signal = self.operator.said()?;
        match self.agent.standing().get() {
            Standing::InDoubt | Standing::Held => {
                if self.warned.is_some_and(|warned| warned.elapsed() < TWICE) {
                    return Some(self.exit_now());
                }
                self.warn();
            }
            Standing::Runs if outcome.is_some() => return outcome,
            Standing::Moved => {
                self.say("the guest runs on the destination already; this ends once that is settled");
                self.leaving.get_or_insert_with(Instant::now);
            }
            _ => self.cancel(signal),
        }
        None
    }

    /// Has the guest stay; a second one, or SIGTERM, ends it as well.
    pub(super) fn cancel(&mut self, signal: Signal) {
        self.agent.commands().event(SourceEvent::Cancel);
        if std::mem::replace(&mut self.cancelled, true) || signal == Signal::Terminate {
            self.say("cancelling, and ending");
            self.leaving.get_or_insert_with(Instant::now);
        } else {
            self.say("cancelling; the guest stays here. Signal again to end it");
        }
    }

    /// Ends a run that is to end, once it can be told where the guest is. A cancel has the time of a rollback.
    pub(super) fn leave(&mut self, outcome: Option<ExitCode>) -> Option<ExitCode> {
        let since = self.leaving?.elapsed();
        let late = match self.agent.standing().get() {
            // `Go` was faster, and in doubt this does not end by itself.
            Standing::InDoubt | Standing::Held => {
                self.leaving = None;
                self.warn();
                return None;
            }
            // A cancel of what had hardly begun has no outcome.
            Standing::Runs => outcome.is_some() || since >= FAREWELL,
            Standing::Moved => since >= FAREWELL,
            _ => since >= self.options.limits.hard_limit() + Duration::from_secs(1),
        };
        late.then(|| outcome.unwrap_or_else(|| self.exit_now()))
    }

    fn warn(&mut self) {
        self.warned = Some(Instant::now());
        self.say(match self.agent.standing().get() {
            Standing::Held => {
                "the guest is stopped here, and gone on the destination: this is its only copy, as of the moment it \
                 stopped. Signal again within 5 s to end this process and with it this copy."
            }
            _ => {
                "the guest is stopped here, and may run on the destination: do not start it anywhere else. Safe is to \
                 wait, to mend the connection, or to look at the destination's host; once that is switched off for \
                 certain, this copy may be run. Signal again within 5 s to end this process and with it this copy."
            }
        });
    }

    /// What the process ends with if it ends now.
    pub(super) fn exit_now(&self) -> ExitCode {
        match self.agent.standing().get() {
            Standing::Moved => ExitCode::Committed,
            Standing::InDoubt => ExitCode::InDoubt,
            Standing::Held => ExitCode::Lost,
            _ => ExitCode::Aborted,
        }
    }
}
