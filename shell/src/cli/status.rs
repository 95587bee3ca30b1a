//! `switchover status`: ask a running source or destination how it is.

use std::path::PathBuf;

use clap::Args;

/// Ask a running source or destination where the guest is and how far the switchover has come
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Its control socket: what was given to its --control
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusOptions {
    /// The control socket.
    pub control: PathBuf,
    /// Answer in JSON.
    pub json: bool,
}

impl StatusArgs {
    pub(super) fn validate(self) -> StatusOptions {
        StatusOptions { control: self.control, json: self.json }
    }
}
