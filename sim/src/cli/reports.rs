//! Where a campaign's result goes besides the terminal.

use std::path::PathBuf;

use clap::Args;

use super::UsageError;

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The result as JSON on stdout, and nothing else there (docs/campaign.schema.json)
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Write a JUnit report: a test case for each promise and each gate
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    junit: Option<PathBuf>,
    /// Write a report for people: one HTML file that needs nothing else
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
}

/// Where a result goes; no two mean the same file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    /// JSON to stdout.
    pub json: bool,
    /// JUnit.
    pub junit: Option<PathBuf>,
    /// HTML.
    pub html: Option<PathBuf>,
}

impl ReportArgs {
    pub(super) fn validate(self) -> Result<Reports, UsageError> {
        match (&self.junit, &self.html) {
            (Some(junit), Some(html)) if junit == html => {
                Err(UsageError::SameFile { first: "--junit", second: "--html", path: junit.clone() })
            }
            _ => Ok(Reports { json: self.json, junit: self.junit, html: self.html }),
        }
    }
}
