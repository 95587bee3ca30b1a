//! The child's end.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Report, Standing};
use crate::exit_code::ExitCode;
use crate::record::RunRecord;
use crate::sys::inherited;
use crate::words::Side;

/// Reports that wait to be written. An attempt makes about ten; a parent that lets so many pile up reads no more.
const WAITING: usize = 64;
/// How long a process waits at its end for its last report to be written.
const LAST_WORD: Duration = Duration::from_millis(500);

enum Line {
    Report(Report),
    /// To be answered when all before it is written.
    Flush(SyncSender<()>),
}

/// Tells the parent. Best effort: a parent that is gone or does not read is no reason to fail a switchover.
///
/// Writing happens on a thread of its own, which takes the scheduling of whoever makes this: make it before the real-time
/// loop. Handing a report over never blocks; it costs the copy of the record.
#[derive(Debug, Clone)]
pub struct Reporter(Option<SyncSender<Line>>);

impl Reporter {
    /// Reports to nobody.
    #[must_use]
    pub fn silent() -> Self {
        Reporter(None)
    }

    /// Reports over descriptor `fd`, which the parent left open; takes it over.
    ///
    /// # Errors
    /// No such descriptor, or no thread to be had.
    pub fn from_fd(fd: RawFd) -> io::Result<Self> {
        Self::to(File::from(inherited::take(fd)?))
    }

    /// What `--report-fd` asked for.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd).
    pub fn for_parent(fd: Option<RawFd>) -> io::Result<Self> {
        fd.map_or(Ok(Self::silent()), Self::from_fd)
    }

    pub(super) fn to(pipe: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        thread::Builder::new().name("report".into()).spawn(move || write_all(pipe, &lines))?;
        Ok(Reporter(Some(sender)))
    }

    /// The destination can be connected to at `address`.
    pub fn listening(&self, address: SocketAddr) {
        self.hand_over(Report::Listening { address });
    }

    /// How it is on `side`. For every change of `standing`, and when an attempt begins, is aborted, or ends.
    pub fn snapshot(&self, side: Side, record: &RunRecord, standing: Standing) {
        if self.0.is_some() {
            self.hand_over(Report::Snapshot { side, standing, record: Box::new(record.clone()) });
        }
    }

    /// The last word. Returns once it is written, within half a second.
    pub fn finished(&self, record: &RunRecord, exit: ExitCode) {
        if let Some(sender) = &self.0 {
            // Blocks only behind a parent that does not read; then the flush gives up.
            let _ =
                sender.try_send(Line::Report(Report::Finished { record: Box::new(record.clone()), exit }));
            self.flush(LAST_WORD);
        }
    }

    /// Waits until all that was handed over is written, at most for `most`: before a process ends, or kills itself.
    pub fn flush(&self, most: Duration) {
        let Some(sender) = &self.0 else { return };
        let (done, written) = sync_channel(1);
        if sender.try_send(Line::Flush(done)).is_ok() {
            // Either way there is nothing left to do.
            let _ = written.recv_timeout(most);
        }
    }

    fn hand_over(&self, report: Report) {
        let Some(sender) = &self.0 else { return };
        match sender.try_send(Line::Report(report)) {
            // A later report says more, and a parent that is gone needs none.
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

/// Writes each report as one line, in one call, so that a process that dies leaves whole lines.
fn write_all(mut pipe: impl Write, lines: &Receiver<Line>) {
    while let Ok(line) = lines.recv() {
        match line {
            Line::Report(report) => {
                let mut text = serde_json::to_vec(&report)
                    .unwrap_or_else(|error| unreachable!("a report is plain data: {error}"));
                text.push(b'\n');
                if pipe.write_all(&text).is_err() {
                    // The parent is gone. Senders see a closed channel from now on.
                    return;
                }
            }
            // Who asked may have given up.
            Line::Flush(done) => drop(done.try_send(())),
        }
    }
}
