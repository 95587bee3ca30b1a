//! The order of things in a demo, from the first process to the end of the last.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::merge::{End, Told};
use super::process::{Event, Process};
use crate::cli::{DemoOptions, HostPort, Linger, ToArgs};
use crate::exit_code::ExitCode;
use crate::record::Outcome;
use crate::report::{Report, Standing};
use crate::sys::signal::{Signal, Signals};
use crate::words::Side;

/// How long a process is waited for where nothing says how long it may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// For its first word: it calibrates, and populates a guest's memory, before that.
    pub first_word: Duration,
    /// For its end, once it was told to end.
    pub end: Duration,
    /// For what a destination makes of its source's death, if it waits for nothing.
    pub aftermath: Duration,
    /// The same while `Go` may still be read or the guest be about to run.
    pub decision: Duration,
    /// For a source in doubt to end by itself after the linger time, when nothing will end the doubt.
    pub doubt: Duration,
    /// Between two signals: of a kind, they are one while they wait together.
    pub between_signals: Duration,
    /// Between looks at whether a process has ended.
    pub tick: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            first_word: Duration::from_secs(120),
            end: Duration::from_secs(5),
            aftermath: Duration::from_millis(500),
            decision: Duration::from_secs(60),
            doubt: Duration::from_secs(5),
            between_signals: Duration::from_millis(250),
            tick: Duration::from_millis(20),
        }
    }
}

/// One of the two, as far as it is known.
#[derive(Debug)]
struct Actor {
    process: Process,
    told: Told,
    began: Instant,
    /// Where it listens.
    listening: Option<SocketAddr>,
    /// It will not report any more.
    closed: bool,
    /// Since when it has been of its present standing.
    since: Instant,
    /// It was told to end because nothing more is to come.
    dismissed: bool,
}

impl Actor {
    fn new(process: Process) -> Self {
        let now = Instant::now();
        let told = Told::default();
        Actor { process, told, began: now, listening: None, closed: false, since: now, dismissed: false }
    }

    fn take(&mut self, report: Report) {
        if let Report::Listening { address } = report {
            self.listening = Some(address);
        }
        let before = self.told.standing;
        self.told.take(report);
        if self.told.standing != before {
            self.since = Instant::now();
        }
    }

    /// Looks whether it has ended, once all that it reported is in.
    fn look(&mut self) -> Result<()> {
        if self.told.end.is_none() && self.closed {
            let end = self.process.end().context("cannot tell how a process is")?;
            self.told.end = end.map(|end| if self.dismissed { End::Dismissed } else { end });
        }
        Ok(())
    }

    fn ended(&self) -> bool {
        self.told.end.is_some()
    }
}

/// Both processes, and what is heard of them.
pub(super) struct Play<'a> {
    program: &'a Path,
    options: &'a DemoOptions,
    patience: Patience,
    sender: Sender<Event>,
    events: Receiver<Event>,
    destination: Option<Actor>,
    source: Option<Actor>,
}

