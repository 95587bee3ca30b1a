//! One switchover by the real command: two processes on loopback, a real KVM guest, and the source's record.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// The record of a run.
#[derive(Debug, Clone)]
pub struct Run(pub Value);

impl Run {
    /// Whether it committed.
    #[must_use]
    pub fn committed(&self) -> bool {
        self.0["outcome"] == "committed"
    }

    /// How it ended, in the record's words.
    #[must_use]
    pub fn ending(&self) -> String {
        format!("{} {} {}", self.0["outcome"], self.last()["reason"], self.last()["offender"])
    }

    /// From t = 0 until `Running` was read, in seconds.
    #[must_use]
    pub fn downtime(&self) -> f64 {
        seconds(&self.0["downtime_ns"])
    }

    /// A number of the last attempt, as it stands in the record.
    #[must_use]
    pub fn attempt(&self, name: &str) -> f64 {
        self.last()[name].as_f64().unwrap_or(0.0)
    }

    /// How long a phase of the last attempt took, in seconds.
    #[must_use]
    pub fn phase(&self, side: &str, name: &str) -> f64 {
        let phases = self.last()["phases"].as_array().cloned().unwrap_or_default();
        let of = phases.iter().find(|phase| phase["side"] == side && phase["phase"] == name);
        of.map_or(0.0, |phase| seconds(&phase["measured_ns"]))
    }

    fn last(&self) -> &Value {
        self.0["attempts"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null)
    }
}

fn seconds(ns: &Value) -> f64 {
    ns.as_f64().unwrap_or(0.0) / 1e9
}

/// The command, and a folder for what its runs leave.
#[derive(Debug)]
pub struct Switchover {
    program: PathBuf,
    folder: PathBuf,
    runs: AtomicU32,
}

impl Drop for Switchover {
    fn drop(&mut self) {
        // Left behind it is litter, and nothing worse.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Switchover {
    /// The command beside this program, or `SWITCHOVER_BIN`.
    ///
    /// # Errors
    /// It is not there; there is no folder to be had.
    pub fn find() -> io::Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("switchover");
        let program = std::env::var_os("SWITCHOVER_BIN").map_or(beside, PathBuf::from);
        if !program.exists() {
            let what =
                format!("{} is not there: `make bench` builds it, cargo alone does not", program.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let folder = std::env::temp_dir().join(format!("switchover-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self { program, folder, runs: AtomicU32::new(0) })
    }

    /// A file of that name in the folder for runs.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Switches a guest over, the source with these options more, as on a command line.
    ///
    /// # Errors
    /// A process does not start, or says nothing that can be read.
    pub fn run(&self, options: &str) -> io::Result<Run> {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let (mut destination, address) = self.destination(&self.file(&format!("destination-{number}")))?;
        let output = Command::new(&self.program)
            .args([
                "source",
                "--guest",
                "kvm",
                "--json",
                "--linger",
                "0ms",
                "--connect",
                &address,
                "--journal",
            ])
            .arg(self.file(&format!("source-{number}")))
            .args(options.split_whitespace())
            .stderr(Stdio::piped())
            .output();
        // Its work is done, or there is none.
        let _ = destination.kill();
        let _ = destination.wait();
        let output = output?;
        serde_json::from_slice(&output.stdout).map(Run).map_err(|_| {
            let said = String::from_utf8_lossy(&output.stderr);
            io::Error::other(format!("switchover source {options} ({}): {said}", output.status))
        })
    }

    fn destination(&self, journal: &Path) -> io::Result<(Child, String)> {
        let mut child = Command::new(&self.program)
            .args(["destination", "--guest", "kvm", "--listen", "127.0.0.1:0", "--journal"])
            .arg(journal)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut said = BufReader::new(child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?);
        let mut line = String::new();
        while said.read_line(&mut line)? > 0 {
            if let Some(address) = line.trim().strip_prefix("listening on ") {
                let address = address.to_string();
                // It goes on talking, and must not stop for want of a listener.
                std::thread::spawn(move || io::copy(&mut said, &mut io::sink()));
                return Ok((child, address));
            }
            line.clear();
        }
        let _ = child.wait();
        Err(io::Error::other("switchover destination does not listen"))
    }
}
