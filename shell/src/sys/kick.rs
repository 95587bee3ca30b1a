//! Getting a vCPU's thread out of the guest, from another thread, at once and without a race.
//!
//! The kicker sets the `immediate_exit` byte in the vCPU's `kvm_run` page, then sends the thread a signal. Wherever the
//! thread was, it notices: in the guest, the signal ends `KVM_RUN`; about to enter, the byte ends it at once.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use kvm_ioctls::VcpuFd;

/// The way to one vCPU's thread. Shared between that thread, which arms and disarms it, and those that kick.
#[derive(Debug, Default)]
pub struct Kick {
    target: Mutex<Option<Target>>,
}

#[derive(Debug)]
struct Target {
    tid: libc::pid_t,
    immediate_exit: *const AtomicU8,
}

// SAFETY: the pointer is only used under the lock, and only while `Armed` keeps what it points to alive.
unsafe impl Send for Target {}

/// A vCPU armed on the thread that armed it; disarms when dropped. It owns the vCPU, so that its `kvm_run` page stays
/// mapped while kicks may come.
#[derive(Debug)]
pub struct Armed {
    kick: Arc<Kick>,
    /// The vCPU itself.
    pub vcpu: VcpuFd,
}

impl Kick {
    /// Aims kicks at the calling thread and `vcpu`, until the result is dropped.
    ///
    /// # Errors
    /// The signal handler cannot be installed.
    pub fn arm(self: &Arc<Self>, mut vcpu: VcpuFd) -> io::Result<Armed> {
        install_handler()?;
        let byte: *mut u8 = &raw mut vcpu.get_kvm_run().immediate_exit;
        // SAFETY: only names the calling thread.
        let tid = unsafe { libc::gettid() };
        *self.lock() = Some(Target { tid, immediate_exit: byte.cast_const().cast() });
        Ok(Armed { kick: Arc::clone(self), vcpu })
    }

    /// Makes the vCPU's thread leave the guest, or not enter it, until [`Armed::clear`]. Nothing happens when no vCPU
    /// is armed.
    pub fn kick(&self) {
        if let Some(target) = &*self.lock() {
            // SAFETY: `Armed` owns the vCPU and disarms under the lock before it goes, so the page is mapped. The kernel
            // reads the byte concurrently, which an atomic store allows.
            unsafe { (*target.immediate_exit).store(1, Ordering::SeqCst) };
            // SAFETY: names a thread of this process by number; a thread that is gone is an error, not a danger.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), target.tid, signal()) };
        }
    }

    /// The vCPU's thread's kernel id, while armed: for setting its scheduling class.
    pub fn tid(&self) -> Option<i32> {
        self.lock().as_ref().map(|target| target.tid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    /// Makes the next entry return at once, as a kick does.
    pub fn set(&mut self) {
        self.store(1);
    }

    /// Ends the effect of kicks so far. Whoever calls this looks for what the kick was about *afterwards*.
    pub fn clear(&mut self) {
        self.store(0);
    }

    /// Has KVM do what it does at a vCPU's first entry only (a kernel thread for the VM, the root of its page tables, its
    /// clocks: tens of microseconds that a resume would else take), and return just before the guest would execute anything:
    /// a signal is pending that only `KVM_RUN` unblocks, and KVM looks for one last of all, with interrupts off.
    ///
    /// # Errors
    /// What a system call says. `KVM_RUN` that ends otherwise than by the signal is an error too.
    pub fn rehearse(&mut self) -> io::Result<()> {
        let before = block(signal())?;
        let rehearsed = self.run_interrupted();
        // SAFETY: gives the thread the mask back that it had. The signal is delivered here, to a handler that does nothing.
        let code =
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
        rehearsed.and(checked(-code))
    }

    /// With the signal blocked: makes it pending, and lets `KVM_RUN` alone see it.
    fn run_interrupted(&mut self) -> io::Result<()> {
        self.set_mask_inside(Some(&SignalMask { len: 8, blocked: [0; 8] }))?;
        // SAFETY: sends the calling thread a signal that it blocks.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::gettid(), signal()) };
        let ran = checked(sent as libc::c_int).and_then(|()| match self.vcpu.run() {
            Err(error) if error.errno() == libc::EINTR => Ok(()),
            Err(error) => Err(io::Error::from_raw_os_error(error.errno())),
            Ok(exit) => Err(io::Error::other(format!("KVM_RUN ended by {exit:?} in spite of a signal"))),
        });
        ran.and(self.set_mask_inside(None))
    }

    /// Which signals are blocked within `KVM_RUN`; `None`: those that are blocked outside.
    fn set_mask_inside(&self, mask: Option<&SignalMask>) -> io::Result<()> {
        let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the descriptor is our vCPU's; the kernel reads one mask, or nothing.
        checked(unsafe { libc::ioctl(self.vcpu.as_raw_fd(), KVM_SET_SIGNAL_MASK, mask) })
    }

    fn store(&mut self, value: u8) {
        // SAFETY: as in `Kick::kick`; owning the vCPU keeps the page mapped.
        let byte = unsafe { AtomicU8::from_ptr(&raw mut self.vcpu.get_kvm_run().immediate_exit) };
        byte.store(value, Ordering::SeqCst);
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        *self.kick.lock() = None;
    }
}

/// `_IOW(0xae, 0x8b, struct kvm_signal_mask)`, whose array counts as empty.
const KVM_SET_SIGNAL_MASK: libc::c_ulong = 0x4004_ae8b;

/// `struct kvm_signal_mask` with the kernel's set of 64 signals.
#[repr(C)]
struct SignalMask {
    len: u32,
    blocked: [u8; 8],
}

fn checked(code: libc::c_int) -> io::Result<()> {
    match code {
        0.. => Ok(()),
        // `pthread_sigmask` returns its error, all others leave it in `errno`.
        -1 => Err(io::Error::last_os_error()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

/// Blocks one signal for the calling thread; returns the mask before.
fn block(signal: libc::c_int) -> io::Result<libc::sigset_t> {
    // SAFETY: signal sets are plain integers, which these calls fill; only the calling thread's mask changes.
    unsafe {
        let (mut one, mut before): (libc::sigset_t, libc::sigset_t) =
            (std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&raw mut one);
        libc::sigaddset(&raw mut one, signal);
        checked(-libc::pthread_sigmask(libc::SIG_BLOCK, &raw const one, &raw mut before))?;
        Ok(before)
    }
}

/// The signal used; real-time, so that no library claims it by default.
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 3
}

extern "C" fn nothing(_: libc::c_int) {}

fn install_handler() -> io::Result<()> {
    static ONCE: Once = Once::new();
    static FAILED: std::sync::atomic::AtomicI32 = std::sync::atomic::AtomicI32::new(0);
    ONCE.call_once(|| {
        // SAFETY: a zeroed `sigaction` is a valid one; the handler does nothing, so it is safe at any moment. Without
        // SA_RESTART, so that KVM_RUN returns.
        let done = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as *const () as usize;
            libc::sigaction(signal(), &action, std::ptr::null_mut())
        };
        if done != 0 {
            FAILED.store(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL), Ordering::SeqCst);
        }
    });
    match FAILED.load(Ordering::SeqCst) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}
