//! Which seeds a campaign plays, and which of them are one machine's share.
//!
//! `A..B` leaves out B, as ranges do in Rust, so that `0..500` and `500..1000` lie side by side and share nothing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A stretch of seeds, never empty: from the first up to, and without, the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Raw")]
pub struct Seeds {
    from: u64,
    to: u64,
}

/// As it stands in a file, not yet known to be a stretch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    from: u64,
    to: u64,
}

impl TryFrom<Raw> for Seeds {
    type Error = SeedsError;

    fn try_from(raw: Raw) -> Result<Self, SeedsError> {
        Self::new(raw.from, raw.to)
    }
}

/// Why a stretch of seeds could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedsError {
    /// Not two numbers with dots in between.
    #[error("`{0}` is not a stretch of seeds; write FIRST..END, as in `0..1000`, which leaves out 1000")]
    Form(String),
    /// Nothing in it.
    #[error("`{0}..{0}` has no seed in it, since the end is left out; write `{0}..{next}` for the one seed {0}", next = .0.saturating_add(1))]
    Empty(u64),
    /// The end is before the beginning.
    #[error("`{from}..{to}` ends before it begins; write `{to}..{from}`")]
    Backwards {
        /// What was given as the first.
        from: u64,
        /// What was given as the end.
        to: u64,
    },
}

impl Seeds {
    /// From `from` up to, and without, `to`.
    ///
    /// # Errors
    /// There would be none.
    pub fn new(from: u64, to: u64) -> Result<Self, SeedsError> {
        match from.cmp(&to) {
            std::cmp::Ordering::Less => Ok(Self { from, to }),
            std::cmp::Ordering::Equal => Err(SeedsError::Empty(from)),
            std::cmp::Ordering::Greater => Err(SeedsError::Backwards { from, to }),
        }
    }

    /// The first.
    #[must_use]
    pub const fn from(self) -> u64 {
        self.from
    }

    /// One beyond the last.
    #[must_use]
    pub const fn to(self) -> u64 {
        self.to
    }

    /// How many; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a stretch is never empty")]
    pub const fn len(self) -> u64 {
        self.to - self.from
    }

    /// The `number`-th piece of `size` seeds, from 0; the last may be shorter. `None` beyond the end.
    #[must_use]
    pub fn piece(self, number: u64, size: u64) -> Option<Self> {
        let from = self.from.checked_add(number.checked_mul(size)?)?;
        let to = from.saturating_add(size).min(self.to);
        Self::new(from, to).ok()
    }

    /// From the first of both to the last of both.
    #[must_use]
    pub fn hull(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// That shard's share: shares differ by one seed at most, and together are the whole.
    ///
    /// # Errors
    /// There are more shards than seeds, so that one would have none.
    pub fn share(self, shard: Shard) -> Result<Self, ShardError> {
        let of = u64::from(shard.of);
        if of > self.len() {
            return Err(ShardError::TooMany { seeds: self, of: shard.of });
        }
        let edge = |number: u32| {
            let part = u128::from(self.len()) * u128::from(number) / u128::from(of);
            // A part is never more than the whole, which fits.
            self.from + u64::try_from(part).unwrap_or(self.len())
        };
        Ok(Self { from: edge(shard.number - 1), to: edge(shard.number) })
    }
}

impl FromStr for Seeds {
    type Err = SeedsError;

    fn from_str(given: &str) -> Result<Self, SeedsError> {
        let form = || SeedsError::Form(given.into());
        let (from, to) = given.split_once("..").ok_or_else(form)?;
        let number = |text: &str| text.replace('_', "").parse().map_err(|_| form());
        Self::new(number(from)?, number(to)?)
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.from, self.to)
    }
}

/// One of several machines that share a campaign: `2/4` is the second of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard {
    number: u32,
    of: u32,
}

