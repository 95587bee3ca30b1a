//! Rules about the tree itself, as tests: what a reviewer would otherwise have to remember.
//!
//! They read files; they build and run nothing. A rule that must be broken somewhere has its exception listed here,
//! with the reason beside it.

mod tidy_source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tidy_source::{Source, functions, has_word, root, sources, texts};

/// Folders outside `shell/src/sys/` that may hold `unsafe`.
const UNSAFE_ALLOWED: &[(&str, &str)] = &[
    ("shell/src/sys/", "the system layer: every system call and raw pointer"),
    ("shell/guest/", "the guest: a freestanding program with no system layer beneath it"),
    ("tests/freestanding/", "a program without std has an unsafe entry point"),
];

/// Lines of one file, and of one function of core, at most.
const FILE_LINES_MAX: usize = 600;
const CORE_FUNCTION_LINES_MAX: usize = 80;

/// Fails with one line for each offence.
fn none(rule: &str, offences: Vec<String>) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

/// One line for each place in `files` where `bad` finds something.
fn lines_where(files: &[Source], bad: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut offences = Vec::new();
    for file in files {
        for (number, line) in file.code.lines().enumerate() {
            if let Some(what) = bad(line) {
                offences.push(format!("{}:{}: {what}", file.path, number + 1));
            }
        }
    }
    offences
}

fn core_sources() -> Vec<Source> {
    sources().into_iter().filter(|file| file.path.starts_with("core/src/")).collect()
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let offences = sources()
        .iter()
        .filter(|file| {
            let first = file.text.lines().find(|line| {
                let line = line.trim();
                !line.is_empty() && !line.starts_with("#!")
            });
            !first.is_some_and(|line| line.starts_with("//!"))
        })
        .map(|file| file.path.clone())
        .collect();
    none("a .rs file opens with a module doc (//!)", offences);
}

#[test]
fn files_stay_readable() {
    let offences = sources()
        .iter()
        .map(|file| (file.text.lines().count(), &file.path))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, path)| format!("{path}: {lines}"))
        .collect();
    none(&format!("a .rs file has at most {FILE_LINES_MAX} lines"), offences);
}

#[test]
fn functions_of_core_stay_readable() {
    let mut offences = Vec::new();
    for file in core_sources() {
        for (name, line, lines) in functions(&file.code) {
            if lines > CORE_FUNCTION_LINES_MAX {
                offences.push(format!("{}:{line}: fn {name}: {lines}", file.path));
            }
        }
    }
    none(&format!("a function of core has at most {CORE_FUNCTION_LINES_MAX} lines"), offences);
}

#[test]
fn core_names_neither_std_nor_alloc() {
    // Not even under cfg(test): such tests live in tests/. `core::alloc` would be caught as well, rightly.
    let offences = lines_where(&core_sources(), |line| {
        ["std", "alloc"]
            .iter()
            .find(|name| {
                line.contains(&format!("extern crate {name}"))
                    || line
                        .match_indices(&format!("{name}::"))
                        .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
            .map(|name| format!("names {name}"))
    });
    none("core is no_std and has no allocator", offences);
}

#[test]
fn core_cannot_panic_by_its_own_words() {
    // `.expect(` with a blanked literal behind it; a trait's method of that name takes something else.
    let bans = [".unwrap()", ".expect( ", "panic!", "unreachable!", "unimplemented!"];
    let offences = lines_where(&core_sources(), |line| {
        let broken = line.ends_with(".expect(").then_some(&".expect(");
        bans.iter().find(|ban| line.contains(*ban)).or(broken).map(|ban| format!("has {ban}"))
    });
    none("core does not panic", offences);
}

#[test]
fn core_has_no_floats_and_no_clock() {
    let offences = lines_where(&core_sources(), |line| {
        ["f32", "f64", "Instant", "SystemTime"]
            .iter()
            .find(|word| has_word(line, word))
            .map(|word| format!("names {word}"))
    });
    none("core counts in integers, and time is an argument", offences);
}

#[test]
fn unsafe_is_only_in_the_system_layer() {
    let files: Vec<Source> = sources()
        .into_iter()
        .filter(|file| !UNSAFE_ALLOWED.iter().any(|(folder, _)| file.path.starts_with(folder)))
        .collect();
    let offences = lines_where(&files, |line| has_word(line, "unsafe").then(|| line.trim().to_string()));
    none("unsafe lives in shell/src/sys/ alone", offences);
    let lib = std::fs::read_to_string(root().join("core/src/lib.rs")).expect("core/src/lib.rs");
    assert!(lib.contains("#![forbid(unsafe_code)]"), "core forbids unsafe");
}

#[test]
fn no_room_knows_one_above_or_beside_it() {
    let above: [(&str, &[&str]); 4] = [
        (
            "core",
            &["switchover-text", "switchover-shell", "switchover-sim", "switchover-tests", "libc", "mio"],
        ),
        ("core/text", &["switchover-shell", "switchover-sim", "switchover-tests", "libc", "mio", "clap"]),
        ("shell", &["switchover-sim", "switchover-tests"]),
        ("sim", &["switchover-shell", "switchover-tests", "libc", "mio"]),
    ];
    let mut offences = Vec::new();
    for (room, outer) in above {
        let path = format!("{room}/Cargo.toml");
        let manifest = std::fs::read_to_string(root().join(&path)).expect("a manifest");
        let known = |name: &&&str| manifest.lines().any(|line| has_word(line, name));
        offences.extend(outer.iter().filter(known).map(|name| format!("{path}: {name}")));
    }
    none("nothing points upward or sideways", offences);
}

#[test]
fn nothing_is_left_to_do() {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let mut offences = Vec::new();
    for (path, text) in texts() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| has_word(line, word.trim_end_matches(':'))) {
                offences.push(format!("{path}:{}", number + 1));
            }
        }
    }
    none("what is not done is an issue, not a comment", offences);
}

