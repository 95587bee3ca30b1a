//! The bytes that were released, by version: one file for each direction and for chunks, lines `name hex`.
//!
//! A version's bytes are never edited once a release speaks it. What a test does when they change is tell what to do.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The golden bytes of one file of version 1, by name.
pub struct Golden {
    path: PathBuf,
    bytes: BTreeMap<String, String>,
}

impl Golden {
    /// Reads `golden/v1/FILE`: lines `name hex`.
    pub fn read(file: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let lines =
            text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
        let bytes = lines.map(|(name, hex)| (name.to_string(), hex.replace(' ', ""))).collect();
        Self { path, bytes }
    }

    /// Holds what `name` encodes to today against what it encoded to when version 1 was released.
    pub fn hold(&self, name: &str, encoded: &[u8]) {
        let path = self.path.display();
        match self.bytes.get(name) {
            Some(golden) if *golden == hex(encoded) => {}
            Some(golden) => panic!(
                "the bytes of `{name}` have changed.\n  released: {golden}\n  now:      {}\n\
                 Peers of version 1 are out there, and old bytes must stay readable. Do not edit {path}: leave the\n\
                 released message as it is and add a new one at the end of its enum; or, where its meaning has to\n\
                 change, raise VERSION in core/src/limits.rs, keep reading version 1, and add golden/v2.",
                hex(encoded)
            ),
            None if std::env::var_os("SWITCHOVER_GOLDEN").is_some_and(|word| word == "add") => {
                let mut file =
                    OpenOptions::new().create(true).append(true).open(&self.path).expect("the golden file");
                writeln!(file, "{name} {}", hex(encoded)).expect("the golden file can be written");
            }
            None => panic!(
                "`{name}` is new: if it can be released as it is, SWITCHOVER_GOLDEN=add adds it to {path}"
            ),
        }
    }

    /// The released bytes, by name.
    pub fn released(&self) -> impl Iterator<Item = (&str, Vec<u8>)> {
        self.bytes.iter().map(|(name, hex)| (name.as_str(), unhex(hex)))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}
