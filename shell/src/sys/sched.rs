//! Scheduling class, processor, locked memory: what lets a deadline be met under load.
//!
//! Every call may be refused by the host; whoever calls says so instead of failing.

use std::io;
use std::time::Duration;

/// The calling thread's kernel id.
#[must_use]
pub fn thread_id() -> i32 {
    // SAFETY: only names the calling thread.
    unsafe { libc::gettid() }
}

/// Puts a thread (0: the calling one) into the real-time class (`Some(priority)`, 1..=99) or back into the ordinary one.
///
/// Threads made by a real-time thread start out ordinary, whatever their maker is: a helper that is to be real-time says so.
///
/// # Errors
/// `EPERM` where this process may not.
pub fn set_realtime(tid: i32, priority: Option<u8>) -> io::Result<()> {
    // Reset on fork: a child or thread inherits nothing that it did not ask for.
    let class = match priority {
        Some(_) => libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
        None => libc::SCHED_OTHER,
    };
    let param = libc::sched_param { sched_priority: i32::from(priority.unwrap_or(0)) };
    // SAFETY: passes a number and a struct that outlives the call.
    let done = unsafe { libc::sched_setscheduler(tid, class, &param) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps a thread (0: the calling one) in the ordinary class, with its share, but in short slices: when it wakes, it runs
/// before those that take longer ones. It needs no permission. Before Linux 6.12 it is the ordinary class and no more.
///
/// # Errors
/// The thread does not exist.
pub fn set_prompt(tid: i32, slice: Duration) -> io::Result<()> {
    /// As `sched_setattr(2)` has it, version 0.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice: 0,
        priority: 0,
        runtime: u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX),
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a struct that outlives the call.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, tid, &raw const attributes, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Keeps the calling thread on one processor.
///
/// # Errors
/// The processor does not exist, or is not allowed here.
pub fn pin_to(cpu: usize) -> io::Result<()> {
    if cpu >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a zeroed set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` is within the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: reads one set, whose size is given.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The processors that the calling thread may run on, in order.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    // SAFETY: a zeroed set is an empty one.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: writes one set, whose size is given.
    let done = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    if done != 0 {
        return Vec::new();
    }
    // SAFETY: every number asked for is within the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// Lets timed waits of the calling thread end within a nanosecond of their time, not 50 us later as by default.
pub fn precise_waits() {
    // SAFETY: sets one number of the calling thread's.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1usize, 0usize, 0usize, 0usize) };
}

/// Keeps the process's memory from being paged out, each page from when it is first touched.
///
/// Where the amount of locked memory is limited, only what is mapped now is locked: locking what comes later too would
/// make some later allocation fail.
///
/// # Errors
/// `EPERM` or `ENOMEM` where this process may not, or not that much.
pub fn lock_memory() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one struct that outlives the call.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &mut limit) } == 0;
    let unlimited = (known && limit.rlim_cur == libc::RLIM_INFINITY) || may_lock_anything();
    let flags = libc::MCL_CURRENT | libc::MCL_ONFAULT | if unlimited { libc::MCL_FUTURE } else { 0 };
    // SAFETY: takes flags only, and changes no contents.
    let done = unsafe { libc::mlockall(flags) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether this process has CAP_IPC_LOCK, as the kernel tells in `/proc`.
fn may_lock_anything() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    bits.is_some_and(|bits| bits >> CAP_IPC_LOCK & 1 == 1)
}
