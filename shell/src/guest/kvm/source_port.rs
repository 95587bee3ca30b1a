//! All vCPUs of a KVM guest as one port of a source.
//!
//! The vCPU threads stop at a kick and take their state at once, so [`Vcpus::save`] only hands slices over, one a vCPU.

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
    Stopped { to: StateSender, left: std::vec::IntoIter<Arc<[u8]>>, offered: Option<Arc<[u8]>> },
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
        let left = std::mem::take(stopped).into_iter();
        self.doing = Doing::Stopped { to: (self.states)(), left, offered: None };
        Ok(())
    }

    fn save(&mut self) -> nb::Result<Slice, Failed> {
        let Doing::Stopped { to, left, offered } = &mut self.doing else {
            return Err(nb::Error::Other(Failed));
        };
        let Some(state) = offered.take().or_else(|| left.next()) else {
            return Err(nb::Error::Other(Failed));
        };
        let last = left.len() == 0;
        match to.send(Port::Vcpus(0), state.to_vec(), last) {
            Ok(()) => Ok(if last { Slice::Last } else { Slice::More }),
            Err(SendState::Full) => {
                *offered = Some(state);
                Err(nb::Error::WouldBlock)
            }
            Err(SendState::Over | SendState::Unfit) => Err(nb::Error::Other(Failed)),
        }
    }

    fn rollback(&mut self) -> nb::Result<(), Failed> {
        // Requests are taken in order: a stop that is still under way is undone right after it.
        if !matches!(self.doing, Doing::Resuming(_)) {
            self.doing = Doing::Resuming(self.vmm.vcpus().iter().map(super::Vcpu::resume).collect());
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
