//! The answer to come of something asked of a vCPU: polled by an event loop, or waited for by a test.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, TryLockError};

use super::error::VcpuError;

/// An answer to come.
#[derive(Debug)]
pub struct Pending<T>(Arc<Cell<T>>);

/// The other end, which must answer; dropping it answers [`VcpuError::Gone`].
#[derive(Debug)]
pub(super) struct Answer<T> {
    cell: Arc<Cell<T>>,
    vcpu: u8,
    given: bool,
    together: Together,
}

/// Several vCPUs that were asked for the same at once: a loop need not be woken before the last has answered, which on a host with
/// few processors would keep that one from its own.
#[derive(Debug, Clone)]
pub(super) struct Together(Arc<AtomicUsize>);

impl Together {
    pub(super) fn of(vcpus: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(vcpus)))
    }
}

#[derive(Debug)]
struct Cell<T> {
    value: Mutex<Option<Result<T, VcpuError>>>,
    came: Condvar,
}

pub(super) fn pending<T>(vcpu: u8, together: &Together) -> (Pending<T>, Answer<T>) {
    let cell = Arc::new(Cell { value: Mutex::new(None), came: Condvar::new() });
    (Pending(Arc::clone(&cell)), Answer { cell, vcpu, given: false, together: together.clone() })
}

impl<T> Pending<T> {
    /// Takes the answer if it is there; each is given once. Does not wait: while it is being put there it is not there
    /// yet, and whoever puts it tells the VMM's `notify` hook afterwards.
    pub fn poll(&self) -> Option<Result<T, VcpuError>> {
        match self.0.value.try_lock() {
            Ok(mut value) => value.take(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().take(),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether the answer is there and not taken yet. Does not wait; see [`Pending::poll`].
    pub fn is_there(&self) -> bool {
        match self.0.value.try_lock() {
            Ok(value) => value.is_some(),
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner().is_some(),
            Err(TryLockError::WouldBlock) => false,
        }
    }

    /// Blocks until the answer is there. Not for an event loop.
    ///
    /// # Errors
    /// The answer may be one.
    pub fn wait(self) -> Result<T, VcpuError> {
        let mut value = self.0.value.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(answer) = value.take() {
                return answer;
            }
            value = self.0.came.wait(value).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Answer<T> {
    /// Answers; whether there is reason to tell the loop: all have answered, or this one has failed.
    #[must_use]
    pub(super) fn give(mut self, answer: Result<T, VcpuError>) -> bool {
        let failed = answer.is_err();
        self.put(answer) || failed
    }

    /// Puts the answer where it is looked for; whether it was the last of those asked together.
    fn put(&mut self, answer: Result<T, VcpuError>) -> bool {
        self.given = true;
        *self.cell.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        self.cell.came.notify_all();
        // After the answer is there: whoever is told by the last one finds all.
        self.together.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        if !self.given {
            self.put(Err(VcpuError::Gone(self.vcpu)));
        }
    }
}
