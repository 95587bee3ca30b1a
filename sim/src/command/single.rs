//! The commands that play nothing of their own: `bound`, `replay`, `scenarios`.

use std::fmt::Write as _;

use anyhow::Result;
use switchover_text::words::UnknownWord;

use super::{print, scenario};
use crate::bound::bound as worst_case;
use crate::cli::{BoundOptions, ReplayOptions, ScenariosOptions};
use crate::exit_code::ExitCode;
use crate::replay::replay as replayed;
use crate::scenario::{Scenario, shipped};

/// The worst case of a scenario. Unbounded is an answer, too.
///
/// # Errors
/// The scenario cannot be used.
pub fn bound(options: &BoundOptions) -> Result<ExitCode> {
    let bound = worst_case(&scenario(&options.scenario)?);
    if options.json {
        print(&format!("{:#}\n", serde_json::to_value(&bound)?))?;
    } else {
        print(&bound.to_string())?;
    }
    Ok(ExitCode::Kept)
}

/// What was recorded, run through the machines again.
///
/// # Errors
/// The file cannot be read, is torn, of another version, or of no kind that is known.
pub fn replay(options: &ReplayOptions) -> Result<ExitCode> {
    let replay = replayed(&options.file, options.asked)?;
    if options.json {
        print(&format!("{:#}\n", serde_json::to_value(&replay)?))?;
    } else {
        print(&replay.to_string())?;
    }
    // Machines that answer the same events otherwise are not those that moved that guest.
    Ok(ExitCode::of(!replay.agrees(), false))
}

/// The shipped scenarios, or the text of one.
///
/// # Errors
/// There is none of that name.
pub fn scenarios(options: &ScenariosOptions) -> Result<ExitCode> {
    let names: Vec<&str> = shipped::names().collect();
    if let Some(name) = &options.show {
        let text = shipped::text(name).ok_or_else(|| UnknownWord::new(name, "a shipped scenario", &names))?;
        print(text)?;
        return Ok(ExitCode::Kept);
    }
    let widest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let mut list = String::new();
    for name in names {
        let about = Scenario::load(name.as_ref())?.about;
        let _ = writeln!(list, "{name:<widest$}  {about}");
    }
    print(&list)?;
    Ok(ExitCode::Kept)
}
