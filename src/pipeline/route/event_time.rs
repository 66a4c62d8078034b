//! Reads the time of an event and turns it into the milliseconds LaunchDarkly wants.
//!
//! Databases and connectors write times in seconds, milliseconds, microseconds and nanoseconds, and
//! dates in days. Where the mapping names no unit, it is told by magnitude: within the years we
//! accept, no number is plausible in two units of a second.
//!
//! # Invariants
//! - T1: a time outside 2000-01-01 to 2099-12-31 (UTC) is an error, never "now": an event counted
//!   at the wrong time is worse than one that is not counted.
//! - T2: sub-millisecond digits are cut off, never rounded up into the next millisecond.

/// 2000-01-01T00:00:00Z.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 2100-01-01T00:00:00Z; the first instant that is too late.
const LATEST_MS: i64 = 4_102_444_800_000;

/// Numbers are handed to [`Unit::to_milliseconds`] with so many digits behind the decimal point:
/// enough for a day's milliseconds.
pub(super) const DIGITS_BELOW_ONE: i32 = 9;

/// What a number of a time counts, since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
    Days,
}

/// Reads a Unix time from the text of a JSON number.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn from_number(number: &str) -> Result<i64, String> {
    if let Ok(integer) = number.parse::<i64>() {
        return from_integer(integer).ok_or_else(|| {
            format!("{integer} is no time between 2000 and 2099 in s, ms, µs or ns")
        });
    }
    let float: f64 = number.parse().map_err(|error| format!("it is not a number: {error}"))?;
    // Fractions only occur in seconds and milliseconds; a double holds both to the microsecond.
    let floor = float.floor();
    #[expect(clippy::cast_possible_truncation, reason = "saturates; out of range is refused")]
    let whole = floor as i64;
    let ms = from_integer(whole)
        .ok_or_else(|| format!("{number} is no time between 2000 and 2099 in s, ms, µs or ns"))?;
    let is_seconds = i64::checked_mul(whole, 1_000) == Some(ms);
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 999")]
    let fraction = if is_seconds { ((float - floor) * 1_000.0) as i64 } else { 0 };
    Ok(ms + fraction)
}

/// Reads an RFC 3339 time, or a number written as text.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn from_text(text: &str) -> Result<i64, String> {
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && !text.is_empty() {
        return from_number(text);
    }
    let time: jiff::Timestamp = text.parse().map_err(|error| {
        format!("it is neither a Unix time nor RFC 3339 with an offset: {error}")
    })?;
    plausible(time.as_millisecond()).ok_or_else(|| format!("{time} lies outside 2000 to 2099"))
}

/// Reads a date or a time as databases write it. One without an offset is in UTC, as change data
/// capture has it; a date is its first instant.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn from_any_iso(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    // The library's error would show the text.
    let local: Option<jiff::civil::DateTime> = dated(text).parse().ok();
    let local = local.ok_or("it is a text that is no time in ISO 8601")?;
    let zoned = local.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?;
    Ok(zoned.timestamp().as_millisecond())
}

/// A date without the `Z` that Debezium's `io.debezium.time.IsoDate` puts behind it.
fn dated(text: &str) -> &str {
    text.strip_suffix('Z').filter(|date| !date.contains([':', 'T', ' '])).unwrap_or(text)
}

/// Takes milliseconds, as Kafka stamps records.
pub(super) fn from_milliseconds(ms: i64) -> Result<i64, String> {
    plausible(ms).ok_or_else(|| format!("{ms} ms lies outside 2000 to 2099"))
}

fn from_integer(value: i64) -> Option<i64> {
    // As seconds, milliseconds, microseconds and nanoseconds.
    let readings =
        [value.checked_mul(1_000), Some(value), Some(value / 1_000), Some(value / 1_000_000)];
    readings.into_iter().flatten().find_map(plausible)
}

fn plausible(ms: i64) -> Option<i64> {
    (EARLIEST_MS..LATEST_MS).contains(&ms).then_some(ms)
}

// === impl Unit ===

impl Unit {
    pub const ALL: [Self; 5] =
        [Self::Seconds, Self::Milliseconds, Self::Microseconds, Self::Nanoseconds, Self::Days];

    /// The word used for it in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Nanoseconds => "ns",
            Self::Days => "days",
        }
    }

    /// The milliseconds of a billion times so many units. `None` when no calendar reaches that far.
    pub(super) fn to_milliseconds(self, billionths: i128) -> Option<i64> {
        // Milliseconds in a billionth of a unit, as a fraction.
        let (factor, divisor) = match self {
            Self::Days => (86_400_000, 1_000_000_000),
            Self::Seconds => (1_000, 1_000_000_000),
            Self::Milliseconds => (1, 1_000_000_000),
            Self::Microseconds => (1, 1_000_000_000_000),
            Self::Nanoseconds => (1, 1_000_000_000_000_000),
        };
        let ms = i64::try_from(billionths.checked_mul(factor)?.div_euclid(divisor)).ok()?;
        jiff::Timestamp::from_millisecond(ms).is_ok().then_some(ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn all_units_and_rfc_3339_mean_the_same() {
        let ms = 1_767_225_600_250;
        for number in [
            "1767225600.25",
            "1767225600250",
            "1767225600250999",
            "1767225600250999999",
            "1767225600250.75",
            "1.76722560025e9",
        ] {
            assert_eq!(from_number(number), Ok(ms), "{number}");
        }
        for text in [
            "2026-01-01T00:00:00.25Z",
            "2026-01-01T02:00:00.250999+02:00",
            "2025-12-31 19:00:00.25-05:00",
            "1767225600250",
        ] {
            assert_eq!(from_text(text), Ok(ms), "{text}");
        }
        assert_eq!(from_number("1767225600"), Ok(1_767_225_600_000));
    }

    #[test]
    fn implausible_times_are_errors() {
        for number in
            ["0", "-1", "20454", "946684799", "4102444800", "1e400", "99999999999999999999", "5e12"]
        {
            assert!(from_number(number).is_err(), "{number}");
        }
        for text in [
            "",
            "yesterday",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "1999-12-31T23:59:59Z",
            "2100-01-01T00:00:00Z",
        ] {
            assert!(from_text(text).is_err(), "{text}");
        }
        assert!(from_milliseconds(-1).is_err());
    }

    proptest! {
        #[test]
        fn no_plausible_time_is_ambiguous(ms in EARLIEST_MS..LATEST_MS, below in 0..1_000_000_i64) {
            prop_assert_eq!(from_number(&(ms / 1_000).to_string()), Ok(ms / 1_000 * 1_000));
            prop_assert_eq!(from_number(&ms.to_string()), Ok(ms));
            prop_assert_eq!(from_number(&(ms * 1_000 + below / 1_000).to_string()), Ok(ms));
            prop_assert_eq!(from_number(&(ms * 1_000_000 + below).to_string()), Ok(ms));
        }
    }
}
