//! What a world is made of, and the file that says so.
//!
//! `docs/SCENARIOS.md` describes the file field by field. Files: `model` (the result), `dist`, `config` (the machines'
//! settings of it), `read` (from TOML, through `tree` and `section`), `contracts`, `check` (what the parts owe each
//! other), `write` (back to TOML), `words` and `values` (how things are spelled), `shipped` (those that come along).

mod check;
mod config;
mod contracts;
pub mod dist;
mod error;
pub mod model;
mod read;
mod section;
pub mod shipped;
mod tree;
pub mod values;
pub mod words;
mod write;

pub use dist::Dist;
pub use error::ScenarioError;
pub use model::Scenario;
pub use read::VERSION;
