//! core in a program with neither std nor an allocator nor libc: it links, no panic is reachable, and it works (P7).
//!
//! The program is `tests/freestanding`: both sides of `core/examples/no_os.rs`, and the whole of core kept in the link
//! at default capacities. Whether a panic is reachable is judged by what survives whole-program optimisation and
//! `--gc-sections`; two planted panics show that the judge sees one.

use std::path::{Path, PathBuf};
use std::process::Command;

use switchover_tests::host::skip;

/// What no symbol may contain, in either mangling, and what it would mean.
const BANS: [(&str, &str); 6] = [
    ("9panicking", "a panic is reachable"),
    ("a_panic_is_reachable", "a panic is reachable"),
    ("rust_begin_unwind", "a panic is reachable"),
    ("__rust_alloc", "something allocates"),
    ("_5alloc", "the alloc crate is in the link"),
    ("_3std", "std is in the link"),
];
/// The same in the mangling that puts a crate's name first.
const LEGACY_BANS: [(&str, &str); 2] =
    [("_ZN5alloc", "the alloc crate is in the link"), ("_ZN3std", "std is in the link")];

/// One line of the symbol table.
struct Symbol {
    name: String,
    undefined: bool,
}

/// Builds the program, with `feature` if there is one, and returns where it is.
fn build(feature: Option<&str>) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside the other build output, so that it is kept between runs and never taken for source.
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| tests.join("../target"), PathBuf::from)
        .join("freestanding");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    cargo.arg(tests.join("freestanding/Cargo.toml")).arg("--target-dir").arg(&target);
    if let Some(feature) = feature {
        cargo.args(["--features", feature]);
    }
    // Instrumentation that a developer asked for is not for this program.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = cargo.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "tests/freestanding does not build: what it lacks is what core must not need\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("release/switchover-freestanding")
}

/// The symbols of the linked image.
fn symbols(image: &Path) -> Vec<Symbol> {
    let output = Command::new("readelf").args(["-sW"]).arg(image).output().expect("readelf runs (binutils)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let symbols: Vec<Symbol> = text
        .lines()
        .filter_map(|line| {
            // Number: value size type binding visibility section name.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, _, _, _, _, _, section, name, ..] = *fields.as_slice() else { return None };
            Some(Symbol { name: name.to_string(), undefined: section == "UND" })
        })
        .collect();
    assert!(symbols.len() > 20, "{}: no symbol table?\n{text}", image.display());
    symbols
}

/// What is wrong with an image, one line each.
fn offences(symbols: &[Symbol]) -> Vec<String> {
    let mut found = Vec::new();
    for Symbol { name, undefined } in symbols {
        if *undefined {
            found.push(format!("{name}: undefined"));
        }
        for (ban, meaning) in BANS.iter().chain(&LEGACY_BANS) {
            if name.contains(ban) {
                found.push(format!("{name}: {meaning}"));
            }
        }
    }
    found
}

/// [SW-78]
#[test]
fn core_links_without_std_allocator_or_reachable_panic_and_works() {
    if cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) {
        return skip("freestanding", "freestanding", "its entry point is for Linux on x86-64");
    }
    // The judge is itself judged: each of these has one panic.
    for feature in ["planted-index", "planted-unwrap"] {
        let found = self::offences(&self::symbols(&build(Some(feature))));
        assert!(
            found.iter().any(|line| line.contains("a panic is reachable")),
            "{feature} was not noticed: {found:?}"
        );
    }
    // Last, so that what lies in the target folder afterwards is the program itself.
    let image = build(None);
    let symbols = symbols(&image);
    for entry in ["6source", "11destination"] {
        let kept = symbols.iter().any(|symbol| symbol.name.contains(entry) && symbol.name.contains("4step"));
        assert!(kept, "{entry}'s step is not in the image, so that its absence of panics says nothing");
    }
    let offences = offences(&symbols);
    assert!(offences.is_empty(), "{}:\n  {}", image.display(), offences.join("\n  "));

    let status = Command::new(&image).status().expect("the program runs");
    assert_eq!(status.code(), Some(0), "both sides come to their end without an operating system: {status}");
}
