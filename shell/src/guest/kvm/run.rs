//! A vCPU's thread: what it does while stopped, and while in and out of the guest.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kvm_bindings::{Msrs, kvm_sync_regs};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};

use super::error::VcpuError;
use super::heartbeat::HeartbeatSink;
use super::layout::{BLOCK_COUNT, PORT_BEAT, PORT_FAILED};
use super::spec::{Hooks, VCPU_SLICE};
use super::state::{StateFormat, msr_list};
use super::stats::block_word;
use super::vcpu::{Loaded, Request, Resumed, Shared, Stopped};
use crate::guest::memory::GuestMemory;
use crate::sys::kick::Armed;
use crate::sys::kvm as sys;
use crate::sys::sched::{precise_waits, set_prompt, set_realtime};

/// The longest wait that the guest may ask for.
const WAIT_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Empty,
    Stopped,
    Running,
    Dead(String),
}

/// All that a vCPU's thread works with.
pub(super) struct Thread {
    pub shared: Arc<Shared>,
    pub memory: GuestMemory,
    pub format: Arc<StateFormat>,
    pub hooks: Hooks,
    pub heartbeat: Option<Box<dyn HeartbeatSink>>,
}

/// The thread's own state.
struct Runner {
    with: Thread,
    armed: Armed,
    /// What the vCPU's MSRs were when it was last stopped, or what they were given.
    msrs: Msrs,
    /// That is not known: read them before relying on it.
    msrs_stale: bool,
    phase: Phase,
    /// The guest's time stamp counter less the host's, where KVM tells; only this thread changes it.
    tsc_offset: Option<u64>,
    /// The count that the next beat must have, once known.
    next_count: Option<u64>,
    urgent: bool,
}

enum Left {
    /// Nothing to be done: enter again.
    Again,
    /// The guest has nothing to do until then.
    Wait(Instant),
    Refused(String),
    Died(String),
}

impl Thread {
    /// The thread's main function. `ready` is whether the vCPU has a state to run from; `started` is told once kicks
    /// reach this thread.
    pub(super) fn main(self, vcpu: VcpuFd, ready: bool, started: impl FnOnce(Result<(), std::io::Error>)) {
        precise_waits();
        // Without it the thread still is one of the ordinary class.
        let _ = set_prompt(0, VCPU_SLICE);
        if let Some(hook) = &self.hooks.vcpu_thread {
            hook(self.shared.index);
        }
        let armed = match self.shared.kick.arm(vcpu) {
            Ok(armed) => {
                started(Ok(()));
                armed
            }
            Err(error) => return started(Err(error)),
        };
        let msrs = msr_list(&self.format.msrs);
        let tsc_offset = sys::tsc_offset(&armed.vcpu);
        let phase = if ready { Phase::Stopped } else { Phase::Empty };
        let mut runner = Runner {
            with: self,
            armed,
            msrs,
            msrs_stale: true,
            phase,
            tsc_offset,
            next_count: None,
            urgent: false,
        };
        runner.set_urgent(true);
        // Now, and not when a state is loaded; what it cannot read now it says then.
        let _ = runner.read_msrs();
        if runner.phase == Phase::Empty {
            // Where it fails, the first entry takes its time as it always did.
            let _ = runner.armed.rehearse();
        }
        runner.serve();
    }
}

impl Runner {
    fn serve(&mut self) {
        loop {
            let request = if self.phase == Phase::Running {
                self.run();
                self.armed.clear();
                self.with.shared.take()
            } else {
                Some(self.with.shared.next())
            };
            let news = match request {
                None => true,
                Some(Request::Quit) => return,
                Some(Request::Stop(answer)) => answer.give(self.stop()),
                Some(Request::Load(state, answer)) => answer.give(self.load(&state)),
                Some(Request::Resume(answer)) => answer.give(self.resume()),
            };
            if news {
                self.with.hooks.notify();
            }
        }
    }

    fn index(&self) -> u8 {
        self.with.shared.index
    }

