//! The destination's ports.

use heapless::Vec;

use super::{Failed, NoDevice, ResumeFailed, Slice};
use crate::id::AttemptId;
use crate::wire::message::Seal;

/// A group of vCPUs that will run together.
pub trait Vcpus {
    /// Loads the next slice of state as it arrives; asked from `Stopping` on.
    ///
    /// # Errors
    /// [`Failed`]: the state is refused. An unload follows.
    fn load(&mut self) -> nb::Result<Slice, Failed>;
    /// Runs. Only after this returned `Ok` does the guest count as running.
    ///
    /// # Errors
    /// [`ResumeFailed`] says whether anything can have executed.
    fn resume(&mut self) -> nb::Result<(), ResumeFailed>;
    /// Drops what was loaded; also ends an operation that is under way.
    ///
    /// # Errors
    /// [`Failed`]; the port is not used again in this incarnation.
    fn unload(&mut self) -> nb::Result<(), Failed>;
}

/// A device.
pub trait Device {
    /// Loads the next slice of state as it arrives; asked from `Stopping` on.
    ///
    /// # Errors
    /// [`Failed`]: the state is refused. An unload follows.
    fn load(&mut self) -> nb::Result<Slice, Failed>;
    /// All state is here and verified: leaves RESUMING.
    ///
    /// # Errors
    /// [`Failed`]; an unload follows.
    fn settle(&mut self) -> nb::Result<(), Failed>;
    /// Runs; vCPUs follow when all devices do.
    ///
    /// # Errors
    /// [`ResumeFailed`]; an unload follows, since no vCPU has executed.
    fn resume(&mut self) -> nb::Result<(), ResumeFailed>;
    /// Drops what was loaded; also ends an operation that is under way.
    ///
    /// # Errors
    /// [`Failed`]; the port is not used again in this incarnation.
    fn unload(&mut self) -> nb::Result<(), Failed>;
}

/// Guest memory and the bulk connection that fills it.
pub trait Memory {
    /// Chunks of `attempt` may come. Unless `warm`, whatever earlier ones left is
    /// forgotten and the digest's chain begins anew.
    ///
    /// From here on they are read as they come, by a helper, an interrupt or the loop, whether
    /// or not anything is asked: [`Memory::drain`] is asked only once a round is on the wire,
    /// and a source whose connection is full never gets there.
    fn expect(&mut self, attempt: AttemptId, warm: bool);
    /// Done once `chunks` chunks have arrived since the bulk connection opened.
    ///
    /// # Errors
    /// [`Failed`]: the bulk connection, or a chunk that is none.
    fn drain(&mut self, chunks: u64) -> nb::Result<(), Failed>;
    /// Done once everything up to `seal` has arrived, with what it amounts to here.
    /// With `seal.verify`, all memory and vCPU state is hashed.
    ///
    /// # Errors
    /// [`Failed`]: the bulk connection, or a chunk that is none.
    fn verify(&mut self, seal: &Seal) -> nb::Result<Seal, Failed>;
    /// The attempt is over: states that still arrive of it are dropped, pages are kept.
    fn discard(&mut self);
}

impl Device for NoDevice {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        match *self {}
    }
    fn settle(&mut self) -> nb::Result<(), Failed> {
        match *self {}
    }
    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        match *self {}
    }
    fn unload(&mut self) -> nb::Result<(), Failed> {
        match *self {}
    }
}

/// The ports of one destination.
pub struct DestinationPorts<C, L, P, E, M, J, A, const V: usize, const D: usize> {
    /// The clock.
    pub clock: C,
    /// Control.
    pub link: L,
    /// vCPUs, in the order of the contracts.
    pub vcpus: Vec<P, V>,
    /// Devices, in the order of the contracts.
    pub devices: Vec<E, D>,
    /// Memory and bulk.
    pub memory: M,
    /// The journal.
    pub journal: J,
    /// The arbiter.
    pub arbiter: A,
}
