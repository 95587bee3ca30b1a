//! The `switchover-sim` command: parse, do, exit code.

use std::process;

use switchover_sim::cli::{self, Options};
use switchover_sim::command;
use switchover_sim::exit_code::ExitCode;

fn main() -> process::ExitCode {
    let options = match cli::parse(std::env::args_os()) {
        Ok(options) => options,
        // Help and version are asked for, not mistakes; clap knows where each is printed and what it means.
        Err(error) => error.exit(),
    };
    let ended = match options {
        Options::Run(options) => command::run(&options),
        Options::Campaign(options) => command::campaign(&options),
        Options::Merge(options) => command::merge(&options),
        Options::Explore(options) => command::explore(&options),
        Options::Bound(options) => command::bound(&options),
        Options::Replay(options) => command::replay(&options),
        Options::Scenarios(options) => command::scenarios(&options),
    };
    ended
        .unwrap_or_else(|error| {
            // The whole chain: what was tried, and what the system said to it.
            eprintln!("error: {error:#}");
            ExitCode::Usage
        })
        .into()
}
