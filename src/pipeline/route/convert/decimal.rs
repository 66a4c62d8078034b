//! Decimals as Debezium and Kafka Connect write them: an unscaled integer as big-endian two's
//! complement bytes, in base64, with its scale beside it.
//!
//! Format: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-decimal-types>.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::number::Exact;

/// Longer than any database's decimal that a number could be made of; the work grows with the
/// square.
const MOST_BYTES: usize = 400;
/// Nine digits fit into a limb.
const LIMB: u64 = 1_000_000_000;

/// What Debezium sends for columns without a scale of their own: `io.debezium.data.VariableScaleDecimal`.
#[derive(Deserialize)]
struct VariableScale {
    scale: i32,
    value: String,
}

/// Reads a decimal of a scale that the column's type tells.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn from_base64(text: &str, scale: i32) -> Result<Exact, String> {
    let bytes = STANDARD.decode(text).ok().ok_or("it is a text that is not base64")?;
    if bytes.is_empty() || bytes.len() > MOST_BYTES {
        return Err(format!("it holds {} bytes; a decimal has 1 to {MOST_BYTES}", bytes.len()));
    }
    let is_negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let digits = digits(&if is_negative { negated(bytes) } else { bytes });
    let exponent = scale.checked_neg();
    exponent
        .and_then(|exponent| Exact::of(is_negative, &digits, exponent))
        .ok_or_else(|| format!("its scale {scale} is out of range"))
}

/// Reads a decimal that brings its scale along.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn from_object(json: &str) -> Result<Exact, String> {
    let decimal: Option<VariableScale> = serde_json::from_str(json).ok();
    let decimal = decimal.ok_or("it is an object without a `scale` and a `value` in base64")?;
    from_base64(&decimal.value, decimal.scale)
}

/// Two's complement: the magnitude of a negative number.
fn negated(bytes: Vec<u8>) -> Vec<u8> {
    let mut carry = true;
    let mut negated: Vec<u8> = bytes
        .into_iter()
        .rev()
        .map(|byte| {
            let (sum, overflowed) = (!byte).overflowing_add(u8::from(carry));
            carry = overflowed;
            sum
        })
        .collect();
    negated.reverse();
    negated
}

/// The decimal digits of a big-endian magnitude.
fn digits(magnitude: &[u8]) -> String {
    // Limbs of nine digits, the lowest first.
    let mut limbs: Vec<u64> = Vec::new();
    for byte in magnitude {
        let mut carry = u64::from(*byte);
        for limb in &mut limbs {
            let value = *limb * 256 + carry;
            *limb = value % LIMB;
            carry = value / LIMB;
        }
        if carry > 0 {
            limbs.push(carry);
        }
    }
    let mut text = String::new();
    for limb in limbs.iter().rev() {
        // Writing to a text cannot fail.
        let written = write!(text, "{limb:09}");
        debug_assert!(written.is_ok());
    }
    text
}
