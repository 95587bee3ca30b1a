//! Signals as bytes in a descriptor, so that a loop can wait for them beside everything else; and dying at once.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// SIGINT and SIGTERM, taken from the process and given to whoever reads this.
#[derive(Debug)]
pub struct Signals(OwnedFd);

/// What was sent to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signals {
    /// Blocks both signals in the calling thread and those it makes from now on: call it in `main`, before any other
    /// thread exists, or a thread that does not block them dies of them.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn take() -> io::Result<Self> {
        let set = set();
        // SAFETY: reads one set that outlives the call; the old mask is not asked for.
        let done = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
        if done != 0 {
            return Err(io::Error::from_raw_os_error(done));
        }
        // SAFETY: reads one set that outlives the call.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        Ok(Signals(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Waits for the next one. For a thread of its own.
    ///
    /// # Errors
    /// What `read` says; `Interrupted` is not among it.
    pub fn wait(&self) -> io::Result<Signal> {
        // SAFETY: a zeroed struct of numbers is valid.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let size = size_of_val(&info);
        loop {
            // SAFETY: the kernel writes at most `size` bytes into `info`, all of whose bit patterns are valid.
            let read = unsafe { libc::read(self.0.as_raw_fd(), (&raw mut info).cast(), size) };
            if usize::try_from(read) == Ok(size) {
                let interrupt = info.ssi_signo == libc::SIGINT as u32;
                return Ok(if interrupt { Signal::Interrupt } else { Signal::Terminate });
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

impl AsRawFd for Signals {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

fn set() -> libc::sigset_t {
    // SAFETY: a zeroed set is valid storage, and `sigemptyset` makes it an empty set before it is used.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGINT);
        libc::sigaddset(&mut set, libc::SIGTERM);
        set
    }
}

/// Ends this process at once, as `kill -9` from outside does: no destructor, no buffer, no exit handler.
pub fn die() -> ! {
    // SAFETY: names this process only.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    // The signal is delivered before the call returns; this satisfies the type.
    std::process::abort()
}