    /// In and out of the guest, until something is asked or the vCPU dies.
    fn run(&mut self) {
        let shared = Arc::clone(&self.with.shared);
        shared.stats.running.store(true, Ordering::Release);
        shared.set_inside(true);
        while !shared.asked() {
            // Before the entry: an observer may hold this true too early, never too late.
            let entered_before = shared.stats.entered.swap(true, Ordering::AcqRel);
            match self.enter() {
                Left::Again => {}
                Left::Wait(until) => {
                    // Where the condition reaches it: a kick's signal would only cost an idle guest's stop its time.
                    shared.set_inside(false);
                    shared.wait_until(until);
                    shared.set_inside(true);
                }
                Left::Refused(why) => {
                    // The processor would not take the state: not one instruction was executed by this entry.
                    shared.stats.entered.store(entered_before, Ordering::Release);
                    shared.set_died(&why);
                    self.phase = Phase::Dead(why);
                    break;
                }
                Left::Died(why) => {
                    shared.set_died(&why);
                    self.phase = Phase::Dead(why);
                    break;
                }
            }
        }
        shared.set_inside(false);
        shared.stats.running.store(false, Ordering::Release);
    }

    fn enter(&mut self) -> Left {
        let entered = self.armed.vcpu.run();
        match entered {
            Ok(VcpuExit::IoOut(PORT_BEAT, data)) => {
                let now = Instant::now();
                let wait = data.try_into().map(u32::from_le_bytes).unwrap_or(0);
                self.beat();
                // It has executed; from now on the class is that of any guest.
                self.set_urgent(false);
                if wait == 0 {
                    Left::Again
                } else {
                    Left::Wait(now + Duration::from_nanos(wait.into()).min(WAIT_MAX))
                }
            }
            // The guest has noted it in its memory, where reports read it.
            Ok(VcpuExit::IoOut(PORT_FAILED, _)) => {
                self.with.hooks.notify();
                Left::Again
            }
            Ok(VcpuExit::Intr) => self.kicked(),
            Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => self.kicked(),
            Ok(VcpuExit::FailEntry(reason, cpu)) => {
                Left::Refused(format!("the guest's state cannot be entered (reason {reason:#x}, CPU {cpu})"))
            }
            Ok(VcpuExit::Shutdown) => Left::Died(self.describe("the guest faulted")),
            Ok(other) => {
                let other = format!("{other:?}");
                Left::Died(self.describe(&format!("unexpected exit {other}")))
            }
            Err(error) => Left::Died(format!("KVM_RUN failed: {error}")),
        }
    }

    /// Ends the kick's effect. The caller looks for requests afterwards, so none is missed; and a kick that came after
    /// its request was served does not keep the vCPU out of the guest.
    fn kicked(&mut self) -> Left {
        self.armed.clear();
        Left::Again
    }

    fn describe(&self, what: &str) -> String {
        match self.armed.vcpu.get_regs() {
            Ok(regs) => format!("{what} at rip {:#x}, rsp {:#x}, rax {:#x}", regs.rip, regs.rsp, regs.rax),
            Err(_) => what.to_string(),
        }
    }

    fn beat(&mut self) {
        let count = block_word(&self.with.memory, self.index(), BLOCK_COUNT);
        self.with.shared.stats.beat();
        if let Some(expected) = self.next_count
            && count != expected
        {
            self.with.shared.stats.out_of_step(expected, count);
        }
        self.next_count = Some(count.wrapping_add(1));
        if let Some(heartbeat) = &mut self.with.heartbeat {
            heartbeat.beat(count);
        }
    }

    fn stop(&mut self) -> Result<Stopped, VcpuError> {
        let at = Instant::now();
        match &self.phase {
            Phase::Empty => return Err(VcpuError::NotLoaded(self.index())),
            Phase::Dead(why) => {
                return Err(VcpuError::Died { vcpu: self.index(), why: why.clone() });
            }
            Phase::Stopped | Phase::Running => {}
        }
        self.phase = Phase::Stopped;
        self.urgent = true;
        let registers = self.settle(None)?;
        let state = self.with.format.save(
            self.index(),
            &self.armed.vcpu,
            &registers,
            self.tsc_offset,
            &mut self.msrs,
        )?;
        self.msrs_stale = false;
        Ok(Stopped { at, saved_at: Instant::now(), state: state.into() })
    }

