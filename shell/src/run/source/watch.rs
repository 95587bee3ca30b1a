//! A source's run that is under way: notes of the agent, what is shown and told, and its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use switchover_core::action::Note;
use switchover_core::event::SourceEvent;
use switchover_core::hal::NoDevice;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::time::At;

use super::LOOK_EVERY;
use super::start::unwelcome;
use crate::agent::{Noted, SourceAgent, Standing, Started};
use crate::cli::{Linger, SourceOptions};
use crate::control_socket::ControlSocket;
use crate::events::EventWriter;
use crate::exit_code::ExitCode;
use crate::guest::kvm::{KvmSourceVcpus, Vmm};
use crate::report::{self, Reporter};
use crate::run::control::Board;
use crate::run::keep;
use crate::run::ledger::Ledger;
use crate::run::operator::Operator;
use crate::run::self_check::SelfCheck;
use crate::ui::progress::{Copied, Progress};
use crate::units::short_duration;
use crate::words::Side;

type Agent = SourceAgent<KvmSourceVcpus, NoDevice>;

/// A run that is under way.
pub(super) struct Run {
    pub(super) options: SourceOptions,
    pub(super) agent: Agent,
    pub(super) vmm: Arc<Vmm>,
    pub(super) checks: SelfCheck,
    pub(super) ledger: Ledger,
    pub(super) reporter: Reporter,
    pub(super) operator: Operator,
    pub(super) board: Board,
    pub(super) control: Option<ControlSocket>,
    pub(super) events: Option<EventWriter>,
    pub(super) progress: Option<Progress>,
    /// Whether the guest was started: at the first `Welcome`.
    pub(super) started: Started,
    /// The parent knows that it was.
    pub(super) announced: bool,
    /// When the present attempt began.
    pub(super) began: Option<At>,
    /// The operator has cancelled before.
    pub(super) cancelled: bool,
    /// Since when the process is to end.
    pub(super) leaving: Option<Instant>,
    /// When the operator was last told what ending this process means.
    pub(super) warned: Option<Instant>,
}

