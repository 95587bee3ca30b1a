//! `switchover source`: makes the guest, meets the destination, and stays until it is known where the guest runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use switchover_core::action::Note;
use switchover_core::config::{Cadence, Layout, Limits, Retry, SourceConfig};
use switchover_core::event::SourceEvent;
use switchover_core::hal::NoDevice;
use switchover_core::outcome::{Ending, Reason};
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::Bytes;
use switchover_core::wire::version::Offer;

use super::control::{Board, Controlled};
use super::guest::{hooks, kind, spec};
use super::introduction::Introduction;
use super::keep;
use super::ledger::Ledger;
use super::measure;
use super::operator::Operator;
use super::self_check::SelfCheck;
use super::show::{check_places, tell_faults};
use crate::agent::{Noted, SourceAgent, SourceLoop, SourceSetup, Standing};
use crate::cli::{GuestOptions, Linger, SourceOptions};
use crate::contracts::Contracts;
use crate::control_socket::ControlSocket;
use crate::dirty::KvmDirtyBitmap;
use crate::events::{self, EventLog, EventWriter, Header};
use crate::exit_code::ExitCode;
use crate::guest::kvm::{KvmSourceVcpus, Vmm};
use crate::journal::{Durability, JournalFile, default_path};
use crate::link::connector::{Target, connect};
use crate::link::session::Purpose;
use crate::realtime::Wish;
use crate::report::{self, Reporter};
use crate::sys::signal::{Signal, Signals};
use crate::ui::progress::{Copied, Progress};
use crate::units::{Rate, nanoseconds, short_duration};
use crate::words::Side;

type Agent = SourceAgent<KvmSourceVcpus, NoDevice>;

/// How often notes are looked for. Nobody wakes this thread: it must not compete with a blackout.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Within which a second signal ends a source that is in doubt, or holds a copy.
const TWICE: Duration = Duration::from_secs(5);
/// How long a source that is told to end, with its guest gone already, waits for `Fin` to be sent.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the guest runs before it is moved.
const WARM_UP_LEAST: Duration = Duration::from_millis(100);
/// See [`WARM_UP_LEAST`].
const WARM_UP_MOST: Duration = Duration::from_millis(1000);

