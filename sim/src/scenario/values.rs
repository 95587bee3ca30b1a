//! Quantities of a scenario file, read and printed: those of the shell, and rates in bits, chances and drifts.

use switchover_core::time::{Ns, Ppm};
use switchover_core::units::{Bytes, BytesPerSecond};
use switchover_text::units::{self, Rate, exact_duration, nanoseconds, parse_duration};

/// A million of a million: always.
pub const ALWAYS: u32 = 1_000_000;

const RATE_FORMS: &str = "write bits (`10Gb/s`, with kb, Mb or Gb) or bytes (`200MiB/s`) per second";
const PARTS_FORMS: &str = "write `5%` or `200ppm`";
/// Bits in a unit of a link's speed, largest first.
const BIT_UNITS: [(&str, u64); 3] = [("Gb/s", 1_000_000_000), ("Mb/s", 1_000_000), ("kb/s", 1_000)];
const BITS: u64 = 8;
/// Parts per million in a unit.
const PARTS: [(&str, u64); 2] = [("%", 10_000), ("ppm", 1)];

/// A duration.
///
/// # Errors
/// It is none; the message says what would be right.
pub fn time(given: &str) -> Result<Ns, String> {
    let duration = parse_duration(given).map_err(|error| error.to_string())?;
    Ok(Ns::new(nanoseconds(duration)))
}

/// A duration that [`time`] reads back.
#[must_use]
pub fn print_time(time: Ns) -> String {
    exact_duration(std::time::Duration::from_nanos(time.get()))
}

/// A size.
///
/// # Errors
/// It is none; the message says what would be right.
pub fn bytes(given: &str) -> Result<Bytes, String> {
    let units::Bytes(bytes) = given.parse().map_err(|error: units::UnitError| error.to_string())?;
    Ok(Bytes::new(bytes))
}

/// A size that [`bytes`] reads back.
#[must_use]
pub fn print_bytes(bytes: Bytes) -> String {
    units::Bytes(bytes.get()).to_string()
}

/// A rate; `None` is zero.
///
/// # Errors
/// It is none; the message says what would be right.
pub fn rate(given: &str) -> Result<Option<BytesPerSecond>, String> {
    let text = given.trim();
    let bits = BIT_UNITS.iter().find_map(|(unit, bits)| Some((text.strip_suffix(unit)?, *bits)));
    let bytes = match bits {
        Some((number, bits)) => scaled(number.trim_end(), bits / BITS)
            .ok_or_else(|| format!("`{given}` is not a whole number of bytes per second; {RATE_FORMS}"))?,
        None => match text.parse() {
            Ok(Rate::BytesPerSecond(bytes)) => bytes,
            Ok(Rate::Max) => return Err(format!("`{given}` has no bound; {RATE_FORMS}")),
            Err(_) => return Err(format!("`{given}` is not a rate; {RATE_FORMS}")),
        },
    };
    Ok(if bytes == 0 { None } else { Some(BytesPerSecond::new(bytes)) })
}

/// A rate that [`rate`] reads back.
#[must_use]
pub fn print_rate(rate: BytesPerSecond) -> String {
    let bytes = rate.get();
    let bits = BIT_UNITS.iter().find(|(_, bits)| bytes.is_multiple_of(bits / BITS));
    match bits {
        // 200MiB/s is a multiple of a kilobit, too.
        Some((unit, bits)) if !bytes.is_multiple_of(1 << 20) => format!("{}{unit}", bytes / (bits / BITS)),
        _ => Rate::BytesPerSecond(bytes).to_string(),
    }
}

/// A chance in parts per million.
///
/// # Errors
/// It is none; the message says what would be right.
pub fn chance(given: &str) -> Result<u32, String> {
    let parts = parts(given)?;
    if parts > ALWAYS {
        Err(format!("`{given}` is more than always; write at most `100%`"))
    } else {
        Ok(parts)
    }
}

/// A clock's drift.
///
/// # Errors
/// It is none; the message says what would be right.
pub fn drift(given: &str) -> Result<Ppm, String> {
    let most = Ppm::MAX.get();
    Ppm::new(parts(given)?).ok_or_else(|| {
        format!("`{given}` is more than the protocol's formulas are made for; write at most `{most}ppm`")
    })
}

fn parts(given: &str) -> Result<u32, String> {
    let text = given.trim();
    let parts = PARTS.iter().find_map(|(unit, parts)| Some((text.strip_suffix(unit)?, *parts)));
    let parts = parts.and_then(|(number, parts)| scaled(number.trim_end(), parts));
    parts
        .and_then(|parts| u32::try_from(parts).ok())
        .ok_or_else(|| format!("`{given}` is not a whole number of parts per million; {PARTS_FORMS}"))
}

/// A chance or drift that is read back.
#[must_use]
pub fn print_parts(parts: u32) -> String {
    if parts != 0 && parts.is_multiple_of(10_000) {
        format!("{}%", parts / 10_000)
    } else {
        format!("{parts}ppm")
    }
}

/// The decimal number `text` times `factor`, if that is whole.
fn scaled(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let divisor = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()?.checked_mul(factor)? };
    if !part.is_multiple_of(divisor) {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(part / divisor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_speed_is_in_bits_or_bytes() {
        let read = |text| rate(text).expect(text).map(BytesPerSecond::get);
        assert_eq!(read("10Gb/s"), Some(1_250_000_000));
        assert_eq!(read("2.5 Gb/s"), Some(312_500_000));
        assert_eq!(read("200MiB/s"), Some(200 << 20));
        assert_eq!((read("0"), read("0Mb/s")), (None, None));
        for bytes in [1, 125, 1_250_000_000, 200 << 20, 12_500_000_000, 1_250_000_001, u64::MAX] {
            let rate_of = BytesPerSecond::new(bytes);
            assert_eq!(rate(&print_rate(rate_of)), Ok(Some(rate_of)), "{}", print_rate(rate_of));
        }
        assert_eq!(print_rate(BytesPerSecond::new(1_250_000_000)), "10Gb/s");
        for (text, says) in
            [("max", "no bound"), ("10GB", "is not a rate"), ("1.0000000001Gb/s", "whole number")]
        {
            assert!(rate(text).expect_err(text).contains(says), "{text}");
        }
    }

    #[test]
    fn chances_and_drifts_are_whole_parts_per_million() {
        assert_eq!((chance("100%"), chance("0.0001%"), chance("200 ppm")), (Ok(ALWAYS), Ok(1), Ok(200)));
        assert_eq!(drift("0.05%").map(Ppm::get), Ok(500));
        for parts in [0, 1, 500, 10_000, 333_333, ALWAYS] {
            assert_eq!(chance(&print_parts(parts)), Ok(parts));
        }
        for (text, says) in
            [("101%", "more than always"), ("5", "`5%` or `200ppm`"), ("0.00001%", "whole number")]
        {
            assert!(chance(text).expect_err(text).contains(says), "{text}");
        }
        assert!(drift("11%").expect_err("too much").contains("100000ppm"));
    }
}
