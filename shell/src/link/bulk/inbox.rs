//! States that have arrived, until their ports load them: a bounded queue for each vCPU port and device.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mio::Waker;
use switchover_core::port::Port;

use super::loop_lock::LoopLock;
use crate::wake::Wake;

/// Bytes of state that wait for one port at most. Beyond it nothing more is read from the connection until the port
/// loads some, or the attempt is over.
pub const STATE_BYTES_MAX: usize = 64 << 20;
/// What a slice counts beyond its bytes: a peer that sends empty ones must not fill this host's memory with them.
const SLICE_COST: usize = 64;

#[derive(Default)]
struct Queue {
    slices: VecDeque<(Vec<u8>, bool)>,
    bytes: usize,
}

struct Queues {
    /// The expectation that the slices belong to.
    serial: u64,
    of: Vec<Queue>,
}

struct Inner {
    queues: LoopLock<Queues>,
    vcpu_ports: usize,
    devices: usize,
    /// The expectation that counts; slices of any other are dropped.
    serial: AtomicU64,
    /// The thread waits for room.
    full: AtomicBool,
    waker: Arc<Waker>,
}

/// Where ports take their states from; clones share it.
#[derive(Clone)]
pub struct StateInbox(Arc<Inner>);

impl StateInbox {
    pub(super) fn new(vcpu_ports: usize, devices: usize, waker: Arc<Waker>, wake: Wake) -> Self {
        let mut of = Vec::new();
        of.resize_with(vcpu_ports + devices, Queue::default);
        Self(Arc::new(Inner {
            queues: LoopLock::new(Queues { serial: 0, of }, wake),
            vcpu_ports,
            devices,
            serial: AtomicU64::new(0),
            full: AtomicBool::new(false),
            waker,
        }))
    }

    /// The next slice of that port's state in the present attempt, and whether it is its last. `None`: none is here
    /// yet; the loop is woken when one comes. Never waits.
    pub fn take(&self, port: Port) -> Option<(Vec<u8>, bool)> {
        let inner = &*self.0;
        let index = self.index(port)?;
        let taken = inner.queues.try_with(|queues, _| {
            queues.adopt(inner.serial.load(Ordering::SeqCst));
            let queue = queues.of.get_mut(index)?;
            let slice = queue.slices.pop_front()?;
            queue.bytes -= slice.0.len() + SLICE_COST;
            Some(slice)
        })??;
        if inner.full.swap(false, Ordering::SeqCst) {
            // Fails only when the thread is gone.
            let _ = inner.waker.wake();
        }
        Some(taken)
    }

    /// From now on slices of this expectation count.
    pub(super) fn expect(&self, serial: u64) {
        self.0.serial.store(serial, Ordering::SeqCst);
        let _ = self.0.waker.wake();
    }

    /// Whether there is such a port.
    pub(super) fn has(&self, port: Port) -> bool {
        self.index(port).is_some()
    }

    /// Whether `bytes` more fit for that port. If not, the thread is woken when the port took something.
    pub(super) fn has_room(&self, port: Port, bytes: usize) -> bool {
        let inner = &*self.0;
        inner.queues.with(|queues| {
            queues.adopt(inner.serial.load(Ordering::SeqCst));
            let Some(queue) = self.index(port).and_then(|index| queues.of.get(index)) else { return false };
            let room = queue.slices.is_empty() || queue.bytes + bytes + SLICE_COST <= STATE_BYTES_MAX;
            if !room {
                // Under the lock: the port's next take comes after it and sees this.
                inner.full.store(true, Ordering::SeqCst);
            }
            room
        })
    }

    /// Leaves a slice for its port, unless its attempt is over.
    pub(super) fn push(&self, serial: u64, port: Port, bytes: Vec<u8>, last: bool) {
        let inner = &*self.0;
        inner.queues.with(|queues| {
            queues.adopt(inner.serial.load(Ordering::SeqCst));
            if queues.serial != serial {
                return;
            }
            if let Some(queue) = self.index(port).and_then(|index| queues.of.get_mut(index)) {
                queue.bytes += bytes.len() + SLICE_COST;
                queue.slices.push_back((bytes, last));
            }
        });
    }

    fn index(&self, port: Port) -> Option<usize> {
        let (vcpu_ports, devices) = (self.0.vcpu_ports, self.0.devices);
        match port {
            Port::Vcpus(index) => Some(usize::from(index)).filter(|index| *index < vcpu_ports),
            Port::Device(index) => {
                Some(usize::from(index)).filter(|index| *index < devices).map(|i| vcpu_ports + i)
            }
            Port::Memory | Port::Link | Port::Journal | Port::Arbiter | Port::Peer => None,
        }
    }
}

impl Queues {
    /// Drops what belongs to another expectation.
    fn adopt(&mut self, serial: u64) {
        if self.serial != serial {
            self.serial = serial;
            self.of.iter_mut().for_each(|queue| *queue = Queue::default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Poll, Token};

    #[test]
    fn empty_slices_fill_it_too() {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let inbox = StateInbox::new(1, 0, Arc::new(waker), Wake::none());
        let mut pushed = 0;
        while inbox.has_room(Port::Vcpus(0), 0) {
            inbox.push(0, Port::Vcpus(0), Vec::new(), false);
            pushed += 1;
            assert!(pushed <= STATE_BYTES_MAX / SLICE_COST, "without end");
        }
        assert_eq!(inbox.take(Port::Vcpus(0)), Some((Vec::new(), false)));
        assert!(inbox.has_room(Port::Vcpus(0), 0));
    }
}
