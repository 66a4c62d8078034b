//! What the operations of a route take for granted, as far as the route alone says it.

use std::sync::Arc;

use serde_json::Value;

use super::settings::{Absent, Field, FieldSource, OperationSettings};
use crate::model::claim::{Claim, Presence};

/// The claim of a route's operations.
pub fn claim_of(operation: &OperationSettings) -> Claim {
    match operation {
        OperationSettings::MetricEvent(event) => Claim::Event {
            key: literal(&event.key),
            context_kinds: event.context.iter().map(|(kind, _)| kind.clone()).collect(),
            value: match &event.value {
                None => Presence::Never,
                Some(field) if field.absent == Absent::LeaveOut => Presence::Sometimes,
                Some(_) => Presence::Always,
            },
        },
        OperationSettings::SegmentMember(member) => {
            Claim::Segment { key: literal(&member.segment), shape: Arc::clone(&member.shape) }
        }
        OperationSettings::Metric(metric) => {
            let event_key = metric.fields.iter().find(|(name, _)| name == "eventKey");
            Claim::Metric {
                key: literal(&metric.key),
                event_key: event_key.and_then(|(_, field)| literal(field)),
            }
        }
    }
}

fn literal(field: &Field) -> Option<String> {
    // Whatever else a field may be, its text is not known before the record is.
    let FieldSource::Literal(literal) = &field.from else { return None };
    match literal {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
