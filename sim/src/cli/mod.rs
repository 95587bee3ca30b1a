//! The command line: what may be said, and what it means.
//!
//! ```text
//! argv --clap--> ...Args (as written) --validate--> ...Options (can be meant) --> command
//! ```
//!
//! Nothing is opened, drawn or started here, so that a mistake costs nothing. What is wrong ends the process with code 2
//! and a message that names the remedy ([`UsageError`]).
//!
//! Not here: whether a scenario exists and holds together. That is known when it is read.

mod campaign;
mod error;
mod explore;
mod gates;
mod merge;
mod reports;
mod single;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::exit_code;

pub use campaign::CampaignOptions;
pub use error::UsageError;
pub use explore::ExploreOptions;
pub use merge::MergeOptions;
pub use reports::Reports;
pub use single::{BoundOptions, ReplayOptions, RunOptions, ScenariosOptions};

/// Play switchovers in a simulated world, with the machines that move real guests
///
/// A SCENARIO is the path of a TOML file, or the name of a shipped one (`switchover-sim scenarios` lists them). Everything is
/// drawn from one seed: the same seed gives the same run. A seed that is not given is drawn, and printed like any other.
#[derive(Debug, Parser)]
#[command(name = "switchover-sim", version, after_help = exit_code::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(single::RunArgs),
    Campaign(campaign::CampaignArgs),
    Merge(merge::MergeArgs),
    Explore(explore::ExploreArgs),
    Bound(single::BoundArgs),
    Replay(single::ReplayArgs),
    Scenarios(single::ScenariosArgs),
}

/// What is to be done, ready to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Options {
    /// One run.
    Run(RunOptions),
    /// Many.
    Campaign(CampaignOptions),
    /// Join the shards of a campaign.
    Merge(MergeOptions),
    /// Every interleaving of a small world.
    Explore(ExploreOptions),
    /// The worst case, without playing anything.
    Bound(BoundOptions),
    /// What others recorded.
    Replay(ReplayOptions),
    /// What is shipped.
    Scenarios(ScenariosOptions),
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// It was not understood, or contradicts itself; or it asked for help or the version, which clap treats alike. The error
/// knows how to print itself and which exit code it means.
pub fn parse<I, T>(args: I) -> Result<Options, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let (name, options) = match Cli::try_parse_from(args)?.command {
        Command::Run(args) => ("run", Ok(Options::Run(args.validate()))),
        Command::Campaign(args) => ("campaign", args.validate().map(Options::Campaign)),
        Command::Merge(args) => ("merge", args.validate().map(Options::Merge)),
        Command::Explore(args) => ("explore", Ok(Options::Explore(args.validate()))),
        Command::Bound(args) => ("bound", Ok(Options::Bound(args.validate()))),
        Command::Replay(args) => ("replay", Ok(Options::Replay(args.validate()))),
        Command::Scenarios(args) => ("scenarios", Ok(Options::Scenarios(args.validate()))),
    };
    options.map_err(|error| {
        let mut command = Cli::command();
        command.build();
        // The usage line is that of the subcommand which was meant.
        let command =
            command.find_subcommand_mut(name).unwrap_or_else(|| unreachable!("`{name}` was just parsed"));
        command.error(ErrorKind::ValueValidation, error)
    })
}

#[cfg(test)]
mod tests;
