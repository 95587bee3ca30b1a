//! `switchover destination`: waits for a source, makes room for its guest, and stays with it.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use switchover_core::action::Note;
use switchover_core::config::{Cadence, DestinationConfig, Layout};
use switchover_core::event::DestinationEvent;
use switchover_core::hal::NoDevice;
use switchover_core::id::{GuestInstance, Incarnation};
use switchover_core::time::Ppm;
use switchover_core::units::Bytes;

use super::control::{Board, Controlled};
use super::guest::{hooks, kind};
use super::introduction::Introduction;
use super::ledger::Ledger;
use super::measure;
use super::operator::Operator;
use super::self_check::SelfCheck;
use super::source::{LOOK_EVERY, open_journal};
use crate::agent::{DestinationAgent, DestinationLoop, DestinationSetup, Noted, Standing};
use crate::cli::{DestinationOptions, Linger};
use crate::contracts::{Calibrated, Contracts, SideContracts};
use crate::control_socket::ControlSocket;
use crate::events::{self, EventLog, EventWriter, Header};
use crate::exit_code::ExitCode;
use crate::guest::kvm::{DirtyRate, KvmDestinationVcpus, KvmSpec, Vmm};
use crate::link::lobby::{Lobby, LobbySettings};
use crate::realtime::Wish;
use crate::record::write_record;
use crate::report::{self, Reporter};
use crate::sys::signal::Signals;
use crate::words::Side;

type Agent = DestinationAgent<KvmDestinationVcpus, NoDevice>;

/// How long room for the first guest may take to be made before its source is told to come again: below the 2 s that a
/// source waits.
const ROOM_WITHIN: Duration = Duration::from_millis(1500);

/// How long a source is kept waiting for memory to be made resident; some GiB.
const POPULATE_WITHIN: Duration = Duration::from_millis(600);

/// Runs the side that is to have the guest.
///
/// # Errors
/// Anything that goes wrong before a source came.
pub fn destination(options: DestinationOptions) -> Result<ExitCode> {
    let signals = Signals::take().context("cannot take signals")?;
    let reporter = Reporter::for_parent(options.run.report_fd).context("cannot report to the parent")?;
    kind(options.guest);
    // Found out now, not when a source comes.
    let _possible = Vmm::describe(&empty(&KvmSpec::new(64 << 20, 1)))?;
    let journal = open_journal(Side::Destination, options.run.journal.clone())?;
    // Before anybody is let in: a source waits two seconds for its Welcome and no longer.
    let host = measure::host(Side::Destination, journal.path())?;
    let incarnation = Incarnation(random()?);
    let listen = &options.listen;
    let listener = TcpListener::bind((listen.host.as_str(), listen.port)).with_context(|| {
        format!("cannot listen on {listen}; is it an address of this host, and the port free?")
    })?;
    let starting =
        DestinationLoop::<KvmDestinationVcpus, NoDevice>::new().context("cannot make the agent's loop")?;
    let room = Arc::new(Room::default());
    let (ask, asked) = sync_channel(0);
    let fits = fits(Arc::clone(&room), ask);
    let notice = Box::new(|text: &str| eprintln!("{text}"));
    let settings = LobbySettings::new(journal.summary().identity, incarnation, fits, notice);
    let (lobby, arrivals) =
        Lobby::open(listener, settings, starting.wake()).context("cannot attend to connections")?;
    eprintln!("listening on {}", lobby.address());
    reporter.listening(lobby.address());

    let mut operator = Operator::listen(signals)?;
    let Some(request) = first_guest(&asked, &mut operator) else { return Ok(ExitCode::Aborted) };
    let introduction = request.introduction;
    let hooks = hooks(starting.wake(), options.run.heartbeat.as_ref(), introduction.name, Side::Destination)?;
    let made = make_room(&introduction, &options, &hooks, host);
    let answer = made.as_ref().map(|_| ()).map_err(|error| format!("{error:#}"));
    room.settle(&introduction, answer);
    drop(request.done);
    let (vmm, config) = made?;

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
    let board = Board::default();
    let commands = agent.commands().clone();
    let controlled = Controlled {
        side: Side::Destination,
        board: board.clone(),
        standing: agent.standing().clone(),
        cancel: Box::new(move |tell| {
            // The receiver may have given up by then.
            commands.with(move |machine| {
                let _ = tell.send(machine.standing());
            });
            commands.event(DestinationEvent::Cancel);
        }),
    };
    let control = options
        .run
        .control
        .as_deref()
        .map(|path| ControlSocket::serve(path, Arc::new(controlled)))
        .transpose()?;
    let mut run = Run { options, agent, checks, ledger, reporter, operator, board, control, events };
    let exit = run.until_over();
    run.end(exit)
}

fn random() -> Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("cannot draw a random number: {error}"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// A guest of that size with nothing in it.
fn empty(like: &KvmSpec) -> KvmSpec {
    KvmSpec { working_set: 0, dirty_rate: DirtyRate::BytesPerSecond(0), ..like.clone() }
}

/// The guest that room was made for: one destination, one guest.
#[derive(Default)]
struct Room {
    made: Mutex<Option<(Introduction, Result<(), String>)>>,
}

/// A source has come with the first guest: room is to be made for it.
struct Request {
    introduction: Introduction,
    /// Dropped when that is settled.
    done: SyncSender<()>,
}

impl Room {
    fn settle(&self, introduction: &Introduction, answer: Result<(), String>) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some((introduction.clone(), answer));
    }

    fn answer(&self, introduction: &Introduction) -> Option<Result<(), String>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, answer) = made.as_ref()?;
        if first.kvm == introduction.kvm {
            return Some(answer.clone());
        }
        Some(Err(
            "this destination has made room for a guest of another shape; restart it for this one".into()
        ))
    }
}