impl Run {
    /// Looks at notes and signals until there is nothing more to wait for.
    ///
    /// # Errors
    /// There was no `Welcome`, and so no guest.
    pub(super) fn until_over(&mut self) -> Result<ExitCode> {
        self.agent.commands().event(SourceEvent::Begin);
        // The last outcome, and since when it holds.
        let mut outcome: Option<(ExitCode, Instant)> = None;
        loop {
            while let Some(noted) = self.agent.notes().next() {
                self.check_welcome(&noted)?;
                if let Some(exit) = self.take(&noted) {
                    outcome = Some((exit, Instant::now()));
                }
                match (noted.note, &mut outcome) {
                    (Note::Began(_), _) => outcome = None,
                    // No outcome yet, and a sign of life: a run that would end by itself waits on.
                    (Note::PeerDecides, Some((_, since))) => *since = Instant::now(),
                    _ => {}
                }
            }
            if let Some((exit, since)) = outcome {
                let lingered = match self.options.run.linger {
                    Linger::For(time) => since.elapsed() >= time,
                    Linger::Forever => false,
                };
                // The answer has been read, and what is left to do is under way.
                let resolved = exit == ExitCode::InDoubt && self.agent.standing().get() != Standing::InDoubt;
                let lingered = lingered && !resolved;
                // After a commit there is nothing left here: `Fin` is sent.
                if lingered || exit == ExitCode::Committed {
                    return Ok(exit);
                }
            }
            let outcome = outcome.map(|(exit, _)| exit);
            if self.started.get() && !self.announced {
                self.announced = true;
                self.report();
            }
            if !self.started.get() {
                self.hear_early()?;
            } else if let Some(exit) = self.hear(outcome).or_else(|| self.leave(outcome)) {
                return Ok(exit);
            }
            if !self.agent.goes_on() {
                if self.started.never() {
                    bail!("the guest was not started: the agent failed before an attempt began");
                }
                self.say("the agent has failed; this process can do no more for its guest");
                return Ok(self.exit_now());
            }
            if let Some(alarm) = self.checks.alarm() {
                self.say(&alarm);
            }
            self.show();
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// An attempt that ended before the first `Welcome` is none, nor are those that would follow it.
    fn check_welcome(&mut self, noted: &Noted) -> Result<()> {
        match noted.note {
            Note::Began(_) => self.began = Some(noted.at),
            Note::Ended(ended) if self.started.never() => {
                let silence = switchover_core::config::Cadence::default().silence;
                bail!(unwelcome(&self.options, &ended, self.began, noted.at, silence));
            }
            Note::Finished if self.started.never() => {
                bail!(
                    "the guest was not started: this journal has no more names for attempts; give another with --journal FILE"
                )
            }
            _ => {}
        }
        Ok(())
    }

    /// A signal while there is no guest yet ends the process.
    fn hear_early(&mut self) -> Result<()> {
        match self.operator.said() {
            Some(_) if self.started.never() => {
                bail!("the guest was not started: told to end before an attempt began")
            }
            // It was faster, and this is the first of them.
            Some(signal) => {
                self.cancel(signal);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Takes one note; the exit code if it is an outcome.
    fn take(&mut self, noted: &Noted) -> Option<ExitCode> {
        self.ledger.note(noted);
        let mut tells = true;
        let mut outcome = None;
        match noted.note {
            Note::Verdict(verdict) => {
                if let Some(text) = self.ledger.verdict().filter(|_| verdict.fits) {
                    self.say(&text);
                }
                tells = false;
            }
            Note::Ended(ended) => {
                if ended.ending == Ending::Lost {
                    self.say("the guest was to run on the destination and is gone there; its copy here is kept, stopped");
                    outcome = Some(ExitCode::Lost);
                } else if let Ending::Aborted(reason) = ended.ending {
                    self.say(&self.aborted(reason));
                }
            }
            Note::InDoubt => {
                self.say("in doubt: Go was sent and not answered; the guest stays stopped here until it is known where it runs");
                outcome = Some(ExitCode::InDoubt);
            }
            Note::Finished => outcome = Some(ExitCode::from(self.ledger.record().outcome)),
            Note::Alarm(alarm) => self.say(&format!("alarm: {}", crate::run::control::alarm(alarm))),
            Note::Round { .. }
            | Note::Phase { .. }
            | Note::CutShort { .. }
            | Note::Sent(_)
            | Note::PeerDecides => tells = false,
            Note::Began(_)
            | Note::Stopping
            | Note::Aborting { .. }
            | Note::Go
            | Note::DeviceLost(_)
            | Note::Runs => {}
        }
        // A parent that hears of an attempt counts the guest in.
        if tells && self.started.get() {
            self.report();
        }
        outcome
    }

    fn report(&self) {
        let standing = match self.agent.standing().get() {
            Standing::Runs | Standing::Migrating => report::Standing::Runs,
            Standing::InDoubt => report::Standing::InDoubt,
            Standing::Moved => report::Standing::Gone,
            Standing::Stopped
            | Standing::Held
            | Standing::Waits
            | Standing::Loading
            | Standing::Deciding
            | Standing::Lost => report::Standing::Stopped,
        };
        let record = self.ledger.record();
        self.board.post(&record, self.ledger.verdict(), self.agent.standing().get());
        self.reporter.snapshot(Side::Source, &record, standing);
    }

    fn aborted(&self, reason: Reason) -> String {
        let offender = self.ledger.record().attempts.last().and_then(|attempt| attempt.offender);
        let blame = offender.map_or(String::new(), |offender| format!(", {offender}"));
        let why = match reason {
            Reason::LimitTooSmall(smallest) => format!(
                "lease, answer and rollback leave no time for work within {}; the smallest hard limit that would do is {}",
                short_duration(self.options.limits.hard_limit()),
                short_duration(Duration::from_nanos(smallest.get()))
            ),
            Reason::NotAdmitted => {
                format!("not admitted in time: {}", self.ledger.verdict().unwrap_or_default())
            }
            reason => crate::record::reason(reason).replace('_', " "),
        };
        format!("aborted: {why}{blame}; the guest runs on here")
    }

    /// Progress of pre-copy: only while the guest runs, since showing takes the processor.
    fn show(&mut self) {
        if self.agent.standing().get() != Standing::Migrating {
            if let Some(progress) = self.progress.take() {
                progress.finish();
            }
            return;
        }
        let copied = self.agent.bulk().counters().snapshot();
        if copied.bytes == 0 {
            return;
        }
        self.board.progress(copied.bytes, copied.remaining);
        let round = copied.rounds.max(1).try_into().unwrap_or(u32::MAX);
        let copied = Copied { round, sent: copied.bytes, remaining: copied.remaining };
        self.progress.get_or_insert_with(Progress::on_stderr).update(Instant::now(), copied);
    }

    pub(super) fn say(&self, text: &str) {
        match &self.progress {
            Some(progress) => progress.say(text),
            None => eprintln!("{text}"),
        }
    }

    /// Ends a run that never had a guest: there is nothing to record.
    pub(super) fn abandon(self) {
        let Run { agent, vmm, control, events, .. } = self;
        drop(control);
        if let Err(error) = agent.stop() {
            eprintln!("error: the agent failed: {error}");
        }
        keep::events(events);
        drop(vmm);
    }

    /// Writes what is to be kept, and ends.
    pub(super) fn end(self, exit: ExitCode) -> ExitCode {
        let Run { options, agent, vmm, mut checks, mut ledger, reporter, control, events, .. } = self;
        drop(control);
        while let Some(noted) = agent.notes().next() {
            ledger.note(&noted);
        }
        // Of a guest that has moved nothing is left here to be looked at: the destination's record has it.
        if agent.standing().get() != Standing::Moved {
            if let Some(alarm) = checks.alarm() {
                eprintln!("{alarm}");
            }
            eprintln!("{}", checks.account());
            ledger.self_check(checks.failures());
        }
        let record = ledger.record();
        reporter.finished(&record, exit);
        reporter.flush(Duration::from_secs(1));
        keep::record(&record, &options.run);
        if !options.run.json && options.run.report_fd.is_none() {
            eprintln!("{}", crate::ui::timeline::timeline(&record, crate::ui::timeline::Paint::for_stderr()));
        }
        keep::lost(agent.notes().lost());
        match agent.stop() {
            Ok(learned) => keep::contracts(&options.run, |file| file.source.take_source(&learned)),
            Err(error) => eprintln!("error: the agent failed: {error}"),
        }
        keep::events(events);
        drop(vmm);
        exit
    }
}
