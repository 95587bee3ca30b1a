//! `--verify`: a hash of all memory and of the vCPUs' states, apart from the stream's digest.
//!
//! Both sides compute it with the guest stopped. It sees what the digest cannot: a page that was never sent although
//! it changed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use switchover_core::digest::{Digest, Piece};
use switchover_core::limits::VCPU_PORTS_MAX;
use switchover_core::port::Port;

use super::digest::update;
use super::zero::is_zero;
use crate::dirty::{Bitmap, PageRun};
use crate::guest::memory::GuestMemory;

/// Pages that are hashed as one piece.
const BLOCK: u64 = 256;

/// The states of the vCPU ports of one attempt, hashed as they pass. Other ports' states do not count.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateHash([Digest; VCPU_PORTS_MAX]);

impl StateHash {
    pub(crate) fn update(&mut self, port: Port, bytes: &[u8]) {
        if let Port::Vcpus(index) = port
            && let Some(digest) = self.0.get_mut(usize::from(index))
        {
            digest.update(Piece::Vcpus(index), bytes);
        }
    }
}

/// Hashes everything, with as many helpers as there are processors (at most 4). Asks `go_on` now and then; `None` if
/// it said no.
pub(crate) fn hash_all(
    memory: &GuestMemory,
    states: &StateHash,
    go_on: impl Fn() -> bool + Sync,
) -> Option<(u64, u64)> {
    let mut untouched = Bitmap::new(memory.pages());
    memory.mark_untouched(&mut untouched);
    let blocks = memory.pages().div_ceil(BLOCK);
    let mut of: Vec<AtomicU64> = Vec::new();
    of.resize_with(2 * blocks as usize, AtomicU64::default);
    let (next, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                return;
            }
            if !go_on() {
                stopped.store(true, Ordering::Relaxed);
                return;
            }
            let value = hash_block(memory, block, &untouched);
            let at = 2 * block as usize;
            of[at].store((value >> 64) as u64, Ordering::Relaxed);
            of[at + 1].store(value as u64, Ordering::Relaxed);
        }
    };
    let helpers = thread::available_parallelism().map_or(1, |n| n.get().min(4));
    thread::scope(|scope| {
        for _ in 1..helpers {
            scope.spawn(work);
        }
        work();
    });
    if stopped.into_inner() {
        return None;
    }
    let bytes: Vec<u8> = of.into_iter().flat_map(|word| word.into_inner().to_le_bytes()).collect();
    let mut all = Digest::EMPTY;
    all.update(Piece::Pages(memory.pages()), &bytes);
    for (port, state) in (0..).zip(&states.0) {
        all.update(Piece::Vcpus(port), &state.value().to_le_bytes());
    }
    Some(((all.value() >> 64) as u64, all.value() as u64))
}

/// The hash of one block; 0 for one of zeros, which need not be resident, and is not made so.
fn hash_block(memory: &GuestMemory, block: u64, untouched: &Bitmap) -> u128 {
    let first = block * BLOCK;
    let run = PageRun { first, pages: BLOCK.min(memory.pages() - first) };
    if (run.first..run.end()).all(|page| untouched.get(page)) {
        return 0;
    }
    let hash = |bytes: &[u8]| {
        if is_zero(bytes) {
            return 0;
        }
        let mut digest = Digest::EMPTY;
        update(&mut digest, Piece::Pages(first), bytes);
        digest.value()
    };
    // Inside by construction, hence always lent.
    memory.lend(run, hash).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::memory::PAGE;

    #[test]
    fn sees_every_page_and_no_residency() {
        let (a, b) = (GuestMemory::new(3 << 20).unwrap(), GuestMemory::new(3 << 20).unwrap());
        let none = StateHash::default();
        let hash = |memory: &GuestMemory, states: &StateHash| hash_all(memory, states, || true).unwrap();
        a.write_pages(700, &[9; PAGE]).unwrap();
        assert_ne!(hash(&a, &none), hash(&b, &none));
        b.write_pages(700, &[9; PAGE]).unwrap();
        b.populate(1).unwrap();
        assert_eq!(hash(&a, &none), hash(&b, &none));
        b.write_pages(701, &[9; PAGE]).unwrap();
        assert_ne!(hash(&a, &none), hash(&b, &none));
        let mut states = none;
        states.update(Port::Device(0), b"not counted");
        assert_eq!(states, none);
        states.update(Port::Vcpus(1), b"state");
        assert_ne!(hash(&a, &none), hash(&a, &states));
        assert_eq!(hash_all(&a, &none, || false), None);
    }
}
