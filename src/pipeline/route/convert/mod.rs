//! Explicit conversions: `as: number` and its like.
//!
//! Nothing is converted unless the mapping asks for it: a text that looks like a number may be a key.
//! What cannot be converted is refused, never guessed.
//!
//! Not here: what a field takes (`metric_event`, `metric`, `segment_member`).

mod decimal;
mod number;
#[cfg(test)]
mod tests;

use serde_json::Value as Json;

use self::number::Exact;
use crate::model::outcome::RefusalReason;
use crate::pipeline::route::event_time::{self, Unit};
use crate::pipeline::route::expression::Kinds;
use crate::pipeline::route::projection::Picked;

/// What a value is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversion {
    /// From a text that is a number, and from booleans, which count 1 and 0.
    Number,
    /// The same, and nothing may be behind the decimal point.
    Integer,
    /// The text of a number or a boolean.
    Text,
    /// From 0 and 1, and from the words that databases use.
    Boolean,
    /// Milliseconds since the Unix epoch, from numbers in a unit and from ISO 8601.
    Timestamp(Option<Unit>),
    /// From the bytes of a decimal, with the scale that its column has.
    Decimal(Option<i32>),
}

/// What a conversion gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Converted {
    /// It was that already.
    Same,
    Json(String),
    Milliseconds(i64),
}

const TRUE: [&str; 6] = ["true", "t", "yes", "y", "on", "1"];
const FALSE: [&str; 6] = ["false", "f", "no", "n", "off", "0"];

// === impl Conversion ===

impl Conversion {
    /// The word used for it in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Text => "string",
            Self::Boolean => "boolean",
            Self::Timestamp(_) => "timestamp",
            Self::Decimal(_) => "decimal",
        }
    }

    /// What it can be given.
    pub fn takes(self) -> Kinds {
        match self {
            Self::Number | Self::Integer | Self::Text | Self::Boolean => {
                Kinds::TEXT | Kinds::NUMBER | Kinds::BOOLEAN
            }
            Self::Timestamp(_) => Kinds::TEXT | Kinds::NUMBER,
            Self::Decimal(_) => Kinds::TEXT | Kinds::NUMBER | Kinds::OBJECT,
        }
    }

    /// What comes out.
    pub fn gives(self) -> Kinds {
        match self {
            Self::Number | Self::Decimal(_) => Kinds::NUMBER,
            Self::Integer | Self::Timestamp(_) => Kinds::WHOLE,
            Self::Text => Kinds::TEXT,
            Self::Boolean => Kinds::BOOLEAN,
        }
    }

    /// Why a record is refused whose value cannot be converted.
    pub(super) fn refusal(self) -> RefusalReason {
        match self {
            Self::Timestamp(_) => RefusalReason::ImplausibleTime,
            Self::Number | Self::Integer | Self::Text | Self::Boolean | Self::Decimal(_) => {
                RefusalReason::WrongType
            }
        }
    }

    /// Converts a value.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not show it.
    pub(super) fn convert(self, picked: Picked<'_>) -> Result<Converted, String> {
        match self {
            Self::Number if picked.as_number().is_some() => Ok(Converted::Same),
            Self::Number => json(&number(picked)?),
            Self::Integer => integer(picked),
            Self::Text => text(picked),
            Self::Boolean => boolean(picked),
            Self::Timestamp(unit) => timestamp(picked, unit).map(Converted::Milliseconds),
            Self::Decimal(scale) => decimal(picked, scale),
        }
    }
}

fn number(picked: Picked<'_>) -> Result<Exact, String> {
    let written = match (picked.as_number(), picked.as_text(), picked.as_boolean()) {
        (Some(number), ..) => number,
        (_, Some(text), _) => text,
        (_, _, Some(true)) => "1".into(),
        (_, _, Some(false)) => "0".into(),
        (None, None, None) => return Err(format!("it is {}", picked.kind())),
    };
    Exact::parse(&written).ok_or_else(|| match written.trim_ascii() {
        "" => "it is an empty text".to_owned(),
        _ => format!("it is {} that cannot be read as a number", picked.kind()),
    })
}

