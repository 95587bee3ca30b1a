//! Blackouts by the million in a fixed amount of memory, joined without loss.
//!
//! An HDR histogram keeps three significant digits: a percentile may be told up to a thousandth too long, never too
//! short, so that a gate errs against whoever wants to pass it. The least, the most and the sum are kept exactly. Two of
//! these added give the same as one that was told everything, in any order.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use switchover_core::time::Ns;

/// Significant digits that are kept.
pub const DIGITS: u8 = 3;
/// The longest that is told apart: a day. What is longer counts among those of a day, and `max` still has it exactly.
const LONGEST: u64 = 86_400_000_000_000;

/// A share of all: from 0 to a million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

impl Share {
    /// One half: the median.
    pub const P50: Self = Self(500_000);
    /// Nine in ten.
    pub const P90: Self = Self(900_000);
    /// 99 in a hundred.
    pub const P99: Self = Self(990_000);
    /// 999 in a thousand.
    pub const P999: Self = Self(999_000);
    /// All but one in ten thousand.
    pub const P9999: Self = Self(999_900);
    /// All.
    pub const ALL: Self = Self(1_000_000);

    /// Those that a report shows, with their names.
    pub const SHOWN: [(&'static str, Self); 6] = [
        ("p50", Self::P50),
        ("p90", Self::P90),
        ("p99", Self::P99),
        ("p99.9", Self::P999),
        ("p99.99", Self::P9999),
        ("max", Self::ALL),
    ];

    /// Which of `count` values in ascending order is the first that this share lies at or below: from 1.
    fn rank(self, count: u64) -> u64 {
        let rank = (u128::from(count) * u128::from(self.0)).div_ceil(1_000_000);
        u64::try_from(rank).unwrap_or(count).max(1)
    }
}

/// How long guests stood still.
#[derive(Debug, Clone)]
pub struct Blackouts {
    histogram: Histogram<u64>,
    min: Ns,
    max: Ns,
    sum: Ns,
}

impl Default for Blackouts {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Self {
            histogram: histogram.unwrap_or_else(|error| unreachable!("the bounds are constants: {error}")),
            min: Ns::new(u64::MAX),
            max: Ns::ZERO,
            sum: Ns::ZERO,
        }
    }
}

impl PartialEq for Blackouts {
    fn eq(&self, other: &Self) -> bool {
        (self.min, self.max, self.sum) == (other.min, other.max, other.sum)
            && self.histogram == other.histogram
    }
}

impl Blackouts {
    /// Takes one in.
    pub fn record(&mut self, blackout: Ns) {
        self.histogram.saturating_record(blackout.get());
        self.min = self.min.or_shorter(blackout);
        self.max = self.max.or_longer(blackout);
        self.sum = self.sum.plus(blackout);
    }

    /// Takes in all of another's.
    pub fn add(&mut self, other: &Self) {
        // Never more than the bounds hold: they are the same for all.
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "{added:?}");
        self.min = self.min.or_shorter(other.min);
        self.max = self.max.or_longer(other.max);
        self.sum = self.sum.plus(other.sum);
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The shortest, exactly; `None` if there is none.
    #[must_use]
    pub fn min(&self) -> Option<Ns> {
        (self.count() > 0).then_some(self.min)
    }

    /// The longest, exactly; `None` if there is none.
    #[must_use]
    pub fn max(&self) -> Option<Ns> {
        (self.count() > 0).then_some(self.max)
    }

    /// The mean, rounded up; `None` if there is none.
    #[must_use]
    pub fn mean(&self) -> Option<Ns> {
        (self.count() > 0).then(|| Ns::new(self.sum.get().div_ceil(self.count())))
    }

    /// What that share of them is no longer than; `None` if there is none.
    #[must_use]
    pub fn at(&self, share: Share) -> Option<Ns> {
        self.at_among(share, self.count())
    }

    /// As [`at`](Self::at), among `of` in all: those that are not here are longer than any that is. `None` where the
    /// answer is one of them.
    #[must_use]
    pub fn at_among(&self, share: Share, of: u64) -> Option<Ns> {
        let rank = share.rank(of);
        if rank > self.count() || self.count() == 0 {
            return None;
        }
        let mut below = 0_u64;
        for step in self.histogram.iter_recorded() {
            below += step.count_since_last_iteration();
            if below >= rank {
                // A bucket's upper edge may lie beyond what was ever seen.
                return Some(Ns::new(step.value_iterated_to()).or_shorter(self.max));
            }
        }
        Some(self.max)
    }

    /// Each bucket that holds any, ascending: the longest blackout that it stands for, and how many.
    pub fn buckets(&self) -> impl Iterator<Item = (Ns, u64)> + '_ {
        let steps = self.histogram.iter_recorded();
        steps.map(|step| (Ns::new(step.value_iterated_to()), step.count_since_last_iteration()))
    }
}

