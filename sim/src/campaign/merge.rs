//! Joins shards to the campaign that they are parts of, exactly, or says why they are not.

use std::path::PathBuf;

use super::file::Campaign;
use super::seeds::Seeds;

/// A shard and the file that it came from.
#[derive(Debug, Clone)]
pub struct Shard {
    /// The file.
    pub path: PathBuf,
    /// What it holds.
    pub campaign: Campaign,
}

/// Why shards are not one campaign. Each names the files and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is nothing to join.
    #[error(
        "there is no shard; give the files that `switchover-sim campaign ... --out DIR` wrote, or their folder"
    )]
    None,
    /// Two are of different worlds.
    #[error(
        "{} is of scenario {scenario}, and {} is of {other_scenario}; merge shards of one scenario, all run with the \
         same file", .path.display(), .other.display()
    )]
    Scenario {
        /// One shard.
        path: PathBuf,
        /// Its scenario, and that one's digest.
        scenario: String,
        /// Another shard.
        other: PathBuf,
        /// Its scenario, and that one's digest.
        other_scenario: String,
    },
    /// Two were made by different programs.
    #[error(
        "{} was made by {program}, and {} by {other_program}; run all shards with one version", .path.display(),
        .other.display()
    )]
    Program {
        /// One shard.
        path: PathBuf,
        /// What made it.
        program: String,
        /// Another shard.
        other: PathBuf,
        /// What made that.
        other_program: String,
    },
    /// Two have seeds in common.
    #[error("{} (seeds {seeds}) and {} (seeds {other_seeds}) both have seeds {both}; leave one of them out", .path.display(), .other.display())]
    Overlap {
        /// One shard.
        path: PathBuf,
        /// Its seeds.
        seeds: Seeds,
        /// Another shard.
        other: PathBuf,
        /// Its seeds.
        other_seeds: Seeds,
        /// What both have.
        both: Seeds,
    },
    /// Nobody has some seeds.
    #[error(
        "seeds {missing} of {of} are in none of the shards; add their shard, or make it with `switchover-sim campaign \
         {scenario} --seeds {missing} --out DIR`"
    )]
    Missing {
        /// Which seeds.
        missing: Seeds,
        /// Of which campaign.
        of: Seeds,
        /// Its scenario.
        scenario: String,
    },
}

/// Joins `shards`, in any order, to one campaign over all seeds of the campaigns that they are parts of.
///
/// # Errors
/// They overlap, miss seeds, or are of different scenarios or programs.
pub fn merge(mut shards: Vec<Shard>) -> Result<Campaign, MergeError> {
    shards.sort_by(|a, b| (a.campaign.seeds, &a.path).cmp(&(b.campaign.seeds, &b.path)));
    let first = shards.first().ok_or(MergeError::None)?;
    shards.iter().try_for_each(|shard| same(first, shard))?;
    shards.windows(2).try_for_each(|pair| apart(&pair[0], &pair[1]))?;
    let of = whole(first, &shards);
    covered(of, &shards)?;
    let mut joined = Campaign { seeds: of, of, ..first.campaign.clone() };
    for Shard { campaign, .. } in &shards[1..] {
        joined.tally.add(&campaign.tally);
        // The smallest seed's; shards are in order.
        joined.broken = joined.broken.or_else(|| campaign.broken.clone());
    }
    let worst = joined.tally.worst().map(|(seed, _)| seed);
    let mut recorded = shards.into_iter().filter_map(|shard| shard.campaign.worst);
    joined.worst = recorded.find(|recorded| Some(recorded.seed) == worst);
    Ok(joined)
}

fn same(first: &Shard, other: &Shard) -> Result<(), MergeError> {
    let (a, b) = (&first.campaign, &other.campaign);
    if a.program != b.program {
        return Err(MergeError::Program {
            path: first.path.clone(),
            program: a.program.clone(),
            other: other.path.clone(),
            other_program: b.program.clone(),
        });
    }
    if a.scenario != b.scenario {
        let named =
            |campaign: &Campaign| format!("`{}` ({})", campaign.scenario.name, campaign.scenario.digest);
        return Err(MergeError::Scenario {
            path: first.path.clone(),
            scenario: named(a),
            other: other.path.clone(),
            other_scenario: named(b),
        });
    }
    Ok(())
}

/// Of two neighbours in the order of their seeds.
fn apart(a: &Shard, b: &Shard) -> Result<(), MergeError> {
    let (left, right) = (a.campaign.seeds, b.campaign.seeds);
    match Seeds::new(right.from(), left.to().min(right.to())) {
        Err(_) => Ok(()),
        Ok(both) => Err(MergeError::Overlap {
            path: a.path.clone(),
            seeds: left,
            other: b.path.clone(),
            other_seeds: right,
            both,
        }),
    }
}

/// From the first seed of all campaigns that they are parts of to the last.
fn whole(first: &Shard, shards: &[Shard]) -> Seeds {
    shards.iter().map(|shard| shard.campaign.of).fold(first.campaign.of, Seeds::hull)
}

/// That neighbours leave nothing out.
fn covered(of: Seeds, shards: &[Shard]) -> Result<(), MergeError> {
    let mut at = of.from();
    let ends = shards.iter().map(|shard| (shard.campaign.seeds.from(), shard.campaign.seeds.to()));
    for (from, to) in ends.chain([(of.to(), of.to())]) {
        if let Ok(missing) = Seeds::new(at, from) {
            let scenario = shards.first().map(|shard| shard.campaign.given.clone()).unwrap_or_default();
            return Err(MergeError::Missing { missing, of, scenario });
        }
        at = to;
    }
    Ok(())
}
