//! The instructions of one machine step, at default capacities: the bound that an embedder plans with.
//!
//! `benches/steps` walks both machines through their states, with up to four vCPU ports and eight devices, and counts
//! each step under valgrind in a release build: the numbers do not depend on this machine's speed or load.

use std::path::{Path, PathBuf};
use std::process::Command;

use switchover_steps::{Cost, NoValgrind, measure};
use switchover_tests::host::skip;

/// Instructions of the worst step.
const INSTRUCTIONS_MAX: u64 = 2_000;

/// The counting program, built as users build the core.
fn step_cost() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "-p", "switchover-steps", "--bin", "step_cost"])
        .args(["--manifest-path".as_ref(), root.join("Cargo.toml").as_os_str()])
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    target.join("release/step_cost")
}

/// [SW-78]
#[test]
fn a_step_is_cheap_in_every_state() {
    let scratch = std::env::temp_dir().join(format!("switchover-cost-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).expect("a scratch folder");
    let costs = measure(&step_cost(), &scratch);
    let _ = std::fs::remove_dir_all(&scratch);
    let costs = match costs {
        Ok(costs) => costs,
        Err(NoValgrind) => return skip("cost", "valgrind", "no valgrind"),
    };
    for machine in ["source", "destination"] {
        let of = || costs.iter().filter(|cost| cost.machine == machine);
        let states: std::collections::BTreeSet<&str> = of().map(|cost| cost.state.as_str()).collect();
        let worst = of().max_by_key(|cost| cost.instructions).expect("the walk has cases");
        println!("{machine}: {} cases in {} states, worst {}", of().count(), states.len(), describe(worst));
        // A walk that does not get far says nothing: every state but those that only a restart reaches.
        let reachable = if machine == "source" { 17 } else { 11 };
        assert!(states.len() >= reachable, "the walk met only {states:?}");
        assert!(worst.instructions < INSTRUCTIONS_MAX, "{}", describe(worst));
    }
}

fn describe(cost: &Cost) -> String {
    format!("{} instructions: {:?}, {} <- {}", cost.instructions, cost.shape, cost.state, cost.event)
}