/// As it stands in a file. The percentiles are for whoever reads it; they are not read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    count: u64,
    min_ns: Option<u64>,
    max_ns: Option<u64>,
    sum_ns: u64,
    mean_ns: Option<u64>,
    p50_ns: Option<u64>,
    p90_ns: Option<u64>,
    p99_ns: Option<u64>,
    p999_ns: Option<u64>,
    p9999_ns: Option<u64>,
    digits: u8,
    buckets: Vec<(u64, u64)>,
}

impl From<&Blackouts> for Written {
    fn from(blackouts: &Blackouts) -> Self {
        let at = |share| blackouts.at(share).map(Ns::get);
        Self {
            count: blackouts.count(),
            min_ns: blackouts.min().map(Ns::get),
            max_ns: blackouts.max().map(Ns::get),
            sum_ns: blackouts.sum.get(),
            mean_ns: blackouts.mean().map(Ns::get),
            p50_ns: at(Share::P50),
            p90_ns: at(Share::P90),
            p99_ns: at(Share::P99),
            p999_ns: at(Share::P999),
            p9999_ns: at(Share::P9999),
            digits: DIGITS,
            buckets: blackouts.buckets().map(|(upto, count)| (upto.get(), count)).collect(),
        }
    }
}

impl TryFrom<Written> for Blackouts {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let mut blackouts = Self::default();
        for &(upto, count) in &written.buckets {
            blackouts.histogram.record_n(upto, count).map_err(|error| error.to_string())?;
        }
        if blackouts.count() > 0 {
            blackouts.min = Ns::new(written.min_ns.ok_or("`min_ns` is null")?);
            blackouts.max = Ns::new(written.max_ns.ok_or("`max_ns` is null")?);
        }
        blackouts.sum = Ns::new(written.sum_ns);
        // Whatever is derived must come out as it was written: a file that was cut or edited does not.
        if Written::from(&blackouts) == written {
            Ok(blackouts)
        } else {
            Err("its figures do not agree with its buckets".into())
        }
    }
}

impl Serialize for Blackouts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blackouts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spread over nine decades, without an order.
    fn values(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|n| {
            let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed >> (20 + mixed % 40)
        })
    }

    fn of(values: impl Iterator<Item = u64>) -> Blackouts {
        let mut blackouts = Blackouts::default();
        values.for_each(|value| blackouts.record(Ns::new(value)));
        blackouts
    }

    #[test]
    fn a_percentile_is_never_told_too_short_and_hardly_too_long() {
        let mut sorted: Vec<u64> = values(10_000).collect();
        sorted.sort_unstable();
        let blackouts = of(values(10_000));
        for (name, share) in Share::SHOWN {
            let exact = sorted[usize::try_from(share.rank(10_000)).expect("small") - 1];
            let told = blackouts.at(share).expect("a value").get();
            assert!(told >= exact && told - exact <= exact / 1000 + 1, "{name}: {told} for {exact}");
        }
        assert_eq!(blackouts.max(), sorted.last().map(|most| Ns::new(*most)));
        assert_eq!(blackouts.min(), sorted.first().map(|least| Ns::new(*least)));
    }

    #[test]
    fn parts_added_in_any_order_are_the_whole() {
        let whole = of(values(5_000));
        let parts: Vec<Blackouts> = (0..5).map(|k| of(values(5_000).skip(k * 1000).take(1000))).collect();
        for order in [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1]] {
            let mut joined = Blackouts::default();
            order.iter().for_each(|k| joined.add(&parts[*k]));
            assert_eq!(joined, whole);
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_same() {
        for blackouts in
            [Blackouts::default(), of(values(3_000)), of([0, 1, LONGEST + 5, u64::MAX].into_iter())]
        {
            let text = serde_json::to_string(&blackouts).expect("written");
            let read: Blackouts = serde_json::from_str(&text).expect("read");
            assert_eq!(read, blackouts);
            assert_eq!(serde_json::to_string(&read).expect("written again"), text);
        }
    }

    #[test]
    fn what_was_edited_is_noticed() {
        let text = serde_json::to_string(&of(values(100))).expect("written");
        let edited = text.replacen("\"count\":100", "\"count\":101", 1);
        assert_ne!(text, edited);
        assert!(serde_json::from_str::<Blackouts>(&edited).is_err());
    }

    #[test]
    fn what_never_ended_is_longer_than_all_that_did() {
        let blackouts = of([10, 20, 30].into_iter());
        assert_eq!(blackouts.at_among(Share::P50, 3), Some(Ns::new(20)));
        assert_eq!(blackouts.at_among(Share::P50, 5), Some(Ns::new(30)));
        assert_eq!(blackouts.at_among(Share::P90, 5), None);
        assert_eq!(Blackouts::default().at(Share::P50), None);
    }
}
