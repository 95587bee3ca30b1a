//! What `campaign` and `merge` do with a campaign once there is one: keep it, tell it, judge it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use switchover_text::record::{check_place, replace_file};

use super::print;
use crate::campaign::{Campaign, Gate, Verdict};
use crate::cli::Reports;
use crate::exit_code::ExitCode;
use crate::report::{exit_code, html, junit, text};

/// Whether everything can be written where it is to go: hours of work are a pity to lose.
pub(super) fn check_places(reports: &Reports, out: Option<&Path>) -> Result<()> {
    for (option, path) in [("--junit", &reports.junit), ("--html", &reports.html)] {
        if let Some(path) = path {
            check_place(path).with_context(|| cannot_write(option, path))?;
        }
    }
    if let Some(folder) = out {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder of `--out {}`", folder.display()))?;
    }
    Ok(())
}

fn cannot_write(option: &str, path: &Path) -> String {
    format!("cannot write `{option} {}`", path.display())
}

/// Keeps, tells and judges.
pub(super) fn conclude(
    campaign: &Campaign,
    reports: &Reports,
    gates: &[Gate],
    out: Option<&Path>,
) -> Result<ExitCode> {
    let verdicts: Vec<Verdict> = gates.iter().map(|gate| gate.judge(campaign)).collect();
    if let Some(folder) = out {
        let path = folder.join(campaign.file_name());
        replace_file(&path, campaign.to_json().as_bytes()).with_context(|| cannot_write("--out", &path))?;
        eprintln!("kept in {}", path.display());
    }
    if let Some(path) = &reports.junit {
        let report = junit::junit(campaign, &verdicts);
        replace_file(path, report.as_bytes()).with_context(|| cannot_write("--junit", path))?;
    }
    if let Some(path) = &reports.html {
        let report = html::html(campaign, &verdicts);
        replace_file(path, report.as_bytes()).with_context(|| cannot_write("--html", path))?;
    }
    if reports.json {
        print(&campaign.to_json())?;
        // Whoever reads JSON has no other word of the gates.
        verdicts.iter().filter(|verdict| !verdict.holds).for_each(|verdict| eprintln!("{verdict}"));
    } else {
        print(&text::text(campaign, &verdicts))?;
    }
    Ok(exit_code(campaign, &verdicts))
}
