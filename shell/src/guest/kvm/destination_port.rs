//! All vCPUs of a KVM guest as one port of a destination.

use std::sync::Arc;

use switchover_core::hal::destination::Vcpus;
use switchover_core::hal::{Failed, ResumeFailed, Slice};
use switchover_core::port::Port;

use super::pending::Pending;
use super::source_port::unpack;
use super::vcpu::{Loaded, Resumed};
use super::vmm::Vmm;
use crate::link::bulk::StateInbox;

/// The port; the loop is woken by the VMM's `notify` hook and by the inbox.
pub struct KvmDestinationVcpus {
    vmm: Arc<Vmm>,
    inbox: StateInbox,
    /// What the vCPUs were asked to load, in their order; they do it at the same time.
    loading: Vec<Pending<Loaded>>,
    /// How many of them have.
    loaded: usize,
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
    /// The vCPUs of `vmm`, whose states come through `inbox`, all in one slice.
    pub fn new(vmm: Arc<Vmm>, inbox: StateInbox) -> Self {
        Self { vmm, inbox, loading: Vec::new(), loaded: 0, resuming: None }
    }
}

impl Vcpus for KvmDestinationVcpus {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        if self.loading.is_empty() {
            let Some((states, last)) = self.inbox.take(Port::Vcpus(0)) else {
                return Err(nb::Error::WouldBlock);
            };
            let vcpus = self.vmm.vcpus();
            let Some(states) = unpack(&states, vcpus.len()).filter(|_| last) else {
                return Err(nb::Error::Other(Failed));
            };
            self.loading = vcpus.iter().zip(states).map(|(vcpu, state)| vcpu.load(state.to_vec())).collect();
        }
        while let Some(next) = self.loading.get(self.loaded) {
            match next.poll() {
                None => return Err(nb::Error::WouldBlock),
                Some(Ok(_)) => self.loaded += 1,
                Some(Err(_)) => return Err(nb::Error::Other(Failed)),
            }
        }
        Ok(Slice::Last)
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
        self.loading.clear();
        (self.loaded, self.resuming) = (0, None);
        Ok(())
    }
}