    /// Goes through `KVM_RUN` without entering the guest: takes up `new` registers if there are any, completes a pending
    /// port access (a destination would otherwise make it again), and returns the registers as they are then. One
    /// call in place of three.
    fn settle(&mut self, new: Option<&kvm_sync_regs>) -> Result<kvm_sync_regs, VcpuError> {
        const ALL: [SyncReg; 3] = [SyncReg::Register, SyncReg::SystemRegister, SyncReg::VcpuEvents];
        if let Some(new) = new {
            *self.armed.vcpu.sync_regs_mut() = *new;
        }
        for kind in ALL {
            self.armed.vcpu.set_sync_valid_reg(kind);
            if new.is_some() {
                self.armed.vcpu.set_sync_dirty_reg(kind);
            }
        }
        self.armed.set();
        let left = self.armed.vcpu.run().map(|exit| format!("{exit:?}")).map_err(|error| error.errno());
        self.armed.clear();
        for kind in ALL {
            self.armed.vcpu.clear_sync_valid_reg(kind);
            // KVM has cleared what it took; what it refused must not be tried again.
            self.armed.vcpu.clear_sync_dirty_reg(kind);
        }
        let cause = match left {
            Err(libc::EINTR) => return Ok(self.armed.vcpu.sync_regs()),
            Err(errno) => std::io::Error::from_raw_os_error(errno).to_string(),
            Ok(exit) => format!("unexpected exit {exit}"),
        };
        let what = if new.is_some() { "KVM_RUN with new registers" } else { "KVM_RUN without entry" };
        Err(VcpuError::Call { vcpu: self.index(), what, cause })
    }

    fn load(&mut self, bytes: &[u8]) -> Result<Loaded, VcpuError> {
        let vcpu = self.index();
        match &self.phase {
            Phase::Running => return Err(VcpuError::Running(vcpu)),
            Phase::Dead(why) => {
                return Err(VcpuError::Died { vcpu, why: why.clone() });
            }
            Phase::Empty | Phase::Stopped => {}
        }
        let state = self.with.format.decode(vcpu, bytes).map_err(|error| VcpuError::State { vcpu, error })?;
        // Whatever comes of it, the state before is gone.
        if std::mem::replace(&mut self.phase, Phase::Empty) == Phase::Stopped {
            // A port access pending from before is completed with the registers of before.
            self.settle(None)?;
        }
        self.read_msrs()?;
        self.msrs_stale = true;
        self.with.format.load(vcpu, &self.armed.vcpu, &state, &mut self.msrs, &mut self.tsc_offset)?;
        self.settle(Some(&state.registers))?;
        self.msrs_stale = false;
        self.next_count = None;
        self.phase = Phase::Stopped;
        Ok(Loaded { at: Instant::now() })
    }

    fn read_msrs(&mut self) -> Result<(), VcpuError> {
        if self.msrs_stale {
            self.armed.vcpu.get_msrs(&mut self.msrs).map_err(|cause| VcpuError::Call {
                vcpu: self.index(),
                what: "KVM_GET_MSRS",
                cause: cause.to_string(),
            })?;
            self.msrs_stale = false;
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<Resumed, VcpuError> {
        let vcpu = self.index();
        match &self.phase {
            Phase::Empty => return Err(VcpuError::NotLoaded(vcpu)),
            Phase::Dead(why) => {
                return Err(VcpuError::Died { vcpu, why: why.clone() });
            }
            Phase::Running => {}
            Phase::Stopped => {
                // Memory is complete now: the guest's counter in it says which beat must be next.
                let count = block_word(&self.with.memory, vcpu, BLOCK_COUNT);
                self.next_count.get_or_insert(count.wrapping_add(1));
                self.msrs_stale = true;
                self.phase = Phase::Running;
            }
        }
        Ok(Resumed { at: Instant::now() })
    }

    /// Into the real-time class, or back: a running guest must not keep others from the CPU.
    fn set_urgent(&mut self, urgent: bool) {
        if let (Some(priority), true) = (self.with.shared.urgent_priority, urgent != self.urgent) {
            // Not permitted: everything works, at the ordinary class's latency.
            let _ = if urgent { set_realtime(0, Some(priority)) } else { set_prompt(0, VCPU_SLICE) };
        }
        self.urgent = urgent;
    }
}
