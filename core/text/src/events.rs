//! The file of `--events`: every event of a machine, when it came and what it led to, to be replayed later.
//!
//! A machine is a pure function: from its settings and this file every one of its states can be computed again, on any
//! host. One JSON object a line: first a [`Header`], then a [`Step`] for each event, and a [`Line::Settings`] wherever
//! the machine was handed new settings in between. Steps that were lost are counted in the file ([`Line::Lost`]): a log
//! with a gap cannot be replayed past it.
//!
//! Not here: whoever writes it beside a running machine.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use heapless::Vec as Bounded;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchover_core::id::JournalId;
use switchover_core::limits::ACTIONS_MAX;
use switchover_core::time::At;

use crate::words::Side;

/// The version of the file that this build writes and reads.
pub const VERSION: u32 = 1;

/// The first line: which machine this was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`VERSION`].
    pub version: u32,
    /// Which side.
    pub side: Side,
    /// Its journal's identity.
    pub journal: JournalId,
    /// The counter of the latest attempt in that journal, or the destination's incarnation.
    pub number: u64,
    /// The machine's settings.
    pub settings: Value,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step<E, A> {
    /// When it was taken, on this host's clock.
    pub at: At,
    /// What.
    pub event: E,
    /// What the machine asked for.
    pub actions: Bounded<A, ACTIONS_MAX>,
}

/// A line after the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<E, A> {
    /// An event.
    Step(Step<E, A>),
    /// From here on the machine has these contracts.
    Settings(Value),
    /// So many steps are missing here.
    Lost(u64),
}

/// Why a log cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file.
    #[error("events {path}: {source}; give --events another FILE")]
    Io {
        /// Which.
        path: PathBuf,
        /// What.
        source: io::Error,
    },
    /// A line is not what this version writes.
    #[error("events {path}, line {line}: {what}; it is no event log, or of another version than {VERSION}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
}

/// Writes a header or a line.
///
/// # Errors
/// Whatever `file` says.
pub fn write_line(file: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *file, line)?;
    file.write_all(b"\n")
}

/// Reads a log back. A last line that is cut off is left out: the process was killed while it was written.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn read<E: DeserializeOwned, A: DeserializeOwned>(
    path: &Path,
) -> Result<(Header, Vec<Line<E, A>>), EventsError> {
    let failed = |source| EventsError::Io { path: path.into(), source };
    let wrong = |line, what: String| EventsError::Line { path: path.into(), line, what };
    let mut texts = Vec::new();
    for text in BufReader::new(File::open(path).map_err(failed)?).split(b'\n') {
        texts.push(text.map_err(failed)?);
    }
    let first = texts.first().ok_or_else(|| wrong(1, "there is nothing".into()))?;
    let header: Header = serde_json::from_slice(first).map_err(|error| wrong(1, error.to_string()))?;
    if header.version != VERSION {
        return Err(wrong(1, format!("it has version {}", header.version)));
    }
    let mut lines = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate().skip(1) {
        match serde_json::from_slice(text) {
            Ok(line) => lines.push(line),
            Err(error) if error.is_eof() && index + 1 == texts.len() => {}
            Err(error) => return Err(wrong(index + 1, error.to_string())),
        }
    }
    Ok((header, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_off_at_the_end_is_left_out_and_any_other_is_an_error() {
        let path = std::env::temp_dir().join(format!("switchover-events-text-{}", std::process::id()));
        let header = Header {
            version: VERSION,
            side: Side::Source,
            journal: JournalId(7),
            number: 3,
            settings: Value::Null,
        };
        let step =
            |event: u32| Line::<u32, u8>::Step(Step { at: At::from_ns(1), event, actions: Bounded::new() });
        let mut whole = Vec::new();
        write_line(&mut whole, &header).expect("written");
        for event in [1, 2] {
            write_line(&mut whole, &step(event)).expect("written");
        }
        std::fs::write(&path, &whole[..whole.len() - 5]).expect("cut");
        assert_eq!(read::<u32, u8>(&path).expect("a log"), (header, vec![step(1)]));
        std::fs::write(&path, [&whole[..], b"{}\n{}\n"].concat()).expect("written");
        let error = read::<u32, u8>(&path).expect_err("no line of ours").to_string();
        assert!(error.contains("line 4"), "{error}");
        std::fs::remove_file(path).expect("removed");
    }
}
