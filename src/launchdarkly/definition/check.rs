//! Tells whether a definition is whole, before LaunchDarkly does.
//!
//! A definition must be whole even where the metric exists: it may be gone by the time it is
//! written. What LaunchDarkly's description leaves open is let through and left to its answer.
//! `null` means that a field is to be empty.
//!
//! Source: <https://launchdarkly.com/docs/api/metrics>.

use serde_json::{Map, Value};

use super::{Field, MetricKind, Shape};

/// What is wrong with a definition: the first thing found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct DefinitionError {
    /// The name in the configuration, or the given one where there is no such field.
    pub field: String,
    pub problem: String,
}

type Checked = Result<(), DefinitionError>;

/// Checks a definition: known fields, their types, and what each kind of metric needs and cannot
/// have.
pub fn validate(definition: &Map<String, Value>) -> Checked {
    for (wire, value) in definition {
        validate_field(wire, value)?;
    }
    let whole = Whole { definition };
    whole.need("key", "is required")?;
    whole.need("kind", "is required")?;
    let Some(kind) = whole.text("kind").and_then(MetricKind::named) else {
        return Err(wrong("kind", "is no kind of metric"));
    };
    for field in super::FIELDS {
        if !field.kinds.contains(&kind) && whole.has(field.wire) {
            return Err(wrong(field.name, format!("cannot be part of a {} metric", kind.as_str())));
        }
    }
    whole.check_kind(kind)?;
    whole.check_percentile()?;
    whole.check_aggregation()?;
    whole.check_bounds()
}

/// Checks one field by itself: that there is such a one, and the type of its value.
pub fn validate_field(wire: &str, value: &Value) -> Checked {
    Field::on_wire(wire).map_or_else(|| Err(unknown(wire)), |field| check_shape(field, value))
}

/// A definition whose fields are each right by themselves.
struct Whole<'a> {
    definition: &'a Map<String, Value>,
}

impl Whole<'_> {
    fn check_kind(&self, kind: MetricKind) -> Checked {
        match kind {
            MetricKind::Click | MetricKind::PageView => {
                if kind == MetricKind::Click {
                    self.need("selector", "is required for a click metric")?;
                }
                self.need("urls", "is required for click and pageview metrics")?;
                if self.is("isNumeric", true) {
                    return Err(wrong(
                        "is_numeric",
                        "can only be true for custom and trace metrics",
                    ));
                }
                Ok(())
            }
            MetricKind::Custom => {
                self.need("eventKey", "is required for a custom metric")?;
                self.check_numeric()
            }
            MetricKind::Trace => {
                self.need("traceQuery", "is required for a trace metric")?;
                if self.is("isNumeric", true) {
                    self.need("traceValueLocation", "is required for a numeric trace metric")?;
                }
                self.check_numeric()
            }
        }
    }

    fn check_numeric(&self) -> Checked {
        self.need("isNumeric", "is required for custom and trace metrics")?;
        if self.is("isNumeric", true) {
            // A unit is only "applicable", so it is not asked for.
            self.need("successCriteria", "is required for a numeric metric")
        } else if self.has("unit") {
            Err(wrong("unit", "belongs to numeric metrics only"))
        } else {
            Ok(())
        }
    }

    fn check_percentile(&self) -> Checked {
        if self.text("analysisType") != Some("percentile") {
            return Ok(());
        }
        self.need("percentileValue", "is required when analysis_type is percentile")?;
        if !self.is("isNumeric", true) {
            return Err(wrong("analysis_type", "can only be percentile for a numeric metric"));
        }
        let disabled = self.get("eventDefault").and_then(|it| it.get("disabled"));
        if disabled != Some(&Value::Bool(true)) {
            let problem = "must have disabled: true when analysis_type is percentile";
            return Err(wrong("event_default", problem));
        }
        Ok(())
    }

    fn check_aggregation(&self) -> Checked {
        if self.text("unitAggregationType") == Some("count_distinct") {
            let why = "is required when unit_aggregation_type is count_distinct";
            self.need("unitAggregationField", why)?;
        }
        Ok(())
    }

    fn check_bounds(&self) -> Checked {
        let bound = |wire| self.get(wire).and_then(Value::as_f64);
        match (bound("winsorLowerPercentile"), bound("winsorUpperPercentile")) {
            (Some(lower), Some(upper)) if upper <= lower => {
                let problem = "must be greater than winsor_lower_percentile";
                Err(wrong("winsor_upper_percentile", problem))
            }
            _ => Ok(()),
        }
    }

    fn get(&self, wire: &str) -> Option<&Value> {
        self.definition.get(wire).filter(|value| !value.is_null())
    }

    fn text(&self, wire: &str) -> Option<&str> {
        self.get(wire)?.as_str()
    }

    fn is(&self, wire: &str, flag: bool) -> bool {
        self.get(wire) == Some(&Value::Bool(flag))
    }

    fn has(&self, wire: &str) -> bool {
        self.get(wire).is_some_and(|value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
        })
    }

    fn need(&self, wire: &str, why: &str) -> Checked {
        if self.has(wire) {
            return Ok(());
        }
        Err(wrong(Field::on_wire(wire).map_or(wire, |field| field.name), why))
    }
}

