//! `switchover destination`: waits for a source, makes room for its guest, and stays with it.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use switchover_core::action::Note;
use switchover_core::event::DestinationEvent;
use switchover_core::hal::NoDevice;
use switchover_core::id::Incarnation;

use super::control::{Board, Controlled};
use super::guest::{guest_name, hooks, kind, witness};
use super::keep;
use super::ledger::Ledger;
use super::measure;
use super::operator::Operator;
use super::refusals;
use super::room::{self, Room};
use super::self_check::SelfCheck;
use super::show::{check_places, tell_faults};
use super::source::{LOOK_EVERY, open_journal};
use crate::agent::{DestinationAgent, DestinationLoop, DestinationSetup, Noted, Standing};
use crate::cli::{DestinationOptions, Linger};
use crate::contracts::Contracts;
use crate::control_socket::{self, ControlSocket};
use crate::events::{self, EventLog, EventWriter, Header};
use crate::exit_code::ExitCode;
use crate::guest::kvm::{GuestName, KvmDestinationVcpus, KvmSpec, Vmm};
use crate::link::lobby::{Lobby, LobbySettings};
use crate::realtime::Wish;
use crate::report::{self, Reporter};
use crate::sys::signal::Signals;
use crate::words::Side;

type Agent = DestinationAgent<KvmDestinationVcpus, NoDevice>;

/// How long a destination that is told to end waits for a decision that is being carried out. A journal that is stuck
/// must not keep the process for ever.
const DECIDED_WITHIN: Duration = Duration::from_secs(5);

/// Runs the side that is to have the guest.
///
/// # Errors
/// Anything that goes wrong before a source came.
pub fn destination(options: DestinationOptions) -> Result<ExitCode> {
    let signals = Signals::take().context("cannot take signals")?;
    let reporter = Reporter::for_parent(options.run.report_fd).context("cannot report to the parent")?;
    kind(options.guest);
    // Found out now, not when a source comes.
    tell_faults(&options.run);
    check_places(&options.run)?;
    witness(options.run.heartbeat.as_ref())?;
    let _possible = Vmm::describe(&room::empty(&KvmSpec::new(64 << 20, 1)))?;
    let file = options.run.contracts.as_deref().map(Contracts::read).transpose()?.unwrap_or_default();
    let journal = open_journal(Side::Destination, options.run.journal.clone())?;
    // Before anybody is let in: a source waits two seconds for its Welcome and no longer.
    let host = measure::host(Side::Destination, journal.path())?;
    let incarnation = Incarnation(getrandom::u64().context("cannot draw a random number")?);
    let board = Board::default();
    let controlled = Arc::new(Controlled::new(Side::Destination, board.clone()));
    let control = options
        .run
        .control
        .as_deref()
        .map(|path| ControlSocket::serve(path, Arc::clone(&controlled) as Arc<dyn control_socket::Operator>))
        .transpose()?;
    let listen = &options.listen;
    let listener = TcpListener::bind((listen.host.as_str(), listen.port)).with_context(|| {
        format!("cannot listen on {listen}; is it an address of this host, and the port free?")
    })?;
    let starting =
        DestinationLoop::<KvmDestinationVcpus, NoDevice>::new().context("cannot make the agent's loop")?;
    let hooks = hooks(starting.wake(), options.run.heartbeat.as_ref(), 0, Side::Destination)?;
    let name = hooks.heartbeats.as_ref().map(|heartbeats| heartbeats.guest.clone());
    let room = Arc::new(Room::default());
    let (fits, asked) = room::fits(Arc::clone(&room));
    let settings = LobbySettings::new(journal.summary().identity, incarnation, fits, refusals::notice());
    let (lobby, arrivals) =
        Lobby::open(listener, settings, starting.wake()).context("cannot attend to connections")?;
    eprintln!("listening on {}", lobby.address());
    reporter.listening(lobby.address());

    let operator = Operator::listen(signals)?;
    let (introduction, vmm, config) = loop {
        let Some(request) = room::next_guest(&asked, &operator) else { return Ok(ExitCode::Aborted) };
        let introduction = request.introduction.clone();
        let made = room::make(&introduction, &file.destination, options.run.drift_ppm, &hooks, host);
        match made {
            Ok((vmm, config)) => {
                room.is_made_for(&introduction);
                if let Some(name) = &name {
                    name.set(&guest_name(introduction.name));
                }
                request.settle(Ok(()));
                break (introduction, vmm, config);
            }
            // Another guest may fit.
            Err(error) => request.settle(Err(format!("there is no room for it here: {error:#}"))),
        }
    };
    // Nobody is asked any more: whoever still waits to be is answered by what was made.
    drop(asked);

    let (log, events) = match &options.run.events {
        Some(path) => {
            let header = Header {
                version: events::VERSION,
                side: Side::Destination,
                journal: journal.summary().identity,
                number: incarnation.0,
                settings: serde_json::to_value(&config).context("cannot write the settings down")?,
            };
            let (log, writer) = EventLog::create(path, &header)?;
            (Some(log), Some(writer))
        }
        None => (None, None),
    };
    let setup = DestinationSetup {
        config,
        incarnation,
        arrivals,
        served: lobby.served(),
        journal,
        memory: vmm.memory().clone(),
        faults: options.run.faults.clone(),
        wish: Wish::for_loop(Side::Destination),
        log,
    };
    let vcpus = Arc::clone(&vmm);
    let checks = SelfCheck::new(vmm);
    let agent =
        starting.start(setup, |inbox| (vec![KvmDestinationVcpus::new(vcpus, inbox.clone())], Vec::new()))?;
    let ledger = Ledger::new(
        Side::Destination,
        Duration::from_nanos(introduction.hard_limit_ns),
        introduction.verify,
        &options.run.faults,
        agent.scheduling().clone(),
    );
    let commands = agent.commands().clone();
    controlled.begin(agent.standing().clone(), move |tell| {
        // The receiver may have given up by then.
        commands.with(move |machine| {
            let _ = tell.send(machine.standing());
        });
        commands.event(DestinationEvent::Cancel);
    });
    let mut run = Run {
        options,
        agent,
        room,
        name,
        checks,
        ledger,
        reporter,
        operator,
        board,
        control,
        events,
        leaving: None,
    };
    let exit = run.until_over();
    Ok(run.end(exit))
}

