//! What a command's end means to whoever started it: results mapped to exit codes, once.
//!
//! CI files lean on these numbers; they do not change.

use std::process;

/// How the command ended. The number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// Every promise was kept, and every stated gate holds.
    Kept = 0,
    /// A promise was broken.
    Broken = 1,
    /// Nothing could be judged: the command line, a scenario, a shard or another file cannot be used.
    Usage = 2,
    /// Every promise was kept, and a stated gate was missed.
    GateMissed = 3,
}

/// The table for `--help`.
pub const HELP: &str = "\
Exit codes:
  0  every promise was kept, and every stated gate holds
  1  a promise was broken
  2  nothing could be judged: the command line, a scenario, a shard or another file cannot be used
  3  every promise was kept, and a stated gate (such as --max-p99) was missed";

impl ExitCode {
    /// By whether a promise was broken, and whether a gate was missed.
    #[must_use]
    pub const fn of(broken: bool, missed: bool) -> Self {
        match (broken, missed) {
            (true, _) => Self::Broken,
            (false, true) => Self::GateMissed,
            (false, false) => Self::Kept,
        }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_code_with_its_number() {
        for (code, word) in [
            (ExitCode::Kept, "every promise was kept, and every"),
            (ExitCode::Broken, "a promise was broken"),
            (ExitCode::Usage, "nothing could be judged"),
            (ExitCode::GateMissed, "every promise was kept, and a stated gate"),
        ] {
            assert!(HELP.contains(&format!("\n  {}  {word}", code as u8)), "{code:?}");
        }
    }

    #[test]
    fn a_broken_promise_is_worse_than_a_missed_gate() {
        assert_eq!(ExitCode::of(true, true), ExitCode::Broken);
        assert_eq!(ExitCode::of(false, true), ExitCode::GateMissed);
        assert_eq!(ExitCode::of(false, false), ExitCode::Kept);
    }
}
