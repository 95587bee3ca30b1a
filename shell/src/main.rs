//! The `switchover` command: parse, run, exit code.

use std::process;

use switchover_shell::cli::{self, Options};
use switchover_shell::exit_code::ExitCode;
use switchover_shell::run;

fn main() -> process::ExitCode {
    let options = match cli::parse(std::env::args_os()) {
        Ok(options) => options,
        // Help and version are asked for, not mistakes; clap knows where each is printed and what it means.
        Err(error) => error.exit(),
    };
    let ended = match options {
        Options::Demo(options) => run::demo(options),
        Options::Source(options) => run::source(options),
        Options::Destination(options) => run::destination(options),
        Options::Observe(options) => run::observe(options),
        Options::Status(options) => run::status(options),
        Options::Cancel(options) => run::cancel(options),
    };
    ended
        .unwrap_or_else(|error| {
            // The whole chain: what was tried, and what the system said to it.
            eprintln!("error: {error:#}");
            ExitCode::Error
        })
        .into()
}
