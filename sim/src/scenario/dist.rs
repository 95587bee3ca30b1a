//! How a quantity varies: the distributions that times and delays are drawn from.

use switchover_core::time::Ns;

/// A distribution of durations. Each has a largest value, so that a worst case exists; a device that is *stuck* or that
/// lies about its contract is a fault, not a distribution.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dist {
    /// Always this.
    Constant(Ns),
    /// Any of these, equally likely, both ends included.
    Uniform {
        /// The least.
        from: Ns,
        /// The most.
        to: Ns,
    },
    /// Mostly `typical`, rarely up to `worst`: the chance of a value above `typical * 2^k` halves with each k.
    HeavyTail {
        /// The least, and the most likely.
        typical: Ns,
        /// The most: what lies beyond is drawn as this.
        worst: Ns,
    },
    /// One of these that were measured, equally likely. Never empty.
    Recorded(Vec<Ns>),
}

impl Dist {
    /// The smallest value that is ever drawn.
    #[must_use]
    pub fn least(&self) -> Ns {
        match self {
            Self::Constant(value)
            | Self::Uniform { from: value, .. }
            | Self::HeavyTail { typical: value, .. } => *value,
            Self::Recorded(values) => values.iter().copied().min().unwrap_or_default(),
        }
    }

    /// The largest value that is ever drawn.
    #[must_use]
    pub fn worst(&self) -> Ns {
        match self {
            Self::Constant(value)
            | Self::Uniform { to: value, .. }
            | Self::HeavyTail { worst: value, .. } => *value,
            Self::Recorded(values) => values.iter().copied().fold(Ns::ZERO, Ns::or_longer),
        }
    }
}

impl Default for Dist {
    fn default() -> Self {
        Self::Constant(Ns::ZERO)
    }
}
