//! What a route is told to do, already checked in itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::condition::Condition;
pub use super::convert::Conversion;
pub use super::event_time::Unit;
use super::expression::Expression;
use super::path::FieldPath;
use crate::model::batch::TargetId;
use crate::model::change::Reading;
use crate::model::claim::CheckPolicy;
use crate::model::operation::{MemberList, SegmentShape};
use crate::model::topic::TopicSelector;

/// One rule from change to operation.
#[derive(Debug, Clone)]
pub struct RouteSettings {
    /// Unique among the routes; a label of metrics and dead letters.
    pub name: String,
    /// Topics by their exact names.
    pub topics: Vec<TopicSelector>,
    pub reading: Reading,
    /// Only changes for which it holds are mapped; the others are filtered.
    pub when: Option<Condition>,
    /// What becomes of operations that would have no effect. No part of the mapping: it changes
    /// which records are sent, not what is sent for them.
    pub checks: CheckPolicy,
    /// How long its operations are worth trying while LaunchDarkly does not answer; `None` is for
    /// ever. 1 s to 30 days. No part of the mapping.
    pub retry_for: Option<Duration>,
    /// Its share of requests when they wait for each other, 1 to 100. No part of the mapping.
    pub priority: u32,
    pub operation: OperationSettings,
}

/// What a change becomes.
#[derive(Debug, Clone)]
pub enum OperationSettings {
    MetricEvent(MetricEventSettings),
    Metric(MetricSettings),
    SegmentMember(SegmentMemberSettings),
}

/// The mapping of a metric event.
#[derive(Debug, Clone)]
pub struct MetricEventSettings {
    pub target: TargetId,
    /// The target's name, part of the mapping's identity.
    pub target_name: String,
    /// The event key that metrics listen to.
    pub key: Field,
    /// Context kind → context key; at least one.
    pub context: Vec<(String, Field)>,
    /// A finite number.
    pub value: Option<Field>,
    /// When it happened; the record's own timestamp when absent.
    pub time: Option<Field>,
    /// Free attributes, usable in metric filters.
    pub data: Vec<(String, Field)>,
}

/// Where a value comes from, what it is turned into, and what to do when it is not there.
#[derive(Clone, PartialEq)]
pub struct Field {
    pub from: FieldSource,
    /// `None` takes the value as it is.
    pub convert: Option<Conversion>,
    pub absent: Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// The same for every record.
    Literal(Value),
    Path(FieldPath),
    /// Computed from the change.
    Computed(Expression),
}

/// What an absent or null field means.
#[derive(Debug, Clone, PartialEq)]
pub enum Absent {
    /// The record is dead-lettered.
    Refuse,
    /// The part of the operation it would have filled is left out.
    LeaveOut,
    Default(Value),
}

// === impl Field ===

/// Part of the mapping's identity: what a field without a conversion says does not depend on there
/// being conversions.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut field = f.debug_struct("Field");
        field.field("from", &self.from);
        if let Some(conversion) = &self.convert {
            field.field("convert", conversion);
        }
        field.field("absent", &self.absent).finish()
    }
}

// === impl OperationSettings ===

impl OperationSettings {
    pub fn target(&self) -> TargetId {
        match self {
            Self::MetricEvent(event) => event.target,
            Self::Metric(metric) => metric.target,
            Self::SegmentMember(member) => member.target,
        }
    }

    /// The word used for it in configuration and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::MetricEvent(_) => "metric_event",
            Self::Metric(_) => "metric",
            Self::SegmentMember(_) => "segment_member",
        }
    }
}

// === impl RouteSettings ===

impl RouteSettings {
    /// Its conditions and computed values.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let (member, fields): (_, Vec<&Field>) = match &self.operation {
            OperationSettings::MetricEvent(event) => {
                let named = event.context.iter().chain(&event.data).map(|(_, field)| field);
                let rest = event.value.iter().chain(&event.time);
                (None, named.chain(rest).chain([&event.key]).collect())
            }
            OperationSettings::Metric(metric) => {
                (None, metric.fields.iter().map(|(_, field)| field).chain([&metric.key]).collect())
            }
            OperationSettings::SegmentMember(member) => {
                let keys = [&member.segment, &member.context_key];
                (member.member.as_ref(), member.name.iter().chain(keys).collect())
            }
        };
        let computed = fields.into_iter().filter_map(|field| match &field.from {
            FieldSource::Computed(expression) => Some(expression),
            FieldSource::Literal(_) | FieldSource::Path(_) => None,
        });
        self.when.iter().chain(member).map(Condition::expression).chain(computed)
    }

    /// The mapping in a canonical text: equal texts map equal records to equal operations.
    pub fn canonical(&self) -> String {
        let operation = match &self.operation {
            OperationSettings::MetricEvent(event) => format!("event={event:?}"),
            OperationSettings::Metric(metric) => format!("metric={metric:?}"),
            OperationSettings::SegmentMember(member) => format!("member={member:?}"),
        };
        let when = self.when.as_ref().map_or("", Condition::source);
        let (format, before) = (self.reading.format.as_str(), self.reading.before.as_str());
        format!("{}|{format}|before={before}|when={when}|{operation}", self.name)
    }
}

/// The mapping of a segment membership.
#[derive(Debug, Clone)]
pub struct SegmentMemberSettings {
    pub target: TargetId,
    pub target_name: String,
    /// The segment's key.
    pub segment: Field,
    /// The segment's name, for when it has to be created; the key when absent.
    pub name: Option<Field>,
    pub shape: Arc<SegmentShape>,
    /// The member's context key.
    pub context_key: Field,
    /// Whether the row makes its subject a member; without it every row does.
    pub member: Option<Condition>,
    pub list: MemberList,
    /// Segments of which a member is in at most one: without the row as it was before, a member that
    /// appears in one of them is removed from the others.
    pub exclusive: Vec<String>,
}

/// The mapping of a metric definition.
#[derive(Debug, Clone)]
pub struct MetricSettings {
    pub target: TargetId,
    pub target_name: String,
    pub key: Field,
    /// LaunchDarkly's name of a field of the create body → its value.
    pub fields: Vec<(String, Field)>,
    pub on_delete: OnDelete,
}

/// What a deleted row means for its metric. Metrics are never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    Ignore,
    Archive,
}
