//! What is wrong with a command line that clap could read: values out of range, options that contradict each other.
//!
//! Every message names the option, what was given, and what would do.

use std::path::PathBuf;
use std::time::Duration;

use crate::faults::{Fault, FaultConflict};
use crate::units::{Bytes, exact_duration};

/// A command line that cannot be meant. The process ends with [`Usage`](crate::exit_code::ExitCode::Usage).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// A duration that must be something is nothing.
    #[error("{option} is zero, {consequence}; give a longer time, as in `{option} {example}`")]
    Zero {
        /// The option.
        option: &'static str,
        /// What zero would mean.
        consequence: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// A duration is beyond what an option takes.
    #[error("{option} {} is longer than {}, the most that it can be; give a shorter time", exact_duration(*.given), exact_duration(*.most))]
    TooLong {
        /// The option, or the sum of two.
        option: &'static str,
        /// What was given.
        given: Duration,
        /// The longest that is accepted.
        most: Duration,
    },
    /// The budget does not cover a single attempt.
    #[error(
        "--blackout-budget {} is below the hard limit of {hard} (--downtime-limit and --switchover-limit together), so no \
         attempt could begin; give at least `--blackout-budget {hard}`, or lower the limits",
        exact_duration(*.budget), hard = exact_duration(*.hard_limit)
    )]
    BudgetBelowLimit {
        /// What was given.
        budget: Duration,
        /// What one attempt may take.
        hard_limit: Duration,
    },
    /// Not a whole number of pages.
    #[error("{option} {given} is not a whole number of pages of 4KiB{}; give a multiple of 4KiB, as in `{option} {example}`",
        if .given.0 == 0 { " above zero" } else { "" })]
    Pages {
        /// The option.
        option: &'static str,
        /// What was given.
        given: Bytes,
        /// A value that would do.
        example: Bytes,
    },
    /// A working set that does not fit.
    #[error(
        "--working-set {working_set} is larger than --memory {memory} leaves beside the guest's own program \
         ({reserved}); give at most `--working-set {}`, or more memory", Bytes(.memory.0.saturating_sub(.reserved.0))
    )]
    WorkingSetTooLarge {
        /// What was given.
        working_set: Bytes,
        /// What was given, or is the default.
        memory: Bytes,
        /// What the guest needs for itself.
        reserved: Bytes,
    },
    /// Memory that the guest's own program does not fit into.
    #[error("--memory {0} does not hold the guest's own program; give at least `--memory {1}`")]
    MemoryTooSmall(Bytes, Bytes),
    /// More memory than the guest's own page tables can describe.
    #[error("--memory {0} is more than a guest can have; give at most `--memory {1}`")]
    MemoryTooLarge(Bytes, Bytes),
    /// A working set that gives some vCPU nothing to write to.
    #[error(
        "--working-set {working_set} is less than a page for each of {vcpus} vCPUs, which are to write to it; give at \
         least `--working-set {}`, or `--dirty-rate 0`", Bytes(4096 * u64::from(*.vcpus))
    )]
    WorkingSetTooSmall {
        /// What was given.
        working_set: Bytes,
        /// How many share it.
        vcpus: u8,
    },
    /// No bandwidth at all.
    #[error(
        "--max-bandwidth 0 would never move the guest; give a rate (`200MiB/s`), or leave it out for no cap"
    )]
    NoBandwidth,
    /// Two faults about the same thing.
    #[error(transparent)]
    Faults(#[from] FaultConflict),
    /// A fault in an attempt that will not be.
    #[error(
        "fault `{fault}` never strikes: there are at most {attempts} attempts; give more with `--attempts`, or leave it out"
    )]
    FaultNeverStrikes {
        /// Which.
        fault: Fault,
        /// How many attempts there are.
        attempts: u32,
    },
    /// Two options that would write to one file.
    #[error("{first} and {second} are both `{}`; give each its own file", .path.display())]
    SameFile {
        /// An option.
        first: &'static str,
        /// Another.
        second: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Nobody can be reached at port 0.
    #[error("--connect {0}: nobody listens at port 0; give the port that the destination prints")]
    ConnectToPortZero(String),
}
