//! Holding one operation for a while: what every stall is made of.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::list::Faults;
use crate::wake::Wake;
use switchover_text::faults::Stall;

/// The number of the attempt under way, counted from 1 in this run; shared by whatever injects faults.
#[derive(Debug, Clone, Default)]
pub struct AttemptNumber(Arc<AtomicU32>);

impl AttemptNumber {
    /// An attempt begins.
    pub fn next(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The attempt under way, or the last; 0 before the first.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What the decorators of one side share.
#[derive(Debug, Clone)]
pub struct Injection {
    /// The faults of this side.
    pub faults: Faults,
    /// Which attempt is under way.
    pub attempt: AttemptNumber,
    /// Wakes the loop when a stall is over.
    pub wake: Wake,
}

impl Injection {
    /// How much longer that place takes in the present attempt.
    pub fn stall(&self, place: Stall) -> Option<Duration> {
        self.faults.stall(place, self.attempt.get())
    }
}

/// One operation that may be held, once an attempt.
#[derive(Debug, Default)]
pub struct Hold {
    /// The attempt it was held in, and until when.
    held: Option<(u32, Instant)>,
}

impl Hold {
    /// Whether the operation has to wait still. The first call of an attempt begins the stall.
    pub fn holds(&mut self, injection: &Injection, place: Stall) -> bool {
        let Some(length) = injection.stall(place) else { return false };
        let attempt = injection.attempt.get();
        match self.held {
            Some((of, until)) if of == attempt => Instant::now() < until,
            _ => {
                self.held = Some((attempt, Instant::now() + length));
                wake_after(length, injection.wake.clone());
                true
            }
        }
    }
}

/// Wakes the loop when a stall has ended; nothing else would.
fn wake_after(length: Duration, wake: Wake) {
    let sleeper = std::thread::Builder::new().name("stall".into()).spawn(move || {
        std::thread::sleep(length);
        wake.wake();
    });
    if let Err(error) = sleeper {
        eprintln!("a stall cannot be ended in time: {error}");
    }
}
