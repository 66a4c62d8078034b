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

use serde_json::Value;

use super::event_time;
use super::projection::{Picked, Picks, Projection};
use super::settings::{Field, MetricEventSettings};
use super::value::{Found, MapError, Source, refuse, write_any, write_integer, write_name, wrong};
use crate::model::change::Change;
use crate::model::outcome::RefusalReason;

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
        let key = self.key.find(change, picks, "key")?;
        write_name(&key, "key", RefusalReason::MissingField, body)?;
        body.extend_from_slice(br#","creationDate":"#);
        write_integer(self.time(change, picks)?, body);
        body.extend_from_slice(br#","contextKeys":"#);
        let mut separator = b'{';
        for (part, source) in &self.context {
            body.push(separator);
            separator = b',';
            body.extend_from_slice(&part.prefix);
            let found = source.find(change, picks, &part.field)?;
            write_name(&found, &part.field, RefusalReason::EmptyContextKey, body)?;
        }
        body.push(b'}');
        if let Some(source) = &self.value {
            write_value(&source.find(change, picks, "value")?, body)?;
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
            Found::Milliseconds(ms) => event_time::from_milliseconds(ms),
            Found::Text(json) => parse_time(Picked::Json(std::str::from_utf8(json).unwrap_or(""))),
            Found::Made(json) => parse_time(Picked::Json(&json)),
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

fn write_value(found: &Found<'_>, body: &mut Vec<u8>) -> Result<(), MapError> {
    const PREFIX: &[u8] = br#","metricValue":"#;
    let picked = match found {
        Found::Nothing => return Ok(()),
        Found::Text(json) => {
            body.extend_from_slice(PREFIX);
            body.extend_from_slice(json);
            return Ok(());
        }
        Found::Value(picked) => *picked,
        Found::Made(json) => Picked::Json(json),
        Found::Milliseconds(ms) => Picked::Integer(*ms),
    };
    let number = picked.as_number().ok_or_else(|| wrong("value", picked, "a number"))?;
    if !is_finite(&number) {
        return Err(refuse("value", RefusalReason::WrongType, "it is not finite".into()));
    }
    body.extend_from_slice(PREFIX);
    body.extend_from_slice(number.as_bytes());
    Ok(())
}

/// JSON allows 1e999, which every reader turns into infinity.
fn is_finite(number: &str) -> bool {
    /// As many digits are still less than the largest double.
    const DIGITS: usize = 300;
    let is_plain =
        number.len() <= DIGITS && !number.bytes().any(|byte| byte.eq_ignore_ascii_case(&b'e'));
    is_plain || number.parse::<f64>().is_ok_and(f64::is_finite)
}