#[test]
fn no_registry_host_and_no_path_of_one_machine() {
    let bans = [
        concat!("crates", ".io"),
        concat!("index.", "crates"),
        concat!("proxy.", "golang"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
    ];
    let mut offences = Vec::new();
    for (path, text) in texts() {
        // A lock file names its registry by design.
        if path.ends_with("Cargo.lock") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if let Some(ban) = bans.iter().find(|ban| line.contains(*ban)) {
                offences.push(format!("{path}:{}: {ban}", number + 1));
            }
        }
    }
    none("the tree works on any machine", offences);
}

#[test]
fn links_between_documents_resolve() {
    let mut offences = Vec::new();
    for (path, text) in texts() {
        if !path.ends_with(".md") {
            continue;
        }
        let folder = root().join(&path).parent().map(Path::to_path_buf).unwrap_or_default();
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', '\n']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !folder.join(file).exists() {
                offences.push(format!("{path}: {target}"));
            }
        }
    }
    none("a relative link leads somewhere", offences);
}

/// Numbers `n` of every `SW-n` in `text`.
fn cited(text: &str) -> BTreeSet<u32> {
    text.match_indices("SW-")
        .filter_map(|(at, _)| {
            let digits: String = text[at + 3..].chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        })
        .collect()
}

/// The requirements that `docs/PROTOCOL.md` states: `- **[SW-n]** ...`, sorted.
///
/// Numbers are stable: a new requirement takes the next one, wherever it stands.
fn stated() -> Vec<u32> {
    let text = std::fs::read_to_string(root().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md");
    let mut numbers: Vec<u32> = text
        .lines()
        .filter_map(|line| line.strip_prefix("- **[SW-")?.split(']').next()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// True for files that test: anything in a tests folder, and the unit-test modules of the shell.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
}

#[test]
fn requirements_are_numbered_without_gaps() {
    let stated = stated();
    let expected: Vec<u32> = (1..=stated.len() as u32).collect();
    assert_eq!(stated, expected, "docs/PROTOCOL.md numbers its requirements 1, 2, 3, ...");
}

#[test]
fn every_citation_has_its_requirement() {
    let stated: BTreeSet<u32> = stated().into_iter().collect();
    let mut offences = Vec::new();
    for (path, text) in texts() {
        for number in cited(&text).difference(&stated) {
            offences.push(format!("{path}: SW-{number}"));
        }
    }
    none("a cited requirement is stated in docs/PROTOCOL.md", offences);
}

#[test]
fn every_requirement_is_cited_by_code_and_by_a_test() {
    let (mut code, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for file in sources() {
        // A unit-test module at the end of a source file counts as test, what is above it as code.
        let (above, below) = match file.text.find("#[cfg(test)]") {
            Some(at) if !is_test(&file.path) => file.text.split_at(at),
            _ if is_test(&file.path) => ("", file.text.as_str()),
            _ => (file.text.as_str(), ""),
        };
        code.extend(cited(above));
        tests.extend(cited(below));
    }
    let stated = stated();
    let show = |set: &BTreeSet<u32>| {
        let missing: Vec<String> =
            stated.iter().filter(|n| !set.contains(n)).map(|n| format!("SW-{n}")).collect();
        (missing.len(), missing.join(" "))
    };
    let ((code_missing, code_list), (tests_missing, tests_list)) = (show(&code), show(&tests));
    println!("{} requirements; uncited by code {code_missing}, by tests {tests_missing}", stated.len());
    // Before the machines exist there is nothing that could cite.
    if !root().join("core/src/source").exists() {
        return;
    }
    assert!(
        code_missing == 0 && tests_missing == 0,
        "every requirement is cited by code and by a test\n  uncited by code: {code_list}\n  uncited by tests: {tests_list}"
    );
}

#[test]
fn every_trap_has_its_test() {
    let Ok(traps) = std::fs::read_to_string(root().join("tests/tests/traps.rs")) else {
        return;
    };
    let mut found: BTreeMap<u32, usize> = (1..=23).map(|n| (n, 0)).collect();
    for (at, _) in traps.match_indices("fn h") {
        let digits: String = traps[at + 4..].chars().take_while(char::is_ascii_digit).collect();
        if let Some(count) = digits.parse().ok().and_then(|n: u32| found.get_mut(&n)) {
            *count += 1;
        }
    }
    let missing = found.iter().filter(|(_, n)| **n == 0).map(|(h, _)| format!("h{h:02}")).collect();
    none("each trap of docs/PROTOCOL.md is played in tests/tests/traps.rs", missing);
}
