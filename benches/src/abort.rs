//! How late an abort is decided: after the instant at which the machine wanted to be called, in a run whose save is
//! stuck; and how late a bare timer calls a thread that does nothing else.
//!
//! The run's event log has every event and when it was taken. Replaying it on a fresh machine gives the deadline that
//! each event was held against.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use switchover_core::action::{Note, SourceAction};
use switchover_core::config::SourceConfig;
use switchover_core::event::SourceEvent;
use switchover_core::source::Source;
use switchover_core::time::Ns;
use switchover_shell::agent::{ATTEMPTS, DEVICES, VCPU_PORTS};
use switchover_shell::clock::HostClock;
use switchover_shell::events::{Line, read};
use switchover_shell::realtime::{self, Wish};
use switchover_shell::sys::clock::Timer;
use switchover_shell::words::Side;

/// How late the log's abort was decided, in seconds; `None` if it has none that a deadline brought about.
///
/// # Errors
/// The log cannot be read or replayed.
pub fn decided_late(log: &Path) -> io::Result<Option<f64>> {
    let (header, lines) = read::<SourceEvent, SourceAction>(log).map_err(io::Error::other)?;
    let settings: SourceConfig<VCPU_PORTS, DEVICES> = serde_json::from_value(header.settings)?;
    let counter = u32::try_from(header.number).map_err(io::Error::other)?;
    let machine = Source::<VCPU_PORTS, DEVICES, ATTEMPTS>::new(settings, header.journal, counter);
    let mut machine = machine.map_err(|error| io::Error::other(format!("{error:?}")))?;
    let mut deadline = None;
    for line in lines {
        // One attempt: nothing is learned before it ends, and no settings change.
        let Line::Step(step) = line else { continue };
        let aborts = |action: &SourceAction| matches!(action, SourceAction::Note(Note::Aborting { .. }));
        if let (SourceEvent::Deadline, Some(due), true) =
            (step.event, deadline, step.actions.iter().any(aborts))
        {
            return Ok(Some(step.at.since(due).get() as f64 / 1e9));
        }
        deadline = machine.step(step.at, step.event).deadline;
    }
    Ok(None)
}

/// How late a bare timer calls after so long a wait, so many times, on a thread that is scheduled as the source's loop.
///
/// # Errors
/// No thread or descriptor left.
pub fn timer_late(wait: Duration, rounds: u32) -> io::Result<Vec<f64>> {
    let waiting = thread::spawn(move || {
        let _ = realtime::apply(Side::Source, Wish { lock_memory: false, ..Wish::for_loop(Side::Source) });
        let (mut poll, timer, mut events) = (Poll::new()?, Timer::new()?, Events::with_capacity(1));
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), Token(0), Interest::READABLE)?;
        let mut late = Vec::new();
        for _ in 0..rounds {
            let due = HostClock.now().plus(Ns::new(wait.as_nanos() as u64));
            timer.arm(Some(due.as_ns()))?;
            poll.poll(&mut events, None)?;
            late.push(HostClock.now().since(due).get() as f64 / 1e9);
        }
        Ok(late)
    });
    waiting.join().map_err(|_| io::Error::other("the waiting thread panicked"))?
}
