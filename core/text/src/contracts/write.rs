//! Writing: in a fixed order, so that two files can be compared.

use std::fmt::Write;

use super::{Contracts, Known, SideContracts, VERSION, Worst};
use crate::units::{Rate, exact_duration};
use crate::words::Side;

const HEAD: &str = "\
# Time contracts: the longest that each port takes for each work, and how that is known: declared (a plain text is),
# calibrated or learned. What is declared here is kept; the rest is measured anew and rewritten after each run.
";

/// The text of a whole file.
pub(super) fn contracts(contracts: &Contracts) -> String {
    format!("{HEAD}version = {VERSION}\n{}", sides(contracts, ""))
}

/// Both sides, each table's name behind `before`.
pub(super) fn sides(contracts: &Contracts, before: &str) -> String {
    let mut text = String::new();
    for side in Side::ALL {
        side_contracts(&mut text, &format!("{before}{side}"), contracts.of(*side));
    }
    text
}

fn side_contracts(text: &mut String, side: &str, contracts: &SideContracts) {
    for (port, works) in &contracts.ports {
        let lines = works.iter().map(|(work, worst)| line(work.word(), worst)).collect();
        section(text, side, &port.to_string(), lines);
    }
    let mut link: Vec<_> = contracts.round_trip.iter().map(|worst| line("round_trip", worst)).collect();
    link.extend(
        contracts.rate.iter().map(|rate| entry("rate", &Rate::BytesPerSecond(rate.value).to_string(), rate)),
    );
    section(text, side, "link", link);
    for (name, key, worst) in [
        ("journal", "write", &contracts.journal_write),
        ("arbiter", "claim", &contracts.arbiter_claim),
        ("timer", "lateness", &contracts.timer_lateness),
    ] {
        section(text, side, name, worst.iter().map(|worst| line(key, worst)).collect());
    }
}

fn section(text: &mut String, side: &str, name: &str, lines: Vec<String>) {
    if !lines.is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n[{side}.{name}]\n{}", lines.join("\n"));
    }
}

fn line(key: &str, worst: &Worst) -> String {
    entry(key, &exact_duration(worst.value), worst)
}

fn entry<T>(key: &str, value: &str, known: &Known<T>) -> String {
    format!("{key} = {{ worst = \"{value}\", source = \"{}\" }}", known.source)
}
