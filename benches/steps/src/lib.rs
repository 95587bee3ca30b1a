//! The instructions of one machine step, counted: in every state that a breadth-first walk reaches, for every event.
//!
//! ```text
//!  explore (native)  ->  cases: machine, ports, path of events  ->  replay (callgrind)  ->  instructions of each last step
//! ```
//!
//! The walk runs natively and keeps one case for each behaviour: the shape of the state before, the event, the kinds
//! of the actions, the state after. The replay runs under valgrind, which collects inside [`counted`] alone and dumps
//! at each of its calls. Nothing is timed, so the numbers repeat to the instruction.

pub mod count;
pub mod events;
pub mod explore;
pub mod machine;

pub use count::{Cost, NoValgrind, measure};
