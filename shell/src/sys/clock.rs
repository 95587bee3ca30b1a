//! The clock that deadlines are on, and the timer that waits on the same clock.
//!
//! `CLOCK_BOOTTIME`: as monotonic as `CLOCK_MONOTONIC`, and it goes on while the host is suspended. A destination that
//! was suspended in the middle of a lease must see, when it wakes, that the lease is over.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Both the clock and the timer; they must never differ.
const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;

/// Nanoseconds since the host booted, suspended time included. A vDSO call: no system call, some tens of nanoseconds.
#[must_use]
pub fn boot_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one `timespec` that outlives the call.
    let done = unsafe { libc::clock_gettime(CLOCK, &mut now) };
    // The clock exists on every Linux since 2.6.39; there is nothing sensible to do without one.
    assert_eq!(done, 0, "CLOCK_BOOTTIME: {}", io::Error::last_os_error());
    now.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(now.tv_nsec.unsigned_abs())
}

/// Sleeps until [`boot_ns`] is at least `at_ns`, signals or not.
pub fn sleep_until(at_ns: u64) {
    let at = timespec(at_ns);
    loop {
        // SAFETY: reads one `timespec` that outlives the call; the remainder is not asked for.
        let done = unsafe { libc::clock_nanosleep(CLOCK, libc::TIMER_ABSTIME, &at, std::ptr::null_mut()) };
        if done != libc::EINTR {
            return;
        }
    }
}

/// A `timerfd` on [`boot_ns`]'s clock, with nanoseconds where an epoll timeout has milliseconds.
///
/// Its descriptor becomes readable at the armed instant, at once if that has passed. It need not be read: arming it
/// again, or disarming it, takes the readiness back.
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// A timer, disarmed.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes numbers only.
        let fd = unsafe { libc::timerfd_create(CLOCK, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        Ok(Timer(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Arms it for the first instant at or after `at_ns`; `None` disarms it.
    ///
    /// # Errors
    /// None that a valid descriptor gives.
    pub fn arm(&self, at_ns: Option<u64>) -> io::Result<()> {
        let off = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // An all-zero instant would disarm; the clock is past it anyway.
        let at = at_ns.map_or(off, |at| timespec(at.max(1)));
        let when = libc::itimerspec { it_interval: off, it_value: at };
        // SAFETY: reads one `itimerspec` that outlives the call.
        let done = unsafe {
            libc::timerfd_settime(self.0.as_raw_fd(), libc::TFD_TIMER_ABSTIME, &when, std::ptr::null_mut())
        };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn timespec(ns: u64) -> libc::timespec {
    // A u64 of nanoseconds is at most 1.9e10 seconds: both parts fit.
    libc::timespec {
        tv_sec: (ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (ns % 1_000_000_000) as libc::c_long,
    }
}
