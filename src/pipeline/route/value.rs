//! The values of a mapping: where they come from, and how they are written as JSON.
//!
//! # Invariants
//! - U1: what is written is valid JSON whatever the record holds: texts with escapes are decoded and
//!   written anew, everything else is copied as it was.
//!
//! Not here: which value an operation needs (`metric_event`, `metric`, `segment_member`).

use std::io::Write;

use serde_json::Value;

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
pub(super) enum Source {
    /// JSON text, the same for every record.
    Fixed(Vec<u8>),
    Picked {
        id: PickId,
        path: String,
        absent: Missing,
    },
}

#[derive(Debug)]
pub(super) enum Missing {
    Refuse,
    LeaveOut,
    /// JSON text.
    Default(Vec<u8>),
}

/// What a source gives for one record.
#[derive(Clone, Copy)]
pub(super) enum Found<'a> {
    Text(&'a [u8]),
    Value(Picked<'a>),
    Nothing,
}

/// Writes an event key or a context key: a text that is not empty. Whole numbers are taken as
/// their digits, since most primary keys are numbers and LaunchDarkly's keys are texts.
pub(super) fn write_name(
    found: Found<'_>,
    field: &str,
    when_empty: RefusalReason,
    body: &mut Vec<u8>,
) -> Result<(), MapError> {
    let picked = match found {
        Found::Text(json) => {
            body.extend_from_slice(json);
            return Ok(());
        }
        Found::Value(picked) => picked,
        Found::Nothing => return Err(absent(field)),
    };
    match (picked, picked.as_text(), picked.as_number()) {
        (_, Some(text), _) if text.is_empty() => {
            Err(refuse(field, when_empty, "it is empty".to_owned()))
        }
        // A JSON string without escapes is copied as it was written.
        (Picked::Json(json), Some(_), _) if !json.contains('\\') => {
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
        Found::Value(Picked::Integer(integer)) => {
            write_integer(integer, body);
            Ok(())
        }
        Found::Value(Picked::Text(text)) => write_json(&text, field, body),
        Found::Value(picked @ Picked::Unreadable) => Err(wrong(field, picked, "a text")),
    }
}

pub(super) fn write_integer(integer: i64, body: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let written = write!(body, "{integer}");
    debug_assert!(written.is_ok());
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
        match &field.from {
            FieldSource::Literal(value) => Self::Fixed(value.to_string().into_bytes()),
            FieldSource::Path(path) => Self::Picked {
                id: projection.add(path),
                path: path.to_string(),
                absent: match &field.absent {
                    Absent::Refuse => Missing::Refuse,
                    Absent::LeaveOut => Missing::LeaveOut,
                    Absent::Default(value) => Missing::Default(value.to_string().into_bytes()),
                },
            },
        }
    }

    pub(super) fn find<'a>(
        &'a self,
        change: &Change<'a>,
        picks: &Picks,
        field: &str,
    ) -> Result<Found<'a>, MapError> {
        match self {
            Self::Fixed(json) => Ok(Found::Text(json)),
            Self::Picked { id, path, absent } => match (picks.get(*id, change), absent) {
                (Some(picked), _) => Ok(Found::Value(picked)),
                (None, Missing::Default(json)) => Ok(Found::Text(json)),
                (None, Missing::LeaveOut) => Ok(Found::Nothing),
                (None, Missing::Refuse) => Err(refuse(
                    field,
                    RefusalReason::MissingField,
                    format!("{path} is absent or null"),
                )),
            },
        }
    }
}
