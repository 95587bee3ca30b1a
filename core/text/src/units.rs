//! Quantities as people write them: `300ms`, `64MiB`, `200MiB/s`.
//!
//! Everything is parsed and printed in whole nanoseconds and whole bytes, by integer arithmetic: what a user wrote is
//! what the machine gets, and what is printed can be read back to the same value. A value that would need rounding
//! (`0.5ns`, `0.3B`) is refused; only a rate is rounded, down to whole bytes (`2.1GiB/s` has none).
//!
//! Not here: limits on the values. What is too large or too small depends on the option, and is judged where it is read.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The forms a duration may be written in, for messages.
pub const DURATION_FORMS: &str =
    "a number with ns, us, ms, s or min (`300ms`, `1.5s`); a bare number is milliseconds";
/// The forms a size may be written in, for messages.
pub const SIZE_FORMS: &str =
    "a number with B, KiB, MiB, GiB or TiB (`64MiB`, `1.5GiB`); a bare number is bytes";
/// The forms a rate may be written in, for messages.
pub const RATE_FORMS: &str = "a size per second (`200MiB/s`), `max`, or `0`";

/// Nanoseconds in a unit of time, largest first.
const TIME_UNITS: [(&str, u64); 5] =
    [("min", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
/// Bytes in a unit of size, largest first.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Why a quantity could not be read. The message says what was wrong and what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number at the beginning.
    #[error("`{given}` does not begin with a number; write {forms}")]
    NotANumber {
        /// What was written.
        given: String,
        /// What is accepted.
        forms: &'static str,
    },
    /// The number is followed by something that is not a unit.
    #[error("`{unit}` in `{given}` is not a unit; write {forms}")]
    UnknownUnit {
        /// What was written.
        given: String,
        /// The part that was taken for a unit.
        unit: String,
        /// What is accepted.
        forms: &'static str,
    },
    /// The value is finer than the smallest unit, and would have to be rounded.
    #[error("`{given}` is not a whole number of {smallest}; write {forms}")]
    TooFine {
        /// What was written.
        given: String,
        /// The smallest unit: `ns` or `bytes`.
        smallest: &'static str,
        /// What is accepted.
        forms: &'static str,
    },
    /// A rate without `/s`: `200MiB` may mean anything.
    #[error("`{given}` does not say per what; write {RATE_FORMS}")]
    NotARate {
        /// What was written.
        given: String,
    },
    /// The value does not fit into 64 bits.
    #[error("`{given}` is too large; write {forms}")]
    TooLarge {
        /// What was written.
        given: String,
        /// What is accepted.
        forms: &'static str,
    },
}

/// What distinguishes the reading of a duration from the reading of a size.
struct Scale {
    units: &'static [(&'static str, u64)],
    bare: u64,
    smallest: &'static str,
    /// Whether a fraction of the smallest unit is dropped rather than refused.
    round_down: bool,
    forms: &'static str,
}

const TIME: Scale =
    Scale { units: &TIME_UNITS, bare: 1_000_000, smallest: "ns", round_down: false, forms: DURATION_FORMS };
const SIZE: Scale =
    Scale { units: &SIZE_UNITS, bare: 1, smallest: "bytes", round_down: false, forms: SIZE_FORMS };
const RATE: Scale = Scale { round_down: true, forms: RATE_FORMS, ..SIZE };

/// Reads `digits[.digits][unit]` exactly.
fn parse_scaled(given: &str, scale: &Scale) -> Result<u64, UnitError> {
    let forms = scale.forms;
    let too_large = || UnitError::TooLarge { given: given.into(), forms };
    let not_a_number = || UnitError::NotANumber { given: given.into(), forms };
    let text = given.trim();
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.contains('.') || (number.contains('.') && fraction.is_empty()) {
        return Err(not_a_number());
    }
    let unit = unit.trim_start();
    let factor = match unit {
        "" => scale.bare,
        _ => scale
            .units
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
            .ok_or_else(|| UnitError::UnknownUnit { given: given.into(), unit: unit.into(), forms })?,
    };
    let whole: u64 = whole.parse().map_err(|_| too_large())?;
    let mut value = whole.checked_mul(factor).ok_or_else(too_large)?;
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        // The factor has at most 41 bits, and a useful fraction at most 40 digits: more cannot come out whole.
        let too_fine = || UnitError::TooFine { given: given.into(), smallest: scale.smallest, forms };
        let digits: u128 = fraction.parse().map_err(|_| too_fine())?;
        let divisor =
            u32::try_from(fraction.len()).ok().and_then(|n| 10u128.checked_pow(n)).ok_or_else(too_fine)?;
        let scaled = digits.checked_mul(u128::from(factor)).ok_or_else(too_fine)?;
        if scaled % divisor != 0 && !scale.round_down {
            return Err(too_fine());
        }
        let part = u64::try_from(scaled / divisor).map_err(|_| too_large())?;
        value = value.checked_add(part).ok_or_else(too_large)?;
    }
    Ok(value)
}

