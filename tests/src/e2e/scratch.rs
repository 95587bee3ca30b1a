//! A directory of a test's own, and the processes that work in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed when dropped. Every process of a test is given a path in it, by which it is known.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one; `name` is for a person who finds it.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let unique = format!("switchover-e2e-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(unique);
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Scratch { path }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The same as text, for a command line.
    pub fn arg(&self, name: &str) -> String {
        self.file(name).display().to_string()
    }

    /// Processes that were given a path in it, with their command lines.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let own = std::process::id();
        let mark = format!("{}/", self.path.display());
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let lines = numbers.filter(|pid| *pid != own).filter_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(&mark).then_some((pid, line))
        });
        lines.collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left behind by a test that failed: started here, and by nobody else.
        for (pid, _) in self.processes() {
            super::process::send(pid, "KILL");
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}