/// Why a shard could not be read, or has nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Not two numbers with a stroke in between.
    #[error("`{0}` is not a shard; write NUMBER/OF, as in `1/4` for the first of four")]
    Form(String),
    /// There is no such shard.
    #[error("there is no shard {number} of {of}; shards are counted from 1 to {of}, as in `1/{of}`")]
    Outside {
        /// Which was given.
        number: u32,
        /// Of how many.
        of: u32,
    },
    /// Some would have nothing to do.
    #[error("seeds {seeds} are too few for {of} shards; give more seeds, or at most {} shards", .seeds.len())]
    TooMany {
        /// What was to be shared.
        seeds: Seeds,
        /// Among how many.
        of: u32,
    },
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(given: &str) -> Result<Self, ShardError> {
        let form = || ShardError::Form(given.into());
        let (number, of) = given.split_once('/').ok_or_else(form)?;
        let (number, of) = (number.parse().map_err(|_| form())?, of.parse().map_err(|_| form())?);
        if of == 0 {
            return Err(form());
        }
        if number == 0 || number > of {
            return Err(ShardError::Outside { number, of });
        }
        Ok(Self { number, of })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Seeds {
        text.parse().expect(text)
    }

    #[test]
    fn a_stretch_leaves_out_its_end() {
        assert_eq!((seeds("5..8").from(), seeds("5..8").to(), seeds("5..8").len()), (5, 8, 3));
        assert_eq!(seeds("0..1_000_000").len(), 1_000_000);
        assert_eq!(seeds("0..18446744073709551615").to_string(), "0..18446744073709551615");
    }

    #[test]
    fn what_is_no_stretch_is_told_what_would_be_one() {
        for (given, says) in [
            ("5..5", "write `5..6`"),
            ("9..3", "write `3..9`"),
            ("5", "FIRST..END"),
            ("a..b", "FIRST..END"),
            ("-1..3", "FIRST..END"),
            ("0..=3", "FIRST..END"),
            ("0..18446744073709551616", "FIRST..END"),
        ] {
            let error = given.parse::<Seeds>().expect_err(given).to_string();
            assert!(error.contains(says), "{given}: {error}");
        }
    }

    #[test]
    fn shares_lie_side_by_side_and_are_the_whole() {
        for whole in ["0..1", "7..17", "0..1000003", "18446744073709551000..18446744073709551615"] {
            let whole = seeds(whole);
            for of in [1, 2, 3, 7].into_iter().filter(|of| *of <= whole.len()) {
                let shares: Vec<Seeds> = (1..=of)
                    .map(|number| {
                        whole.share(format!("{number}/{of}").parse().expect("a shard")).expect("a share")
                    })
                    .collect();
                assert_eq!((shares[0].from(), shares[shares.len() - 1].to()), (whole.from(), whole.to()));
                assert!(shares.windows(2).all(|pair| pair[0].to() == pair[1].from()));
                let lens: Vec<u64> = shares.iter().map(|share| share.len()).collect();
                assert!(lens.iter().max() <= lens.iter().min().map(|least| least + 1).as_ref(), "{lens:?}");
            }
        }
    }

    #[test]
    fn a_shard_that_cannot_be_is_refused() {
        for (given, says) in [
            ("0/4", "from 1 to 4"),
            ("5/4", "from 1 to 4"),
            ("1", "NUMBER/OF"),
            ("1/0", "NUMBER/OF"),
            ("x/y", "NUMBER/OF"),
        ] {
            let error = given.parse::<Shard>().expect_err(given).to_string();
            assert!(error.contains(says), "{given}: {error}");
        }
        let error = seeds("0..3").share("1/4".parse().expect("a shard")).expect_err("too many").to_string();
        assert!(error.contains("at most 3 shards"), "{error}");
    }

    #[test]
    fn pieces_end_where_the_stretch_does() {
        let whole = seeds("10..25");
        assert_eq!(whole.piece(0, 10), Some(seeds("10..20")));
        assert_eq!(whole.piece(1, 10), Some(seeds("20..25")));
        assert_eq!(whole.piece(2, 10), None);
        assert_eq!(whole.piece(u64::MAX, 10), None);
    }
}