/// Runs the side that has the guest.
///
/// # Errors
/// Anything that goes wrong before an attempt began.
pub fn source(options: SourceOptions) -> Result<ExitCode> {
    let signals = Signals::take().context("cannot take signals")?;
    let reporter = Reporter::for_parent(options.run.report_fd).context("cannot report to the parent")?;
    kind(options.guest.kind);
    tell_faults(&options.run);
    check_places(&options.run)?;
    let journal = open_journal(Side::Source, options.run.journal.clone())?;
    let name = journal.summary().identity.0;
    let file = options.run.contracts.as_deref().map(Contracts::read).transpose()?.unwrap_or_default();
    let host = measure::host(Side::Source, journal.path())?;
    let calibrated = measure::guest(host, options.guest.vcpus)?;
    let hashed = options.run.verify.then_some(options.guest.memory.0);
    let contracts = file.source.source(&calibrated, hashed);

    let starting = SourceLoop::<KvmSourceVcpus, NoDevice>::new().context("cannot make the agent's loop")?;
    let hooks = hooks(starting.wake(), options.run.heartbeat.as_ref(), name, Side::Source)?;
    let vmm = Arc::new(Vmm::create(&spec(&options.guest), &hooks)?);
    let hard_limit = options.limits.hard_limit();
    let introduction = Introduction {
        name,
        hard_limit_ns: nanoseconds(hard_limit),
        verify: options.run.verify,
        kvm: vmm.descriptor().clone(),
    };
    let target = Target {
        address: options.connect.to_string(),
        journal: journal.summary().identity,
        descriptor: introduction.encode().context("cannot describe the guest")?,
        offer: Offer::OURS,
        patience: Duration::from_secs(2),
        dead_after: Duration::from_secs(2).max(hard_limit),
    };
    let session = connect(&target, Purpose::New, 1)?;

    let config = config(&options, contracts);
    let summary = *journal.summary();
    let (log, events) = match &options.run.events {
        Some(path) => {
            let header = Header {
                version: events::VERSION,
                side: Side::Source,
                journal: summary.identity,
                number: summary.floor.into(),
                settings: serde_json::to_value(&config).context("cannot write the settings down")?,
            };
            let (log, writer) = EventLog::create(path, &header)?;
            (Some(log), Some(writer))
        }
        None => (None, None),
    };
    let setup = SourceSetup {
        config,
        target,
        first: Some(session),
        journal,
        memory: vmm.memory().clone(),
        dirty: Box::new(KvmDirtyBitmap::new(&vmm)),
        verify: options.run.verify,
        max_bandwidth: options.retry.max_bandwidth,
        faults: options.run.faults.clone(),
        wish: Wish::for_loop(Side::Source),
        log,
    };
    let vcpus = Arc::clone(&vmm);
    let agent = starting.start(setup, |bulk| {
        let bulk = bulk.clone();
        (vec![KvmSourceVcpus::new(vcpus, move || bulk.states())], Vec::new())
    })?;
    let ledger = Ledger::new(
        Side::Source,
        hard_limit,
        options.run.verify,
        &options.run.faults,
        agent.scheduling().clone(),
    );
    let operator = Operator::listen(signals)?;
    let board = Board::default();
    let commands = agent.commands().clone();
    let controlled = Controlled::new(Side::Source, board.clone());
    controlled.begin(agent.standing().clone(), move |tell| {
        // The receiver may have given up by then.
        commands.with(move |machine| {
            let _ = tell.send(machine.standing());
        });
        commands.event(SourceEvent::Cancel);
    });
    let control = options
        .run
        .control
        .as_deref()
        .map(|path| ControlSocket::serve(path, Arc::new(controlled)))
        .transpose()?;
    let checks = SelfCheck::new(Arc::clone(&vmm));
    let mut run = Run {
        options,
        agent,
        vmm,
        checks,
        ledger,
        reporter,
        operator,
        board,
        control,
        events,
        progress: None,
        cancelled: false,
        leaving: None,
        warned: None,
    };
    if run.operator.said().is_some() {
        bail!("told to end before an attempt began; the guest was not started");
    }
    let exit = run.until_over();
    Ok(run.end(exit))
}

pub(super) fn open_journal(side: Side, asked: Option<PathBuf>) -> Result<JournalFile> {
    let path = match asked.or_else(|| default_path(side)) {
        Some(path) => path,
        None => bail!("there is no place for the journal; give one with --journal FILE"),
    };
    let journal = JournalFile::open(&path, Durability::Process)?;
    eprintln!("journal: {}", path.display());
    Ok(journal)
}

fn config(
    options: &SourceOptions,
    contracts: switchover_core::contract::SourceContracts<
        { crate::agent::VCPU_PORTS },
        { crate::agent::DEVICES },
    >,
) -> SourceConfig<{ crate::agent::VCPU_PORTS }, { crate::agent::DEVICES }> {
    let ns = |duration| Ns::new(nanoseconds(duration));
    SourceConfig {
        limits: Limits {
            downtime: ns(options.limits.downtime_limit),
            switchover: ns(options.limits.switchover_limit),
        },
        retry: Retry {
            attempts: u8::try_from(options.retry.attempts).unwrap_or(u8::MAX),
            backoff: ns(options.retry.backoff),
            blackout_budget: ns(options.retry.blackout_budget),
            precopy_limit: ns(options.retry.precopy_limit),
        },
        cadence: Cadence::default(),
        drift: Ppm::new(options.run.drift_ppm).unwrap_or(Ppm::MAX),
        layout: Layout {
            page_size: 4096,
            memory: Bytes::new(options.guest.memory.0),
            vcpu_ports: 1,
            devices: 0,
        },
        arbiter: None,
        hold_on_lost_device: false,
        contracts,
    }
}

