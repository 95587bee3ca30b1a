//! Reading: every key known, every value with its unit.

use std::time::Duration;

use toml::{Table, Value};

use super::{Contracts, Known, Provenance, SideContracts, VERSION, Work, Worst};
use crate::units::{Rate, UnitError, parse_duration};
use crate::words::{Port, Side, UnknownWord};

/// Why the text of a file of contracts is refused. The message says where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// It is no TOML.
    #[error("{0}")]
    Syntax(String),
    /// The version is missing or another one.
    #[error("`version` must be {VERSION}; a file of another version must be calibrated anew: move it away")]
    Version,
    /// A key or word that is none of the known ones.
    #[error("in {place}: {source}")]
    Unknown {
        /// In which part of the file.
        place: String,
        /// The word.
        source: UnknownWord,
    },
    /// A value is of the wrong kind.
    #[error("`{place}` is {found}; write {expected}")]
    Kind {
        /// The key, with its tables.
        place: String,
        /// What was found.
        found: &'static str,
        /// What was expected.
        expected: &'static str,
    },
    /// A value is no duration or rate.
    #[error("`{place}`: {source}")]
    Value {
        /// The key, with its tables.
        place: String,
        /// What is wrong.
        source: UnitError,
    },
    /// A link that moves nothing, or everything at once.
    #[error("`{place}`: a link's rate is neither `0` nor `max`; write what it surely does (`200MiB/s`)")]
    Rate {
        /// The key, with its tables.
        place: String,
    },
}

impl ContractError {
    /// The key or table that is wrong, with the tables it stands in (`source.vcpus.sav`); `None` if it is the whole.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self {
            ContractError::Syntax(_) | ContractError::Version => None,
            ContractError::Unknown { place, source } if place == FILE => Some(source.given.clone()),
            ContractError::Unknown { place, source } => Some(format!("{place}.{}", source.given)),
            ContractError::Kind { place, .. }
            | ContractError::Value { place, .. }
            | ContractError::Rate { place } => Some(place.clone()),
        }
    }
}

type Read<T> = Result<T, ContractError>;

/// The place of a key that stands in no table.
const FILE: &str = "the file";
const TABLE: &str = "a table";
const BOUND: &str = "a value (`\"4.1ms\"`), or `{ worst = \"4.1ms\", source = \"calibrated\" }`";
const SECTIONS: [&str; 7] = ["vcpus", "memory", "device0", "link", "journal", "arbiter", "timer"];

fn unknown(place: &str, given: &str, what: &'static str, known: &[&str]) -> ContractError {
    ContractError::Unknown { place: place.into(), source: UnknownWord::new(given, what, known) }
}

fn kind(place: String, value: &Value, expected: &'static str) -> ContractError {
    let found = match value {
        Value::Boolean(_) => "a boolean",
        Value::Integer(_) | Value::Float(_) => "a number without a unit",
        Value::Table(_) => TABLE,
        Value::Array(_) => "a list",
        Value::Datetime(_) => "a date",
        Value::String(_) => "a text",
    };
    ContractError::Kind { place, found, expected }
}

/// Reads a whole file.
pub(super) fn contracts(text: &str) -> Read<Contracts> {
    let file: Table =
        text.parse().map_err(|error: toml::de::Error| ContractError::Syntax(error.to_string()))?;
    if file.get("version").and_then(Value::as_integer) != Some(i64::from(VERSION)) {
        return Err(ContractError::Version);
    }
    let mut sides = file;
    sides.remove("version");
    self::sides(&sides).map_err(|error| match error {
        // Of a whole file the version is a part as well.
        ContractError::Unknown { place, source } if place == FILE => {
            unknown(FILE, &source.given, "a part of it", &["version", "source", "destination"])
        }
        other => other,
    })
}

/// Reads both sides.
pub(super) fn sides(file: &Table) -> Read<Contracts> {
    let mut contracts = Contracts::default();
    for (key, value) in file {
        match key.as_str() {
            "source" => contracts.source = side(Side::Source, value)?,
            "destination" => contracts.destination = side(Side::Destination, value)?,
            _ => return Err(unknown(FILE, key, "a part of it", &["source", "destination"])),
        }
    }
    Ok(contracts)
}

fn side(side: Side, value: &Value) -> Read<SideContracts> {
    let place = side.word();
    let sections = value.as_table().ok_or_else(|| kind(place.into(), value, TABLE))?;
    let mut contracts = SideContracts::default();
    for (name, value) in sections {
        let place = format!("{place}.{name}");
        let section = || value.as_table().ok_or_else(|| kind(place.clone(), value, TABLE));
        match name.as_str() {
            "link" => {
                for (key, value) in section()? {
                    match key.as_str() {
                        "round_trip" => contracts.round_trip = Some(worst(&place, key, value)?),
                        "rate" => contracts.rate = Some(rate(&place, key, value)?),
                        _ => {
                            return Err(unknown(&place, key, "a contract", &["round_trip", "rate"]));
                        }
                    }
                }
            }
            "journal" => contracts.journal_write = only(&place, section()?, "write")?,
            "arbiter" => contracts.arbiter_claim = only(&place, section()?, "claim")?,
            "timer" => contracts.timer_lateness = only(&place, section()?, "lateness")?,
            _ => {
                let port = name
                    .parse()
                    .ok()
                    .filter(|port| matches!(port, Port::Vcpus | Port::Memory | Port::Device(_)));
                let port = port.ok_or_else(|| unknown(side.word(), name, "a port", &SECTIONS))?;
                for (key, value) in section()? {
                    contracts.set(port, work(&place, key)?, worst(&place, key, value)?);
                }
            }
        }
    }
    Ok(contracts)
}