// --- one field ---

fn check_shape(field: &Field, value: &Value) -> Checked {
    let fail = |problem: &str| Err(wrong(field.name, problem));
    match (field.shape, value) {
        (
            Shape::Text | Shape::Choice(_) | Shape::Offset | Shape::Percentile | Shape::Bound,
            Value::Null,
        ) => Ok(()),
        (_, Value::Null) => fail("cannot be null"),
        (Shape::Text, value) if value.is_string() => Ok(()),
        (Shape::Text, _) => fail("must be a text"),
        (Shape::Choice(words), value) => match value.as_str() {
            Some(word) if words.contains(&word) => Ok(()),
            _ => fail(&format!("must be one of {}", words.join(", "))),
        },
        (Shape::Flag, value) if value.is_boolean() => Ok(()),
        (Shape::Flag, _) => fail("must be true or false"),
        (Shape::Offset, value) if value.is_i64() || value.is_u64() => Ok(()),
        (Shape::Offset, _) => fail("must be an integer, in milliseconds"),
        (Shape::Percentile, value) if value.as_u64().is_some_and(|value| value <= 100) => Ok(()),
        (Shape::Percentile, _) => fail("must be an integer from 0 to 100"),
        (Shape::Bound, value) if value.as_f64().is_some_and(|at| at > 0.0 && at < 100.0) => Ok(()),
        (Shape::Bound, _) => fail("must be a number between 0 and 100"),
        (Shape::Names, Value::Array(items)) if items.iter().all(Value::is_string) => Ok(()),
        (Shape::Names, _) => fail("must be a list of texts"),
        (Shape::Urls, Value::Array(items)) => check_urls(field, items),
        (Shape::Urls, _) => fail("must be a list of objects"),
        (Shape::EventDefault, Value::Object(members)) => check_event_default(field, members),
        (Shape::Object(required), Value::Object(members)) => {
            let absent =
                required.iter().find(|name| members.get(**name).is_none_or(Value::is_null));
            absent.map_or(Ok(()), |name| fail(&format!("needs `{name}`")))
        }
        (Shape::EventDefault | Shape::Object(_), _) => fail("must be an object"),
    }
}

fn check_urls(field: &Field, items: &[Value]) -> Checked {
    for (at, item) in items.iter().enumerate() {
        let fail = |problem: &str| Err(wrong(format!("{}[{at}]", field.name), problem));
        let by = match item.get("kind").and_then(Value::as_str) {
            Some("exact" | "canonical") => "url",
            Some("substring") => "substring",
            Some("regex") => "pattern",
            _ => return fail("needs a `kind`: exact, canonical, substring or regex"),
        };
        if item.get(by).and_then(Value::as_str).is_none_or(str::is_empty) {
            return fail(&format!("needs a `{by}`, as its kind says"));
        }
    }
    Ok(())
}

fn check_event_default(field: &Field, members: &Map<String, Value>) -> Checked {
    for (name, value) in members {
        let fail = |problem: &str| Err(wrong(format!("{}.{name}", field.name), problem));
        match name.as_str() {
            "disabled" if !value.is_boolean() => return fail("must be true or false"),
            "value" if value.as_f64() != Some(0.0) => {
                return fail("can only be 0, LaunchDarkly supports no other value");
            }
            "disabled" | "value" => {}
            _ => return fail("is not known; there are `disabled` and `value`"),
        }
    }
    Ok(())
}

// --- errors ---

fn wrong(field: impl Into<String>, problem: impl Into<String>) -> DefinitionError {
    DefinitionError { field: field.into(), problem: problem.into() }
}

fn unknown(wire: &str) -> DefinitionError {
    let problem = match wire {
        "randomizationUnits" => "is deprecated by LaunchDarkly; give analysis_units",
        "winsorExcludeImputed" => "is ignored by LaunchDarkly; give winsor_include_imputed",
        _ => "is no field of a metric definition",
    };
    wrong(wire, problem)
}
