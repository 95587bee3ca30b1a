//! The journal as the loop's thread sees it: a write is posted to a helper, which wakes the loop when it is done.

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use switchover_core::hal::{Failed, Journal};
use switchover_core::journal::Record;

use super::file::JournalFile;
use super::summary::Summary;
use crate::realtime;
use crate::wake::Wake;

/// A [`Journal`] whose records are written by a helper thread. Dropping it ends the helper once it has written what it
/// was given, and with it the lock.
#[derive(Debug)]
pub struct JournalPort {
    work: Sender<Record>,
    done: Receiver<bool>,
    under_way: bool,
    summary: Summary,
    trouble: Receiver<String>,
}

impl JournalPort {
    /// Moves `file` to its helper thread.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(file: JournalFile, wake: Wake) -> std::io::Result<Self> {
        let (work, jobs) = channel();
        let (answers, done) = channel();
        let (tell, trouble) = channel();
        let summary = *file.summary();
        std::thread::Builder::new()
            .name("journal".into())
            .spawn(move || serve(file, &jobs, &answers, &tell, &wake))?;
        Ok(JournalPort { work, done, under_way: false, summary, trouble })
    }

    /// What the journal said when it was opened.
    #[must_use]
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Why the last failed write failed, once.
    pub fn last_error(&self) -> Option<String> {
        self.trouble.try_iter().last()
    }
}

impl Journal for JournalPort {
    fn write(&mut self, record: &Record) -> nb::Result<(), Failed> {
        if !self.under_way {
            // A helper that is gone has nothing durable to offer any more.
            self.work.send(*record).map_err(|_| nb::Error::Other(Failed))?;
            self.under_way = true;
        }
        match self.done.try_recv() {
            Err(TryRecvError::Empty) => Err(nb::Error::WouldBlock),
            Ok(true) => {
                self.under_way = false;
                Ok(())
            }
            Ok(false) | Err(TryRecvError::Disconnected) => {
                self.under_way = false;
                Err(nb::Error::Other(Failed))
            }
        }
    }
}

fn serve(
    mut file: JournalFile,
    jobs: &Receiver<Record>,
    answers: &Sender<bool>,
    trouble: &Sender<String>,
    wake: &Wake,
) {
    realtime::helper();
    for record in jobs {
        let result = file.append(&record);
        if let Err(error) = &result {
            // Nobody may be listening any more; the answer below is what counts.
            let _ = trouble.send(error.to_string());
        }
        if answers.send(result.is_ok()).is_err() {
            return;
        }
        wake.wake();
    }
}
