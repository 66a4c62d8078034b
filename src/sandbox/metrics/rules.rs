//! Checks which fields of a metric definition go together.
//!
//! The rules are those of the API reference, plus the combinations that LaunchDarkly's own Terraform
//! provider refuses to send. A client that keeps them all is on the safe side of both.
//!
//! Not here: the types of single fields (`definition`).

use serde_json::{Map, Value, json};

use crate::sandbox::identifiers::key_problem;

type Fields = Map<String, Value>;
type Checked = Result<(), String>;

/// Checks fields whose types are right already.
pub(super) fn check(fields: &Fields) -> Checked {
    require(fields, "every metric", &["key", "kind"])?;
    key_problem(text(fields, "key")).map_or(Ok(()), |problem| Err(problem.to_owned()))?;
    check_kind(fields)?;
    check_urls(fields)?;
    check_analysis(fields)?;
    check_event_default(fields)?;
    check_winsorization(fields)?;
    check_parts(fields)
}

/// Tells metrics that are computed from events of one's own from those about pages.
pub(super) fn is_measured(fields: &Fields) -> bool {
    matches!(text(fields, "kind"), "custom" | "trace")
}

/// Returns how units without an event are counted; 0 is the only value there is.
pub(super) fn event_default(fields: &Fields) -> Value {
    let disabled = member(fields, "eventDefault", "disabled").and_then(Value::as_bool);
    if disabled == Some(true) {
        json!({"disabled": true})
    } else {
        json!({"disabled": false, "value": 0})
    }
}

fn check_kind(fields: &Fields) -> Checked {
    match text(fields, "kind") {
        "click" => {
            require(fields, "a click metric", &["selector", "urls"])?;
            forbid(fields, "a click metric", &["eventKey", "unit", "successCriteria"])
        }
        "pageview" => {
            require(fields, "a pageview metric", &["urls"])?;
            let foreign = &["selector", "eventKey", "unit", "successCriteria"];
            forbid(fields, "a pageview metric", foreign)
        }
        "custom" => {
            require(fields, "a custom metric", &["eventKey", "isNumeric"])?;
            forbid(fields, "a custom metric", &["selector", "urls"])?;
            check_measure(fields)
        }
        _ => {
            require(fields, "a trace metric", &["traceQuery", "isNumeric"])?;
            forbid(fields, "a trace metric", &["selector", "urls"])?;
            if is_true(fields, "isNumeric") {
                require(fields, "a numeric trace metric", &["traceValueLocation"])?;
            }
            check_measure(fields)
        }
    }
}

fn check_measure(fields: &Fields) -> Checked {
    if is_true(fields, "isNumeric") {
        require(fields, "a numeric metric", &["successCriteria"])
    } else {
        forbid(fields, "a conversion metric", &["unit"])
    }
}

fn check_urls(fields: &Fields) -> Checked {
    let Some(urls) = fields.get("urls").and_then(Value::as_array) else { return Ok(()) };
    if urls.is_empty() {
        return Err("`urls` must name at least one URL".to_owned());
    }
    for url in urls {
        let named = |name: &str| url.get(name).and_then(Value::as_str).unwrap_or_default();
        let field = match named("kind") {
            "exact" | "canonical" => "url",
            "substring" => "substring",
            "regex" => "pattern",
            _ => return Err("the `kind` of a URL is exact, canonical, substring or regex".into()),
        };
        if named(field).is_empty() {
            return Err(format!("a URL of kind {} needs `{field}`", named("kind")));
        }
    }
    Ok(())
}

fn check_analysis(fields: &Fields) -> Checked {
    if text(fields, "unitAggregationType") == "count_distinct" {
        require(fields, "unitAggregationType count_distinct", &["unitAggregationField"])?;
    }
    let percentile = fields.get("percentileValue");
    let plausible = percentile.is_none_or(|it| it.as_u64().is_some_and(|value| value <= 100));
    if !plausible {
        return Err("`percentileValue` must lie between 0 and 100".to_owned());
    }
    if text(fields, "analysisType") != "percentile" {
        return Ok(());
    }
    require(fields, "analysisType percentile", &["percentileValue"])?;
    if !is_true(fields, "isNumeric") {
        return Err("analysisType percentile is for numeric metrics".to_owned());
    }
    match member(fields, "eventDefault", "disabled") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err("analysisType percentile requires `eventDefault.disabled` true".to_owned()),
    }
}

fn check_event_default(fields: &Fields) -> Checked {
    let disabled = member(fields, "eventDefault", "disabled");
    if disabled.is_some_and(|it| !it.is_boolean()) {
        return Err("`eventDefault.disabled` must be true or false".to_owned());
    }
    let value = member(fields, "eventDefault", "value");
    if value.is_some_and(|it| it.as_f64() != Some(0.0)) {
        return Err("`eventDefault.value` can only be 0".to_owned());
    }
    Ok(())
}

fn check_winsorization(fields: &Fields) -> Checked {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    let bounds = [bound("winsorLowerPercentile"), bound("winsorUpperPercentile")];
    if bounds.iter().flatten().any(|value| *value <= 0.0 || *value >= 100.0) {
        return Err("winsorization percentiles must lie between 0 and 100, both excluded".into());
    }
    match bounds {
        [Some(lower), Some(upper)] if upper <= lower => {
            Err("`winsorUpperPercentile` must be greater than `winsorLowerPercentile`".to_owned())
        }
        _ => Ok(()),
    }
}

/// Checks the fields that are objects of their own.
fn check_parts(fields: &Fields) -> Checked {
    let parts: [(&str, &[&str]); 3] = [
        ("dataSource", &["key"]),
        ("filters", &["type", "op", "values", "negate"]),
        ("denominator", &["eventName"]),
    ];
    for (part, members) in parts {
        let Some(Value::Object(found)) = fields.get(part) else { continue };
        require(found, &format!("`{part}`"), members)?;
    }
    let kinds = ["contextAttribute", "eventProperty", "group"];
    match member(fields, "filters", "type").map(|kind| kind.as_str().unwrap_or_default()) {
        Some(kind) if !kinds.contains(&kind) => {
            Err(format!("`filters.type` must be one of {}", kinds.join(", ")))
        }
        _ => Ok(()),
    }
}

fn require(fields: &Fields, what: &str, names: &[&str]) -> Checked {
    match names.iter().find(|name| !fields.contains_key(**name)) {
        Some(name) => Err(format!("`{name}` is required for {what}")),
        None => Ok(()),
    }
}

fn forbid(fields: &Fields, what: &str, names: &[&str]) -> Checked {
    match names.iter().find(|name| fields.contains_key(**name)) {
        Some(name) => Err(format!("`{name}` does not apply to {what}")),
        None => Ok(()),
    }
}

fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn is_true(fields: &Fields, name: &str) -> bool {
    fields.get(name) == Some(&Value::Bool(true))
}

fn member<'a>(fields: &'a Fields, name: &str, inner: &str) -> Option<&'a Value> {
    fields.get(name)?.get(inner).filter(|value| !value.is_null())
}
