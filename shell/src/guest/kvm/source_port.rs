//! All vCPUs of a KVM guest as one port of a source.
//!
//! The vCPU threads stop at a kick and take their state at once, so [`Vcpus::save`] only hands them over: all in one slice,
//! each behind its length ([`pack`]), since each slice costs both sides some system calls of a blackout.

use std::sync::Arc;

use switchover_core::hal::source::Vcpus;
use switchover_core::hal::{Failed, Slice};
use switchover_core::port::Port;

use super::pending::Pending;
use super::vcpu::{Resumed, Stopped};
use super::vmm::Vmm;
use crate::link::bulk::{SendState, StateSender};

/// The port; the loop is woken by the VMM's `notify` hook.
pub struct KvmSourceVcpus {
    vmm: Arc<Vmm>,
    states: Box<dyn Fn() -> StateSender + Send>,
    doing: Doing,
}

enum Doing {
    Nothing,
    Stopping { asked: Vec<Pending<Stopped>>, stopped: Vec<Arc<[u8]>> },
    Stopped { to: StateSender, states: Vec<Arc<[u8]>> },
    Resuming(Vec<Pending<Resumed>>),
}

impl KvmSourceVcpus {
    /// The vCPUs of `vmm`; `states` gives what the present attempt's states are sent with.
    pub fn new(vmm: Arc<Vmm>, states: impl Fn() -> StateSender + Send + 'static) -> Self {
        Self { vmm, states: Box::new(states), doing: Doing::Nothing }
    }
}

impl Vcpus for KvmSourceVcpus {
    fn stop(&mut self) -> nb::Result<(), Failed> {
        if !matches!(self.doing, Doing::Stopping { .. }) {
            self.doing = Doing::Stopping { asked: self.vmm.stop(), stopped: Vec::new() };
        }
        let Doing::Stopping { asked, stopped } = &mut self.doing else { return Err(nb::Error::WouldBlock) };
        // In order: a slower one before does not lose what a faster one after it answered.
        while let Some(next) = asked.get(stopped.len()) {
            match next.poll() {
                None => return Err(nb::Error::WouldBlock),
                Some(Ok(answer)) => stopped.push(answer.state),
                Some(Err(_)) => return Err(nb::Error::Other(Failed)),
            }
        }
        let states = std::mem::take(stopped);
        self.doing = Doing::Stopped { to: (self.states)(), states };
        Ok(())
    }

    fn save(&mut self) -> nb::Result<Slice, Failed> {
        let Doing::Stopped { to, states } = &self.doing else {
            return Err(nb::Error::Other(Failed));
        };
        match to.send(Port::Vcpus(0), pack(states), true) {
            Ok(()) => Ok(Slice::Last),
            Err(SendState::Full) => Err(nb::Error::WouldBlock),
            Err(SendState::Over | SendState::Unfit) => Err(nb::Error::Other(Failed)),
        }
    }

    fn rollback(&mut self) -> nb::Result<(), Failed> {
        // Requests are taken in order: a stop that is still under way is undone right after it.
        if !matches!(self.doing, Doing::Resuming(_)) {
            self.doing = Doing::Resuming(self.vmm.resume());
        }
        let Doing::Resuming(asked) = &mut self.doing else { return Err(nb::Error::WouldBlock) };
        while let Some(next) = asked.last() {
            match next.poll() {
                None => return Err(nb::Error::WouldBlock),
                Some(Ok(_)) => asked.truncate(asked.len() - 1),
                Some(Err(_)) => {
                    self.doing = Doing::Nothing;
                    return Err(nb::Error::Other(Failed));
                }
            }
        }
        self.doing = Doing::Nothing;
        Ok(())
    }
}

/// The states of all vCPUs, in order: each its length in four bytes, little-endian, and itself.
fn pack(states: &[Arc<[u8]>]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(states.iter().map(|state| LENGTH + state.len()).sum());
    for state in states {
        // A state is a few KiB.
        packed.extend_from_slice(&(state.len() as u32).to_le_bytes());
        packed.extend_from_slice(state);
    }
    packed
}

/// Takes such a slice apart; `None` if it is none, or of another number of vCPUs.
pub(super) fn unpack(packed: &[u8], vcpus: usize) -> Option<Vec<&[u8]>> {
    let (mut states, mut rest) = (Vec::with_capacity(vcpus), packed);
    for _ in 0..vcpus {
        let (length, after) = rest.split_first_chunk::<LENGTH>()?;
        let (state, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        states.push(state);
        rest = after;
    }
    rest.is_empty().then_some(states)
}

const LENGTH: usize = size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_packed_and_taken_apart_and_anything_else_is_refused() {
        let states: [Arc<[u8]>; 2] = [Arc::from(*b"first"), Arc::from(*b"")];
        let packed = pack(&states);
        assert_eq!(unpack(&packed, 2), Some(vec![&b"first"[..], &b""[..]]));
        for wrong in [0, 1, 3] {
            assert_eq!(unpack(&packed, wrong), None, "{wrong} vCPUs");
        }
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut], 2), None, "cut at {cut}");
        }
        assert_eq!(unpack(&[0xff; 64], 2), None);
    }
}