/// Reads a duration: `300ms`, `10us`, `1.5s`; a bare number is milliseconds, as in QEMU.
///
/// # Errors
/// Not a number, an unknown unit, finer than a nanosecond, or more than 64 bits of nanoseconds.
pub fn parse_duration(given: &str) -> Result<Duration, UnitError> {
    parse_scaled(given, &TIME).map(Duration::from_nanos)
}

/// A duration in whole nanoseconds; durations read here always fit, longer ones are held at the largest value.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Prints a duration so that [`parse_duration`] reads the same value back: `300ms`, `4.1ms`, `0ns`.
#[must_use]
pub fn exact_duration(duration: Duration) -> String {
    let ns = nanoseconds(duration);
    // Minutes are for writing, not for reading back: 90 s is clearer than 1.5 min.
    let (unit, factor, digits) = match ns {
        0..1_000 => ("ns", 1, 0),
        1_000..1_000_000 => ("us", 1_000, 3),
        1_000_000..1_000_000_000 => ("ms", 1_000_000, 6),
        _ => ("s", 1_000_000_000, 9),
    };
    let mut text = (ns / factor).to_string();
    let fraction = format!("{:0digits$}", ns % factor);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text + unit
}

/// Prints a duration for a person, to three significant digits, rounded up: `4.13ms`, `121ms`, `2.01s`.
///
/// Rounded up, so that a time shown as within a limit is within it.
#[must_use]
pub fn short_duration(duration: Duration) -> String {
    let ns = nanoseconds(duration);
    let step = third_digit(ns);
    exact_duration(Duration::from_nanos(ns.div_ceil(step).saturating_mul(step)))
}

/// The same for what is left of a limit: rounded down, so that nobody counts on more than there is.
#[must_use]
pub fn short_rest(duration: Duration) -> String {
    let ns = nanoseconds(duration);
    let step = third_digit(ns);
    exact_duration(Duration::from_nanos(ns / step * step))
}

/// What the third digit of a number counts.
fn third_digit(number: u64) -> u64 {
    let mut step = 1u64;
    while number / step >= 1_000 {
        step *= 10;
    }
    step
}

/// A number of bytes. Reads and prints binary units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = UnitError;

    fn from_str(given: &str) -> Result<Self, UnitError> {
        parse_scaled(given, &SIZE).map(Bytes)
    }
}

impl fmt::Display for Bytes {
    /// The largest unit in which the value is whole, so that it is read back exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = SIZE_UNITS
            .iter()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&("B", 1));
        f.pad(&format!("{}{unit}", self.0 / factor))
    }
}

impl Bytes {
    /// For a person: at most one decimal, rounded down (`212.4MiB`). Not to be read back.
    #[must_use]
    pub fn short(self) -> String {
        let (unit, factor) = SIZE_UNITS.iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(&("B", 1));
        let (whole, tenths) = (self.0 / factor, u128::from(self.0 % factor) * 10 / u128::from(*factor));
        if tenths == 0 { format!("{whole}{unit}") } else { format!("{whole}.{tenths}{unit}") }
    }
}

/// Bytes per second, or as fast as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rate {
    /// So many bytes in a second; zero is a rate too.
    BytesPerSecond(u64),
    /// No limit.
    Max,
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(given: &str) -> Result<Self, UnitError> {
        let text = given.trim();
        match text {
            "max" => return Ok(Rate::Max),
            "0" => return Ok(Rate::BytesPerSecond(0)),
            _ => {}
        }
        let Some(size) = text.strip_suffix("/s") else {
            // What is wrong with the size comes first: `fast` is no rate for a better reason than its missing `/s`.
            parse_scaled(text, &RATE)?;
            return Err(UnitError::NotARate { given: given.into() });
        };
        parse_scaled(size, &RATE).map(Rate::BytesPerSecond)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Max => f.pad("max"),
            Rate::BytesPerSecond(0) => f.pad("0"),
            Rate::BytesPerSecond(rate) => f.pad(&format!("{}/s", Bytes(*rate))),
        }
    }
}