impl<'a> Play<'a> {
    /// Nothing is started yet.
    ///
    /// # Errors
    /// No thread to be had.
    pub fn new(
        program: &'a Path,
        options: &'a DemoOptions,
        patience: Patience,
        signals: Signals,
    ) -> Result<Self> {
        let (sender, events) = channel();
        let to = sender.clone();
        let pass_on = move || {
            while let Ok(signal) = signals.wait() {
                if to.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("signals".into()).spawn(pass_on).context("cannot start a thread")?;
        Ok(Play { program, options, patience, sender, events, destination: None, source: None })
    }

    /// Both from beginning to end; returns what the source told, and the destination.
    ///
    /// # Errors
    /// One of them did not get as far as an attempt.
    pub fn run(mut self) -> Result<(Told, Told)> {
        let address = self.start_destination()?;
        self.start_source(address)?;
        self.until_source_ends()?;
        self.until_destination_is_done()?;
        self.dismiss(Side::Destination)?;
        let told = |actor: Option<Actor>| actor.map(|actor| actor.told.clone()).unwrap_or_default();
        Ok((told(self.source.take()), told(self.destination.take())))
    }

    fn start_destination(&mut self) -> Result<SocketAddr> {
        let anywhere = HostPort { host: "127.0.0.1".into(), port: 0 };
        let options = self.options;
        let process = Process::start(
            self.program,
            Side::Destination,
            |fd| options.destination(anywhere, fd).to_args(),
            self.sender.clone(),
        )?;
        self.destination = Some(Actor::new(process));
        loop {
            if self.turn()?.is_some() {
                bail!("told to end before anything began");
            }
            let Some(actor) = &self.destination else { continue };
            if let Some(address) = actor.listening {
                eprintln!("demo: destination is process {}, at {address}", actor.process.id());
                return Ok(address);
            }
            self.check_start(Side::Destination, false)?;
        }
    }

    fn start_source(&mut self, address: SocketAddr) -> Result<()> {
        let connect = HostPort { host: address.ip().to_string(), port: address.port() };
        let options = self.options;
        let process = Process::start(
            self.program,
            Side::Source,
            |fd| options.source(connect, fd).to_args(),
            self.sender.clone(),
        )?;
        eprintln!("demo: source is process {}", process.id());
        self.source = Some(Actor::new(process));
        Ok(())
    }

    /// An error if the process of `side` ended, or is silent for too long, before it `spoke`.
    fn check_start(&self, side: Side, spoke: bool) -> Result<()> {
        let Some(actor) = self.actor(side) else { return Ok(()) };
        if spoke {
            return Ok(());
        }
        match actor.told.end {
            Some(End::Exited(code)) => {
                bail!("the {side} ended with exit code {code} before an attempt began; what it said is above")
            }
            // A kill that was ordered, or came from outside: there is a guest to be accounted for, if it is the source's.
            Some(End::Killed(signal)) if side == Side::Destination => {
                bail!(
                    "the {side} was killed by signal {signal} before it listened; see the kernel's log if nobody did it"
                )
            }
            None if actor.began.elapsed() > self.patience.first_word => {
                bail!(
                    "the {side} (process {}) said nothing for {} s; is this host overloaded, or its memory short? try a smaller \
                     `--memory`",
                    actor.process.id(),
                    self.patience.first_word.as_secs()
                )
            }
            Some(End::Killed(_) | End::Dismissed) | None => Ok(()),
        }
    }

    fn until_source_ends(&mut self) -> Result<()> {
        loop {
            if let Some(signal) = self.turn()?
                && let Some(source) = &mut self.source
            {
                source.process.send(signal);
            }
            let Some(source) = &self.source else { return Ok(()) };
            let told = &source.told;
            let attempted = told.record.as_ref().is_some_and(|record| !record.attempts.is_empty());
            let failed = told.finished.is_none_or(|exit| matches!(exit, ExitCode::Error | ExitCode::Usage));
            let spoke = if source.ended() { attempted || !failed } else { told.standing.is_some() };
            self.check_start(Side::Source, spoke)?;
            if source.ended() {
                return Ok(());
            }
            if self.doubt_is_final() {
                // What a person at the source would do: ask where the guest is, and then leave it at that.
                self.end_doubt()?;
            }
        }
    }

    /// Whether the source is in doubt for longer than the run is to go on, and nothing will end that.
    fn doubt_is_final(&self) -> bool {
        let (Some(source), Some(destination), Linger::For(linger)) =
            (&self.source, &self.destination, self.options.run.linger)
        else {
            return false;
        };
        // By then it has ended by itself, unless it is held up by a sign of life that is none.
        let most = linger + self.patience.doubt;
        let in_doubt = source.told.standing == Some(Standing::InDoubt) && source.since.elapsed() >= most;
        // While the destination has yet to decide, its answer will come.
        let decided =
            destination.told.standing != Some(Standing::Stopped) && destination.since.elapsed() >= most;
        in_doubt && (destination.ended() || decided)
    }

    fn end_doubt(&mut self) -> Result<()> {
        let Some(source) = &mut self.source else { return Ok(()) };
        source.process.send(Signal::Interrupt);
        let next = Instant::now() + self.patience.between_signals;
        while Instant::now() < next {
            self.turn()?;
        }
        if let Some(source) = &mut self.source {
            source.process.send(Signal::Interrupt);
        }
        self.wait_for_end(Side::Source)
    }

    /// Waits, after the source's end, until there is nothing more to see of the destination.
    fn until_destination_is_done(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let told_to_end = self.turn()?.is_some();
            let (Some(source), Some(destination)) = (&self.source, &self.destination) else { return Ok(()) };
            if destination.ended() || told_to_end {
                return Ok(());
            }
            let committed =
                source.told.record.as_ref().is_some_and(|record| record.outcome == Outcome::Committed);
            let died = source.told.died();
            let due = if destination.told.runs() && (died || committed) {
                match self.options.run.linger {
                    Linger::For(linger) => begun.max(destination.since) + linger,
                    Linger::Forever => continue,
                }
            } else if !died && !committed {
                begun
            } else if destination.told.standing == Some(Standing::Stopped) {
                begun + self.patience.decision
            } else {
                begun + self.patience.aftermath
            };
            if Instant::now() >= due {
                return Ok(());
            }
        }
    }

    /// Ends a process that has nothing more to say.
    fn dismiss(&mut self, side: Side) -> Result<()> {
        let Some(actor) = self.actor_mut(side) else { return Ok(()) };
        actor.look()?;
        if !actor.ended() {
            actor.dismissed = true;
            actor.process.send(Signal::Terminate);
        }
        self.wait_for_end(side)
    }

    /// Waits for the end of a process that was told to end, and brings it about if it does not come.
    fn wait_for_end(&mut self, side: Side) -> Result<()> {
        let late = Instant::now() + self.patience.end;
        loop {
            let Some(actor) = self.actor_mut(side) else { return Ok(()) };
            if actor.ended() {
                return Ok(());
            }
            if Instant::now() >= late {
                eprintln!("demo: the {side} does not end; killing process {}", actor.process.id());
                // Its last report is taken for its last word.
                actor.dismissed = true;
                actor.process.kill();
            }
            self.turn()?;
        }
    }

    /// Takes what has come, or waits a little for it; returns the signal if the user sent one.
    fn turn(&mut self) -> Result<Option<Signal>> {
        let mut signalled = None;
        match self.events.recv_timeout(self.patience.tick) {
            Ok(Event::Report(side, report)) => {
                if let Some(actor) = self.actor_mut(side) {
                    actor.take(report);
                }
            }
            Ok(Event::Closed(side)) => {
                if let Some(actor) = self.actor_mut(side) {
                    actor.closed = true;
                }
            }
            Ok(Event::Signal(signal)) => signalled = Some(signal),
            Err(RecvTimeoutError::Timeout) => {}
            // Not while this holds a sender.
            Err(RecvTimeoutError::Disconnected) => bail!("nobody is left to report"),
        }
        for actor in [&mut self.source, &mut self.destination].into_iter().flatten() {
            actor.look()?;
        }
        Ok(signalled)
    }

    fn actor(&self, side: Side) -> Option<&Actor> {
        match side {
            Side::Source => self.source.as_ref(),
            Side::Destination => self.destination.as_ref(),
        }
    }

    fn actor_mut(&mut self, side: Side) -> Option<&mut Actor> {
        match side {
            Side::Source => self.source.as_mut(),
            Side::Destination => self.destination.as_mut(),
        }
    }
}
