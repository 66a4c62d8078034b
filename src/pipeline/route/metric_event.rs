//! Writes a metric event straight into the body of its batch.
//!
//! LaunchDarkly answers 202 and silently drops an event it cannot use, so everything it would drop
//! is refused here, where it can still be seen: no context key, an empty one, a value that is not
//! finite, a time that is none.
//!
//! # Invariants
//! - E1: the bytes depend on the record and the mapping alone (P3): no clock, no random.
//! - E2: on an error the body is as long as it was before.
//!
//! Event format: <https://launchdarkly.com/docs/home/metrics/import-events>.

use std::io::Write;

use serde_json::Value;

use super::event_time;
use super::projection::{PickId, Picked, Picks, Projection};
use super::settings::{Absent, Field, FieldSource, MetricEventSettings};
use crate::model::change::Change;
use crate::model::outcome::RefusalReason;

/// What stopped a mapping, and at which field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {detail}")]
pub(super) struct MapError {
    pub(super) reason: RefusalReason,
    /// The field of the mapping, e.g. `context.user`.
    field: String,
    detail: String,
}

/// The compiled mapping of one route.
#[derive(Debug)]
pub(super) struct EventMapping {
    key: Source,
    context: Vec<(Part, Source)>,
    value: Option<Source>,
    time: Option<Source>,
    data: Vec<(Part, Source)>,
}

/// A member of a JSON object: its name, ready to be written.
#[derive(Debug)]
struct Part {
    /// `"name":`
    prefix: Vec<u8>,
    /// How the mapping's field is called in messages.
    field: String,
}

#[derive(Debug)]
enum Source {
    /// JSON text, the same for every record.
    Fixed(Vec<u8>),
    Picked {
        id: PickId,
        path: String,
        absent: Missing,
    },
}

#[derive(Debug)]
enum Missing {
    Refuse,
    LeaveOut,
    /// JSON text.
    Default(Vec<u8>),
}

