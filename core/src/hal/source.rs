//! The source's ports.

use heapless::Vec;

use super::{Failed, NoDevice, Slice};
use crate::event::Pass;
use crate::id::AttemptId;
use crate::wire::message::Seal;

/// A group of vCPUs that stop and run together.
pub trait Vcpus {
    /// Leaves guest mode and stays out.
    ///
    /// # Errors
    /// [`Failed`]; a rollback follows.
    fn stop(&mut self) -> nb::Result<(), Failed>;
    /// Puts the next slice of state on the bulk stream.
    ///
    /// # Errors
    /// [`Failed`]; a rollback follows.
    fn save(&mut self) -> nb::Result<Slice, Failed>;
    /// Undoes everything: the guest runs as before. Also ends an operation that is under way.
    ///
    /// # Errors
    /// [`Failed`]; it is asked again.
    fn rollback(&mut self) -> nb::Result<(), Failed>;
}

/// A device.
pub trait Device {
    /// Stops initiating DMA to other devices (P2P quiescence).
    ///
    /// # Errors
    /// [`Failed`]; a rollback follows.
    fn quiesce(&mut self) -> nb::Result<(), Failed>;
    /// Stops altogether.
    ///
    /// # Errors
    /// [`Failed`]; a rollback follows.
    fn stop(&mut self) -> nb::Result<(), Failed>;
    /// Puts the next slice of state on the bulk stream.
    ///
    /// # Errors
    /// [`Failed`]; a rollback follows.
    fn save(&mut self) -> nb::Result<Slice, Failed>;
    /// Undoes everything: the device runs as before. Also ends an operation that is under way.
    ///
    /// # Errors
    /// [`Failed`]: the device is lost.
    fn rollback(&mut self) -> nb::Result<(), Failed>;
}

/// Guest memory, its dirty pages, and the bulk connection that carries them and all state.
///
/// Pages that were read from a dirty log and are not sent yet stay pending over attempts:
/// reading a dirty log clears it.
// [SW-26]
pub trait Memory {
    /// Sends one pre-copy round of what is dirty; `fresh`: of everything.
    ///
    /// # Errors
    /// [`Failed`]: memory or the bulk connection.
    fn round(&mut self, attempt: AttemptId, fresh: bool) -> nb::Result<Pass, Failed>;
    /// The guest is stopped: sends all that is dirty, not throttled.
    ///
    /// # Errors
    /// [`Failed`]: memory or the bulk connection.
    fn last_pages(&mut self) -> nb::Result<Pass, Failed>;
    /// Everything was handed over, states too: what it amounts to.
    ///
    /// # Errors
    /// [`Failed`]: the bulk connection.
    fn seal(&mut self) -> nb::Result<Seal, Failed>;
    /// The attempt is over and the guest stays: ends a pass that is under way; what was
    /// not sent is dirty again. Does not wait.
    fn keep(&mut self);
    /// The guest runs on the destination: destroys the copy.
    ///
    /// # Errors
    /// None: whatever is left is left to the host, and nothing runs it.
    fn release(&mut self) -> nb::Result<(), core::convert::Infallible>;
}

impl Device for NoDevice {
    fn quiesce(&mut self) -> nb::Result<(), Failed> {
        match *self {}
    }
    fn stop(&mut self) -> nb::Result<(), Failed> {
        match *self {}
    }
    fn save(&mut self) -> nb::Result<Slice, Failed> {
        match *self {}
    }
    fn rollback(&mut self) -> nb::Result<(), Failed> {
        match *self {}
    }
}

/// The ports of one source.
pub struct SourcePorts<C, L, P, E, M, J, A, const V: usize, const D: usize> {
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
