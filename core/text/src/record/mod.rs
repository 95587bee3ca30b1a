//! The record of a run: what was planned, what was measured, where the guest is.
//!
//! This is the JSON that `--record` and `--json` give, and that scripts lean on: its fields are described by
//! `docs/record.schema.json`, and a test holds both to each other. A field is never renamed; what is not known is `null`,
//! never a made-up number; times are nanoseconds.
//!
//! ```text
//! RunRecord            outcome, where the guest runs, its longest and its total blackout
//!   attempts[]         AttemptRecord: outcome, reason, offender, bytes
//!     admission        the prediction, term by term, with where each term comes from
//!     phases[]         PhaseRecord: planned and measured, by side and port
//!     scheduling[]     what the hosts permitted
//! ```
//!
//! Not here: how the machines record an attempt (fixed size, no allocation), and drawing ([`timeline`](crate::timeline)).

mod attempt;
mod core;
mod file;
mod run;

pub use attempt::{Admission, AttemptRecord, Offender, PhaseRecord, Scheduling, Term, attempt_id};
pub use core::{admission, id, reason};

pub use file::{check_place, replace_file, write_record};
pub use run::{Outcome, RunRecord, RunsOn, VERSION};
