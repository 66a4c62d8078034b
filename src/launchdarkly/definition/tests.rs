//! Definitions that are whole and that are not; differences against a naive patcher.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use super::*;

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

/// The first definition with the members of the second put over it; `null` removes.
fn with(definition: &Value, over: Value) -> Map<String, Value> {
    let mut members = object(definition.clone());
    for (name, value) in object(over) {
        if value.is_null() {
            members.remove(&name);
        } else {
            members.insert(name, value);
        }
    }
    members
}

fn custom() -> Value {
    json!({"key": "done", "kind": "custom", "isNumeric": false, "eventKey": "done"})
}

fn numeric() -> Value {
    json!({
        "key": "total", "kind": "custom", "isNumeric": true, "eventKey": "total",
        "successCriteria": "HigherThanBaseline", "unit": "EUR",
    })
}

fn click() -> Value {
    json!({
        "key": "buy", "kind": "click", "selector": "#buy",
        "urls": [{"kind": "exact", "url": "https://shop.example/cart"}],
    })
}

fn trace() -> Value {
    json!({"key": "slow", "kind": "trace", "isNumeric": false, "traceQuery": "service = x"})
}

#[test]
fn whole_definitions_are_accepted() {
    let percentile = json!({
        "analysisType": "percentile", "percentileValue": 95, "eventDefault": {"disabled": true},
    });
    let pageview = json!({
        "key": "seen", "kind": "pageview", "isNumeric": false,
        "urls": [{"kind": "substring", "substring": "/a"}, {"kind": "regex", "pattern": "b+"}],
    });
    let all_about = json!({
        "name": "N", "description": null, "tags": ["a"], "analysisUnits": ["user"],
        "eventDefault": {"disabled": false, "value": 0.0}, "maintainerId": "569f", "archived": false,
        "dataSource": {"key": "warehouse"}, "unitAggregationType": "count_distinct",
        "unitAggregationField": "column", "denominator": {"eventName": "started"},
        "filters": {"type": "eventProperty", "op": "in", "values": ["a"], "negate": false},
        "winsorLowerPercentile": 1, "winsorUpperPercentile": 99.5, "windowStartOffset": -5,
    });
    let numeric_trace = json!({
        "isNumeric": true, "traceValueLocation": "duration", "successCriteria": "LowerThanBaseline",
    });
    for definition in [
        object(custom()),
        with(&custom(), json!({"successCriteria": "LowerThanBaseline"})),
        object(numeric()),
        with(&numeric(), json!({"unit": null})),
        with(&numeric(), percentile),
        with(&numeric(), all_about),
        object(click()),
        object(pageview),
        object(trace()),
        with(&trace(), numeric_trace),
    ] {
        assert_eq!(validate(&definition), Ok(()), "{definition:?}");
    }
}

#[test]
fn each_fault_names_its_field() {
    for (definition, over, field) in [
        (custom(), json!({"key": null}), "key"),
        (custom(), json!({"key": ""}), "key"),
        (custom(), json!({"kind": null}), "kind"),
        (custom(), json!({"kind": "number"}), "kind"),
        (custom(), json!({"colour": "red"}), "colour"),
        (custom(), json!({"event_key": "done"}), "event_key"),
        (custom(), json!({"randomizationUnits": ["user"]}), "randomizationUnits"),
        (custom(), json!({"eventKey": null}), "event_key"),
        (custom(), json!({"isNumeric": null}), "is_numeric"),
        (custom(), json!({"isNumeric": "no"}), "is_numeric"),
        (custom(), json!({"unit": "EUR"}), "unit"),
        (custom(), json!({"selector": "#a"}), "selector"),
        (custom(), json!({"urls": [{"kind": "exact", "url": "https://a"}]}), "urls"),
        (custom(), json!({"tags": "a"}), "tags"),
        (custom(), json!({"tags": [1]}), "tags"),
        (custom(), json!({"name": 1}), "name"),
        (custom(), json!({"traceQuery": "q"}), "trace_query"),
        (custom(), json!({"filters": {"type": "group"}}), "filters"),
        (custom(), json!({"dataSource": "x"}), "data_source"),
        (custom(), json!({"windowEndOffset": 1.5}), "window_end_offset"),
        (custom(), json!({"winsorLowerPercentile": 0}), "winsor_lower_percentile"),
        (custom(), json!({"analysisType": "percentile", "percentileValue": 5}), "analysis_type"),
        (custom(), json!({"eventDefault": {"value": 3}}), "event_default.value"),
        (custom(), json!({"eventDefault": {"enabled": true}}), "event_default.enabled"),
        (numeric(), json!({"successCriteria": null}), "success_criteria"),
        (numeric(), json!({"successCriteria": "higher"}), "success_criteria"),
        (numeric(), json!({"analysisType": "percentile"}), "percentile_value"),
        (numeric(), json!({"percentileValue": 101}), "percentile_value"),
        (numeric(), json!({"analysisType": "percentile", "percentileValue": 5}), "event_default"),
        (numeric(), json!({"unitAggregationType": "count_distinct"}), "unit_aggregation_field"),
        (
            numeric(),
            json!({"winsorLowerPercentile": 9, "winsorUpperPercentile": 9.0}),
            "winsor_upper_percentile",
        ),
        (click(), json!({"selector": null}), "selector"),
        (click(), json!({"urls": []}), "urls"),
        (click(), json!({"urls": [{"kind": "exact", "pattern": "a"}]}), "urls[0]"),
        (click(), json!({"urls": [{"url": "a"}]}), "urls[0]"),
        (click(), json!({"eventKey": "e"}), "event_key"),
        (click(), json!({"unit": "EUR"}), "unit"),
        (click(), json!({"successCriteria": "HigherThanBaseline"}), "success_criteria"),
        (click(), json!({"isNumeric": true}), "is_numeric"),
        (click(), json!({"kind": "pageview"}), "selector"),
        (trace(), json!({"traceQuery": null}), "trace_query"),
        (
            trace(),
            json!({"isNumeric": true, "successCriteria": "HigherThanBaseline"}),
            "trace_value_location",
        ),
    ] {
        let definition = with(&definition, over);
        let error = validate(&definition).expect_err(&format!("{definition:?}"));
        assert_eq!(error.field, field, "{error}");
    }
    let cleared = with(&custom(), json!({}));
    let cleared = cleared.into_iter().chain([("tags".to_owned(), Value::Null)]).collect();
    assert_eq!(validate(&cleared).unwrap_err().to_string(), "`tags` cannot be null");
}

