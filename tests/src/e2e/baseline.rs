//! What this host's scheduling costs a thread that lives as a vCPU's does, measured while a test runs.
//!
//! A witness sees a guest through the vCPUs' threads, which share the host with everything else. How late the host runs
//! such a thread is no property of the switchover, and it is not guessed either: threads of the same scheduling class,
//! working and sleeping in the same rhythm, measure their own lateness beside the guest. The rhythm matters: a thread that
//! never sleeps waits longer for the processor than one that hardly runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use switchover_shell::guest::kvm::{DEFAULT_BEAT_NS, VCPU_SLICE};
use switchover_shell::sys::sched;

/// Time between two beats of a vCPU.
pub const PERIOD: Duration = Duration::from_nanos(DEFAULT_BEAT_NS);

/// As many threads as the guests of these tests have vCPUs.
const THREADS: usize = 2;

/// How a vCPU's thread lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It writes a few pages in each period, and waits for the rest of it.
    Paced,
    /// It writes without a pause.
    Spinning,
}

impl Life {
    /// That of a guest with these options.
    pub fn of(args: &[&str]) -> Self {
        let spins = args.windows(2).any(|pair| pair == ["--dirty-rate", "max"]);
        if spins { Life::Spinning } else { Life::Paced }
    }

    /// Of each period.
    fn work(self) -> Duration {
        match self {
            // Some 100 MiB/s over both vCPUs.
            Life::Paced => PERIOD / 10,
            Life::Spinning => PERIOD,
        }
    }
}

/// Measures until it is ended.
pub struct Baseline {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Duration>>,
}

impl Baseline {
    /// Begins.
    pub fn start(life: Life) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let measure = |_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || worst_lateness(&stop, life.work()))
        };
        let threads = (0..THREADS).map(measure).collect();
        Baseline { stop, threads }
    }

    /// Ends; returns what a gap between two beats may be longer than the guest stood still.
    ///
    /// At either end of a blackout lie up to one period, in which no beat was due, and the lateness of one beat.
    pub fn allowance(self) -> Duration {
        2 * (PERIOD + self.end())
    }

    /// Ends; returns how late the latest of all wake-ups was.
    ///
    /// # Panics
    /// When a thread did.
    pub fn end(self) -> Duration {
        self.stop.store(true, Ordering::SeqCst);
        let worst = self.threads.into_iter().map(|thread| thread.join().expect("no panic"));
        worst.max().unwrap_or_default()
    }
}

fn worst_lateness(stop: &AtomicBool, work: Duration) -> Duration {
    sched::precise_waits();
    // Refused by no host that has the call; where it is absent, vCPUs have the ordinary class too.
    let _ = sched::set_prompt(0, VCPU_SLICE);
    let mut worst = Duration::ZERO;
    let mut due = Instant::now() + PERIOD;
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let woken = Instant::now();
        let mut late = woken.saturating_duration_since(due);
        // As the guest does: what is missed is let go.
        due = (due + PERIOD).max(woken);
        let mut last = woken;
        while last < woken + work {
            let now = Instant::now();
            // What lies between two readings, somebody else had the processor for.
            late = late.max(now - last);
            last = now;
        }
        worst = worst.max(late);
    }
    worst
}
