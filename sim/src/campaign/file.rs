//! A campaign as JSON: what `--json` prints, what `--out` keeps of a shard, and what `merge` reads.
//!
//! One form for all three, described by `docs/campaign.schema.json`. Nothing is rounded on the way: what is read back is
//! the campaign that was written, histograms included.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use switchover_text::record::RunRecord;
use xxhash_rust::xxh3::xxh3_128;

use super::seeds::Seeds;
use super::tally::Tally;
use crate::scenario::Scenario;

/// The version of the form. It grows when a field is added or its meaning changes.
pub const VERSION: u32 = 1;
/// Who writes it: campaigns of different programs are not joined, since the machines may differ.
pub const PROGRAM: &str = concat!("switchover-sim ", env!("CARGO_PKG_VERSION"));

/// What a campaign was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// The scenario's name.
    pub name: String,
    /// What it stands for.
    pub about: String,
    /// A digest of all that it says: two with one digest are the same world.
    pub digest: String,
    /// The budget that an attempt is planned to fit.
    pub downtime_limit_ns: u64,
    /// By then the guest runs again, on one side or the other.
    pub hard_limit_ns: u64,
}

impl Subject {
    /// What is told of a scenario.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        // Whole, with every default filled in: a file that was only tidied is the same world.
        let whole = scenario.to_toml();
        Self {
            name: scenario.name.clone(),
            about: scenario.about.clone(),
            digest: format!("{:032x}", xxh3_128(whole.as_bytes())),
            downtime_limit_ns: scenario.limits.downtime.get(),
            hard_limit_ns: scenario.limits.hard().get(),
        }
    }
}

/// A campaign over some seeds, or a shard of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// The version of this form.
    pub version: u32,
    /// What wrote it.
    pub program: String,
    /// The scenario.
    pub scenario: Subject,
    /// How it was given on the command line: a shipped name, or a path.
    pub given: String,
    /// The seeds that were played.
    pub seeds: Seeds,
    /// The seeds of the whole campaign that this is a part of.
    pub of: Seeds,
    /// What came of them.
    pub tally: Tally,
    /// The run with the longest blackout, played again and recorded; `null` if none had an end.
    pub worst: Option<Recorded>,
    /// The first run that broke a promise, made as small as it would go; `null` if none did.
    pub broken: Option<Shortened>,
}

/// One run, played again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Its seed.
    pub seed: u64,
    /// Its record, in the form of `docs/record.schema.json`.
    pub record: RunRecord,
}

/// A broken promise for people: the scenario without all that is not needed to break it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shortened {
    /// The run's seed.
    pub seed: u64,
    /// What still makes it fail, as text.
    pub scenario: String,
    /// Who said what to whom until then.
    pub diagram: String,
}

/// Why a shard could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system would not give it.
    #[error("cannot read shard {}: {error}", .path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// It is not what a campaign writes, or not all of it.
    #[error(
        "{}: line {line}: not a whole shard of a campaign: {what}; run that shard again with `--out`", .path.display()
    )]
    Form {
        /// Which file.
        path: PathBuf,
        /// In which line.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Written in another version of the form.
    #[error(
        "{} is of version {found}, and this program reads version {VERSION}; run all shards with one version of \
         switchover-sim", .path.display()
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u64,
    },
    /// Counts that contradict each other.
    #[error("{} contradicts itself: {what}; run that shard again with `--out`", .path.display())]
    Contradicts {
        /// Which file.
        path: PathBuf,
        /// What does not agree.
        what: &'static str,
    },
}

impl Campaign {
    /// The file name of this shard: it says of what, so that those of a matrix can lie in one folder.
    #[must_use]
    pub fn file_name(&self) -> String {
        // Names of shipped scenarios may hold a stroke.
        let name = self.scenario.name.replace(['/', '\\'], "-");
        format!("{name}-{}-{}.json", self.seeds.from(), self.seeds.to())
    }

    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers, lists and maps with text for keys: there is nothing that JSON could refuse.
        let text = serde_json::to_string_pretty(self)
            .unwrap_or_else(|error| unreachable!("a campaign is always JSON: {error}"));
        text + "\n"
    }

    /// Reads a shard.
    ///
    /// # Errors
    /// It cannot be read, is torn, edited, or of another version.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let text = fs::read_to_string(path).map_err(|error| ReadError::Io { path: path.into(), error })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ReadError> {
        let form = |error: serde_json::Error| {
            // The position is told in front.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default().to_string();
            ReadError::Form { path: path.into(), line: error.line().max(1), what }
        };
        // The version is looked at first: another version's fields are not a torn file.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let versioned: Versioned = serde_json::from_str(text).map_err(form)?;
        if versioned.version != u64::from(VERSION) {
            return Err(ReadError::Version { path: path.into(), found: versioned.version });
        }
        let campaign: Self = serde_json::from_str(text).map_err(form)?;
        campaign.check().map_err(|what| ReadError::Contradicts { path: path.into(), what })?;
        Ok(campaign)
    }

    /// Whether its counts agree with each other.
    fn check(&self) -> Result<(), &'static str> {
        let (tally, outcomes) = (&self.tally, &self.tally.outcomes);
        let ended = [outcomes.committed, outcomes.aborted, outcomes.in_doubt, outcomes.lost];
        let within = self.of.from() <= self.seeds.from() && self.seeds.to() <= self.of.to();
        let rules = [
            (within, "its seeds are not of the campaign that it says it is a part of"),
            (tally.runs == self.seeds.len(), "it has not as many runs as seeds"),
            (ended.iter().sum::<u64>() == tally.runs, "its outcomes do not add up to its runs"),
            (tally.by_attempts.iter().sum::<u64>() == tally.runs, "its attempts do not add up to its runs"),
            (tally.longest.count() <= tally.runs, "it has more blackouts than runs"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(*what))
    }
}
