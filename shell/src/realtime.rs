//! Asks the host for what lets a deadline be met under load, and says plainly what it did not get.
//!
//! Nothing here is needed for the guest to have one runner; all of it makes timers fire on time. A host that refuses is
//! no error: the run goes on, and its record says what was missing. Time that a hypervisor takes from this host is
//! watched in [`crate::stolen`].

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::record::Scheduling;
use crate::sys::sched;
use crate::words::Side;

/// The priority of the loop's thread: above everything that it may have to end.
pub const LOOP_PRIORITY: u8 = 50;
/// The priority of helper threads that a blackout waits for: bulk ([`Movers`]), journal, ports.
pub const HELPER_PRIORITY: u8 = 40;
/// The priority of vCPU threads while they stop, save, load and first enter: a guest that spins must not keep the loop
/// out. Below the helpers' too: where both hosts are one, memory that arrives while states are loaded is the longer way.
pub const VCPU_PRIORITY: u8 = 30;

/// What to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The priority in SCHED_FIFO.
    pub priority: u8,
    /// The processor to stay on.
    pub cpu: Option<usize>,
    /// Whether to lock the process's memory.
    pub lock_memory: bool,
}

impl Wish {
    /// For the loop's thread. The two sides choose processors from opposite ends, so that on one host, as in a demo,
    /// they do not wait for each other.
    #[must_use]
    pub fn for_loop(side: Side) -> Self {
        let cpus = sched::allowed_cpus();
        let cpu = match side {
            Side::Source => cpus.last(),
            Side::Destination => cpus.first(),
        };
        Wish { priority: LOOP_PRIORITY, cpu: cpu.copied(), lock_memory: true }
    }
}

/// Applies `wish` to the calling thread, as far as the host lets it; the answer is what the record says.
///
/// Locked memory is the whole process's: mappings made later are locked too where the amount is not limited, each page
/// from its first touch. Such a mapping is not thinned by a plain `MADV_DONTNEED` any more.
#[must_use]
pub fn apply(side: Side, wish: Wish) -> Scheduling {
    sched::precise_waits();
    let mut notes = Vec::new();
    let mut ask = |what: &str, costs: &str, result: io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => {
            notes.push(format!("{what}: {error}; {costs}"));
            false
        }
    };
    let fifo = ask(
        "SCHED_FIFO was not permitted (CAP_SYS_NICE or RLIMIT_RTPRIO)",
        "under load a deadline may be noticed milliseconds late",
        sched::set_realtime(0, Some(wish.priority)),
    );
    let memory_locked = wish.lock_memory
        && ask(
            "locking memory was not permitted (CAP_IPC_LOCK or RLIMIT_MEMLOCK)",
            "a page that was paged out delays whoever needs it",
            sched::lock_memory(),
        );
    let pinned = wish.cpu.filter(|cpu| {
        let result = sched::pin_to(*cpu);
        ask(
            &format!("pinning to processor {cpu} was refused"),
            "a migration may cost some microseconds",
            result,
        )
    });
    Scheduling {
        side,
        fifo_priority: fifo.then_some(wish.priority),
        memory_locked,
        pinned_cpu: pinned.and_then(|cpu| u32::try_from(cpu).ok()),
        notes,
    }
}

/// Gives the calling helper thread its priority, if the host lets it; what the loop's thread got is what is recorded.
pub fn helper() {
    sched::precise_waits();
    // Refused where the loop's thread was refused as well, which the record states once.
    let _ = sched::set_realtime(0, Some(HELPER_PRIORITY));
}

/// Helper threads that are real-time except while a guest that runs is copied: then they have no more than their share, or
/// its vCPUs would wait behind them for as long as a round takes. Clones are the same threads.
#[derive(Debug, Clone, Default)]
pub struct Movers(Arc<Mutex<Moving>>);

#[derive(Debug, Default)]
struct Moving {
    threads: Vec<i32>,
    copies_beside_the_guest: bool,
}

impl Movers {
    fn lock(&self) -> MutexGuard<'_, Moving> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread is one of them from now on.
    pub fn join(&self) {
        sched::precise_waits();
        let mut moving = self.lock();
        moving.threads.push(sched::thread_id());
        set_class(0, moving.copies_beside_the_guest);
    }

    /// For a thread to call when it starts: joins.
    #[must_use]
    pub fn on_thread(&self) -> Arc<dyn Fn(&'static str) + Send + Sync> {
        let movers = self.clone();
        Arc::new(move |_| movers.join())
    }

    /// The guest runs while they work. Does nothing where that is known, and a system call a thread otherwise.
    pub fn beside_the_guest(&self) {
        self.set(true);
    }

    /// A blackout has begun, or may begin at any moment. As for [`Movers::beside_the_guest`].
    pub fn urgent(&self) {
        self.set(false);
    }

    fn set(&self, beside: bool) {
        let mut moving = self.lock();
        if std::mem::replace(&mut moving.copies_beside_the_guest, beside) != beside {
            moving.threads.iter().for_each(|thread| set_class(*thread, beside));
        }
    }
}

/// Refused where the loop's thread was refused as well, which the record states once.
fn set_class(thread: i32, ordinary: bool) {
    let _ = sched::set_realtime(thread, (!ordinary).then_some(HELPER_PRIORITY));
}

/// How long a real-time thread may run without sleeping before the kernel takes the processor from it, per second;
/// `None`: never. A loop that spins for that long has a bug, and the host survives it.
#[must_use]
pub fn throttled_after() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/sys/kernel/sched_rt_runtime_us").ok()?;
    u64::try_from(text.trim().parse::<i64>().ok()?).ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_said_and_nothing_fails() {
        // A processor that no host has: refused everywhere, whoever runs the test.
        let wish = Wish { priority: 1, cpu: Some(1_000_000), lock_memory: false };
        let got = std::thread::spawn(move || apply(Side::Source, wish)).join().expect("no panic");
        assert_eq!(got.pinned_cpu, None);
        assert!(got.notes.iter().any(|note| note.contains("processor 1000000")), "{:?}", got.notes);
        assert!(!got.memory_locked, "not asked for");
        assert_eq!(got.fifo_priority.is_none(), got.notes.iter().any(|note| note.contains("SCHED_FIFO")));
    }
}
