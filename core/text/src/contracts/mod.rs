//! Time contracts as a file: how long each port may take for each work, and how that is known.
//!
//! ```toml
//! version = 1
//!
//! [source.vcpus]
//! stop = { worst = "140us", source = "calibrated" }
//! save = "4.1ms"                # written by a person: declared
//!
//! [source.link]
//! round_trip = { worst = "240us", source = "learned" }
//! rate = { worst = "2GiB/s", source = "learned" }
//!
//! [source.journal]
//! write = "1ms"
//!
//! [source.timer]
//! lateness = "250us"
//! ```
//!
//! A file holds one or both sides. It is read if it exists, and written at the end of a run with what was learned. An
//! unknown key is refused, since a misspelt contract would silently not hold.
//!
//! Not here: what the machines make of contracts, and how they are calibrated or learned.

mod core;
mod ports;
mod read;
mod write;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::words;
use crate::words::{Port, Side};

pub use core::Calibrated;
pub use read::ContractError;

/// The version of the file's form.
pub const VERSION: u32 = 1;

words! {
    /// Work of a port that can have a contract, in the order of time.
    Work, "work with a contract" {
        /// A device settles, while the vCPUs still run.
        Quiesce = "quiesce",
        /// The port is brought to a halt.
        Stop = "stop",
        /// Its state is read out.
        Save = "save",
        /// The last of it travels.
        Transfer = "transfer",
        /// The destination takes it in.
        Load = "load",
        /// What was sent is sealed, or verified.
        Seal = "seal",
        /// A device leaves the state in which it was loaded.
        Settle = "settle",
        /// It runs on the destination.
        Resume = "resume",
        /// It runs again on the source.
        Rollback = "rollback",
    }
}

words! {
    /// How a contract is known.
    Provenance, "a source of a contract" {
        /// Somebody said so.
        Declared = "declared",
        /// Measured on this host before the guest ran.
        Calibrated = "calibrated",
        /// Measured in pre-copy or in an earlier attempt.
        Learned = "learned",
    }
}

/// A value and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// How it is known.
    pub source: Provenance,
}

impl<T> Known<T> {
    /// A value known from `source`.
    pub const fn new(value: T, source: Provenance) -> Self {
        Known { value, source }
    }
}

/// A worst case in time.
pub type Worst = Known<Duration>;

/// The contracts of one side's ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SideContracts {
    /// Worst cases of [`Port::Vcpus`], [`Port::Memory`] and devices.
    pub ports: BTreeMap<Port, BTreeMap<Work, Worst>>,
    /// The longest way to the other side and back.
    pub round_trip: Option<Worst>,
    /// The lowest rate of the link in bytes per second; never zero.
    pub rate: Option<Known<u64>>,
    /// One durable record in the journal.
    pub journal_write: Option<Worst>,
    /// One claim at the arbiter.
    pub arbiter_claim: Option<Worst>,
    /// How late a timer fires.
    pub timer_lateness: Option<Worst>,
}

impl SideContracts {
    /// The worst case of `port` at `work`.
    #[must_use]
    pub fn worst(&self, port: Port, work: Work) -> Option<Worst> {
        self.ports.get(&port)?.get(&work).copied()
    }

    /// Sets the worst case of `port` at `work`.
    pub fn set(&mut self, port: Port, work: Work, worst: Worst) {
        self.ports.entry(port).or_default().insert(work, worst);
    }
}

/// A file's contracts: of the source's ports, the destination's, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contracts {
    /// Of the source's ports.
    pub source: SideContracts,
    /// Of the destination's ports.
    pub destination: SideContracts,
}

impl Contracts {
    /// The contracts of one side.
    #[must_use]
    pub fn of(&self, side: Side) -> &SideContracts {
        match side {
            Side::Source => &self.source,
            Side::Destination => &self.destination,
        }
    }

    /// The contracts of one side, to change.
    pub fn of_mut(&mut self, side: Side) -> &mut SideContracts {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// No TOML, an unknown key or word, a value that is no duration or rate, another version.
    pub fn from_toml(text: &str) -> Result<Self, ContractError> {
        read::contracts(text)
    }

    /// Reads the same as a part of another file: a table without a version of its own.
    ///
    /// # Errors
    /// As [`Contracts::from_toml`].
    pub fn from_table(table: &toml::Table) -> Result<Self, ContractError> {
        read::sides(table)
    }

    /// The text of a file that is read back to the same contracts.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write::contracts(self)
    }

    /// The same as a part of another file, every table within `table`.
    #[must_use]
    pub fn to_toml_in(&self, table: &str) -> String {
        write::sides(self, &format!("{table}."))
    }

    /// Reads a file; one that does not exist yet has no contracts.
    ///
    /// # Errors
    /// The file cannot be read, or says something that [`Contracts::from_toml`] refuses.
    pub fn read(path: &Path) -> Result<Self, ContractFileError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Contracts::from_toml(&text)
                .map_err(|source| ContractFileError::Content { path: path.into(), source: source.into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Contracts::default()),
            Err(source) => Err(ContractFileError::Read { path: path.into(), source }),
        }
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        crate::record::replace_file(path, self.to_toml().as_bytes())
    }
}

/// Why a file of contracts is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ContractFileError {
    /// It cannot be read.
    #[error("cannot read the contracts in `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What it says is refused.
    #[error("contracts in `{path}`: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ContractError>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(nanoseconds: u64, source: Provenance) -> Worst {
        Known::new(Duration::from_nanos(nanoseconds), source)
    }

    fn full() -> Contracts {
        let mut contracts = Contracts::default();
        let source = &mut contracts.source;
        for (index, work) in Work::ALL.iter().copied().enumerate() {
            source.set(Port::Vcpus, work, worst(1_000_001 + index as u64, Provenance::Calibrated));
            source.set(Port::Device(12), work, worst(7, Provenance::Learned));
        }
        source.set(Port::Memory, Work::Save, worst(0, Provenance::Declared));
        source.round_trip = Some(worst(240_000, Provenance::Learned));
        source.rate = Some(Known::new(2_254_857_831, Provenance::Learned));
        source.journal_write = Some(worst(1_000_000, Provenance::Declared));
        source.arbiter_claim = Some(worst(3_000_000, Provenance::Declared));
        source.timer_lateness = Some(worst(u64::MAX, Provenance::Calibrated));
        contracts.destination.set(Port::Vcpus, Work::Load, worst(5, Provenance::Calibrated));
        contracts
    }

    #[test]
    fn what_is_written_is_read_back_to_the_nanosecond() {
        let contracts = full();
        let text = contracts.to_toml();
        assert_eq!(Contracts::from_toml(&text).as_ref(), Ok(&contracts), "{text}");
        assert_eq!(Contracts::from_toml(&text).expect("read").to_toml(), text);
        let empty = Contracts::default();
        assert_eq!(Contracts::from_toml(&empty.to_toml()), Ok(empty));
    }

    #[test]
    fn a_file_that_does_not_exist_has_no_contracts_and_can_be_written() {
        let path = std::env::temp_dir().join(format!("switchover-contracts-{}.toml", std::process::id()));
        assert_eq!(Contracts::read(&path).expect("none yet"), Contracts::default());
        full().write(&path).expect("written");
        assert_eq!(Contracts::read(&path).expect("read"), full());
        std::fs::remove_file(&path).expect("cleaned");
        let error = Contracts::read(Path::new("/")).expect_err("a directory").to_string();
        assert!(error.contains("cannot read the contracts in `/`"), "{error}");
    }
}
