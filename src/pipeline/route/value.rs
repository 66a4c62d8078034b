//! The values of a mapping: where they come from, and how they are written as JSON.
//!
//! # Invariants
//! - U1: what is written is valid JSON whatever the record holds: texts with escapes are decoded and
//!   written anew, everything else is copied as it was.
//!
//! Not here: which value an operation needs (`metric_event`, `metric`, `segment_member`).

use std::borrow::Cow;

use serde_json::Value;

use super::convert::{Conversion, Converted};
use super::expression::{Bound, Evaluated};
use super::projection::{PickId, Picked, Picks, Projection};
use super::settings::{Absent, Field, FieldSource};
use crate::model::change::Change;
use crate::model::outcome::RefusalReason;

/// What stopped a mapping, and at which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(super) struct MapError {
    pub(super) reason: RefusalReason,
    /// The field of the mapping, e.g. `context.user`.
    pub(super) field: String,
    pub(super) detail: String,
}

#[derive(Debug)]
pub(super) struct Source {
    origin: Origin,
    convert: Option<Conversion>,
    absent: Missing,
}

/// Marks what went wrong in a computed value.
pub(super) const COMPUTED: &str = "expr: ";

#[derive(Debug)]
enum Origin {
    /// JSON text, the same for every record.
    Fixed(Vec<u8>),
    Picked {
        id: PickId,
        path: String,
    },
    Computed(Box<Bound>),
}

#[derive(Debug)]
enum Missing {
    Refuse,
    LeaveOut,
    /// JSON text.
    Default(Vec<u8>),
}