/// A run that is under way.
struct Run {
    options: DestinationOptions,
    agent: Agent,
    room: Arc<Room>,
    /// The name under which the guest's beats are told.
    name: Option<GuestName>,
    checks: SelfCheck,
    ledger: Ledger,
    reporter: Reporter,
    operator: Operator,
    board: Board,
    control: Option<ControlSocket>,
    events: Option<EventWriter>,
    /// Since when the process is to end.
    leaving: Option<Instant>,
}

impl Run {
    /// Looks at notes and signals until there is nothing more to wait for.
    fn until_over(&mut self) -> ExitCode {
        let mut runs_since: Option<Instant> = None;
        loop {
            while let Some(noted) = self.agent.notes().next() {
                if self.take(&noted) {
                    runs_since = Some(Instant::now());
                }
            }
            if runs_since.is_some()
                && let Some(alarm) = self.checks.alarm()
            {
                eprintln!("{alarm}");
            }
            if let (Some(since), Linger::For(time)) = (runs_since, self.options.run.linger)
                && since.elapsed() >= time
            {
                return ExitCode::Committed;
            }
            if self.operator.said().is_some() {
                if self.leaving.is_some() {
                    return self.exit_now();
                }
                // Effective until it is decided; a guest that runs here ends with its process.
                self.agent.commands().event(DestinationEvent::Cancel);
                self.leaving = Some(Instant::now());
            }
            if let Some(since) = self.leaving
                && (since.elapsed() >= DECIDED_WITHIN || self.is_decided(since))
            {
                return self.exit_now();
            }
            if !self.agent.goes_on() {
                eprintln!("the agent has failed; this process can do no more for its guest");
                return self.exit_now();
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether a cancel that was handed in then has had its effect: what is being decided must not be cut off, since the
    /// source may have to be told.
    fn is_decided(&self, cancelled: Instant) -> bool {
        let undecided = matches!(self.agent.standing().get(), Standing::Loading | Standing::Deciding);
        !undecided && cancelled.elapsed() >= 4 * LOOK_EVERY
    }

    /// What the process ends with if it ends now.
    fn exit_now(&self) -> ExitCode {
        match self.agent.standing().get() {
            Standing::Runs => ExitCode::Committed,
            Standing::Lost => ExitCode::Lost,
            _ => ExitCode::Aborted,
        }
    }

    /// Takes one note; whether the guest runs here from now on.
    fn take(&mut self, noted: &Noted) -> bool {
        if let Note::Began(attempt) = noted.note
            && let Some(introduction) = self.room.introduction_of(attempt.journal.0)
        {
            self.ledger.limit(Duration::from_nanos(introduction.hard_limit_ns));
            if let Some(name) = &self.name {
                name.set(&guest_name(introduction.name));
            }
        }
        self.ledger.received(self.agent.received());
        self.ledger.note(noted);
        match noted.note {
            Note::Runs => {
                self.room.is_taken();
                eprintln!("the guest runs here");
            }
            Note::Finished => eprintln!("the source has let go of it"),
            Note::Alarm(alarm) => eprintln!("alarm: {}", super::control::alarm(alarm)),
            Note::Began(_) | Note::Stopping | Note::Go | Note::Ended(_) => {}
            Note::Verdict(_)
            | Note::Round { .. }
            | Note::Phase { .. }
            | Note::CutShort { .. }
            | Note::Sent(_)
            | Note::Aborting { .. }
            | Note::InDoubt
            | Note::PeerDecides
            | Note::DeviceLost(_) => return false,
        }
        let standing = match self.agent.standing().get() {
            Standing::Runs => report::Standing::Runs,
            Standing::Deciding => report::Standing::Stopped,
            // `Ready` may have been said once the source stops.
            Standing::Loading if !matches!(noted.note, Note::Began(_)) => report::Standing::Stopped,
            _ => report::Standing::Waits,
        };
        let record = self.ledger.record();
        self.board.post(&record, None, self.agent.standing().get());
        self.reporter.snapshot(Side::Destination, &record, standing);
        matches!(noted.note, Note::Runs)
    }

    /// Writes what is to be kept, and ends.
    fn end(self, exit: ExitCode) -> ExitCode {
        let Run { options, agent, mut checks, mut ledger, reporter, control, events, .. } = self;
        drop(control);
        ledger.received(agent.received());
        while let Some(noted) = agent.notes().next() {
            ledger.note(&noted);
        }
        if agent.standing().get() == Standing::Runs {
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
        keep::lost(agent.notes().lost());
        match agent.stop() {
            Ok(planned) => keep::contracts(&options.run, |file| file.destination.take_destination(&planned)),
            Err(error) => eprintln!("error: the agent failed: {error}"),
        }
        keep::events(events);
        exit
    }
}
