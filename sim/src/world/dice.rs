//! Everything that is drawn, from one seed.
//!
//! PCG-XSH-RR with 128 bits of state and 64 of output, whose sequence `oorandom` states as part of its interface. Each
//! concern has a sequence of its own: a fault that is taken out of a scenario leaves the link's jitter as it was.

use oorandom::Rand64;
use switchover_core::time::Ns;

use crate::scenario::Dist;

/// What a draw is for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum For {
    /// Clocks, and pauses of the source's host.
    Source,
    /// The destination's host.
    Destination,
    /// The connections and the arbiter.
    Link,
    /// Faults.
    Faults,
}

/// Sequences for each concern.
#[derive(Clone, Debug)]
pub(super) struct Dice([Rand64; 4]);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let of = |stream: u128| Rand64::new_inc(u128::from(seed), stream);
        Self([of(1), of(2), of(3), of(4)])
    }

    pub(super) fn throw(&mut self, of: For) -> u64 {
        self.0[of as usize].rand_u64()
    }

    /// Any number below `n`, equally likely but for a part in 2^64 / n; zero for `n == 0`.
    pub(super) fn below(&mut self, of: For, n: u64) -> u64 {
        ((u128::from(self.throw(of)) * u128::from(n)) >> 64) as u64
    }

    /// True in so many of a million throws. Certainties are not thrown for.
    pub(super) fn chance(&mut self, of: For, millionths: u32) -> bool {
        match millionths {
            0 => false,
            1_000_000.. => true,
            _ => self.below(of, 1_000_000) < u64::from(millionths),
        }
    }

    /// From `-most` to `most`; in half of the throws one of these two, since bounds are kept or broken there.
    pub(super) fn either_way(&mut self, of: For, most: u32) -> i64 {
        if most == 0 {
            return 0;
        }
        let most = i64::from(most);
        match self.below(of, 4) {
            0 => -most,
            1 => most,
            _ => self.below(of, 2 * most.unsigned_abs() + 1) as i64 - most,
        }
    }

    /// A duration.
    pub(super) fn draw(&mut self, of: For, from: &Dist) -> Ns {
        match from {
            Dist::Constant(value) => *value,
            Dist::Uniform { from, to } => {
                from.plus(Ns::new(self.below(of, to.minus(*from).get().saturating_add(1))))
            }
            Dist::HeavyTail { typical, worst } => {
                let throw = self.throw(of);
                // Above typical * 2^k with a chance of 2^-(k + 1).
                let k = throw.trailing_zeros();
                if k == 0 || typical.get() == 0 {
                    return *typical;
                }
                let half = typical.get().checked_shl(k - 1).filter(|half| half >> (k - 1) == typical.get());
                let Some(half) = half else { return *worst };
                let beyond = ((u128::from(throw.rotate_right(k + 1)) * u128::from(half)) >> 64) as u64;
                Ns::new(half.saturating_add(beyond)).or_shorter(*worst)
            }
            Dist::Recorded(values) => {
                let which = self.below(of, values.len() as u64) as usize;
                values.get(which).copied().unwrap_or_default()
            }
        }
    }
}
