//! The connections between the two hosts: control, and bulk beside it.
//!
//! They are two so that a message never queues behind memory (\[SW-76\]).
//!
//! ```text
//!  source                                   destination
//!  Connector  -- preamble: control -------> Lobby        helper threads, at most 2 s
//!             -- preamble: bulk, token ---> Lobby
//!      | Session                                | Session
//!  ControlLink <=== framed messages ======> ControlLink  the loops' threads
//!  bulk sender ==== chunks ===============> bulk receiver
//! ```

pub mod bulk;
pub mod connector;
pub mod control;
mod framed;
mod greeting;
pub mod lobby;
mod patient;
pub mod preamble;
pub mod resolve;
pub mod session;
mod trouble;

pub use trouble::Trouble;
