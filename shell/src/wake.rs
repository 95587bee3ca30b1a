//! Wakes the real-time loop from another thread.
//!
//! A helper thread that has finished its work stores the result where its port looks for
//! it and then wakes; the loop polls its driver and the port finds the result. Waking is
//! a hint: many wakes may become one, and one with nothing to find does no harm.

use std::sync::Arc;

/// A handle that wakes one loop; clones wake the same.
#[derive(Clone, Debug, Default)]
pub struct Wake(Option<Arc<mio::Waker>>);

impl Wake {
    /// Wakes the loop that `waker` belongs to.
    pub fn new(waker: Arc<mio::Waker>) -> Self {
        Self(Some(waker))
    }

    /// Wakes nothing: for a port that is polled without a loop.
    pub fn none() -> Self {
        Self(None)
    }

    /// Wakes the loop, now or as soon as it waits again. Does not block.
    pub fn wake(&self) {
        if let Some(waker) = &self.0 {
            // Fails only if the loop's descriptor is gone, and then nobody is left to be woken.
            let _ = waker.wake();
        }
    }
}