/// What a source gives for one record.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// JSON of the mapping itself.
    Text(&'a [u8]),
    Value(Picked<'a>),
    /// JSON that was computed or converted.
    Made(String),
    /// A time that was converted: its unit need not be guessed.
    Milliseconds(i64),
    Nothing,
}

/// Writes an event key or a context key: a text that is not empty. Whole numbers are taken as
/// their digits, since most primary keys are numbers and LaunchDarkly's keys are texts.
pub(super) fn write_name(
    found: &Found<'_>,
    field: &str,
    when_empty: RefusalReason,
    body: &mut Vec<u8>,
) -> Result<(), MapError> {
    let picked = match found {
        Found::Text(json) => {
            body.extend_from_slice(json);
            return Ok(());
        }
        Found::Value(picked) => *picked,
        Found::Made(json) => Picked::Json(json),
        Found::Milliseconds(ms) => Picked::Integer(*ms),
        Found::Nothing => return Err(absent(field)),
    };
    match (picked, picked.as_text(), picked.as_number()) {
        (_, Some(text), _) if text.is_empty() => {
            Err(refuse(field, when_empty, "it is empty".to_owned()))
        }
        // A JSON string without escapes is copied as it was written.
        (Picked::Json(json), Some(Cow::Borrowed(_)), _) => {
            body.extend_from_slice(json.as_bytes());
            Ok(())
        }
        (_, Some(text), _) => write_json(&text, field, body),
        (_, None, Some(number)) if number.parse::<i128>().is_ok() => {
            body.push(b'"');
            body.extend_from_slice(number.as_bytes());
            body.push(b'"');
            Ok(())
        }
        _ => Err(wrong(field, picked, "a text or a whole number")),
    }
}

pub(super) fn write_any(found: Found<'_>, field: &str, body: &mut Vec<u8>) -> Result<(), MapError> {
    match found {
        Found::Nothing => Ok(()),
        Found::Text(json) => {
            body.extend_from_slice(json);
            Ok(())
        }
        Found::Made(json) => {
            body.extend_from_slice(json.as_bytes());
            Ok(())
        }
        // Escapes are checked: LaunchDarkly refuses a whole batch for one lone surrogate.
        Found::Value(Picked::Json(json)) if json.contains('\\') => {
            let value: Value = serde_json::from_str(json).map_err(|e| {
                refuse(field, RefusalReason::InvalidJson, format!("its text is malformed: {e}"))
            })?;
            write_json(&value, field, body)
        }
        Found::Value(Picked::Json(json)) => {
            body.extend_from_slice(json.as_bytes());
            Ok(())
        }
        Found::Value(Picked::Integer(integer)) | Found::Milliseconds(integer) => {
            write_integer(integer, body);
            Ok(())
        }
        Found::Value(Picked::Text(text)) => write_json(&text, field, body),
        Found::Value(picked @ Picked::Unreadable) => Err(wrong(field, picked, "a text")),
    }
}

pub(super) fn write_integer(integer: i64, body: &mut Vec<u8>) {
    body.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
}

fn write_json(
    value: &impl serde::Serialize,
    field: &str,
    body: &mut Vec<u8>,
) -> Result<(), MapError> {
    serde_json::to_writer(body, value)
        .map_err(|e| refuse(field, RefusalReason::InvalidJson, e.to_string()))
}

pub(super) fn refuse(field: &str, reason: RefusalReason, detail: String) -> MapError {
    MapError { reason, field: field.to_owned(), detail }
}

pub(super) fn wrong(field: &str, picked: Picked<'_>, wanted: &str) -> MapError {
    let detail = format!("it is {}, not {wanted}", picked.kind());
    refuse(field, RefusalReason::WrongType, detail)
}

pub(super) fn absent(field: &str) -> MapError {
    refuse(field, RefusalReason::MissingField, "it is absent or null".to_owned())
}

// === impl Source ===

impl Source {
    pub(super) fn compile(field: &Field, projection: &mut Projection) -> Self {
        let json = |value: &Value| value.to_string().into_bytes();
        Self {
            origin: match &field.from {
                FieldSource::Literal(value) => Origin::Fixed(json(value)),
                FieldSource::Path(path) => {
                    Origin::Picked { id: projection.add(path), path: path.to_string() }
                }
                FieldSource::Computed(expression) => {
                    Origin::Computed(Box::new(expression.bind(projection)))
                }
            },
            convert: field.convert,
            absent: match &field.absent {
                Absent::Refuse => Missing::Refuse,
                Absent::LeaveOut => Missing::LeaveOut,
                Absent::Default(value) => Missing::Default(json(value)),
            },
        }
    }

    pub(super) fn find<'a>(
        &'a self,
        change: &Change<'a>,
        picks: &Picks,
        field: &str,
    ) -> Result<Found<'a>, MapError> {
        let found = match &self.origin {
            Origin::Fixed(json) => return Ok(Found::Text(json)),
            Origin::Picked { id, .. } => picks.get(*id, change).map(Found::Value),
            Origin::Computed(bound) => match bound.evaluate(change, picks) {
                Evaluated::Value(value) => Some(Found::Made(value.to_string())),
                Evaluated::Missing => None,
                Evaluated::Failed(detail) => {
                    let detail = format!("{}{COMPUTED}{detail}", of_before(bound));
                    return Err(refuse(field, RefusalReason::ExpressionFailed, detail));
                }
            },
        };
        match (found, &self.absent, self.convert) {
            (Some(found), _, None) => Ok(found),
            (Some(found), _, Some(conversion)) => convert(found, conversion, field),
            (None, Missing::Default(json), _) => Ok(Found::Text(json)),
            (None, Missing::LeaveOut, _) => Ok(Found::Nothing),
            (None, Missing::Refuse, _) => {
                let detail = self.missing(change, picks);
                Err(refuse(field, RefusalReason::MissingField, detail))
            }
        }
    }

    /// Whether it is a field that the change does not tell.
    pub(super) fn is_untold(&self, picks: &Picks) -> bool {
        matches!(self.origin, Origin::Picked { id, .. } if !picks.has(id))
    }

    fn missing(&self, change: &Change<'_>, picks: &Picks) -> String {
        match &self.origin {
            Origin::Fixed(_) => String::new(),
            Origin::Picked { path, .. } => format!("{path} is absent or null"),
            Origin::Computed(bound) => {
                format!("{}{COMPUTED}{}", of_before(bound), bound.missing(change, picks))
            }
        }
    }
}

/// Says of an expression that it was asked of the row as it was.
fn of_before(bound: &Bound) -> &'static str {
    if bound.is_of_before() { "with $.before for the row, " } else { "" }
}

fn convert<'a>(
    found: Found<'a>,
    conversion: Conversion,
    field: &str,
) -> Result<Found<'a>, MapError> {
    let converted = match &found {
        Found::Value(picked) => conversion.convert(*picked),
        Found::Made(json) => conversion.convert(Picked::Json(json)),
        Found::Text(_) | Found::Milliseconds(_) | Found::Nothing => Ok(Converted::Same),
    };
    match converted {
        Ok(Converted::Same) => Ok(found),
        Ok(Converted::Json(json)) => Ok(Found::Made(json)),
        Ok(Converted::Milliseconds(ms)) => Ok(Found::Milliseconds(ms)),
        Err(detail) => {
            let detail = format!("as {}: {detail}", conversion.as_str());
            Err(refuse(field, conversion.refusal(), detail))
        }
    }
}
