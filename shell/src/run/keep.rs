//! What a side keeps at its end: its record, its contracts, its events.
//!
//! Where the guest is by then is the more important news: what cannot be written is said, and changes neither the
//! outcome nor the exit code, which would otherwise claim that there was no attempt.

use std::fmt::Display;

use crate::cli::RunOptions;
use crate::contracts::Contracts;
use crate::events::EventWriter;
use crate::record::{RunRecord, write_record};

fn said<T, E: Display>(what: &str, result: Result<T, E>) {
    if let Err(error) = result {
        eprintln!("error: cannot write {what}: {error}");
    }
}

/// Gives the record to `--record` and `--json`.
pub(super) fn record(record: &RunRecord, options: &RunOptions) {
    if let Some(path) = &options.record {
        said(&format!("the record to {}", path.display()), write_record(path, record));
    }
    if options.json {
        said("the record to standard output", super::show::print(&(record.to_json() + "\n")));
    }
}

/// Has `take` bring the file of `--contracts` up to date. In a demo both sides do so, one after the other.
pub(super) fn contracts(options: &RunOptions, take: impl FnOnce(&mut Contracts)) {
    let Some(path) = &options.contracts else { return };
    let written = Contracts::read(path).map_err(|error| error.to_string()).and_then(|mut file| {
        take(&mut file);
        file.write(path).map_err(|error| error.to_string())
    });
    said(&format!("contracts to {}", path.display()), written);
}

/// Waits until all events are in their file. Every log of them is gone by then.
pub(super) fn events(writer: Option<EventWriter>) {
    if let Some(writer) = writer {
        said("all events", writer.finish());
    }
}

/// Says how many notes found no room, if any: the record lacks them.
pub(super) fn lost(notes: u64) {
    if notes > 0 {
        eprintln!("{notes} notes were lost on an overloaded host: the record is incomplete");
    }
}