fn integer(picked: Picked<'_>) -> Result<Converted, String> {
    let whole = number(picked)?.whole();
    let whole = whole.ok_or_else(|| "it has digits behind the decimal point".to_owned())?;
    json(&whole)
}

/// Readers of JSON take a number for a double: what none can hold would be refused with its batch.
fn json(exact: &Exact) -> Result<Converted, String> {
    let plain = exact.plain();
    let is_finite = plain.parse::<f64>().is_ok_and(f64::is_finite);
    is_finite.then_some(Converted::Json(plain)).ok_or_else(|| "it is too large".to_owned())
}

fn text(picked: Picked<'_>) -> Result<Converted, String> {
    let boolean = picked.as_boolean().map(|boolean| if boolean { "true" } else { "false" });
    match (picked.as_text(), picked.as_number()) {
        (Some(_), _) => Ok(Converted::Same),
        (None, Some(number)) => Ok(Converted::Json(format!("\"{number}\""))),
        (None, None) => boolean
            .map(|boolean| Converted::Json(format!("\"{boolean}\"")))
            .ok_or_else(|| format!("it is {}", picked.kind())),
    }
}

fn boolean(picked: Picked<'_>) -> Result<Converted, String> {
    if picked.as_boolean().is_some() {
        return Ok(Converted::Same);
    }
    let is_true = match (picked.as_text(), picked.as_number()) {
        (Some(text), _) => {
            let word = text.trim_ascii().to_ascii_lowercase();
            match (TRUE.contains(&word.as_str()), FALSE.contains(&word.as_str())) {
                (true, _) => Some(true),
                (_, true) => Some(false),
                (false, false) => None,
            }
        }
        (None, Some(number)) => match Exact::parse(&number).and_then(|exact| exact.whole()) {
            Some(whole) if whole.plain() == "1" => Some(true),
            Some(whole) if whole.plain() == "0" => Some(false),
            _ => None,
        },
        (None, None) => None,
    };
    let unknown = || format!("it is {} that means neither true nor false", picked.kind());
    is_true.map(|is_true| Converted::Json(Json::Bool(is_true).to_string())).ok_or_else(unknown)
}

fn timestamp(picked: Picked<'_>, unit: Option<Unit>) -> Result<i64, String> {
    let (written, is_number) = match (picked.as_number(), picked.as_text()) {
        (Some(number), _) => (number, true),
        (None, Some(text)) => {
            let is_number = Exact::parse(&text).is_some();
            (text, is_number)
        }
        (None, None) => return Err(format!("it is {}, not a time", picked.kind())),
    };
    match (is_number, unit) {
        (false, _) => event_time::from_any_iso(written.trim_ascii()),
        (true, None) => event_time::from_number(written.trim_ascii()),
        (true, Some(unit)) => Exact::parse(&written)
            .and_then(|exact| exact.scaled_floor(event_time::DIGITS_BELOW_ONE))
            .and_then(|scaled| unit.to_milliseconds(scaled))
            .ok_or_else(|| format!("it is no time in {}", unit.as_str())),
    }
}

fn decimal(picked: Picked<'_>, scale: Option<i32>) -> Result<Converted, String> {
    let exact = match (picked, picked.as_text()) {
        // `decimal.handling.mode=double`.
        _ if picked.as_number().is_some() => return Ok(Converted::Same),
        (_, Some(text)) => {
            let scale = scale.ok_or_else(|| "give its `scale` in the mapping".to_owned())?;
            decimal::from_base64(&text, scale)?
        }
        (Picked::Json(json), None) if json.starts_with('{') => decimal::from_object(json)?,
        _ => return Err(format!("it is {}", picked.kind())),
    };
    json(&exact)
}
