//! The control socket: `switchover status` and `switchover cancel` talk to a running source or destination.
//!
//! A Unix socket with mode 0600. One connection is one question: a line of JSON, answered by a line of JSON.
//!
//! ```text
//! {"command":"status"}   ->  {"side":"source","standing":"migrating",...}
//! {"command":"cancel"}   ->  {"effect":"effective","text":"..."}
//! anything else          ->  {"error":"..."}
//! ```
//!
//! The server has a thread of its own and asks an [`Operator`], which never holds what the loop needs. Not here: what a
//! cancel does; that is the machine's to say.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::words;
use crate::words::Side;

/// The longest question, in bytes.
const QUESTION_MAX: u64 = 4096;
/// The longest answer that a client reads, in bytes.
const ANSWER_MAX: u64 = 1 << 20;
/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(2);

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Question {
    /// How is it?
    Status,
    /// Give up.
    Cancel,
}

words! {
    /// What a cancel comes to.
    Effect, "an effect" {
        /// The guest stays where it is.
        Effective = "effective",
        /// Too late to decide alone: the other side is asked, and its answer counts.
        Requested = "requested",
        /// There is nothing to cancel.
        Nothing = "nothing",
    }
}

/// The answer to a cancel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// What it comes to.
    pub effect: Effect,
    /// The same for a person: where the guest is, and what happens now.
    pub text: String,
}

/// The answer to a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which side answers.
    pub side: Side,
    /// Its process.
    pub pid: u32,
    /// Where the guest is, in a word.
    pub standing: String,
    /// The same for a person.
    pub text: String,
    /// The attempt under way, or the last.
    pub attempt: Option<String>,
    /// Attempts that have ended.
    pub attempts_ended: u32,
    /// Bytes of memory that are still to be sent, while they are.
    pub remaining_bytes: Option<u64>,
    /// Bytes sent so far in this run.
    pub sent_bytes: Option<u64>,
    /// The last verdict, with its terms.
    pub verdict: Option<String>,
    /// For how long it is in doubt where the guest runs, if it is.
    pub in_doubt_ns: Option<u64>,
    /// Why the last attempt ended, if one has.
    pub last_outcome: Option<String>,
}

impl fmt::Display for Status {
    /// For a terminal: a line for each thing that is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {}): {}", self.side, self.pid, self.text)?;
        if let Some(attempt) = &self.attempt {
            write!(f, "\n  attempt     {attempt}, {} ended before", self.attempts_ended)?;
        }
        if let Some(remaining) = self.remaining_bytes {
            write!(f, "\n  remaining   {remaining} bytes")?;
        }
        if let Some(sent) = self.sent_bytes {
            write!(f, "\n  sent        {sent} bytes")?;
        }
        if let Some(verdict) = &self.verdict {
            write!(f, "\n  verdict     {verdict}")?;
        }
        if let Some(in_doubt) = self.in_doubt_ns {
            write!(f, "\n  in doubt    for {:?}", Duration::from_nanos(in_doubt))?;
        }
        if let Some(outcome) = &self.last_outcome {
            write!(f, "\n  last        {outcome}")?;
        }
        Ok(())
    }
}

/// Who knows the answers. Called on the server's thread; may wait, but not for the operator.
pub trait Operator: Send + Sync {
    /// How it is.
    fn status(&self) -> Status;
    /// Gives up, as far as that can still be done.
    fn cancel(&self) -> Cancelled;
}

/// Why there is no control socket, or no answer from it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody else answers there.
    #[error("a running agent answers at {0} already; give --control another PATH")]
    InUse(PathBuf),
    /// There is something that is no socket.
    #[error("{0} exists and is no socket, and is left alone; give --control another PATH")]
    NoSocket(PathBuf),
    /// There is nothing to talk to.
    #[error("no agent answers at {path}: {source}; is it running, and was it started with --control {path}?")]
    Nobody {
        /// Where.
        path: PathBuf,
        /// What connecting said.
        source: io::Error,
    },
    /// It is another user's.
    #[error("{0} belongs to another user; ask as the one who started the agent")]
    Denied(PathBuf),
    /// The operating system said no.
    #[error("control socket {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// The answer is none.
    #[error("{path} answered something else: {what}; it is no agent, or of another version")]
    Answer {
        /// Where.
        path: PathBuf,
        /// What.
        what: String,
    },
}

