//! The connections between the two hosts: control, and bulk beside it.
//!
//! They are two so that a message never queues behind memory (\[SW-76\]).

pub mod bulk;
