//! Many runs of one scenario: what came of them, over threads and over machines.
//!
//! ```text
//! seeds --chunks--> threads --Sample--> Tally --+--> Campaign --> reports, gates
//!                   threads --Sample--> Tally --+        |
//!                                                        +--> shard file --merge--> Campaign
//! ```
//!
//! A campaign's memory does not depend on the number of its seeds, and its result neither on the number of threads nor on
//! how its seeds were shared out: [`Tally`] adds exactly.
//!
//! Not here: how a run goes (the world), what it must not do (the checker), and how any of it looks
//! ([`report`](crate::report)).

pub mod blackouts;
pub mod file;
pub mod gates;
pub mod kept;
pub mod merge;
pub mod play;
pub mod player;
pub mod sample;
pub mod seeds;
pub mod tally;

pub use blackouts::{Blackouts, Share};
pub use file::Campaign;
pub use gates::{Gate, Verdict};
pub use sample::{Attempt, Breach, Sample, Who};
pub use seeds::{Seeds, Shard};
pub use tally::Tally;
