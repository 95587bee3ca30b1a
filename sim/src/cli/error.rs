//! What is wrong with a command line that clap could read.
//!
//! Every message names the option, what was given, and what would do.

use std::path::PathBuf;

use crate::campaign::seeds::ShardError;

/// A command line that cannot be meant. The process ends with [`Usage`](crate::exit_code::ExitCode::Usage).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// Shards of a campaign whose seeds nobody has agreed on.
    #[error(
        "--shard needs --seeds: each machine would draw its own; give all of them the same, as in `--seeds 0..1000000`"
    )]
    ShardWithoutSeeds,
    /// A shard whose work would be gone.
    #[error("--shard needs --out: `merge` reads what it writes; give a folder, as in `--out shards`")]
    ShardWithoutOut,
    /// A shard that would have nothing to do.
    #[error(transparent)]
    Shard(#[from] ShardError),
    /// Two reports in one file.
    #[error("{first} and {second} are both `{}`; give each its own file", .path.display())]
    SameFile {
        /// An option.
        first: &'static str,
        /// Another.
        second: &'static str,
        /// The file.
        path: PathBuf,
    },
}