/// What a source gives for one record.
#[derive(Clone, Copy)]
enum Found<'a> {
    Text(&'a [u8]),
    Value(Picked<'a>),
    Nothing,
}

// === impl EventMapping ===

impl EventMapping {
    pub(super) fn compile(settings: &MetricEventSettings, projection: &mut Projection) -> Self {
        let mut parts = |prefix: &str, fields: &[(String, Field)]| -> Vec<(Part, Source)> {
            fields
                .iter()
                .map(|(name, field)| {
                    let part = Part {
                        prefix: format!("{}:", Value::from(name.as_str())).into_bytes(),
                        field: format!("{prefix}.{name}"),
                    };
                    (part, Source::compile(field, projection))
                })
                .collect()
        };
        let context = parts("context", &settings.context);
        let data = parts("data", &settings.data);
        Self {
            key: Source::compile(&settings.key, projection),
            context,
            value: settings.value.as_ref().map(|f| Source::compile(f, projection)),
            time: settings.time.as_ref().map(|f| Source::compile(f, projection)),
            data,
        }
    }

    /// Appends the event to `body`.
    ///
    /// # Errors
    /// Which field cannot be mapped, and why. The body is left as it was.
    pub(super) fn write(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        body: &mut Vec<u8>,
    ) -> Result<(), MapError> {
        let before = body.len();
        let written = self.write_parts(change, picks, body);
        if written.is_err() {
            body.truncate(before);
        }
        written
    }

    fn write_parts(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        body: &mut Vec<u8>,
    ) -> Result<(), MapError> {
        body.extend_from_slice(br#"{"kind":"custom","key":"#);
        write_name(self.key.find(change, picks, "key")?, "key", RefusalReason::MissingField, body)?;
        body.extend_from_slice(br#","creationDate":"#);
        write_integer(self.time(change, picks)?, body);
        body.extend_from_slice(br#","contextKeys":"#);
        let mut separator = b'{';
        for (part, source) in &self.context {
            body.push(separator);
            separator = b',';
            body.extend_from_slice(&part.prefix);
            let found = source.find(change, picks, &part.field)?;
            write_name(found, &part.field, RefusalReason::EmptyContextKey, body)?;
        }
        body.push(b'}');
        if let Some(source) = &self.value {
            write_value(source.find(change, picks, "value")?, body)?;
        }
        self.write_data(change, picks, body)?;
        body.push(b'}');
        Ok(())
    }

    fn write_data(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        body: &mut Vec<u8>,
    ) -> Result<(), MapError> {
        if self.data.is_empty() {
            return Ok(());
        }
        body.extend_from_slice(br#","data":"#);
        let mut separator = b'{';
        for (part, source) in &self.data {
            let found = source.find(change, picks, &part.field)?;
            if matches!(found, Found::Nothing) {
                continue;
            }
            body.push(separator);
            separator = b',';
            body.extend_from_slice(&part.prefix);
            write_any(found, &part.field, body)?;
        }
        if separator == b'{' {
            body.push(b'{');
        }
        body.push(b'}');
        Ok(())
    }

    /// The event's time: mapped, or the record's own timestamp, so that the same record gives the
    /// same event whenever it is read.
    fn time(&self, change: &Change<'_>, picks: &Picks) -> Result<i64, MapError> {
        let found = match &self.time {
            Some(source) => source.find(change, picks, "time")?,
            None => Found::Nothing,
        };
        let parsed = match found {
            Found::Nothing => match change.record.timestamp_ms {
                Some(ms) => event_time::from_milliseconds(ms),
                None => Err("the record carries no timestamp; map `time`".to_owned()),
            },
            Found::Text(json) => parse_time(Picked::Json(std::str::from_utf8(json).unwrap_or(""))),
            Found::Value(picked) => parse_time(picked),
        };
        parsed.map_err(|detail| refuse("time", RefusalReason::ImplausibleTime, detail))
    }
}

fn parse_time(picked: Picked<'_>) -> Result<i64, String> {
    match (picked.as_number(), picked.as_text()) {
        (Some(number), _) => event_time::from_number(&number),
        (None, Some(text)) => event_time::from_text(&text),
        (None, None) => Err(format!("it is {}, not a time", picked.kind())),
    }
}

/// Writes an event key or a context key: a text that is not empty. Whole numbers are taken as
/// their digits, since most primary keys are numbers and LaunchDarkly's keys are texts.
fn write_name(
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

fn write_value(found: Found<'_>, body: &mut Vec<u8>) -> Result<(), MapError> {
    const PREFIX: &[u8] = br#","metricValue":"#;
    match found {
        Found::Nothing => Ok(()),
        Found::Text(json) => {
            body.extend_from_slice(PREFIX);
            body.extend_from_slice(json);
            Ok(())
        }
        Found::Value(picked) => {
            let number = picked.as_number().ok_or_else(|| wrong("value", picked, "a number"))?;
            // JSON allows 1e999, which every reader turns into infinity.
            if !number.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err(refuse("value", RefusalReason::WrongType, "it is not finite".into()));
            }
            body.extend_from_slice(PREFIX);
            body.extend_from_slice(number.as_bytes());
            Ok(())
        }
    }
}

fn write_any(found: Found<'_>, field: &str, body: &mut Vec<u8>) -> Result<(), MapError> {
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

fn write_integer(integer: i64, body: &mut Vec<u8>) {
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

fn refuse(field: &str, reason: RefusalReason, detail: String) -> MapError {
    MapError { reason, field: field.to_owned(), detail }
}

fn wrong(field: &str, picked: Picked<'_>, wanted: &str) -> MapError {
    let detail = format!("it is {}, not {wanted}", picked.kind());
    refuse(field, RefusalReason::WrongType, detail)
}

fn absent(field: &str) -> MapError {
    refuse(field, RefusalReason::MissingField, "it is absent or null".to_owned())
}

// === impl Source ===

impl Source {
    fn compile(field: &Field, projection: &mut Projection) -> Self {
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

    fn find<'a>(
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