/// The server. Dropping it closes the socket and removes it.
pub struct ControlSocket {
    path: PathBuf,
    inode: Option<u64>,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlSocket {
    /// Answers at `path`. A socket that a dead agent has left there is replaced.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn serve(path: &Path, operator: Arc<dyn Operator>) -> Result<Self, ControlError> {
        let failed = |source| ControlError::Io { path: path.into(), source };
        if let Ok(found) = std::fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(ControlError::NoSocket(path.into()));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(ControlError::InUse(path.into()));
            }
        }
        // Made beside and moved into place once its mode is right: nobody else ever finds it open.
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}", std::process::id()));
        let beside = PathBuf::from(beside);
        let listener = UnixListener::bind(&beside).map_err(failed)?;
        let placed = std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600))
            .and_then(|()| std::fs::rename(&beside, path));
        if let Err(source) = placed {
            let _ = std::fs::remove_file(&beside);
            return Err(failed(source));
        }
        let inode = std::fs::symlink_metadata(path).map(|found| found.ino()).ok();
        let closed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closed);
        let thread = std::thread::Builder::new()
            .name("control".into())
            .spawn(move || serve(&listener, operator.as_ref(), &told))
            .map_err(failed)?;
        Ok(ControlSocket { path: path.into(), inode, closed, thread: Some(thread) })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Knocks, so that the thread looks.
        let knocked = UnixStream::connect(&self.path).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| knocked) {
            let _ = thread.join();
        }
        // Another agent may have put its own in the place of one that it found dead.
        if std::fs::symlink_metadata(&self.path).map(|found| found.ino()).ok() == self.inode {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn serve(listener: &UnixListener, operator: &dyn Operator, closed: &AtomicBool) {
    for stream in listener.incoming() {
        if closed.load(Ordering::SeqCst) {
            return;
        }
        match stream {
            // An operator that has gone away needs no answer.
            Ok(stream) => drop(answer(&stream, operator)),
            // No descriptor left, perhaps: without a pause this would spin.
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
}

fn answer(stream: &UnixStream, operator: &dyn Operator) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(stream.take(QUESTION_MAX)).read_line(&mut line)?;
    let answer = match serde_json::from_str(&line) {
        Ok(Question::Status) => serde_json::to_string(&operator.status()),
        Ok(Question::Cancel) => serde_json::to_string(&operator.cancel()),
        Err(_) => serde_json::to_string(&Refused {
            error: "ask {\"command\":\"status\"} or {\"command\":\"cancel\"} on one line",
        }),
    }?;
    let mut stream = stream;
    stream.write_all(answer.as_bytes())?;
    stream.write_all(b"\n")
}

/// Asks a running agent how it is.
///
/// # Errors
/// See [`ControlError`].
pub fn status(path: &Path) -> Result<Status, ControlError> {
    ask(path, Question::Status)
}

/// Tells a running agent to give up.
///
/// # Errors
/// See [`ControlError`].
pub fn cancel(path: &Path) -> Result<Cancelled, ControlError> {
    ask(path, Question::Cancel)
}

fn ask<T: for<'de> Deserialize<'de>>(path: &Path, question: Question) -> Result<T, ControlError> {
    let mut stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ControlError::Denied(path.into()),
        _ => ControlError::Nobody { path: path.into(), source },
    })?;
    let failed = |source| ControlError::Io { path: path.into(), source };
    let wrong = |what: String| ControlError::Answer { path: path.into(), what };
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut line = serde_json::to_string(&question).map_err(|error| wrong(error.to_string()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(failed)?;
    let mut text = String::new();
    BufReader::new(stream.take(ANSWER_MAX)).read_line(&mut text).map_err(failed)?;
    serde_json::from_str(&text).map_err(|_| wrong(text.trim().to_string()))
}
