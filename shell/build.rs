//! Builds the guest program with the same compiler, as one flat freestanding image for the VMM to load.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    for file in ["guest/main.rs", "guest/layout.rs", "guest/link.ld", "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"));
    let image = PathBuf::from(var("OUT_DIR")).join("guest.bin");
    if var("CARGO_CFG_TARGET_ARCH") != "x86_64" {
        // There is no KVM guest elsewhere; the crate still builds.
        std::fs::write(&image, []).expect("the output directory can be written");
        return;
    }
    let mut rustc = Command::new(var("RUSTC"));
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "bin",
        "--crate-name",
        "switchover_guest",
        "--cap-lints",
        "warn",
    ]);
    rustc.args([
        "--target",
        &var("TARGET"),
        "-C",
        "opt-level=3",
        "-C",
        "panic=abort",
        "-C",
        "relocation-model=static",
    ]);
    rustc.args(["-C", "codegen-units=1", "-C", "debuginfo=0", "-C", "strip=symbols"]);
    let script = PathBuf::from(var("CARGO_MANIFEST_DIR")).join("guest/link.ld");
    for arg in [
        "-nostdlib",
        "-nostartfiles",
        "-static",
        "-no-pie",
        "-Wl,--build-id=none",
        "-Wl,--gc-sections",
        "-Wl,--oformat=binary",
    ] {
        rustc.args(["-C", &format!("link-arg={arg}")]);
    }
    rustc.args(["-C", &format!("link-arg=-Wl,-T,{}", script.display())]);
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.args(["-C", &format!("linker={linker}")]);
    }
    rustc.arg("guest/main.rs").arg("-o").arg(&image);
    let done = rustc.status().expect("rustc runs");
    assert!(done.success(), "the guest program does not build: {done}");
}