/// A run that is under way.
struct Run {
    options: SourceOptions,
    agent: Agent,
    vmm: Arc<Vmm>,
    checks: SelfCheck,
    ledger: Ledger,
    reporter: Reporter,
    operator: Operator,
    board: Board,
    control: Option<ControlSocket>,
    events: Option<EventWriter>,
    progress: Option<Progress>,
    /// The operator has cancelled before.
    cancelled: bool,
    /// Since when the process is to end.
    leaving: Option<Instant>,
    /// When the operator was last told what ending this process means.
    warned: Option<Instant>,
}

impl Run {
    /// Looks at notes and signals until there is nothing more to wait for.
    fn until_over(&mut self) -> ExitCode {
        self.start_guest();
        self.agent.commands().event(SourceEvent::Begin);
        // The last outcome, and since when it holds.
        let mut outcome: Option<(ExitCode, Instant)> = None;
        loop {
            while let Some(noted) = self.agent.notes().next() {
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
                    return exit;
                }
            }
            let outcome = outcome.map(|(exit, _)| exit);
            if let Some(exit) = self.hear(outcome).or_else(|| self.leave(outcome)) {
                return exit;
            }
            if !self.agent.goes_on() {
                self.say("the agent has failed; this process can do no more for its guest");
                return self.exit_now();
            }
            if let Some(alarm) = self.checks.alarm() {
                self.say(&alarm);
            }
            self.show();
            std::thread::sleep(LOOK_EVERY);
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
            Note::Alarm(alarm) => self.say(&format!("alarm: {}", super::control::alarm(alarm))),
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
        if tells {
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

    /// Lets the guest run, and gives it the time to write its working set once: moving a guest that has not begun is no
    /// feat. The destination has let it in by now; from here on whatever happens is an attempt's end.
    fn start_guest(&mut self) {
        for vcpu in self.vmm.vcpus() {
            // A vCPU that cannot run dies with a reason, which the guest's report shows.
            drop(vcpu.resume());
        }
        let GuestOptions { working_set, dirty_rate, .. } = self.options.guest;
        let once = match dirty_rate {
            Rate::Max | Rate::BytesPerSecond(0) => WARM_UP_LEAST,
            Rate::BytesPerSecond(rate) => Duration::from_millis(working_set.0.saturating_mul(1000) / rate),
        };
        std::thread::sleep(once.clamp(WARM_UP_LEAST, WARM_UP_MOST));
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

    /// What a signal means depends on where the guest is; the exit code if it ends the run.
    fn hear(&mut self, outcome: Option<ExitCode>) -> Option<ExitCode> {
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
            _ => {
                self.agent.commands().event(SourceEvent::Cancel);
                if std::mem::replace(&mut self.cancelled, true) || signal == Signal::Terminate {
                    self.say("cancelling, and ending");
                    self.leaving.get_or_insert_with(Instant::now);
                } else {
                    self.say("cancelling; the guest stays here. Signal again to end it");
                }
            }
        }
        None
    }

    /// Ends a run that is to end, once it can be told where the guest is. A cancel has the time of a rollback.
    fn leave(&mut self, outcome: Option<ExitCode>) -> Option<ExitCode> {
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
    fn exit_now(&self) -> ExitCode {
        match self.agent.standing().get() {
            Standing::Moved => ExitCode::Committed,
            Standing::InDoubt => ExitCode::InDoubt,
            Standing::Held => ExitCode::Lost,
            _ => ExitCode::Aborted,
        }
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

    fn say(&self, text: &str) {
        match &self.progress {
            Some(progress) => progress.say(text),
            None => eprintln!("{text}"),
        }
    }

    /// Writes what is to be kept, and ends.
    fn end(self, exit: ExitCode) -> ExitCode {
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
