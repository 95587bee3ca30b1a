//! Runs every example of the core and the shell to its end: what the documents point at must work.
//!
//! An example proves itself by its exit code; this test knows nothing of what is in it.

use std::process::Command;
use std::time::{Duration, Instant};

use switchover_tests::host::example;

/// An example is for reading; one that takes longer than this has become something else.
const TIME_MAX: Duration = Duration::from_secs(30);

fn run_all_of(room: &str) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room).join("examples");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".rs")) else { continue };
        let start = Instant::now();
        let output =
            Command::new(example(name)).output().unwrap_or_else(|error| panic!("{room}/{name}: {error}"));
        assert!(
            output.status.success(),
            "{room}/examples/{name}.rs: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(start.elapsed() < TIME_MAX, "{room}/examples/{name}.rs took {:?}", start.elapsed());
    }
}

#[test]
fn the_examples_of_core_run() {
    run_all_of("core");
}

#[test]
fn the_examples_of_the_shell_run() {
    run_all_of("shell");
}
