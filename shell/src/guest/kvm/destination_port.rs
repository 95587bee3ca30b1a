//! All vCPUs of a KVM guest as one port of a destination.

use std::sync::{Arc, OnceLock};

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
    loading: Option<Loading>,
    /// How many of them have.
    loaded: usize,
    resuming: Option<Resuming>,
}

/// What the vCPUs were asked to load, in their order, once the states came; they do it at the same time. Inside, `None`:
/// what came is not what these vCPUs can load.
type Loading = Arc<OnceLock<Option<Vec<Pending<Loaded>>>>>;

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
        Self { vmm, inbox, loading: None, loaded: 0, resuming: None }
    }
}

impl Vcpus for KvmDestinationVcpus {
    fn load(&mut self) -> nb::Result<Slice, Failed> {
        let loading = self.loading.get_or_insert_with(|| {
            let loading = Loading::default();
            // The states may begin to be loaded where they come in, before the loop hears of it.
            let (vmm, there) = (Arc::clone(&self.vmm), Arc::clone(&loading));
            let begun = move |states: Vec<u8>, last| begin(&vmm, &there, &states, last);
            if let Some((states, last)) = self.inbox.take_or_leave(Port::Vcpus(0), begun) {
                begin(&self.vmm, &loading, &states, last);
            }
            loading
        });
        let Some(begun) = loading.get() else { return Err(nb::Error::WouldBlock) };
        let Some(asked) = begun else { return Err(nb::Error::Other(Failed)) };
        while let Some(next) = asked.get(self.loaded) {
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
            asked: self.vmm.resume(),
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
        (self.loading, self.loaded, self.resuming) = (None, 0, None);
        Ok(())
    }
}

/// Asks the vCPUs to load what came; true if the loop has something to look at already.
fn begin(vmm: &Vmm, loading: &Loading, states: &[u8], last: bool) -> bool {
    let states = unpack(states, vmm.vcpus().len()).filter(|_| last);
    let asked = states.map(|states| vmm.load(states.into_iter().map(<[u8]>::to_vec)));
    let asked = loading.get_or_init(|| asked);
    // A vCPU that answered before its answer could be found here has told the loop too early.
    asked.as_ref().is_none_or(|asked| asked.iter().all(Pending::is_there))
}
