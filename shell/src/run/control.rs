//! A running side as its control socket shows it: what the main thread last knew, and the way to the machine.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use switchover_core::action::Alarm;

use crate::agent::{Standing, StandingCell, Started};
use crate::control_socket::{Cancelled, Effect, Operator, Status};
use crate::record::RunRecord;
use crate::units::nanoseconds;
use crate::words::Side;

/// How long the loop is given to answer; it does within a turn, unless the host is in trouble.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the main thread has told.
#[derive(Debug, Default)]
struct Told {
    attempt: Option<String>,
    ended: u32,
    verdict: Option<String>,
    last: Option<String>,
    progress: Option<(u64, u64)>,
    in_doubt_since: Option<Instant>,
}

/// Where the main thread leaves what the control socket shows; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<Told>>);

impl Board {
    /// The run so far.
    pub fn post(&self, record: &RunRecord, verdict: Option<String>, standing: Standing) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.attempt = record.attempts.last().map(|attempt| attempt.id.clone());
        told.ended = u32::try_from(record.attempts.len().saturating_sub(1)).unwrap_or(u32::MAX);
        told.verdict = verdict.or(told.verdict.take());
        told.last = record.attempts.last().map(|attempt| {
            let reason = attempt.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            format!("{}{reason}", attempt.outcome)
        });
        match standing {
            Standing::InDoubt => told.in_doubt_since = told.in_doubt_since.or(Some(Instant::now())),
            _ => told.in_doubt_since = None,
        }
    }

    /// Bytes sent, and still to be sent.
    pub fn progress(&self, sent: u64, remaining: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).progress = Some((sent, remaining));
    }
}

type Cancel = Box<dyn Fn(SyncSender<Standing>) + Send + Sync>;

/// What a control socket asks of a running side. A destination answers before it has an agent: it waits.
pub struct Controlled {
    side: Side,
    board: Board,
    agent: OnceLock<(StandingCell, Cancel)>,
    /// Whether a source's guest was started.
    started: Option<Started>,
}

impl Controlled {
    /// A side without an agent yet, of which `board` is told.
    pub fn new(side: Side, board: Board) -> Self {
        Controlled { side, board, agent: OnceLock::new(), started: None }
    }

    /// The same, of a source whose guest is `started` later.
    pub fn starting(self, started: Started) -> Self {
        Controlled { started: Some(started), ..self }
    }

    fn has_no_guest(&self) -> bool {
        self.started.as_ref().is_some_and(|started| !started.get())
    }

    /// There is one now. `cancel` has the loop say where the guest is, and then takes the cancel; in this order, in one
    /// turn.
    pub fn begin(
        &self,
        standing: StandingCell,
        cancel: impl Fn(SyncSender<Standing>) + Send + Sync + 'static,
    ) {
        // There is one agent a process.
        let _ = self.agent.set((standing, Box::new(cancel)));
    }
}

impl Operator for Controlled {
    fn status(&self) -> Status {
        let standing = self.agent.get().map_or(Standing::Waits, |(standing, _)| standing.get());
        let told = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        Status {
            side: self.side,
            pid: std::process::id(),
            standing: standing.to_string(),
            text: if self.has_no_guest() { NOT_STARTED } else { text(standing) }.into(),
            attempt: told.attempt.clone(),
            attempts_ended: told.ended,
            remaining_bytes: told.progress.map(|(_, remaining)| remaining),
            sent_bytes: told.progress.map(|(sent, _)| sent),
            verdict: told.verdict.clone(),
            in_doubt_ns: told.in_doubt_since.map(|since| nanoseconds(since.elapsed())),
            last_outcome: told.last.clone(),
        }
    }

    fn cancel(&self) -> Cancelled {
        let (tell, told) = sync_channel(1);
        let none_yet = self.has_no_guest();
        let standing = match self.agent.get() {
            None => Ok(Standing::Waits),
            Some((_, cancel)) => {
                cancel(tell);
                told.recv_timeout(PATIENCE)
            }
        };
        let Ok(standing) = standing else {
            let text = "the agent does not answer; it was told, and does it as soon as it can";
            return Cancelled { effect: Effect::Requested, text: text.into() };
        };
        let (effect, text) = match standing {
            _ if none_yet => (Effect::Effective, "cancelled: the guest is not started, and its process ends"),
            Standing::Migrating | Standing::Stopped => {
                (Effect::Effective, "cancelled: the guest stays on the source")
            }
            Standing::Loading => {
                (Effect::Effective, "cancelled: the guest stays on the source, which is told")
            }
            Standing::InDoubt => (
                Effect::Requested,
                "Go is sent: the destination is asked to refuse, and its answer counts; until then the guest is where it is",
            ),
            Standing::Deciding => (Effect::Nothing, "too late: the decision is being carried out here"),
            Standing::Runs => {
                (Effect::Nothing, "nothing to cancel: the guest runs here, and no attempt is under way")
            }
            Standing::Moved => (Effect::Nothing, "nothing to cancel: the guest runs on the destination"),
            Standing::Held => (
                Effect::Nothing,
                "nothing to cancel: the guest is gone on the destination, its copy is held here",
            ),
            Standing::Waits => (Effect::Nothing, "nothing to cancel: no source is being served"),
            Standing::Lost => (Effect::Nothing, "nothing to cancel: the guest that was to run here is gone"),
        };
        Cancelled { effect, text: text.into() }
    }
}

/// What a source says before its first `Welcome`.
const NOT_STARTED: &str = "the guest is not started yet: the destination's Welcome is waited for";

/// Where the guest is and what is safe, for a person.
pub fn text(standing: Standing) -> &'static str {
    match standing {
        Standing::Runs => "the guest runs here",
        Standing::Migrating => "the guest runs here, and is being copied",
        Standing::Stopped => "the guest is stopped here, and will run on one side by the hard limit",
        Standing::InDoubt => {
            "the guest is stopped here and may run on the destination; it must not be started anywhere until that is known"
        }
        Standing::Held => "the guest is stopped here and gone on the destination; the operator decides",
        Standing::Moved => "the guest runs on the destination; there is no copy here any more",
        Standing::Waits => "no guest; waiting for a source",
        Standing::Loading => "a guest is being loaded; it runs on its source",
        Standing::Deciding => "Go was taken; the guest will run here, or is refused",
        Standing::Lost => "the guest was to run here and is gone; its source holds a copy",
    }
}

/// What cannot be, and what to look at, for a person.
pub fn alarm(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::RunsElsewhere => {
            "the destination says that it runs the guest, and so does this side: a fence was false, or two agents act; \
             look at both hosts at once"
        }
        Alarm::Ineffective => "that has no effect now",
        Alarm::RollbackFailed => "the guest could not be run again here; it is tried again",
        Alarm::ResumeFailed => "the guest that a restart found could not be run; it is tried again",
        Alarm::JournalFailed => {
            "a decision could not be made durable; it is tried again: look at the journal's disk"
        }
    }
}
