//! What a world is made of, and the file that says so.

pub mod dist;
pub mod model;

pub use dist::Dist;
pub use model::Scenario;
