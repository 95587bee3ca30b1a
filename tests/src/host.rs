//! What this machine can do, and what this run of the tests was asked to do.
//!
//! A test that cannot run here says so by name and passes; with `SWITCHOVER_REQUIRE` naming what is missing it fails
//! instead, so that CI notices a test that silently stopped running. It holds no fixture and starts no process.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

/// True when `/dev/kvm` opens. Otherwise prints `skipped: TEST: no /dev/kvm` and returns false.
///
/// # Panics
/// When it does not open although `SWITCHOVER_REQUIRE` names `kvm`.
pub fn kvm_or_skip(test: &str) -> bool {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => true,
        Err(error) => {
            skip(test, "kvm", &format!("no /dev/kvm ({error})"));
            false
        }
    }
}

/// Prints `skipped: TEST: REASON`. `need` is the word by which `SWITCHOVER_REQUIRE` forbids the skip.
///
/// # Panics
/// When `SWITCHOVER_REQUIRE` names `need`.
pub fn skip(test: &str, need: &str, reason: &str) {
    let required = std::env::var("SWITCHOVER_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|word| word == need),
        "{test} would be skipped ({reason}), but SWITCHOVER_REQUIRE names {need}"
    );
    // Not `eprintln!`: the test runner captures that of a passing test, and a skip must be seen.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {reason}");
}

/// The seed of every sampled campaign: `SWITCHOVER_SEED`, or 1. `make test` draws one and prints it.
pub fn seed() -> u64 {
    match std::env::var("SWITCHOVER_SEED") {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("SWITCHOVER_SEED is not a number: {text}")),
        Err(_) => 1,
    }
}

/// True under `make test-all`: every case of a campaign instead of a sample.
pub fn all() -> bool {
    std::env::var("SWITCHOVER_ALL").is_ok_and(|value| value == "1")
}

/// `sample` cases, or `every` one under `make test-all`.
pub fn cases(sample: u32, every: u32) -> u32 {
    if all() { every } else { sample }
}

/// The `switchover` executable: `SWITCHOVER_BIN`, or the one beside this test.
///
/// # Panics
/// When there is none, naming the remedy.
pub fn switchover_bin() -> PathBuf {
    built("SWITCHOVER_BIN", "switchover")
}

/// An example that was built with the tests, by name.
///
/// # Panics
/// When there is none, naming the remedy.
pub fn example(name: &str) -> PathBuf {
    match std::env::var_os("SWITCHOVER_EXAMPLES").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join(name),
        None => built("", &format!("examples/{name}")),
    }
}

fn built(variable: &str, beside: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    // This test is PROFILE/deps/NAME-HASH; the executables are in PROFILE.
    let profile = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.parent()?.to_path_buf()));
    let path = profile.map(|folder| folder.join(beside)).unwrap_or_default();
    assert!(
        path.exists(),
        "{} is not built: run `make test`, or `cargo build` in the same profile first",
        path.display()
    );
    path
}

/// Held by a test that measures time: one such test at a time on this host, whatever runs them.
pub struct Alone {
    _lock: File,
}

/// Waits until no other test holds it.
///
/// # Panics
/// When the lock file cannot be made or locked.
pub fn alone() -> Alone {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| std::env::temp_dir().join("switchover-tests.lock"));
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    lock.lock().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Alone { _lock: lock }
}
