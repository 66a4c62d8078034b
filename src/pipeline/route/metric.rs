//! Makes a row into the definition of a metric.
//!
//! Only the fields that the route maps are managed; what a person sets beside them in LaunchDarkly
//! stays. Whether the definition is one that LaunchDarkly takes is checked where it is sent.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::projection::{Picked, Picks, Projection};
use super::settings::{MetricSettings, OnDelete};
use super::value::{Found, MapError, Source, refuse, wrong};
use crate::model::batch::TargetId;
use crate::model::change::{Change, Op};
use crate::model::operation::{MetricChange, MetricIntent, Operation};
use crate::model::outcome::RefusalReason;

/// The field that an archived metric has set.
const ARCHIVED: &str = "archived";

/// The compiled mapping of one route.
#[derive(Debug)]
pub(super) struct MetricMapping {
    target: TargetId,
    key: Source,
    fields: Vec<(String, Source)>,
    on_delete: OnDelete,
}

impl MetricMapping {
    pub(super) fn compile(settings: &MetricSettings, projection: &mut Projection) -> Self {
        let fields = settings.fields.iter();
        Self {
            target: settings.target,
            key: Source::compile(&settings.key, projection),
            fields: fields
                .map(|(name, field)| (name.clone(), Source::compile(field, projection)))
                .collect(),
            on_delete: settings.on_delete,
        }
    }

    /// The operation that the change asks for, or `None` when a deleted row is to be ignored.
    ///
    /// # Errors
    /// Which field cannot be mapped, and why.
    pub(super) fn map(
        &self,
        change: &Change<'_>,
        picks: &Picks,
    ) -> Result<Option<Operation>, MapError> {
        if change.op == Op::Delete && self.on_delete == OnDelete::Ignore {
            return Ok(None);
        }
        let key = match value(self.key.find(change, picks, "key")?, "key")? {
            Some(Value::String(key)) if !key.is_empty() => key,
            Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
            _ => {
                let detail = "it is not a text".to_owned();
                return Err(refuse("key", RefusalReason::WrongType, detail));
            }
        };
        let intent = if change.op == Op::Delete {
            MetricIntent::Archive
        } else {
            let mut fields = Map::new();
            for (name, source) in &self.fields {
                if let Some(value) = value(source.find(change, picks, name)?, name)? {
                    fields.insert(name.clone(), value);
                }
            }
            if self.on_delete == OnDelete::Archive {
                // A row that is there again takes back what its deletion did.
                fields.entry(ARCHIVED).or_insert(Value::Bool(false));
            }
            MetricIntent::Upsert(fields)
        };
        let change = MetricChange { target: self.target, key: Arc::from(key), intent };
        Ok(Some(Operation::Metric(change)))
    }
}

fn value(found: Found<'_>, field: &str) -> Result<Option<Value>, MapError> {
    let parse = |json: &[u8]| {
        serde_json::from_slice(json)
            .map_err(|e| refuse(field, RefusalReason::InvalidJson, format!("it is malformed: {e}")))
    };
    match found {
        Found::Nothing => Ok(None),
        Found::Text(json) => parse(json).map(Some),
        Found::Value(Picked::Json(json)) => parse(json.as_bytes()).map(Some),
        Found::Made(json) => parse(json.as_bytes()).map(Some),
        Found::Milliseconds(ms) => Ok(Some(Value::from(ms))),
        Found::Value(Picked::Text(text)) => Ok(Some(Value::from(text))),
        Found::Value(Picked::Integer(integer)) => Ok(Some(Value::from(integer))),
        Found::Value(picked @ Picked::Unreadable) => Err(wrong(field, picked, "a text")),
    }
}
