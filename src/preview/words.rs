//! Says what was mapped in the words of the configuration, so that an expectation reads like the
//! mapping it tests.
//!
//! | the mapping says | and so does the result |
//! |---|---|
//! | `metric_event: { key, context, value, time, data }` | the same keys; `time` in RFC 3339, UTC |
//! | `segment_member: { segment, context_key, member, list }` | `member: false` takes out |
//! | `metric: { key, name, kind, .. }` | the same keys; `archived: true` for a deleted row |

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::explain::{Intended, Made};
use crate::launchdarkly::definition::Field;
use crate::model::operation::{
    MemberList, Membership, MetricChange, MetricIntent, Operation, SegmentChange,
};
use crate::model::outcome::Refusal;

/// The members of an event as it is sent, and their words in the configuration.
const EVENT: &[(&str, &str)] = &[
    ("key", "key"),
    ("contextKeys", "context"),
    ("metricValue", "value"),
    ("creationDate", "time"),
    ("data", "data"),
];

/// One thing that a route made.
#[derive(Debug)]
pub struct Said<'a> {
    /// The operation's word.
    pub word: &'static str,
    /// What it holds.
    pub content: Value,
    /// Why it cannot be sent.
    pub refusal: Option<&'a Refusal>,
}

/// What a route made, one for each operation.
pub fn of_made(made: &Made) -> Vec<Said<'_>> {
    match made {
        Made::Event(json) => {
            vec![Said { word: "metric_event", content: event(json), refusal: None }]
        }
        Made::Operations(operations) => {
            let said = |intended: &'_ Intended| operation(&intended.operation);
            let all = operations.iter().map(|it| (said(it), it.refusal.as_ref()));
            all.map(|((word, content), refusal)| Said { word, content, refusal }).collect()
        }
        Made::Filtered(_) | Made::Refused(_) => Vec::new(),
    }
}

/// A moment in its one spelling here: RFC 3339 in UTC. `None` when the value is no time.
pub fn moment(value: &Value) -> Option<String> {
    let timestamp = match value {
        Value::Number(millis) => Timestamp::from_millisecond(millis.as_i64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(timestamp.to_string())
}

fn event(json: &[u8]) -> Value {
    let sent: Map<String, Value> = serde_json::from_slice(json).unwrap_or_default();
    let said = EVENT.iter().filter_map(|(wire, word)| {
        let value = sent.get(*wire)?;
        let value = if *word == "time" {
            moment(value).map_or_else(|| value.clone(), Value::String)
        } else {
            value.clone()
        };
        Some(((*word).to_owned(), value))
    });
    said.collect()
}

fn operation(operation: &Operation) -> (&'static str, Value) {
    match operation {
        Operation::Segment(change) => ("segment_member", member(change)),
        Operation::Metric(change) => ("metric", metric(change)),
    }
}

fn member(change: &SegmentChange) -> Value {
    let list = match change.membership {
        Membership::In(MemberList::Included) | Membership::OutOf(MemberList::Included) => {
            "included"
        }
        Membership::In(MemberList::Excluded) | Membership::OutOf(MemberList::Excluded) => {
            "excluded"
        }
        // Of a single change there is none of this kind.
        Membership::Nowhere => "both",
    };
    json!({
        "segment": &*change.segment,
        "context_key": change.member,
        "member": change.membership.is_in(),
        "list": list,
    })
}

fn metric(change: &MetricChange) -> Value {
    let mut said = Map::from_iter([("key".to_owned(), Value::from(&*change.key))]);
    match &change.intent {
        MetricIntent::Archive => {
            said.insert("archived".to_owned(), Value::Bool(true));
        }
        MetricIntent::Upsert(fields) => said.extend(fields.iter().map(|(wire, value)| {
            let word = Field::on_wire(wire).map_or(wire.as_str(), |field| field.name);
            (word.to_owned(), value.clone())
        })),
    }
    Value::Object(said)
}
