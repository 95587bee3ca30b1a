//! One process of the command, with what it says kept in files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Scratch;
use crate::host::switchover_bin;

/// How often a process is looked at. None of this is measured.
const TICK: Duration = Duration::from_millis(10);

/// Killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts `switchover` with these arguments.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(scratch: &Scratch, name: &str, args: &[impl AsRef<OsStr>]) -> Self {
        let mut command = Command::new(switchover_bin());
        command.args(args);
        Self::start_command(scratch, name, command)
    }

    /// Starts any command.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start_command(scratch: &Scratch, name: &str, mut command: Command) -> Self {
        let (out, err) = (scratch.file(&format!("{name}.out")), scratch.file(&format!("{name}.err")));
        let file = |path: &PathBuf| File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Process { name: name.into(), child, out, err }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said on standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.err).unwrap_or_default()).into_owned()
    }

    /// Waits until standard error has `text`; returns the rest of its first line that does, after it.
    ///
    /// # Panics
    /// When it ends or the time is over before.
    pub fn says(&mut self, text: &str, within: Duration) -> String {
        let until = Instant::now() + within;
        loop {
            let ended = !self.runs();
            let said = self.stderr();
            // A line that is not finished may be half of itself.
            let whole = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some((_, rest)) = whole.filter_map(|line| line.split_once(text)).next() {
                return rest.to_string();
            }
            assert!(!ended, "{} ended without saying `{text}`:\n{said}", self.name);
            assert!(Instant::now() < until, "{} did not say `{text}` within {within:?}:\n{said}", self.name);
            std::thread::sleep(TICK);
        }
    }

    /// Whether it has not ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Sends a signal by its short name (`INT`).
    pub fn signal(&self, signal: &str) {
        send(self.id(), signal);
    }

    /// Waits for its end; returns the exit code.
    ///
    /// # Panics
    /// When it does not end in time, or by a signal.
    pub fn exit(&mut self, within: Duration) -> i32 {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return status
                    .code()
                    .unwrap_or_else(|| panic!("{}: {status}:\n{}", self.name, self.stderr()));
            }
            assert!(
                Instant::now() < until,
                "{} did not end within {within:?}:\n{}",
                self.name,
                self.stderr()
            );
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails for one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that this test started. The shell has it built in, wherever tests run.
pub(super) fn send(pid: u32, signal: &str) {
    // One that has just ended is no failure.
    let _ = Command::new("sh").args(["-c", &format!("kill -{signal} {pid}")]).stderr(Stdio::null()).status();
}