#[test]
fn names_lead_both_ways_and_are_unique() {
    for (at, field) in FIELDS.iter().enumerate() {
        assert_eq!(Field::named(field.name).unwrap().wire, field.wire);
        assert_eq!(Field::on_wire(field.wire).unwrap().name, field.name);
        let snake: String = field
            .wire
            .chars()
            .flat_map(|c| c.is_uppercase().then_some('_').into_iter().chain(c.to_lowercase()))
            .collect();
        assert_eq!(snake, field.name);
        assert!(FIELDS[at + 1..].iter().all(|other| other.wire != field.wire));
    }
    let names: Vec<_> = MetricKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(names, MetricKind::NAMES);
}

#[test]
fn a_creation_leaves_out_what_only_a_patch_may_carry() {
    let desired = json!({"key": "a", "unit": null, "maintainerId": "5", "archived": false});
    assert_eq!(creation(&object(desired)), object(json!({"key": "a"})));
}

fn patch_of(current: Value, desired: Value) -> Value {
    match difference(&object(current), &object(desired)) {
        Difference::Patch(patch) => patch.iter().map(PatchOp::to_json).collect(),
        Difference::Equal => json!([]),
        kinds @ Difference::KindDiffers { .. } => panic!("{kinds:?}"),
    }
}

#[test]
fn only_what_differs_is_patched() {
    let current = json!({
        "key": "total", "kind": "custom", "unit": "EUR", "tags": ["a", "b"], "percentileValue": 5,
        "randomizationUnits": ["user"], "eventDefault": {"disabled": true}, "_version": 3,
        "dataSource": {"key": "w", "_name": "W"}, "description": "by hand",
    });
    for (desired, patch) in [
        (json!({"key": "other", "kind": "custom"}), json!([])),
        (json!({"tags": ["b", "a"], "percentileValue": 5.0, "isNumeric": false}), json!([])),
        (json!({"analysisUnits": ["user"], "dataSource": {"key": "w"}, "name": ""}), json!([])),
        (json!({"eventDefault": {"value": 0, "disabled": true}, "selector": null}), json!([])),
        (
            json!({"unit": "USD", "name": "N", "maintainerId": "5"}),
            json!([
                {"op": "add", "path": "/name", "value": "N"},
                {"op": "replace", "path": "/unit", "value": "USD"},
                {"op": "add", "path": "/maintainerId", "value": "5"},
            ]),
        ),
        (
            json!({"eventDefault": {"disabled": false, "value": 0}}),
            json!([{"op": "replace", "path": "/eventDefault/disabled", "value": false}]),
        ),
        (
            json!({"analysisUnits": ["organization"]}),
            json!([{"op": "add", "path": "/analysisUnits", "value": ["organization"]}]),
        ),
        (
            json!({"percentileValue": null, "tags": []}),
            json!([
                {"op": "replace", "path": "/tags", "value": []},
                {"op": "replace", "path": "/percentileValue", "value": null},
            ]),
        ),
    ] {
        assert_eq!(patch_of(current.clone(), desired.clone()), patch, "{desired}");
    }
    let whole = json!([{"op": "add", "path": "/eventDefault", "value": {"disabled": true}}]);
    assert_eq!(patch_of(json!({}), json!({"eventDefault": {"disabled": true}})), whole);
    assert_eq!(patch_of(json!({}), json!({"eventDefault": {"disabled": false}})), json!([]));
}

