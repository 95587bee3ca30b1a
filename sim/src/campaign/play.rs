//! Plays many seeds on several threads.
//!
//! Threads take chunks of seeds in ascending order and keep a [`Tally`] each; the tallies are added at the end. Since
//! adding is exact and has no order, the result is the same for any number of threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::seeds::Seeds;
use super::tally::Tally;

/// Seeds that a thread takes at once: some milliseconds of work, so that threads neither meet often nor wait long for the
/// last of them.
const CHUNK: u64 = 64;
/// How often whoever watches is told.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// The simulator itself failed: a machine or the world broke a rule of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}: the simulation failed: {message}")]
pub struct Crash {
    /// Which seed was played; the smallest, if several failed.
    pub seed: u64,
    /// What was said.
    pub message: String,
}

/// Plays every seed of `seeds` on `jobs` threads (at least one). `player` makes what plays a seed into a tally, one for each
/// thread; `watch` is told now and then how many seeds have been played.
///
/// # Errors
/// A player panicked. Which seed is told does not depend on `jobs`.
pub fn play<P>(
    seeds: Seeds,
    jobs: usize,
    player: impl Fn() -> P + Sync,
    mut watch: impl FnMut(u64),
) -> Result<Tally, Crash>
where
    P: FnMut(u64, &mut Tally),
{
    let (next, done, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let work = || -> Result<Tally, Crash> {
        let (mut play, mut tally) = (player(), Tally::default());
        while !stop.load(Ordering::Relaxed) {
            let Some(chunk) = seeds.piece(next.fetch_add(1, Ordering::Relaxed), CHUNK) else { break };
            for seed in chunk.from()..chunk.to() {
                // After a panic neither is looked at again.
                let played = catch_unwind(AssertUnwindSafe(|| play(seed, &mut tally)));
                played.map_err(|panic| {
                    stop.store(true, Ordering::Relaxed);
                    Crash { seed, message: message(panic.as_ref()) }
                })?;
            }
            done.fetch_add(chunk.len(), Ordering::Relaxed);
        }
        Ok(tally)
    };
    let results = thread::scope(|scope| {
        // Nothing is ever sent: the channel ends when the last thread has.
        let (working, ended) = mpsc::channel::<()>();
        let spawn = |_| {
            let working = working.clone();
            scope.spawn(|| {
                let tally = work();
                drop(working);
                tally
            })
        };
        let threads: Vec<_> = (0..jobs.max(1)).map(spawn).collect();
        drop(working);
        while matches!(ended.recv_timeout(WATCH_EVERY), Err(mpsc::RecvTimeoutError::Timeout)) {
            watch(done.load(Ordering::Relaxed));
        }
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    watch(done.load(Ordering::Relaxed));
    // Chunks are taken in order, and whoever has one finishes it: all smaller seeds have been played.
    let crash = results.iter().filter_map(|result| result.as_ref().err()).min_by_key(|crash| crash.seed);
    if let Some(crash) = crash {
        return Err(crash.clone());
    }
    let mut whole = Tally::default();
    results.into_iter().flatten().for_each(|tally| whole.add(&tally));
    Ok(whole)
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<Tally, Crash>>) -> Result<Tally, Crash> {
    // What plays a seed is guarded; only making a player is not.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(String::from);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into())
}