fn work(place: &str, key: &str) -> Read<Work> {
    key.parse().map_err(|source| ContractError::Unknown { place: place.into(), source })
}

/// A section with a single contract.
fn only(place: &str, section: &Table, name: &str) -> Read<Option<Worst>> {
    match section.keys().find(|key| *key != name) {
        Some(key) => Err(unknown(place, key, "a contract", &[name])),
        None => section.get(name).map(|value| worst(place, name, value)).transpose(),
    }
}

fn worst(section: &str, key: &str, value: &Value) -> Read<Worst> {
    let place = format!("{section}.{key}");
    let (text, source) = bound(&place, value)?;
    let value: Duration = parse_duration(text).map_err(|source| ContractError::Value { place, source })?;
    Ok(Known { value, source })
}

fn rate(section: &str, key: &str, value: &Value) -> Read<Known<u64>> {
    let place = format!("{section}.{key}");
    let (text, source) = bound(&place, value)?;
    match text.parse() {
        Ok(Rate::BytesPerSecond(value @ 1..)) => Ok(Known { value, source }),
        Ok(_) => Err(ContractError::Rate { place }),
        Err(source) => Err(ContractError::Value { place, source }),
    }
}

/// The text of a bound and how it is known: a bare text was written by a person, who declares it.
fn bound<'a>(place: &str, value: &'a Value) -> Read<(&'a str, Provenance)> {
    let table = match value {
        Value::String(text) => return Ok((text, Provenance::Declared)),
        Value::Table(table) => table,
        _ => return Err(kind(place.into(), value, BOUND)),
    };
    if let Some(key) = table.keys().find(|key| !["worst", "source"].contains(&key.as_str())) {
        return Err(unknown(place, key, "a part of a contract", &["worst", "source"]));
    }
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let worst = text("worst").ok_or_else(|| kind(place.into(), value, BOUND))?;
    let source = match (text("source"), table.get("source")) {
        (Some(word), _) => {
            word.parse().map_err(|source| ContractError::Unknown { place: place.into(), source })?
        }
        (None, None) => Provenance::Declared,
        (None, Some(other)) => {
            return Err(kind(format!("{place}.source"), other, "declared, calibrated or learned"));
        }
    };
    Ok((worst, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_writes_is_declared() {
        let text = "version = 1\n[source.vcpus]\nsave = \"4.1ms\"\nstop = { worst = \"140us\", source = \"calibrated\" }\n\
                    [destination.link]\nrate = \"200MiB/s\"\n";
        let contracts = contracts(text).expect("read");
        let declared = Known::new(Duration::from_micros(4_100), Provenance::Declared);
        assert_eq!(contracts.source.worst(Port::Vcpus, Work::Save), Some(declared));
        let calibrated = Known::new(Duration::from_micros(140), Provenance::Calibrated);
        assert_eq!(contracts.source.worst(Port::Vcpus, Work::Stop), Some(calibrated));
        assert_eq!(contracts.destination.rate, Some(Known::new(200 << 20, Provenance::Declared)));
        assert_eq!(contracts.source.worst(Port::Memory, Work::Save), None);
    }

    #[test]
    fn a_bad_file_says_where_and_what_would_be_right() {
        for (body, says) in [
            (
                "[source.vcpus]\nsav = \"4ms\"",
                "in source.vcpus: `sav` is not work with a contract; did you mean `save`?",
            ),
            (
                "[source.vcpus]\nhello = \"4ms\"",
                "known: quiesce stop save transfer load seal settle resume rollback",
            ),
            ("[source.vcpu]\nsave = \"4ms\"", "in source: `vcpu` is not a port; did you mean `vcpus`?"),
            ("[source.peer]\nsave = \"4ms\"", "`peer` is not a port"),
            ("[sauce.vcpus]\nsave = \"4ms\"", "did you mean `source`?"),
            ("[source.link]\nroundtrip = \"4ms\"", "did you mean `round_trip`?"),
            ("[source.link]\nrate = \"4ms\"", "`source.link.rate`"),
            ("[source.link]\nrate = \"0\"", "neither `0` nor `max`"),
            ("[source.journal]\nwrites = \"4ms\"", "did you mean `write`?"),
            ("[source.timer]\nlate = \"4ms\"", "known: lateness"),
            ("[source.vcpus]\nsave = 4", "`source.vcpus.save` is a number without a unit"),
            ("[source.vcpus]\nsave = \"4 bananas\"", "`bananas`"),
            (
                "[source.vcpus]\nsave = { worst = \"4ms\", from = \"me\" }",
                "`from` is not a part of a contract",
            ),
            ("[source.vcpus]\nsave = { source = \"learned\" }", "worst = "),
            ("[source.vcpus]\nsave = { worst = \"4ms\", source = \"learnt\" }", "did you mean `learned`?"),
            ("[source.vcpus]\nsave = { worst = \"4ms\", source = 4 }", "declared, calibrated or learned"),
            ("source = 4", "`source` is a number"),
            ("[source]\nvcpus = true", "`source.vcpus` is a boolean; write a table"),
            ("[source.vcpus", "line 2"),
        ] {
            let error = contracts(&format!("version = 1\n{body}\n")).expect_err(body).to_string();
            assert!(error.contains(says), "{body}: {error}");
        }
        for text in ["", "version = 2\n", "[source.vcpus]\nsave = \"4ms\"\n"] {
            assert_eq!(contracts(text), Err(ContractError::Version));
        }
    }
}
