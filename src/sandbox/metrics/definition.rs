//! Says what a metric definition may look like.
//!
//! One table holds the fields and their types, one function per subject the combinations. Creation
//! and every update go through both, so no path leads to a metric that could not have been created.
//!
//! # Invariants
//! - D1: a `Definition` satisfies all rules, and defaults are filled in.
//!
//! Not here: identity, versions and dates of a metric (`metrics`).

use serde_json::{Map, Value, json};

use super::rules;

/// What a field of a definition must be.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    /// A text that must not be empty.
    Name,
    Flag,
    Whole,
    Number,
    Texts,
    Object,
    Objects,
    OneOf(&'static [&'static str]),
}

pub(super) const KINDS: &[&str] = &["pageview", "click", "custom", "trace"];
const CRITERIA: &[&str] = &["HigherThanBaseline", "LowerThanBaseline"];
const AGGREGATIONS: &[&str] = &["average", "sum", "count_distinct"];
const ANALYSES: &[&str] = &["mean", "percentile"];

/// The fields of a definition. `valueColumn` is newer than the API description the others are from.
const FIELDS: &[(&str, Shape)] = &[
    ("key", Shape::Text),
    ("kind", Shape::OneOf(KINDS)),
    ("name", Shape::Name),
    ("description", Shape::Text),
    ("tags", Shape::Texts),
    ("isNumeric", Shape::Flag),
    ("eventKey", Shape::Name),
    ("successCriteria", Shape::OneOf(CRITERIA)),
    ("unit", Shape::Text),
    ("selector", Shape::Name),
    ("urls", Shape::Objects),
    ("analysisUnits", Shape::Texts),
    ("randomizationUnits", Shape::Texts),
    ("unitAggregationType", Shape::OneOf(AGGREGATIONS)),
    ("unitAggregationField", Shape::Name),
    ("analysisType", Shape::OneOf(ANALYSES)),
    ("percentileValue", Shape::Whole),
    ("eventDefault", Shape::Object),
    ("maintainerId", Shape::Text),
    ("dataSource", Shape::Object),
    ("filters", Shape::Object),
    ("windowStartOffset", Shape::Whole),
    ("windowEndOffset", Shape::Whole),
    ("winsorLowerPercentile", Shape::Number),
    ("winsorUpperPercentile", Shape::Number),
    ("winsorIncludeImputed", Shape::Flag),
    ("traceQuery", Shape::Name),
    ("traceValueLocation", Shape::Name),
    ("denominator", Shape::Object),
    ("valueColumn", Shape::Text),
    (ARCHIVED, Shape::Flag),
];

/// Can be patched, not given at creation.
const ARCHIVED: &str = "archived";

/// Fixed at creation.
pub(super) const FIXED: &[&str] = &["key", "kind"];

/// A metric definition that keeps all rules (D1).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Definition(Map<String, Value>);

// === impl Definition ===

impl Definition {
    /// Reads the body of a creation. Fields the API does not know are ignored, as it ignores them.
    pub(super) fn from_creation(mut fields: Map<String, Value>) -> Result<Self, String> {
        fields.remove(ARCHIVED);
        Self::check(fields)
    }

    /// Reads a patched document, of which only the fields of a definition are taken.
    pub(super) fn from_patched(mut fields: Map<String, Value>, old: &Self) -> Result<Self, String> {
        // The deprecated name of the field is still understood: whichever changed is meant.
        if fields.get("randomizationUnits") != old.0.get("randomizationUnits") {
            fields.remove("analysisUnits");
        }
        Self::check(fields)
    }

    pub(super) fn is_field(name: &str) -> bool {
        FIELDS.iter().any(|(field, _)| *field == name)
    }

    pub(super) fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn check(mut fields: Map<String, Value>) -> Result<Self, String> {
        fields.retain(|name, value| Self::is_field(name) && !value.is_null());
        for (name, shape) in FIELDS {
            let fits = fields.get(*name).is_none_or(|value| shape.fits(value));
            if !fits {
                return Err(format!("`{name}` must be {}", shape.wanted()));
            }
        }
        rules::check(&fields)?;
        fill_in(&mut fields);
        Ok(Self(fields))
    }
}

/// Adds what LaunchDarkly answers with when it was not told.
fn fill_in(fields: &mut Map<String, Value>) {
    let key = fields.get("key").cloned().unwrap_or_default();
    let units = ["analysisUnits", "randomizationUnits"].iter().find_map(|name| fields.get(*name));
    let units = units.cloned().unwrap_or_else(|| json!(["user"]));
    fields.insert("analysisUnits".to_owned(), units.clone());
    fields.insert("randomizationUnits".to_owned(), units);

    let default = rules::event_default(fields);
    fields.insert("eventDefault".to_owned(), default);
    let mut given = |name: &str, value: Value| {
        fields.entry(name).or_insert(value);
    };
    given("name", key);
    given("tags", json!([]));
    given("isNumeric", json!(false));
    given("unitAggregationType", json!("average"));
    given("analysisType", json!("mean"));
    given("dataSource", json!({"key": "launchdarkly-hosted"}));
    given(ARCHIVED, json!(false));
    if rules::is_measured(fields) {
        fields.entry("successCriteria").or_insert(json!("HigherThanBaseline"));
    }
}

// === impl Shape ===

impl Shape {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Name => value.as_str().is_some_and(|text| !text.is_empty()),
            Self::Flag => value.is_boolean(),
            Self::Whole => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Texts => all(value, Value::is_string),
            Self::Object => value.is_object(),
            Self::Objects => all(value, Value::is_object),
            Self::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        }
    }

    fn wanted(self) -> String {
        match self {
            Self::Text => "a string".to_owned(),
            Self::Name => "a string that is not empty".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Whole => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Texts => "an array of strings".to_owned(),
            Self::Object => "an object".to_owned(),
            Self::Objects => "an array of objects".to_owned(),
            Self::OneOf(words) => format!("one of {}", words.join(", ")),
        }
    }
}

fn all(value: &Value, fits: impl Fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(fits))
}
