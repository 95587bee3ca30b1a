//! `--events FILE`: every event of the machine, when it came and what it led to, to be replayed later.
//!
//! A machine is a pure function: from its settings and this file every one of its states can be computed again, on any
//! host. One JSON object a line: first a [`Header`], then a [`Step`] for each event, and a [`Line::Settings`] wherever
//! the machine was handed new settings in between.
//!
//! The loop's thread copies a step into a bounded queue, and neither waits nor wakes anybody; a thread of its own writes.
//! What found no room is counted, and the file says so: a log with a gap cannot be replayed past it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use heapless::Vec as Bounded;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchover_core::hal::Observer;
use switchover_core::id::JournalId;
use switchover_core::limits::ACTIONS_MAX;
use switchover_core::time::At;

use crate::words::Side;

/// The version of the file that this build writes and reads.
pub const VERSION: u32 = 1;
/// Steps that wait to be written, at most: more than an attempt makes between two looks of the writer.
const ROOM: usize = 2048;
/// How often the writer looks.
const LOOK: Duration = Duration::from_millis(5);

/// The first line: which machine this was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// Which side.
    pub side: Side,
    /// Its journal's identity.
    pub journal: JournalId,
    /// The counter of the latest attempt in that journal, or the destination's incarnation.
    pub number: u64,
    /// The machine's settings.
    pub settings: Value,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step<E, A> {
    /// When it was taken, on this host's clock.
    pub at: At,
    /// What.
    pub event: E,
    /// What the machine asked for.
    pub actions: Bounded<A, ACTIONS_MAX>,
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<E, A> {
    /// An event.
    Step(Step<E, A>),
    /// From here on the machine has these contracts.
    Settings(Value),
    /// So many steps are missing here.
    Lost(u64),
}

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

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file.
    #[error("events {path}: {source}; give --events another FILE")]
    Io {
        /// Which.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// A line is not what this version writes.
    #[error("events {path}, line {line}: {what}; it is no event log, or of another version than {VERSION}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
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

fn write_line(file: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")
}

/// Reads a log back. A last line that is cut off is left out: the process was killed while it was written.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn read<E: DeserializeOwned, A: DeserializeOwned>(
    path: &Path,
) -> Result<(Header, Vec<Line<E, A>>), EventsError> {
    let failed = |source| EventsError::Io { path: path.into(), source };
    let wrong = |line, what: String| EventsError::Line { path: path.into(), line, what };
    let mut texts = Vec::new();
    for text in BufReader::new(File::open(path).map_err(failed)?).split(b'\n') {
        texts.push(text.map_err(failed)?);
    }
    let first = texts.first().ok_or_else(|| wrong(1, "there is nothing".into()))?;
    let header: Header = serde_json::from_slice(first).map_err(|error| wrong(1, error.to_string()))?;
    if header.version != VERSION {
        return Err(wrong(1, format!("it has version {}", header.version)));
    }
    let mut lines = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate().skip(1) {
        match serde_json::from_slice(text) {
            Ok(line) => lines.push(line),
            Err(error) if error.is_eof() && index + 1 == texts.len() => {}
            Err(error) => return Err(wrong(index + 1, error.to_string())),
        }
    }
    Ok((header, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_line_cut_off_at_the_end_is_left_out_and_any_other_is_an_error() {
        let path = path("cut");
        let (mut log, writer) = EventLog::<u32, u8>::create(&path, &header()).expect("a file");
        log.step(At::from_ns(1), &1, &[]);
        log.step(At::from_ns(2), &2, &[]);
        drop(log);
        writer.finish().expect("written");
        let whole = std::fs::read(&path).expect("the file");
        std::fs::write(&path, &whole[..whole.len() - 5]).expect("cut");
        assert_eq!(read::<u32, u8>(&path).expect("a log").1.len(), 1);
        std::fs::write(&path, [&whole[..], b"{}\n{}\n"].concat()).expect("written");
        let error = read::<u32, u8>(&path).expect_err("no line of ours").to_string();
        assert!(error.contains("line 4"), "{error}");
        std::fs::remove_file(path).expect("removed");
    }
}
