//! `switchover-sim merge`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::outcome::{check_places, conclude};
use crate::campaign::Campaign;
use crate::campaign::merge::{Shard, merge as join};
use crate::cli::MergeOptions;
use crate::exit_code::ExitCode;

/// Joins shards, and tells the campaign that they are.
///
/// # Errors
/// A shard cannot be read, they are not one campaign, or a report cannot be written.
pub fn merge(options: &MergeOptions) -> Result<ExitCode> {
    let (reports, out) = (&options.reports, options.out.as_deref());
    let mut paths = Vec::new();
    for given in &options.shards {
        paths.extend(files(given)?);
    }
    let read = |path: PathBuf| Campaign::read(&path).map(|campaign| Shard { path, campaign });
    let shards = paths.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let campaign = join(shards)?;
    check_places(reports, out)?;
    conclude(&campaign, reports, &options.gates, out)
}

/// The file itself, or the shards in a folder.
fn files(given: &Path) -> Result<Vec<PathBuf>> {
    if !given.is_dir() {
        return Ok(vec![given.into()]);
    }
    let list = fs::read_dir(given).with_context(|| format!("cannot read folder {}", given.display()))?;
    let mut found = Vec::new();
    for entry in list {
        let path = entry.with_context(|| format!("cannot read folder {}", given.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    if found.is_empty() {
        bail!(
            "{} has no shard in it (no .json file); give the folder that was given to `campaign --out`",
            given.display()
        );
    }
    found.sort();
    Ok(found)
}
