//! Switch a running guest over within a hard limit: it runs on the destination by then,
//! or it is back on the source by then.
//!
//! Two machines, [`source::Source`] and [`destination::Destination`], are pure functions
//! of (state, now, event). A [`Step`](action::Step) is all they return: a bounded list of
//! actions, and the instant at which to call again.
//!
//! ```text
//!            now, event
//!  host ---------------------> machine
//!   ^  <--------------------- Step { actions, deadline }
//!   |
//!   +-- ports: clock, vCPUs, devices, memory, link, journal, arbiter   (hal)
//! ```
//!
//! The caller's rules:
//! - Read the clock *after* taking an input, and take all inputs there are before judging
//!   a deadline; [`hal`]'s drivers do both.
//! - Do a step's actions in order. An action that takes time is answered by an event.
//! - Hand every event in, also one that seems late: what is stale is ignored here.
//!
//! What is absent: no clock is read, nothing is allocated, nothing blocks, no loop is
//! unbounded, no float is used, and no entry point panics.
//!
//! Features: `defmt` logs on firmware. `mutants` is for the simulator's tests alone: it lets a configuration ask for a
//! machine that is wrong in one stated way, and does not build without debug assertions.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(all(feature = "mutants", not(debug_assertions)))]
compile_error!(
    "`mutants` makes machines that break their promises on purpose: only test builds, with debug assertions, may have it"
);

pub mod action;
pub mod admission;
pub mod config;
pub mod contract;
pub mod destination;
pub mod digest;
pub mod event;
mod fmt;
pub mod hal;
pub mod id;
pub mod journal;
pub mod learn;
pub mod limits;
#[cfg(feature = "mutants")]
pub mod mutant;
#[cfg(not(feature = "mutants"))]
mod mutant;
pub mod outcome;
pub mod port;
pub mod record;
pub mod schedule;
pub mod source;
pub mod time;
pub mod units;
pub mod wire;
