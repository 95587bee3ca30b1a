//! Child processes that do not outlive this one, keep one more descriptor, and are sent signals.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use super::inherited;
use super::signal::Signal;

/// Starts `command`. The child keeps `descriptor`, under the same number, and is killed when the calling thread ends: call
/// it in `main`'s thread. It is in a process group of its own, so that Ctrl-C on a terminal is this process's to pass on.
///
/// # Errors
/// As [`Command::spawn`].
pub fn start(command: &mut Command, descriptor: BorrowedFd<'_>) -> io::Result<Child> {
    let (parent, descriptor) = (std::process::id(), descriptor.as_raw_fd());
    command.process_group(0);
    // SAFETY: between fork and exec the closure only makes system calls on numbers: no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            die_with(parent)?;
            inherited::pass_on(descriptor)
        });
    }
    command.spawn()
}

/// Has the calling process killed when the thread that forked it ends. `parent` is the process of that thread.
fn die_with(parent: u32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // It may have ended just before.
    // SAFETY: takes nothing, and cannot fail.
    let now = unsafe { libc::getppid() };
    if u32::try_from(now) == Ok(parent) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

/// Sends `signal` to a child, unless it has ended.
///
/// # Errors
/// The system does not say how the child is, or refuses the signal.
pub fn send(child: &mut Child, signal: Signal) -> io::Result<()> {
    if child.try_wait()?.is_some() {
        return Ok(());
    }
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let number = match signal {
        Signal::Interrupt => libc::SIGINT,
        Signal::Terminate => libc::SIGTERM,
    };
    // SAFETY: takes numbers only; the child was not waited for, so the number is still its own.
    if unsafe { libc::kill(pid, number) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
