//! What a metric definition is made of: its fields, their types and when they may change.
//!
//! Definitions are JSON objects with LaunchDarkly's own names all the way; the names that ldsink's
//! configuration uses stand beside them here. Inside `urls`, `event_default`, `filters`,
//! `data_source` and `denominator` the names are LaunchDarkly's everywhere.
//!
//! Not here: which combinations are whole ([`validate`]), what to change ([`difference`]).

mod check;
mod difference;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use check::{DefinitionError, validate, validate_field};
pub use difference::{Difference, PatchKind, PatchOp, difference};

/// What a metric measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    PageView,
    Click,
    Custom,
    Trace,
}

/// A field of a definition.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in ldsink's configuration.
    pub name: &'static str,
    /// Its name at LaunchDarkly.
    pub wire: &'static str,
    pub shape: Shape,
    /// The kinds of metric that may have it.
    pub kinds: &'static [MetricKind],
    pub life: Life,
}

/// When a field can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// By the creation and by no patch.
    Fixed,
    /// By both.
    Free,
    /// By a patch only.
    PatchOnly,
}

/// The values a field may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Choice(&'static [&'static str]),
    Flag,
    /// Milliseconds from a unit's first exposure.
    Offset,
    /// An integer from 0 to 100.
    Percentile,
    /// A number between 0 and 100, neither of them.
    Bound,
    /// Texts whose order means nothing.
    Names,
    /// Places, any of which counts; their order means nothing.
    Urls,
    /// `disabled` and `value`, each managed on its own.
    EventDefault,
    /// An object, managed as a whole, with members it cannot be without.
    Object(&'static [&'static str]),
}

const ALL: &[MetricKind] = &MetricKind::ALL;
const ON_PAGES: &[MetricKind] = &[MetricKind::PageView, MetricKind::Click];
const BY_EVENT: &[MetricKind] = &[MetricKind::Custom, MetricKind::Trace];
const AGGREGATIONS: &[&str] = &["average", "sum", "count_distinct"];
const CRITERIA: &[&str] = &["HigherThanBaseline", "LowerThanBaseline"];
const FILTER: &[&str] = &["type", "op", "values", "negate"];

/// Every field, in the order in which a patch changes them.
pub const FIELDS: &[Field] = &[
    Field::of("key", "key", Shape::Text, ALL).fixed(),
    Field::of("kind", "kind", Shape::Choice(MetricKind::NAMES), ALL).fixed(),
    Field::of("name", "name", Shape::Text, ALL),
    Field::of("description", "description", Shape::Text, ALL),
    Field::of("tags", "tags", Shape::Names, ALL),
    Field::of("is_numeric", "isNumeric", Shape::Flag, ALL),
    Field::of("event_key", "eventKey", Shape::Text, BY_EVENT),
    Field::of("success_criteria", "successCriteria", Shape::Choice(CRITERIA), BY_EVENT),
    Field::of("unit", "unit", Shape::Text, BY_EVENT),
    Field::of("selector", "selector", Shape::Text, &[MetricKind::Click]),
    Field::of("urls", "urls", Shape::Urls, ON_PAGES),
    Field::of("analysis_units", "analysisUnits", Shape::Names, ALL),
    Field::of("unit_aggregation_type", "unitAggregationType", Shape::Choice(AGGREGATIONS), ALL),
    Field::of("unit_aggregation_field", "unitAggregationField", Shape::Text, ALL),
    Field::of("analysis_type", "analysisType", Shape::Choice(&["mean", "percentile"]), ALL),
    Field::of("percentile_value", "percentileValue", Shape::Percentile, ALL),
    Field::of("event_default", "eventDefault", Shape::EventDefault, ALL),
    Field::of("data_source", "dataSource", Shape::Object(&["key"]), ALL),
    Field::of("filters", "filters", Shape::Object(FILTER), ALL),
    Field::of("window_start_offset", "windowStartOffset", Shape::Offset, ALL),
    Field::of("window_end_offset", "windowEndOffset", Shape::Offset, ALL),
    Field::of("winsor_lower_percentile", "winsorLowerPercentile", Shape::Bound, ALL),
    Field::of("winsor_upper_percentile", "winsorUpperPercentile", Shape::Bound, ALL),
    Field::of("winsor_include_imputed", "winsorIncludeImputed", Shape::Flag, ALL),
    Field::of("trace_query", "traceQuery", Shape::Text, &[MetricKind::Trace]),
    Field::of("trace_value_location", "traceValueLocation", Shape::Text, &[MetricKind::Trace]),
    Field::of("denominator", "denominator", Shape::Object(&["eventName"]), ALL),
    Field::of("value_column", "valueColumn", Shape::Text, ALL),
    // The creation lists it, but LaunchDarkly's own client sets it by a patch alone.
    Field::of("maintainer_id", "maintainerId", Shape::Text, ALL).patch_only(),
    Field::of("archived", "archived", Shape::Flag, ALL).patch_only(),
];

// === impl MetricKind ===

impl MetricKind {
    pub const ALL: [Self; 4] = [Self::PageView, Self::Click, Self::Custom, Self::Trace];
    const NAMES: &[&str] = &["pageview", "click", "custom", "trace"];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::PageView => "pageview",
            Self::Click => "click",
            Self::Custom => "custom",
            Self::Trace => "trace",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

// === impl Field ===

impl Field {
    const fn of(
        name: &'static str,
        wire: &'static str,
        shape: Shape,
        kinds: &'static [MetricKind],
    ) -> Self {
        Self { name, wire, shape, kinds, life: Life::Free }
    }

    const fn fixed(mut self) -> Self {
        self.life = Life::Fixed;
        self
    }

    const fn patch_only(mut self) -> Self {
        self.life = Life::PatchOnly;
        self
    }

    /// Finds a field by its name in the configuration.
    pub fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Finds a field by LaunchDarkly's name for it.
    pub fn on_wire(wire: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.wire == wire)
    }
}

/// The body that creates a metric: without what only a patch may carry, and without the fields that
/// are to be empty.
pub fn creation(desired: &Map<String, Value>) -> Map<String, Value> {
    let written = desired.iter().filter(|(wire, value)| {
        let field = Field::on_wire(wire);
        !value.is_null() && field.is_some_and(|field| field.life != Life::PatchOnly)
    });
    written.map(|(wire, value)| (wire.clone(), value.clone())).collect()
}
