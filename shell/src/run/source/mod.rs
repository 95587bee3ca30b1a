//! `switchover source`: makes the guest, meets the destination, and stays until it is known where the guest runs.

mod leave;
mod start;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use switchover_core::config::{Cadence, Layout, Limits, Retry, SourceConfig};
use switchover_core::event::SourceEvent;
use switchover_core::hal::NoDevice;
use switchover_core::time::{Ns, Ppm};
use switchover_core::units::Bytes;
use switchover_core::wire::version::Offer;

use crate::agent::{SourceLoop, SourceSetup, Started};
use crate::cli::SourceOptions;
use crate::contracts::Contracts;
use crate::control_socket::ControlSocket;
use crate::dirty::KvmDirtyBitmap;
use crate::events::{self, EventLog, Header};
use crate::exit_code::ExitCode;
use crate::guest::kvm::{KvmSourceVcpus, Vmm};
use crate::journal::{Durability, JournalFile, default_path};
use crate::link::connector::{Target, connect};
use crate::link::session::Purpose;
use crate::realtime::Wish;
use crate::report::Reporter;
use crate::run::control::{Board, Controlled};
use crate::run::guest::{hooks, kind, spec};
use crate::run::introduction::Introduction;
use crate::run::ledger::Ledger;
use crate::run::measure;
use crate::run::operator::Operator;
use crate::run::self_check::SelfCheck;
use crate::run::show::{check_places, tell_faults};
use crate::sys::signal::Signals;
use crate::units::nanoseconds;
use crate::words::Side;
use watch::Run;

/// How often notes are looked for. Nobody wakes this thread: it must not compete with a blackout.
pub(in crate::run) const LOOK_EVERY: Duration = Duration::from_millis(5);

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

    let started = Started::default();
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
        start: Some(start::guest(&vmm, &options, &started)),
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
    let controlled = Controlled::new(Side::Source, board.clone()).starting(started.clone());
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
        started,
        announced: false,
        began: None,
        cancelled: false,
        leaving: None,
        warned: None,
    };
    match run.until_over() {
        Ok(exit) => Ok(run.end(exit)),
        Err(why) => {
            run.abandon();
            Err(why)
        }
    }
}

pub(in crate::run) fn open_journal(side: Side, asked: Option<PathBuf>) -> Result<JournalFile> {
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
