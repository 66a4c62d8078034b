//! Exact decimal numbers, read from text and written as JSON.
//!
//! Nothing passes through floating point, so that every digit that a database holds arrives.
//!
//! # Invariants
//! - N1: what is written is a JSON number that has exactly the value that was read.

/// More digits than any database's column; a bound for what an exponent may unfold to.
const MOST_DIGITS: usize = 1_000;

/// A decimal number: its digits, and what their last one counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exact {
    pub(super) is_negative: bool,
    /// Without leading zeros; empty for zero.
    pub(super) digits: String,
    /// The power of ten of the last digit.
    pub(super) exponent: i32,
}

// === impl Exact ===

impl Exact {
    /// Reads a number as people and databases write it: `12.50`, `+7`, `.5`, `-1.2e3`. Blanks around
    /// it do not count. `None` when it is none, or has more digits than anybody needs.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_ascii();
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let exponent = power.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        Self::of(text.starts_with('-'), &digits, exponent)
    }

    /// `None` when it would unfold to more digits than anybody needs.
    pub(super) fn of(is_negative: bool, digits: &str, exponent: i32) -> Option<Self> {
        let digits = digits.trim_start_matches('0').to_owned();
        let unfolded = usize::try_from(exponent.unsigned_abs()).ok()?.checked_add(digits.len())?;
        (unfolded <= MOST_DIGITS).then_some(Self { is_negative, digits, exponent })
    }

    /// As a JSON number, with its trailing zeros.
    pub(super) fn plain(&self) -> String {
        let sign = if self.is_negative && !self.digits.is_empty() { "-" } else { "" };
        let places = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(0);
        if self.exponent >= 0 {
            let zeros = if self.digits.is_empty() { String::new() } else { "0".repeat(places) };
            let digits = if self.digits.is_empty() { "0" } else { &self.digits };
            return format!("{sign}{digits}{zeros}");
        }
        let padded = format!("{:0>width$}", self.digits, width = places + 1);
        let (whole, fraction) = padded.split_at(padded.len() - places);
        format!("{sign}{whole}.{fraction}")
    }

    /// The same without a fraction, when that is zero.
    pub(super) fn whole(&self) -> Option<Self> {
        let Ok(places) = usize::try_from(-self.exponent) else {
            return Some(self.clone());
        };
        let kept = self.digits.len().saturating_sub(places);
        let (whole, fraction) = self.digits.split_at(kept);
        let is_whole = fraction.bytes().all(|digit| digit == b'0');
        is_whole.then(|| Self { digits: whole.to_owned(), exponent: 0, ..self.clone() })
    }

    /// The whole part of it times a power of ten, rounded down. `None` when it is beyond what an
    /// `i128` holds.
    pub(super) fn scaled_floor(&self, power: i32) -> Option<i128> {
        let digits: i128 = if self.digits.is_empty() { 0 } else { self.digits.parse().ok()? };
        let signed = if self.is_negative { -digits } else { digits };
        let exponent = self.exponent.checked_add(power)?;
        let factor = 10_i128.checked_pow(exponent.unsigned_abs());
        match (exponent >= 0, factor) {
            (true, factor) => signed.checked_mul(factor?),
            (false, Some(factor)) => Some(signed.div_euclid(factor)),
            // Far below one.
            (false, None) => Some(if signed < 0 { -1 } else { 0 }),
        }
    }
}
