//! The `defmt` feature of core: it builds with every line switched on, and is not there without being asked for.
//!
//! Lines that `DEFMT_LOG` leaves out are never compiled, so a plain build of the feature would show nothing.

use std::path::Path;
use std::process::Command;

/// Runs cargo on the workspace and returns what it printed.
fn cargo(arguments: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(arguments)
        .current_dir(root)
        .env("DEFMT_LOG", "trace")
        .output()
        .expect("cargo runs");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !complaints.contains("warning"), "cargo {arguments:?}\n{complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn core_builds_with_every_log_line() {
    cargo(&["check", "--locked", "--quiet", "-p", "switchover-core", "--features", "defmt"]);
}

#[test]
fn nobody_gets_defmt_unasked() {
    let tree = cargo(&["tree", "--locked", "-p", "switchover-core", "--edges", "normal", "--prefix", "none"]);
    assert!(!tree.lines().any(|line| line.starts_with("defmt ")), "{tree}");
}
