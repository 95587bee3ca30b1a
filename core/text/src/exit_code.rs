//! What a run's end means to whoever started it: outcomes mapped to exit codes, once.
//!
//! Scripts and the operator's guide lean on these numbers; they do not change.

use std::process;

use serde::{Deserialize, Serialize};

/// How the command ended. The number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum ExitCode {
    /// The guest runs on the destination; or, for commands that move no guest, all is well.
    Committed = 0,
    /// An error before an attempt began: the guest is where it was. For `observe`: two runners or a repeated count.
    Error = 1,
    /// The command line was not understood, or contradicts itself.
    Usage = 2,
    /// No attempt committed: the guest runs on the source.
    Aborted = 3,
    /// It is not known where the guest runs: it must be started nowhere until somebody has found out.
    InDoubt = 4,
    /// The guest runs nowhere.
    Lost = 5,
}

/// The table for `--help`.
pub const HELP: &str = "\
Exit codes:
  0  committed: the guest runs on the destination (other commands: all is well)
  1  an error before an attempt began: the guest is where it was
     (observe: two runners, a repeated count, or no beat at all)
  2  the command line was not understood or contradicts itself
  3  aborted: the guest runs on the source
  4  in doubt: it is not known where the guest runs; start it nowhere before you have found out
  5  lost: the guest runs nowhere";

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(code as u8)
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        code as u8
    }
}

/// A number that is none of the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an exit code of this command")]
pub struct UnknownExitCode(pub u8);

impl TryFrom<u8> for ExitCode {
    type Error = UnknownExitCode;

    fn try_from(number: u8) -> Result<Self, UnknownExitCode> {
        Ok(match number {
            0 => Self::Committed,
            1 => Self::Error,
            2 => Self::Usage,
            3 => Self::Aborted,
            4 => Self::InDoubt,
            5 => Self::Lost,
            _ => return Err(UnknownExitCode(number)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code_with_its_number() {
        for (code, word) in [
            (ExitCode::Committed, "committed"),
            (ExitCode::Error, "an error before"),
            (ExitCode::Usage, "the command line"),
            (ExitCode::Aborted, "aborted"),
            (ExitCode::InDoubt, "in doubt"),
            (ExitCode::Lost, "lost"),
        ] {
            assert!(HELP.contains(&format!("\n  {}  {word}", code as u8)), "{code:?}");
            assert_eq!(ExitCode::try_from(code as u8), Ok(code));
        }
    }
}
