//! `--events FILE`: every event of the machine, when it came and what it led to, to be replayed later.
//!
//! The loop's thread copies a step into a bounded queue, and neither waits nor wakes anybody; a thread of its own writes.
//! What found no room is counted, and the file says so. The file's form and its reader are [`switchover_text::events`]'s.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use heapless::Vec as Bounded;
use serde::Serialize;
use serde_json::Value;
use switchover_core::hal::Observer;
use switchover_core::time::At;
use switchover_text::events::write_line;
pub use switchover_text::events::{EventsError, Header, Line, Step, VERSION, read};

/// Steps that wait to be written, at most: more than an attempt makes between two looks of the writer.
const ROOM: usize = 2048;
/// How often the writer looks.
const LOOK: Duration = Duration::from_millis(5);

/// The end on the loop's thread.
pub struct EventLog<E, A> {
    steps: SyncSender<Line<E, A>>,
    lost: Arc<AtomicU64>,
}

impl<E, A> Clone for EventLog<E, A> {
    fn clone(&self) -> Self {
        EventLog { steps: self.steps.clone(), lost: Arc::clone(&self.lost) }
    }
}

/// The writing thread. It ends when every [`EventLog`] of the file is gone.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
}

impl<E, A> EventLog<E, A>
where
    E: Copy + Serialize + Send + 'static,
    A: Copy + Serialize + Send + 'static,
{
    /// Makes the file, and what writes it.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, header: &Header) -> Result<(Self, EventWriter), EventsError> {
        let failed = |source| EventsError::Io { path: path.into(), source };
        let mut file = BufWriter::new(File::create(path).map_err(failed)?);
        write_line(&mut file, header).and_then(|()| file.flush()).map_err(failed)?;
        let (steps, written) = sync_channel(ROOM);
        let lost = Arc::new(AtomicU64::new(0));
        let missing = Arc::clone(&lost);
        let spawned = std::thread::Builder::new()
            .name("events".into())
            .spawn(move || write(&mut file, &written, &missing))
            .map_err(failed)?;
        Ok((EventLog { steps, lost }, EventWriter { path: path.into(), thread: spawned }))
    }

    /// The machine was handed new settings.
    pub fn settings(&self, settings: Value) {
        self.tell(Line::Settings(settings));
    }

    fn tell(&self, line: Line<E, A>) {
        if self.steps.try_send(line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<E, A> Observer<E, A> for EventLog<E, A>
where
    E: Copy + Serialize + Send + 'static,
    A: Copy + Serialize + Send + 'static,
{
    fn step(&mut self, now: At, event: &E, actions: &[A]) {
        // A machine returns no more than fits.
        let actions = Bounded::from_slice(actions).unwrap_or_default();
        self.tell(Line::Step(Step { at: now, event: *event, actions }));
    }
}

impl EventWriter {
    /// Waits until everything is written; drop every [`EventLog`] of the file first.
    ///
    /// # Errors
    /// The file could not be written.
    pub fn finish(self) -> Result<(), EventsError> {
        let ended =
            self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the writing thread panicked")));
        ended.map_err(|source| EventsError::Io { path: self.path, source })
    }
}

fn write<E: Serialize, A: Serialize>(
    file: &mut BufWriter<File>,
    lines: &Receiver<Line<E, A>>,
    lost: &AtomicU64,
) -> io::Result<()> {
    loop {
        match lines.try_recv() {
            Ok(line) => write_line(file, &line)?,
            Err(ended) => {
                let missing = lost.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    write_line(file, &Line::<E, A>::Lost(missing))?;
                }
                file.flush()?;
                if ended == TryRecvError::Disconnected {
                    return Ok(());
                }
                // Looks instead of being woken: waking would cost the loop's thread a system call a step.
                std::thread::sleep(LOOK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use switchover_core::id::JournalId;

    use super::*;
    use crate::words::Side;

    fn header() -> Header {
        Header {
            version: VERSION,
            side: Side::Source,
            journal: JournalId(7),
            number: 3,
            settings: Value::Null,
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("switchover-events-{name}-{}", std::process::id()))
    }

    #[test]
    fn everything_is_read_back_in_order_and_a_gap_is_said() {
        let path = path("order");
        let (mut log, writer) = EventLog::<u32, u8>::create(&path, &header()).expect("a file");
        // More at once than there is room for; the writer takes some meanwhile.
        let told = 3 * ROOM as u32;
        for number in 0..told {
            log.step(At::from_ns(u64::from(number)), &number, &[1, 2]);
        }
        log.clone().settings(Value::from(5));
        drop(log);
        writer.finish().expect("written");
        let (read_header, lines) = read::<u32, u8>(&path).expect("a log");
        assert_eq!(read_header, header());
        let (mut steps, mut lost, mut last) = (0, 0, None);
        for line in lines {
            match line {
                Line::Step(step) => {
                    assert!(last.is_none_or(|last| last < step.event));
                    (steps, last) = (steps + 1, Some(step.event));
                    assert_eq!(
                        (step.at, &step.actions[..]),
                        (At::from_ns(u64::from(step.event)), &[1, 2][..])
                    );
                }
                Line::Lost(missing) => lost += missing,
                Line::Settings(value) => assert_eq!(value, Value::from(5)),
            }
        }
        assert!(steps >= ROOM as u64);
        assert!(
            [u64::from(told), u64::from(told) + 1].contains(&(steps + lost)),
            "{steps} and {lost} of {told}"
        );
        std::fs::remove_file(path).expect("removed");
    }
}
