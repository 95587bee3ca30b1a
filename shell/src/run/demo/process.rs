//! One of the two processes: started, listened to, ended.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;

use anyhow::{Context, Result};

use super::merge::End;
use crate::report::{Report, Reports};
use crate::sys::child;
use crate::sys::signal::Signal;
use crate::words::Side;

/// What the parent is told, from whatever side.
#[derive(Debug)]
pub(super) enum Event {
    /// A process reports.
    Report(Side, Report),
    /// It will not report any more: it has ended, or is about to.
    Closed(Side),
    /// The user wants something.
    Signal(Signal),
}

/// A process of this command. It is killed when this is dropped, and when the parent dies.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program` as the process of `side`, with the arguments that `args` makes for the descriptor to report on.
    /// Its reports go to `events`; what it says to a person goes to standard error.
    ///
    /// # Errors
    /// The system refuses a pipe, a process or a thread.
    pub fn start(
        program: &Path,
        side: Side,
        args: impl FnOnce(RawFd) -> Vec<OsString>,
        events: Sender<Event>,
    ) -> Result<Self> {
        let (reports, write) = io::pipe().context("cannot make a pipe for reports")?;
        let mut command = Command::new(program);
        command.arg0("switchover").args(args(write.as_raw_fd())).stdin(Stdio::null());
        // Standard output is for the result alone.
        let to_stderr = io::stderr().as_fd().try_clone_to_owned().context("cannot copy standard error")?;
        command.stdout(Stdio::from(to_stderr));
        let child = child::start(&mut command, write.as_fd())
            .with_context(|| format!("cannot start the {side}'s process"))?;
        let process = Process { child };
        // This process's copy of the end to write to must not keep the pipe open when the child has died.
        drop(write);
        let listen = move || {
            // What is no report is nothing that a record could be made of.
            for report in Reports::new(reports).flatten() {
                // Nobody to tell: the demo is over.
                if events.send(Event::Report(side, report)).is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Closed(side));
        };
        thread::Builder::new()
            .name(format!("{side}-reports"))
            .spawn(listen)
            .context("cannot start a thread")?;
        Ok(process)
    }

    /// Its number, for a person.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn end(&mut self) -> io::Result<Option<End>> {
        Ok(self.child.try_wait()?.map(|status| match (status.code(), status.signal()) {
            (Some(code), _) => End::Exited(code),
            (None, signal) => End::Killed(signal.unwrap_or(0)),
        }))
    }

    /// Passes a signal on, unless it has ended.
    pub fn send(&mut self, signal: Signal) {
        if let Err(error) = child::send(&mut self.child, signal) {
            eprintln!("cannot send a signal to process {}: {error}", self.child.id());
        }
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        // It fails for one that has ended.
        let _ = self.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // Returns at once for one that was waited for.
        let _ = self.child.wait();
    }
}
