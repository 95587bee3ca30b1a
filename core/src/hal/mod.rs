//! What a host implements, in the manner of embedded-hal, and the drivers that poll a
//! machine against it.
//!
//! Methods that take time return [`nb::Result`]: the first call starts the operation,
//! `WouldBlock` means "not yet, call again", and the call that returns anything else ends
//! it. No method may block. A host with threads posts the work to a helper and wakes its
//! loop when it is done; a host without an OS does a slice a call.
//!
//! | trait | source | destination |
//! |---|---|---|
//! | [`Clock`] | yes | yes |
//! | [`Link`] | yes | yes |
//! | [`Journal`] | yes | yes |
//! | [`Arbiter`] or [`NoArbiter`] | yes | yes |
//! | vCPUs | [`source::Vcpus`] | [`destination::Vcpus`] |
//! | devices or [`NoDevice`] | [`source::Device`] | [`destination::Device`] |
//! | memory | [`source::Memory`] | [`destination::Memory`] |

pub mod destination;
mod destination_driver;
mod pending;
mod queues;
pub mod source;
mod source_driver;

pub use destination_driver::DestinationDriver;
pub use source_driver::SourceDriver;

use crate::event::{Outcome, Owner};
use crate::id::AttemptId;
use crate::journal::Record;
use crate::time::At;
use crate::wire::message::Envelope;

/// A monotonic nanosecond clock: any [`embedded_time::Clock`] of 64 bits that ticks in
/// nanoseconds. It must go on while the host is suspended, or the host must not be.
pub trait Clock: embedded_time::Clock<T = u64> {
    /// The present instant.
    ///
    /// # Errors
    /// What the underlying clock says.
    fn now(&self) -> Result<At, embedded_time::clock::Error> {
        let ticks = self.try_now()?.duration_since_epoch().integer();
        let scaling = Self::SCALING_FACTOR;
        // Ticks are nanoseconds where the scaling factor is 1 / 10^9; other clocks are scaled. Whole seconds
        // and the rest apart: the product of all ticks and 10^9 leaves 64 bits after 18 seconds.
        let (per_tick, parts) = (
            u64::from(*scaling.numerator()).saturating_mul(1_000_000_000),
            u64::from(*scaling.denominator()),
        );
        let whole = ticks.checked_div(parts).map(|whole| whole.saturating_mul(per_tick));
        let rest = ticks.checked_rem(parts).and_then(|rest| rest.saturating_mul(per_tick).checked_div(parts));
        let ns = whole.zip(rest).map(|(whole, rest)| whole.saturating_add(rest));
        Ok(At::from_ns(ns.unwrap_or(u64::MAX)))
    }
}

impl<C: embedded_time::Clock<T = u64>> Clock for C {}

/// A slice of state was moved.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Slice {
    /// And there is more.
    More,
    /// It was the last.
    Last,
}

/// The operation failed. Whatever it left behind is undone by the rollback or unload
/// that follows.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Failed;

/// Why a resume failed: what can be done next depends on it.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum ResumeFailed {
    /// No vCPU of this port has executed a single instruction.
    Clean,
    /// Some may have.
    Running,
}

/// The connection is gone.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct LinkDown;

/// Something moved on a link.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum LinkInput<In> {
    /// Both connections came up.
    Up,
    /// One of them broke, or could not be made.
    Down,
    /// A message.
    Message(Envelope, In),
}

/// The control connection, and the word on both.
pub trait Link {
    /// What this side sends.
    type Out;
    /// What this side receives.
    type In;

    /// Starts to bring both connections up, if they are not; `Up` or `Down` follows from
    /// [`Link::receive`]. A link that waits to be called does nothing here.
    fn connect(&mut self);

    /// Hands a message over; `WouldBlock`: not taken, offer it again.
    ///
    /// # Errors
    /// [`LinkDown`] if there is no connection; the message is dropped.
    fn send(&mut self, envelope: &Envelope, message: &Self::Out) -> nb::Result<(), LinkDown>;

    /// Takes the next input; `WouldBlock`: there is none.
    ///
    /// # Errors
    /// None: a broken connection is the input `Down`, once.
    fn receive(&mut self) -> nb::Result<LinkInput<Self::In>, core::convert::Infallible>;
}

/// The durable record of decisions. Records become durable in the order of the calls.
pub trait Journal {
    /// Makes `record` durable; the same record is offered until it does not block.
    ///
    /// # Errors
    /// [`Failed`] if it could not be made durable; it may or may not be.
    fn write(&mut self, record: &Record) -> nb::Result<(), Failed>;
}

/// An atomic, idempotent store of one owner per attempt.
pub trait Arbiter {
    /// Claims the attempt's run for this side; the owner is the answer.
    ///
    /// # Errors
    /// [`Failed`] if it cannot be reached within its contract. The claim may have been made.
    fn claim(&mut self, attempt: AttemptId) -> nb::Result<Owner, Failed>;

    /// Destination: gives the run to the source, for good.
    ///
    /// # Errors
    /// [`Failed`] if it cannot be reached; the caller tries again.
    fn yield_to_source(&mut self, attempt: AttemptId) -> nb::Result<(), Failed>;
}

/// A host without an arbiter. Its machines are configured without one and never ask.
#[derive(Copy, Clone, Debug, Default)]
pub struct NoArbiter;

impl Arbiter for NoArbiter {
    fn claim(&mut self, _: AttemptId) -> nb::Result<Owner, Failed> {
        Err(nb::Error::Other(Failed))
    }

    fn yield_to_source(&mut self, _: AttemptId) -> nb::Result<(), Failed> {
        Err(nb::Error::Other(Failed))
    }
}

/// The device of a host without devices: there is no value of it.
#[derive(Copy, Clone, Debug)]
pub enum NoDevice {}

/// Sees every step of a driver: where records, logs and event journals are made.
pub trait Observer<E, A> {
    /// `event` was taken at `now`; `actions` are about to be done.
    fn step(&mut self, now: At, event: &E, actions: &[A]);
}

impl<E, A> Observer<E, A> for () {
    fn step(&mut self, _: At, _: &E, _: &[A]) {}
}

/// What an operation without slices came to, if it has ended.
fn ended(result: nb::Result<(), Failed>) -> Option<Outcome> {
    match result {
        Err(nb::Error::WouldBlock) => None,
        Ok(()) => Some(Outcome::Done),
        Err(nb::Error::Other(Failed)) => Some(Outcome::Failed),
    }
}

/// What an operation in slices came to, if this slice has ended.
fn sliced(result: nb::Result<Slice, Failed>) -> Option<Outcome> {
    match result {
        Err(nb::Error::WouldBlock) => None,
        Ok(Slice::More) => Some(Outcome::More),
        Ok(Slice::Last) => Some(Outcome::Done),
        Err(nb::Error::Other(Failed)) => Some(Outcome::Failed),
    }
}
