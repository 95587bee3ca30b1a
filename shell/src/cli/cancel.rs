//! `switchover cancel`: tell a running source or destination to give up.

use std::path::PathBuf;

use clap::Args;

/// Tell a running source or destination to give up the switchover
///
/// It answers at once whether it was in time. Before the commit point the guest stays on the source; after it this is only a request.
#[derive(Debug, Args)]
pub(super) struct CancelArgs {
    /// Its control socket: what was given to its --control
    #[arg(long, value_name = "PATH")]
    control: PathBuf,
}

/// Whom to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelOptions {
    /// The control socket.
    pub control: PathBuf,
}

impl CancelArgs {
    pub(super) fn validate(self) -> CancelOptions {
        CancelOptions { control: self.control }
    }
}