/// Serialises through the printed form, so that a file says `64MiB` where a person wrote it.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(Bytes);
serde_as_text!(Rate);

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(given: &str) -> u64 {
        nanoseconds(parse_duration(given).expect(given))
    }

    #[test]
    fn durations_are_read_exactly_and_a_bare_number_is_milliseconds() {
        assert_eq!(ns("300ms"), 300_000_000);
        assert_eq!(ns("300"), 300_000_000);
        assert_eq!(ns("0"), 0);
        assert_eq!(ns("10us"), 10_000);
        assert_eq!(ns("2s"), 2_000_000_000);
        assert_eq!(ns("1.5s"), 1_500_000_000);
        assert_eq!(ns("1min"), 60_000_000_000);
        assert_eq!(ns("7ns"), 7);
        // 0.1 has no exact float: 4.1 ms must still be 4,100,000 ns, and so must every neighbour.
        assert_eq!(ns("4.1ms"), 4_100_000);
        assert_eq!(ns("4.100001ms"), 4_100_001);
        assert_eq!(ns("18446744073.709551615s"), u64::MAX);
    }

    #[test]
    fn a_bad_duration_says_what_was_wrong_and_what_is_right() {
        for (given, wrong) in [
            ("", "does not begin with a number"),
            ("fast", "does not begin with a number"),
            ("-1ms", "does not begin with a number"),
            (".5s", "does not begin with a number"),
            ("1.s", "does not begin with a number"),
            ("1.2.3s", "does not begin with a number"),
            ("300msec", "`msec` in `300msec` is not a unit"),
            ("300MS", "`MS` in `300MS` is not a unit"),
            ("0.5ns", "not a whole number of ns"),
            ("18446744073.709551616s", "too large"),
            ("99999999999999999999", "too large"),
        ] {
            let error = parse_duration(given).expect_err(given).to_string();
            assert!(error.contains(wrong), "{given}: {error}");
            assert!(error.contains("`300ms`"), "{given}: no remedy in {error}");
        }
    }

    #[test]
    fn printed_durations_are_read_back_to_the_same_nanosecond() {
        for value in
            [0, 1, 999, 1_000, 1_001, 4_100_000, 999_999_999, 300_000_000, 2_000_000_000_001, u64::MAX]
        {
            let text = exact_duration(Duration::from_nanos(value));
            assert_eq!(ns(&text), value, "{text}");
        }
        assert_eq!(exact_duration(Duration::from_millis(300)), "300ms");
        assert_eq!(exact_duration(Duration::from_nanos(4_100_000)), "4.1ms");
    }

    #[test]
    fn a_short_duration_never_looks_shorter_than_it_is() {
        for (value, text) in [
            (999, "999ns"),
            (4_123_456, "4.13ms"),
            (310_000_000, "310ms"),
            (310_000_001, "311ms"),
            (999_999_999, "1s"),
            (2_000_000_001, "2.01s"),
        ] {
            assert_eq!(short_duration(Duration::from_nanos(value)), text);
        }
        for (value, text) in [(0, "0ns"), (309_999_910, "309ms"), (310_000_000, "310ms")] {
            assert_eq!(short_rest(Duration::from_nanos(value)), text);
        }
    }

    #[test]
    fn sizes_are_binary_and_exact() {
        for (given, bytes) in [
            ("1GiB", 1 << 30),
            ("64MiB", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("4KiB", 4096),
            ("4096", 4096),
            ("12B", 12),
            ("0", 0),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(given.parse::<Bytes>().expect(given).0, bytes);
        }
        for value in [0, 1, 4096, 5000, 64 << 20, (1 << 40) + 4096, u64::MAX] {
            assert_eq!(Bytes(value).to_string().parse(), Ok(Bytes(value)));
        }
        assert_eq!(Bytes(212 * (1 << 20) + (1 << 19)).short(), "212.5MiB");
        for (given, wrong) in [
            ("1GB", "`GB` in `1GB` is not a unit"),
            ("x", "number"),
            ("0.3B", "whole"),
            ("20000000TiB", "too large"),
        ] {
            let error = given.parse::<Bytes>().expect_err(given).to_string();
            assert!(error.contains(wrong) && error.contains("`64MiB`"), "{given}: {error}");
        }
    }

    #[test]
    fn a_rate_says_that_it_is_one() {
        for (given, rate) in [
            ("200MiB/s", Rate::BytesPerSecond(200 << 20)),
            ("2.1GiB/s", Rate::BytesPerSecond(2_254_857_830)),
            ("max", Rate::Max),
            ("0", Rate::BytesPerSecond(0)),
            ("0B/s", Rate::BytesPerSecond(0)),
        ] {
            assert_eq!(given.parse::<Rate>(), Ok(rate));
            assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
        }
        for (given, wrong) in [
            ("200MiB", "`200MiB` does not say per what"),
            ("200", "does not say per what"),
            ("fast", "number"),
            ("5GB/s", "`GB`"),
        ] {
            let error = given.parse::<Rate>().expect_err(given).to_string();
            assert!(error.contains(wrong) && error.contains("`200MiB/s`"), "{given}: {error}");
        }
    }
}
