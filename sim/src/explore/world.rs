//! What a small world is: its guest, and how often what may go wrong in it.

use switchover_core::time::Ns;

use super::reached::Reached;

/// What becomes of a guest when its agent's process dies.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Guest {
    /// World (a): it dies too, as in our own VMM.
    DiesWithAgent,
    /// World (b): it goes on as it is, running or stopped, as a QEMU that is steered from outside.
    OutlivesAgent,
}

/// A small world, every behaviour of which is explored.
///
/// Untimed (`timing: None`): any message comes at any time, never, or more than once, in any order; any job ends at any
/// time; a deadline fires before or after anything else; an input may also come far beyond every deadline. Only safety
/// is judged. Timed: see [`Timing`].
///
/// Faults that could go on for ever are counted: so many of each in one run, at any point of it.
#[derive(Copy, Clone, Debug)]
pub struct World {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about, in a sentence.
    pub about: &'static str,
    /// What a crash does to the guest.
    pub guest: Guest,
    /// Devices, 0 or 1.
    pub devices: u8,
    /// Whether both sides use an arbiter.
    pub arbiter: bool,
    /// How often the operator has the guest moved.
    pub runs: u8,
    /// Attempts that the source makes of each by itself.
    pub retries: u8,
    /// Crashes of the source's process and of the destination's, each with a restart at any later time.
    pub crashes: [u8; 2],
    /// Connections that break, or cannot be made, though both processes live.
    pub cuts: u8,
    /// Jobs that fail: a port, a write, memory, the arbiter; in every way in which they can.
    pub failures: u8,
    /// Cancels on the source's side and on the destination's.
    pub cancels: [u8; 2],
    /// Times that the operator fences the destination's host, and says so.
    pub fences: u8,
    /// Restarts of the destination with its journal lost, another in its place.
    pub lost_journals: u8,
    /// Whether an input may come far beyond every deadline before the deadline itself was judged.
    pub late: bool,
    /// Clocks, or none.
    pub timing: Option<Timing>,
    /// What must be reached in it; that proves nothing, but its absence would show that the world is too small.
    pub reaches: &'static [Reached],
    /// How many states it has: a change that is not meant is noticed.
    pub states: usize,
    /// A wrong machine: the tests show that it is noticed.
    #[cfg(feature = "mutants")]
    pub mutant: Option<switchover_core::mutant::Mutant>,
}

/// Where a timed world begins: t = 0 is always the moment before the guest stops.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum From {
    /// At t = 0. The destination hears nothing of the stop: every end before `Ready` is here.
    Stop,
    /// When `Sealed` is sent, with no time passed: how long the work before it took comes to the same as how long what
    /// follows takes, and both have no bound.
    Sealed,
}

/// Clocks and contracts of a timed world, in nanoseconds of the host that each is about.
///
/// What the promise of a bound assumes holds, to the last nanosecond: rollback, resume, journal, claim, timers, and the
/// way of an answer take any whole number of ticks up to their contracts. All else (the work before `Go`, `Ready`,
/// `Go` itself) takes as long as it likes, or never comes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Timing {
    /// Where it begins.
    pub from: From,
    /// H.
    pub hard_limit: u64,
    /// Each phase of the work before `Go`: its contract, which nothing keeps.
    pub work: u64,
    /// R of vCPUs, and of devices.
    pub rollback: u64,
    /// Res of vCPUs, and of devices.
    pub resume: u64,
    /// J, the destination's.
    pub journal: u64,
    /// J_s, the source's.
    pub source_journal: u64,
    /// W_s.
    pub source_timer: u64,
    /// W_d.
    pub timer: u64,
    /// delta.
    pub delay: u64,
    /// C, of either side.
    pub claim: u64,
    /// Pause between repetitions.
    pub again: u64,
    /// Declared drift of each clock.
    pub drift_ppm: u32,
    /// What the source's clock and the destination's gain in `per` ticks.
    pub gains: [u8; 2],
    /// See `gains`.
    pub per: u8,
}

impl Timing {
    /// What one tick is at most on the source's clock.
    #[must_use]
    pub const fn tick(&self) -> Ns {
        Ns::new((self.gains[0] as u64).div_ceil(self.per as u64))
    }
}
