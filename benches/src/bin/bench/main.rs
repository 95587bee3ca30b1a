//! `make bench`: what is promised about speed, measured here and now, and judged.
//!
//! ```text
//! make bench                          everything, a table
//! make bench ARGS="--json"            the same as JSON on stdout
//! make bench ARGS="--quick slope"     fewer runs, one part: downtime, slope, precopy, machine, abort,
//!                                     sim, explore
//! ```
//!
//! Exit code 0 if every promise holds, 1 if one is missed, 2 if it could not be measured.

mod parts;
mod sim;

use std::process::ExitCode;

use switchover_benches::peer;
use switchover_benches::report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, address, what] = arguments.as_slice()
        && word == peer::WORD
    {
        // Whoever started it notices the end of the connection.
        let _ = peer::serve(address, what);
        return ExitCode::SUCCESS;
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let named: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| !argument.starts_with('-')).collect();
    let mut report = Report::default();
    for (name, part) in parts::ALL {
        if !named.is_empty() && !named.contains(&name) {
            continue;
        }
        eprintln!("{name} ...");
        if let Err(error) = part(has("--quick"), &mut report) {
            eprintln!("{name}: {error}");
            return ExitCode::from(2);
        }
    }
    if has("--json") {
        println!("{:#}", report.json());
    } else {
        print!("{}", report.table());
    }
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
