//! What a route is told to do, already checked in itself.

use serde_json::Value;

use super::condition::Condition;
use super::path::FieldPath;
use crate::model::batch::TargetId;
use crate::model::change::Format;

/// One rule from change to operation.
#[derive(Debug, Clone)]
pub struct RouteSettings {
    /// Unique among the routes; a label of metrics and dead letters.
    pub name: String,
    /// Topics by their exact names.
    pub topics: Vec<String>,
    pub format: Format,
    /// Only changes for which it holds are mapped; the others are filtered.
    pub when: Option<Condition>,
    pub operation: OperationSettings,
}

/// What a change becomes.
#[derive(Debug, Clone)]
pub enum OperationSettings {
    MetricEvent(MetricEventSettings),
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

/// Where a value comes from, and what to do when it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub from: FieldSource,
    pub absent: Absent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum FieldSource {
    /// The same for every record.
    Literal(Value),
    Path(FieldPath),
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

// === impl RouteSettings ===

impl RouteSettings {
    /// The mapping in a canonical text: equal texts map equal records to equal operations.
    pub fn canonical(&self) -> String {
        let OperationSettings::MetricEvent(event) = &self.operation;
        format!(
            "{}|{}|when={}|event={event:?}",
            self.name,
            self.format.as_str(),
            self.when.as_ref().map_or("", Condition::source),
        )
    }
}
