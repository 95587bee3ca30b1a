//! Guests: the memory that is moved, and what runs in it.

pub mod memory;
