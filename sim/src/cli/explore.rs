//! `switchover-sim explore`: every interleaving of a small world.

use clap::Args;

use crate::exit_code;

/// Walk every interleaving of a small world with the real machines
///
/// Loss, duplication, reordering, crash and restart at each step, cancel, clocks at their extremes. A violation is told with the
/// shortest way to it. Without a WORLD the worlds are listed.
#[derive(Debug, Args)]
#[command(after_help = exit_code::HELP)]
pub(super) struct ExploreArgs {
    /// Which world
    world: Option<String>,
    /// As JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A world to explore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExploreOptions {
    /// Which; all are listed where not given.
    pub world: Option<String>,
    /// As JSON.
    pub json: bool,
}

impl ExploreArgs {
    pub(super) fn validate(self) -> ExploreOptions {
        ExploreOptions { world: self.world, json: self.json }
    }
}
