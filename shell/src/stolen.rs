//! Time that was taken from this host: a hypervisor ran something else.
//!
//! No process can avoid it and none is told of it as it happens. A sentinel thread, of higher priority than everything
//! else here, sleeps until an instant and looks how late it wakes: on a host that has its processor it is late by
//! microseconds. What the kernel says the sentinel spent *waiting for the processor* was other work on this host and is
//! taken off; the rest is time in which not even the timer interrupt came. The kernel's own account of stolen time, in
//! hundredths of a second, is kept beside it, and the larger of the two counts.
//!
//! It samples: a theft shorter than 2 ms that falls between two looks is not seen. It watches one processor,
//! the loop's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use switchover_core::time::Ns;

use crate::realtime::LOOP_PRIORITY;
use crate::sys::clock::{boot_ns, sleep_until};
use crate::sys::sched;

/// Between two looks: one in a thousand of the processor at most.
const PERIOD_NS: u64 = 2_000_000;
/// Lateness below this is how timers are.
const ORDINARY_NS: u64 = 500_000;
/// Looks between two readings of the kernel's account, which is slow to read.
const LOOKS_PER_ACCOUNT: u64 = 64;
/// The kernel's account is in ticks of USER_HZ, which is 100 everywhere.
const TICK_NS: u64 = 10_000_000;

/// What was stolen up to some moment. Only differences mean anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stolen {
    seen: u64,
    accounted: u64,
}

impl Stolen {
    /// What was stolen since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Stolen) -> Ns {
        let seen = self.seen.saturating_sub(earlier.seen);
        Ns::new(seen.max(self.accounted.saturating_sub(earlier.accounted)))
    }
}

#[derive(Debug, Default)]
struct Shared {
    seen: AtomicU64,
    accounted: AtomicU64,
    ended: AtomicBool,
}

/// The sentinel; ends when dropped.
#[derive(Debug)]
pub struct StolenWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl StolenWatch {
    /// Starts watching the processor `cpu`, or wherever the sentinel happens to run.
    ///
    /// # Errors
    /// No thread can be made.
    pub fn start(cpu: Option<usize>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("stolen".into()).spawn(move || watch(&watched, cpu))?;
        Ok(StolenWatch { shared, thread: Some(thread) })
    }

    /// What was stolen up to now. Reads two numbers: fit for the loop's thread.
    #[must_use]
    pub fn so_far(&self) -> Stolen {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Stolen { seen: read(&self.shared.seen), accounted: read(&self.shared.accounted) }
    }
}

impl Drop for StolenWatch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It sleeps a period at most; if it has panicked there is nothing to add here.
            let _ = thread.join();
        }
    }
}

fn watch(shared: &Shared, cpu: Option<usize>) {
    sched::precise_waits();
    // Where either is refused the sentinel waits for other work more often, and that is taken off below.
    let _ = sched::set_realtime(0, Some(LOOP_PRIORITY + 1));
    if let Some(cpu) = cpu {
        let _ = sched::pin_to(cpu);
    }
    let mut waited = waited_for_cpu();
    for look in 0_u64.. {
        if shared.ended.load(Ordering::Relaxed) {
            return;
        }
        let until = boot_ns().saturating_add(PERIOD_NS);
        sleep_until(until);
        let late = boot_ns().saturating_sub(until);
        if late > ORDINARY_NS {
            let waited_now = waited_for_cpu();
            let stolen = late.saturating_sub(waited_now.saturating_sub(waited));
            if stolen > ORDINARY_NS {
                shared.seen.fetch_add(stolen, Ordering::Relaxed);
            }
            waited = waited_now;
        }
        if look % LOOKS_PER_ACCOUNT == 0 {
            shared.accounted.store(accounted().unwrap_or(0), Ordering::Relaxed);
            waited = waited_for_cpu();
        }
    }
}

/// Nanoseconds that the calling thread was ready to run and did not: the second number of its `schedstat`. Zero where
/// the kernel does not count, and then other work counts as stolen.
fn waited_for_cpu() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// The kernel's account of stolen time over all processors, in nanoseconds.
fn accounted() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks: u64 = text.lines().next()?.split_whitespace().nth(8)?.parse().ok()?;
    Some(ticks.saturating_mul(TICK_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_account_counts_and_neither_runs_backwards() {
        let before = Stolen { seen: 5, accounted: 100 };
        assert_eq!(Stolen { seen: 25, accounted: 110 }.since(before), Ns::new(20));
        assert_eq!(Stolen { seen: 25, accounted: 190 }.since(before), Ns::new(90));
        assert_eq!(before.since(Stolen { seen: 6, accounted: 100 }), Ns::ZERO);
    }

    #[test]
    fn the_kernel_tells_what_the_sentinel_needs() {
        assert!(accounted().is_some(), "/proc/stat has a column for stolen time");
        let watch = StolenWatch::start(None).expect("a thread");
        let before = watch.so_far();
        std::thread::sleep(std::time::Duration::from_millis(30));
        println!("stolen in 30 ms: {} us", watch.so_far().since(before).get() / 1_000);
    }
}
