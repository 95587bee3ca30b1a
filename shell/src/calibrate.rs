//! Measured worst cases: what a contract says where nobody has declared one.
//!
//! Before the guest runs, each thing is done a hundred times and the longest, times two, is the contract. It is no
//! guarantee: it is what this host was seen to do, with as much again for what it was not. What is learned from attempts
//! raises it.
//!
//! Here are the parts that every host has, timer and journal; ports measure their own with [`calibrate`].

use std::io;
use std::path::Path;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::os::fd::AsRawFd;
use switchover_core::contract::Term;
use switchover_core::hal::Journal;
use switchover_core::id::AttemptId;
use switchover_core::journal::{Record, RecordKind};
use switchover_core::time::Ns;

use crate::clock::HostClock;
use crate::journal::{Durability, JournalError, JournalFile, JournalPort};
use crate::realtime::{self, Wish};
use crate::sys::clock::Timer;
use crate::wake::Wake;
use crate::words::Side;

/// How often each thing is measured.
pub const ROUNDS: u32 = 100;
/// What the longest is multiplied by.
pub const MARGIN: u64 = 2;

/// The contract of something that took at most `longest`.
#[must_use]
pub fn contract(longest: Ns) -> Term {
    Term::calibrated(longest.times(MARGIN))
}

/// Does something `rounds` times and makes its longest duration a contract. `once` says itself how long it took, so
/// that preparing for it does not count.
///
/// # Errors
/// The first error of `once`.
pub fn calibrate<E>(rounds: u32, mut once: impl FnMut() -> Result<Ns, E>) -> Result<Term, E> {
    let mut longest = Ns::ZERO;
    for _ in 0..rounds {
        longest = longest.or_longer(once()?);
    }
    Ok(contract(longest))
}

/// How long `work` took, for [`calibrate`].
///
/// # Errors
/// Those of `work`.
pub fn timed<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Ns, E> {
    let begin = HostClock.now();
    work()?;
    Ok(HostClock.now().since(begin))
}

/// How late a timer calls: measured as the loop waits, on a thread with the loop's scheduling.
///
/// # Errors
/// No thread or descriptor left.
pub fn timer_lateness(side: Side, wish: Wish, rounds: u32) -> io::Result<Term> {
    let measured = std::thread::Builder::new().name("calibrate".into()).spawn(move || {
        // What is refused is said by the loop's thread, for the record.
        let _ = realtime::apply(side, Wish { lock_memory: false, ..wish });
        lateness_here(rounds)
    })?;
    measured.join().map_err(|_| io::Error::other("the measuring thread panicked"))?
}

/// How late a timer calls the calling thread.
fn lateness_here(rounds: u32) -> io::Result<Term> {
    const TIMER: Token = Token(0);
    let mut poll = Poll::new()?;
    let timer = Timer::new()?;
    poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
    let mut events = Events::with_capacity(4);
    calibrate(rounds, || {
        let at = HostClock.now().plus(Ns::from_millis(1));
        timer.arm(Some(at.as_ns()))?;
        loop {
            match poll.poll(&mut events, None) {
                Ok(()) if HostClock.now() >= at => return Ok(HostClock.now().since(at)),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    })
}

/// How long a journal write takes, the way to its helper thread and back included: measured with a file beside the
/// journal, on the same file system, which is removed again.
///
/// # Errors
/// The file cannot be made or written.
pub fn journal_write(journal: &Path, durability: Durability, rounds: u32) -> Result<Term, JournalError> {
    let beside = journal.with_extension(format!("calibrating-{}", std::process::id()));
    let term = journal_write_at(&beside, durability, rounds);
    // It may be the making that failed.
    let _ = std::fs::remove_file(&beside);
    term
}

fn journal_write_at(path: &Path, durability: Durability, rounds: u32) -> Result<Term, JournalError> {
    let io = |what| move |source| JournalError::Io { path: path.display().to_string(), what, source };
    let file = JournalFile::open(path, durability)?;
    let attempt = AttemptId { journal: file.summary().identity, counter: 0 };
    let record = Record {
        kind: RecordKind::Aborted,
        attempt,
        peer: Default::default(),
        incarnation: Default::default(),
        instance: Default::default(),
    };
    // The helper wakes a loop in earnest; here its wake is what is waited for.
    let poll = Poll::new().map_err(io("measuring"))?;
    let waker = mio::Waker::new(poll.registry(), Token(0)).map_err(io("measuring"))?;
    let mut port = JournalPort::start(file, Wake::new(waker.into())).map_err(io("measuring"))?;
    let (mut poll, mut events) = (poll, Events::with_capacity(4));
    calibrate(rounds, || {
        let begin = HostClock.now();
        loop {
            match port.write(&record) {
                Ok(()) => return Ok(HostClock.now().since(begin)),
                Err(nb::Error::WouldBlock) => {
                    // An interrupted wait looks again; so does one that ends for nothing.
                    let _ = poll.poll(&mut events, Some(Duration::from_secs(1)));
                }
                Err(nb::Error::Other(_)) => {
                    let why = port.last_error().unwrap_or_else(|| "it failed".into());
                    return Err(io("measuring")(io::Error::other(why)));
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchover_core::contract::Origin;

    #[test]
    fn the_longest_times_two_is_the_contract() {
        let mut times = [3, 9, 4].into_iter();
        let term = calibrate(3, || times.next().map(Ns::new).ok_or(())).expect("three");
        assert_eq!((term.time, term.origin), (Ns::new(18), Origin::Calibrated));
        assert_eq!(calibrate(1, || Err::<Ns, _>("broken")), Err("broken"));
    }

    #[test]
    fn timer_and_journal_are_measured_and_leave_nothing_behind() {
        let folder = std::env::temp_dir().join(format!("switchover-calibrate-{}", std::process::id()));
        let journal = folder.join("test.journal");
        let write = journal_write(&journal, Durability::Process, ROUNDS).expect("measured");
        let timer = timer_lateness(Side::Source, Wish::for_loop(Side::Source), ROUNDS).expect("measured");
        println!("journal {} us, timer {} us", us(write), us(timer));
        assert!(write.time > Ns::ZERO && timer.time > Ns::ZERO);
        assert_eq!(std::fs::read_dir(&folder).expect("the folder").count(), 0);
        std::fs::remove_dir(&folder).expect("removed");
    }

    fn us(term: Term) -> u64 {
        term.time.get() / 1_000
    }
}
