//! Getting a vCPU's thread out of the guest, from another thread, at once and without a race.
//!
//! The kicker sets the `immediate_exit` byte in the vCPU's `kvm_run` page, then sends the thread a signal. Wherever the
//! thread was, it notices: in the guest, the signal ends `KVM_RUN`; about to enter, the byte ends it at once.

use std::io;
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