#[test]
fn a_kind_is_never_changed() {
    let differs = difference(
        &object(json!({"kind": "click"})),
        &object(json!({"kind": "custom", "name": "N"})),
    );
    let (current, desired) = ("click".to_owned(), "custom".to_owned());
    assert_eq!(differs, Difference::KindDiffers { current, desired });
}

// --- properties ---

/// Values of a field as a definition may hold them, few enough to meet again.
fn values(shape: Shape) -> BoxedStrategy<Value> {
    let one_of = |values: Value| select(values.as_array().unwrap().clone()).boxed();
    match shape {
        Shape::Text => one_of(json!([null, "", "a", "b"])),
        Shape::Choice(words) => select(words).prop_map(Value::from).boxed(),
        Shape::Flag => any::<bool>().prop_map(Value::from).boxed(),
        Shape::Offset | Shape::Percentile | Shape::Bound => one_of(json!([null, 1, 1.0, 2, 0])),
        Shape::Names => {
            subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle().prop_map(Value::from).boxed()
        }
        Shape::Urls => {
            let urls = json!([
                {"kind": "exact", "url": "a"}, {"kind": "exact", "url": "b"},
                {"kind": "regex", "pattern": "c"},
            ]);
            let urls = urls.as_array().unwrap().clone();
            subsequence(urls, 0..=3).prop_shuffle().prop_map(Value::from).boxed()
        }
        Shape::EventDefault => one_of(json!([
            {}, {"disabled": true}, {"disabled": false}, {"disabled": false, "value": 0},
            {"disabled": true, "value": 0.0},
        ])),
        Shape::Object(_) => one_of(json!([
            {"key": "a"}, {"key": "b", "values": [1, "x"]}, {"key": "a", "negate": false},
        ])),
    }
}

fn definition() -> impl Strategy<Value = Map<String, Value>> {
    let fields: Vec<_> = FIELDS
        .iter()
        .filter(|field| field.wire != "kind")
        .map(|field| {
            let value = proptest::option::of(values(field.shape));
            value.prop_map(move |value| value.map(|value| (field.wire.to_owned(), value)))
        })
        .collect();
    fields.prop_map(|fields| fields.into_iter().flatten().collect())
}

/// A metric as LaunchDarkly might give it: with names of its own, and some in their former place.
fn metric() -> impl Strategy<Value = Map<String, Value>> {
    (definition(), any::<bool>()).prop_map(|(mut metric, former)| {
        metric.insert("_version".to_owned(), json!(1));
        if let Some(Value::Object(source)) = metric.get_mut("dataSource") {
            source.insert("_name".to_owned(), json!("given"));
        }
        if former && let Some(units) = metric.remove("analysisUnits") {
            metric.insert("randomizationUnits".to_owned(), units);
        }
        metric
    })
}

/// RFC 6902 as far as it is used, and as strict.
fn apply(metric: &Map<String, Value>, patch: &[PatchOp]) -> Map<String, Value> {
    let mut metric = Value::Object(metric.clone());
    for PatchOp { op, path, value } in patch {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = metric.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let was = parent.insert(name.to_owned(), value.clone());
        assert_eq!(was.is_some(), *op == PatchKind::Replace, "{path}");
        assert_ne!(was.as_ref(), Some(value), "D2: {path} changes nothing");
    }
    object(metric)
}

proptest! {
    #[test]
    fn d1_d2_d3_a_patch_makes_equal(current in metric(), desired in definition()) {
        if let Difference::Patch(patch) = difference(&current, &desired) {
            prop_assert!(!patch.is_empty());
            prop_assert!(patch.iter().all(|op| op.path != "/key" && op.path != "/kind"));
            let patched = apply(&current, &patch);
            prop_assert_eq!(difference(&patched, &desired), Difference::Equal);
            prop_assert_eq!(patched.get("key"), current.get("key"));
        }
    }

    #[test]
    fn what_was_created_so_needs_no_patch(desired in definition()) {
        let free = |(wire, _): &(&String, &Value)| {
            Field::on_wire(wire).unwrap().life != Life::PatchOnly
        };
        let desired: Map<_, _> =
            desired.iter().filter(free).map(|(w, v)| (w.clone(), v.clone())).collect();
        prop_assert_eq!(difference(&creation(&desired), &desired), Difference::Equal);
    }
}
