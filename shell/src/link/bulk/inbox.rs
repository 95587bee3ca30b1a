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

/// Takes a slice, and whether it is the last one, on the bulk thread; true if the loop has something to look at.
type Taker = Box<dyn FnOnce(Vec<u8>, bool) -> bool + Send>;

#[derive(Default)]
struct Queue {
    slices: VecDeque<(Vec<u8>, bool)>,
    bytes: usize,
    /// Waits for the next slice.
    taker: Option<Taker>,
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

    /// As [`StateInbox::take`]; if no slice is here, the next one goes straight to `taker` when it comes, on the bulk thread and
    /// without the loop: whoever can begin to load there saves a blackout the way over it. `taker` must not wait long, and says
    /// whether the loop is to be woken. It is dropped unused when the attempt is over.
    pub fn take_or_leave(
        &self,
        port: Port,
        taker: impl FnOnce(Vec<u8>, bool) -> bool + Send + 'static,
    ) -> Option<(Vec<u8>, bool)> {
        // Looked for twice: with room made for others, and under one lock with leaving the taker.
        let taken = self.take(port);
        if taken.is_some() {
            return taken;
        }
        let inner = &*self.0;
        let index = self.index(port)?;
        inner.queues.try_with(|queues, _| {
            queues.adopt(inner.serial.load(Ordering::SeqCst));
            let queue = queues.of.get_mut(index)?;
            match queue.slices.pop_front() {
                Some(slice) => {
                    queue.bytes -= slice.0.len() + SLICE_COST;
                    Some(slice)
                }
                None => {
                    queue.taker = Some(Box::new(taker));
                    None
                }
            }
        })?
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

    /// Leaves a slice for its port, unless its attempt is over. True if there is something in the inbox for the loop to look at.
    pub(super) fn push(&self, serial: u64, port: Port, bytes: Vec<u8>, last: bool) -> bool {
        let inner = &*self.0;
        let straight = inner.queues.with(|queues| {
            queues.adopt(inner.serial.load(Ordering::SeqCst));
            let queue = self.index(port).and_then(|index| queues.of.get_mut(index));
            let queue = queue.filter(|_| queues.serial == serial)?;
            if let Some(taker) = queue.taker.take() {
                return Some((taker, bytes));
            }
            queue.bytes += bytes.len() + SLICE_COST;
            queue.slices.push_back((bytes, last));
            None
        });
        match straight {
            Some((taker, bytes)) => taker(bytes, last),
            None => true,
        }
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

    #[test]
    fn a_taker_gets_the_next_slice_of_its_attempt_and_none_of_another() {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        let inbox = StateInbox::new(1, 1, Arc::new(waker), Wake::none());
        let port = Port::Vcpus(0);
        let (tell, told) = std::sync::mpsc::channel();
        let leave = |name: &'static str| {
            let tell = tell.clone();
            inbox.take_or_leave(port, move |bytes, last| tell.send((name, bytes, last)).is_err())
        };
        inbox.expect(1);
        assert_eq!(leave("first"), None);
        assert!(inbox.push(1, Port::Device(0), vec![1], true), "another port's");
        assert!(!inbox.push(1, port, vec![2], false));
        assert_eq!(told.try_recv(), Ok(("first", vec![2], false)));
        assert!(inbox.push(1, port, vec![3], true), "it takes one");
        assert_eq!(leave("late"), Some((vec![3], true)));
        assert_eq!(leave("old"), None);
        inbox.expect(2);
        assert!(inbox.push(2, port, vec![4], true), "the taker's attempt is over");
        assert_eq!(leave("new"), Some((vec![4], true)));
        assert!(told.try_recv().is_err());
    }
}
