//! All vCPUs of a KVM guest as one port of a destination.

use std::sync::Arc;

use switchover_core::hal::destination::Vcpus;
use switchover_core::hal::{Failed, ResumeFailed, Slice};
use switchover_core::port::Port;

use super::pending::Pending;
use super::vcpu::{Loaded, Resumed};
use super::vmm::Vmm;
use crate::link::bulk::StateInbox;

/// The port; the loop is woken by the VMM's `notify` hook and by the inbox.
pub struct KvmDestinationVcpus {
    vmm: Arc<Vmm>,
    inbox: StateInbox,
    /// How many vCPUs have their state.
    loaded: usize,
    loading: Option<(Pending<Loaded>, bool)>,
    resuming: Option<Resuming>,
}

struct Resuming {
    asked: Vec<Pending<Resumed>>,
    /// One at least said that it runs.
    any: bool,
    /// One at least said that it will not.
    failed: bool,
}

impl KvmDestinationVcpus {
    /// The vCPUs of `vmm`, whose states come through `inbox`, one slice each, in order.
    pub fn new(vmm: Arc<Vmm>, inbox: StateInbox) -> Self {
        Self { vmm, inbox, loaded: 0, loading: None, resuming: None }
    }
}

impl Vcpus for KvmDestinationVcpus {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        if self.loading.is_none() {
            let Some((state, last)) = self.inbox.take(Port::Vcpus(0)) else {
                return Err(nb::Error::WouldBlock);
            };
            // Exactly one slice a vCPU: fewer or more is another guest's state.
            let vcpus = self.vmm.vcpus();
            let Some(vcpu) = vcpus.get(self.loaded).filter(|_| last == (self.loaded + 1 == vcpus.len()))
            else {
                return Err(nb::Error::Other(Failed));
            };
            self.loading = Some((vcpu.load(state), last));
        }
        let Some((answer, last)) = &self.loading else { return Err(nb::Error::WouldBlock) };
        let last = *last;
        match answer.poll() {
            None => Err(nb::Error::WouldBlock),
            Some(Ok(_)) => {
                self.loading = None;
                self.loaded += 1;
                Ok(if last { Slice::Last } else { Slice::More })
            }
            Some(Err(_)) => Err(nb::Error::Other(Failed)),
        }
    }

    fn resume(&mut self) -> nb::Result<(), ResumeFailed> {
        let resuming = self.resuming.get_or_insert_with(|| Resuming {
            asked: self.vmm.vcpus().iter().map(super::Vcpu::resume).collect(),
            any: false,
            failed: false,
        });
        while let Some(next) = resuming.asked.last() {
            match next.poll() {
                None => return Err(nb::Error::WouldBlock),
                Some(answer) => {
                    resuming.any |= answer.is_ok();
                    resuming.failed |= answer.is_err();
                    resuming.asked.pop();
                }
            }
        }
        match (resuming.failed, resuming.any || self.vmm.entered()) {
            (false, _) => Ok(()),
            (true, false) => Err(nb::Error::Other(ResumeFailed::Clean)),
            // A vCPU that said so enters the guest at any moment, whether it is seen there yet or not.
            (true, true) => Err(nb::Error::Other(ResumeFailed::Running)),
        }
    }

    fn unload(&mut self) -> nb::Result<(), Failed> {
        // A loaded vCPU runs only when it is asked to; the next load takes its state's place.
        (self.loaded, self.loading, self.resuming) = (0, None, None);
        Ok(())
    }
}
