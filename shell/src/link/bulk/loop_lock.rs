//! A lock that the loop's thread never waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::wake::Wake;

/// A value that helper threads lock, and that the loop only tries to lock. When the loop finds it locked, it is woken
/// after the release, so that trying once a poll is enough.
pub(super) struct LoopLock<T> {
    value: Mutex<T>,
    wanted: AtomicBool,
    wake: Wake,
}

impl<T> LoopLock<T> {
    pub(super) fn new(value: T, wake: Wake) -> Self {
        Self { value: Mutex::new(value), wanted: AtomicBool::new(false), wake }
    }

    /// The loop's side; `None`: locked at the moment, and the loop will be woken. `f` gets the value and may say, by
    /// its second argument, that it wants to be woken after the next change all the same.
    pub(super) fn try_with<R>(&self, f: impl FnOnce(&mut T, &Wanted<'_>) -> R) -> Option<R> {
        let mut value = match self.try_lock() {
            Some(value) => value,
            None => {
                // Set before the second try: if that fails too, the holder has yet to release and will see it.
                self.wanted.store(true, Ordering::SeqCst);
                self.try_lock()?
            }
        };
        Some(f(&mut value, &Wanted(&self.wanted)))
    }

    /// A helper's side: waits for its turn, and wakes the loop afterwards if it wanted to know.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let result = f(&mut self.lock());
        if self.wanted.swap(false, Ordering::SeqCst) {
            self.wake.wake();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // No holder panics between two writes that belong together.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.value.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Lets the loop ask for a wake after the next change.
pub(super) struct Wanted<'a>(&'a AtomicBool);

impl Wanted<'_> {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
