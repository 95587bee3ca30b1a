//! The journal as the loop's thread sees it: a write is posted to a helper, which wakes the loop when it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use switchover_core::hal::{Failed, Journal};
use switchover_core::journal::Record;

use super::file::JournalFile;
use super::summary::Summary;
use crate::realtime;
use crate::wake::Wake;

/// How long the helper stays awake for a record that is about to come: longer than a peer's answer takes on a near link, and
/// nothing that a processor misses. On a far link it sleeps again by then.
const AWAKE: Duration = Duration::from_micros(300);
/// How long the loop looks for the answer of a helper that is awake: to put 64 bytes into the page cache takes less than
/// half of it, to sleep and be woken several times as much.
const LOOK: Duration = Duration::from_micros(25);

enum Work {
    Write(Record),
    /// A record will come soon.
    Soon,
}

/// Tells the helper of a [`JournalPort`] to be awake.
#[derive(Debug, Clone)]
pub struct JournalHint {
    work: Sender<Work>,
    awake: Arc<AtomicBool>,
}

impl JournalHint {
    /// A record that the guest waits for will come soon. Costs a system call; changes nothing but the time that the record
    /// takes.
    pub fn soon(&self) {
        self.awake.store(true, Ordering::Relaxed);
        // A helper that is gone says so when the record comes.
        let _ = self.work.send(Work::Soon);
    }
}

/// A [`Journal`] whose records are written by a helper thread. Dropping it ends the helper once it has written what it
/// was given, and with it the lock.
#[derive(Debug)]
pub struct JournalPort {
    work: Sender<Work>,
    done: Receiver<bool>,
    under_way: bool,
    /// The helper was told to be awake for the next record.
    awake: Arc<AtomicBool>,
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
        Ok(JournalPort { work, done, under_way: false, awake: Arc::default(), summary, trouble })
    }

    /// The way to tell the helper that a record will come soon.
    #[must_use]
    pub fn hint(&self) -> JournalHint {
        JournalHint { work: self.work.clone(), awake: Arc::clone(&self.awake) }
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
        let mut looking = None;
        if !self.under_way {
            // A helper that is gone has nothing durable to offer any more.
            self.work.send(Work::Write(*record)).map_err(|_| nb::Error::Other(Failed))?;
            self.under_way = true;
            looking = self.awake.swap(false, Ordering::Relaxed).then(Instant::now);
        }
        let mut answer = self.done.try_recv();
        while let Some(asked) = looking
            && answer == Err(TryRecvError::Empty)
            && asked.elapsed() < LOOK
        {
            std::hint::spin_loop();
            answer = self.done.try_recv();
        }
        match answer {
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
    jobs: &Receiver<Work>,
    answers: &Sender<bool>,
    trouble: &Sender<String>,
    wake: &Wake,
) {
    realtime::helper();
    while let Some(record) = next(jobs) {
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

/// The next record; `None` once the port is gone.
fn next(jobs: &Receiver<Work>) -> Option<Record> {
    loop {
        let Work::Write(record) = jobs.recv().ok()? else {
            let until = Instant::now() + AWAKE;
            while Instant::now() < until {
                match jobs.try_recv() {
                    Ok(Work::Write(record)) => return Some(record),
                    Ok(Work::Soon) | Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => return None,
                }
            }
            continue;
        };
        return Some(record);
    }
}