/// Whether a guest fits here: compared at once, and room made for the first.
fn fits(room: Arc<Room>, ask: SyncSender<Request>) -> crate::link::lobby::Fits {
    Box::new(move |bytes| {
        let introduction = Introduction::decode(bytes)?;
        if let Some(answer) = room.answer(&introduction) {
            return answer;
        }
        let wanted = KvmSpec::new(introduction.kvm.pages().saturating_mul(4096), introduction.kvm.vcpus);
        let here = Vmm::describe(&empty(&wanted)).map_err(|error| error.to_string())?;
        here.covers(&introduction.kvm).map_err(|mismatch| mismatch.to_string())?;
        let (done, settled) = sync_channel(0);
        let busy = || "room is being made for a guest; try again in a moment".to_string();
        ask.send(Request { introduction: introduction.clone(), done }).map_err(|_| busy())?;
        // Ends when the request is dropped, which is when the room is settled.
        let _ = settled.recv_timeout(ROOM_WITHIN);
        room.answer(&introduction).unwrap_or_else(|| Err(busy()))
    })
}

/// Waits for a source; `None` if the operator ends it first.
fn first_guest(asked: &Receiver<Request>, operator: &mut Operator) -> Option<Request> {
    loop {
        if let Ok(request) = asked.recv_timeout(Duration::from_millis(50)) {
            return Some(request);
        }
        if operator.said().is_some() {
            return None;
        }
    }
}

type Config = DestinationConfig<{ crate::agent::VCPU_PORTS }, { crate::agent::DEVICES }>;

fn make_room(
    introduction: &Introduction,
    options: &DestinationOptions,
    hooks: &crate::guest::kvm::Hooks,
    host: Calibrated,
) -> Result<(Arc<Vmm>, Config)> {
    let Some(bytes) = introduction.kvm.pages().checked_mul(4096) else {
        bail!("a guest of that size cannot be");
    };
    let spec = KvmSpec {
        cpuid: Some(introduction.kvm.cpuid.to_vec()),
        ..empty(&KvmSpec::new(bytes, introduction.kvm.vcpus))
    };
    let vmm = Arc::new(Vmm::create_empty(&spec, hooks)?);
    let file = options.run.contracts.as_deref().map(Contracts::read).transpose()?.unwrap_or_default();
    let calibrated = measure::guest(host, introduction.kvm.vcpus)?;
    populate(vmm.memory().clone())?;
    let config = DestinationConfig {
        cadence: Cadence::default(),
        drift: Ppm::new(options.run.drift_ppm).unwrap_or(Ppm::MAX),
        layout: Layout { page_size: 4096, memory: Bytes::new(bytes), vcpu_ports: 1, devices: 0 },
        arbiter: None,
        instance: GuestInstance(random()?),
        contracts: file.destination.destination(&calibrated, introduction.verify.then_some(bytes)),
    };
    Ok((vmm, config))
}

/// Makes memory resident, so that receiving does not fault in a blackout. What takes longer than a source waits goes on
/// beside whatever arrives.
fn populate(memory: crate::guest::memory::GuestMemory) -> Result<()> {
    let (done, finished) = sync_channel(1);
    std::thread::Builder::new().name("populate".into()).spawn(move || {
        if let Err(error) = memory.populate(2) {
            eprintln!("{error}; receiving will be slower");
        }
        // Nobody waits any more if it took that long.
        let _ = done.send(());
    })?;
    if finished.recv_timeout(POPULATE_WITHIN).is_err() {
        eprintln!("making memory resident goes on in the background; until then receiving is slower");
    }
    Ok(())
}

/// A run that is under way.
struct Run {
    options: DestinationOptions,
    agent: Agent,
    checks: SelfCheck,
    ledger: Ledger,
    reporter: Reporter,
    operator: Operator,
    board: Board,
    control: Option<ControlSocket>,
    events: Option<EventWriter>,
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
                // Effective until it is decided; a guest that runs here ends with its process.
                self.agent.commands().event(DestinationEvent::Cancel);
                return match self.agent.standing().get() {
                    Standing::Runs => ExitCode::Committed,
                    Standing::Lost => ExitCode::Lost,
                    _ => ExitCode::Aborted,
                };
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Takes one note; whether the guest runs here from now on.
    fn take(&mut self, noted: &Noted) -> bool {
        self.ledger.note(noted);
        match noted.note {
            Note::Runs => eprintln!("the guest runs here"),
            Note::Finished => eprintln!("the source has let go of it"),
            Note::Alarm(alarm) => eprintln!("alarm: {alarm:?}; look at both hosts"),
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
    fn end(self, exit: ExitCode) -> Result<ExitCode> {
        let Run { options, agent, mut checks, mut ledger, reporter, control, events, .. } = self;
        drop(control);
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
        if let Some(path) = &options.run.record {
            write_record(path, &record)
                .with_context(|| format!("cannot write the record to {}", path.display()))?;
        }
        if options.run.json {
            println!("{}", record.to_json());
        }
        let contracts = agent.stop()?;
        if let Some(path) = options.run.contracts.as_deref() {
            let mut file = Contracts::read(path)?;
            file.destination = SideContracts::of_destination(&contracts);
            file.write(path).with_context(|| format!("cannot write contracts to {}", path.display()))?;
        }
        if let Some(events) = events {
            events.finish()?;
        }
        Ok(exit)
    }
}
