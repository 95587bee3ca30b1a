//! The bound of a timed world of the explorer, by the same formulas, in its ticks.
//!
//! There the promise's assumptions are kept to the last tick, and everything else takes as long as it likes: `Go` may
//! always be late. Contracts are nanoseconds of a host's clock, of which only whole ticks can pass.

use switchover_core::time::{Ns, Ppm};

use super::facts::{Facts, Truth};
use super::worst::Ways;
use crate::explore::{Timing, World, destination_settings, source_settings};

/// The longest that the guest is dark, in ticks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ticks {
    /// Until it runs at the destination.
    pub commit: u64,
    /// Until it runs at the source again, `Go` unsent.
    pub before_go: u64,
    /// Until it runs at the source again.
    pub abort: u64,
}

/// Of a world; `None` for one that has no clocks, or whose limit leaves no time.
#[must_use]
pub fn timed(world: &World) -> Option<Ticks> {
    let timing = world.timing?;
    let delay = Ns::new(timing.delay);
    let truth = truth(world, &timing);
    let (source, destination) = (source_settings(world), destination_settings(world, 0));
    let worst = Facts::told(&source, &destination, (delay, delay), truth).worst().ok()?;
    let ways = Ways {
        go_late: true,
        claim_races: world.arbiter,
        supersedes: false,
        answers: !world.arbiter,
        arbiter: world.arbiter,
    };
    let ticks = |time: Ns| ticks(&timing, time);
    Some(Ticks {
        commit: ticks(worst.commit(ways)),
        before_go: ticks(worst.undone),
        abort: ticks(worst.abort(ways)),
    })
}

/// What can happen at most, on the source's clock for the source's things, on the destination's for its own.
fn truth(world: &World, timing: &Timing) -> Truth {
    let per = u64::from(timing.per);
    let [own, theirs] = timing.gains.map(u64::from);
    let whole = |time: u64, gains: u64| Ns::new(time * per / gains * gains / per);
    let (here, there) = (|time| whole(time, own), |time| whole(time, theirs));
    let device = |time: Ns| if world.devices > 0 { time } else { Ns::ZERO };
    let relative = (own * 1_000_000).div_ceil(theirs).saturating_sub(1_000_000);
    Truth {
        rollback_devices: device(here(timing.rollback)),
        rollback_vcpus: here(timing.rollback),
        timer: Ns::new(timing.source_timer),
        claim: here(timing.claim),
        peer_timer: Ns::new(timing.timer),
        peer_claim: if world.arbiter { there(timing.claim) } else { Ns::ZERO },
        peer_journal: there(timing.journal),
        resume_devices: device(there(timing.resume)),
        resume_vcpus: there(timing.resume),
        // An answer's way, and the source being woken by it.
        delay_most: here(timing.delay + timing.source_timer),
        drift: u32::try_from(relative).ok().and_then(Ppm::new).unwrap_or(Ppm::MAX),
        grain: if own == theirs { Ns::ZERO } else { Ns::new(1) },
        ..Truth::default()
    }
}

/// The last tick at which the source's clock has gained no more than that.
fn ticks(timing: &Timing, time: Ns) -> u64 {
    let (per, own) = (u64::from(timing.per), u64::from(timing.gains[0]));
    ((time.get() + 1) * per).div_ceil(own) - 1
}
