//! Mapping, from settings to bytes.

mod computed;

use serde_json::{Value, json};

use super::condition::Condition;
use super::expression::Expression;
use super::path::FieldPath;
use super::settings::{Absent, Conversion, Field, FieldSource, MetricEventSettings, Unit};
use super::*;
use crate::model::change::{BeforePolicy, Format};
use crate::model::claim::CheckPolicy;
use crate::model::record::{NoHeaders, Record};
use crate::model::topic::TopicSelector;

fn path(text: &str) -> Field {
    let from = FieldSource::Path(FieldPath::parse(text).unwrap());
    Field { from, convert: None, absent: Absent::Refuse }
}

fn literal(value: impl Into<Value>) -> Field {
    Field { from: FieldSource::Literal(value.into()), convert: None, absent: Absent::Refuse }
}

fn computed(source: &str) -> Field {
    let from = FieldSource::Computed(Expression::compile(source).unwrap());
    Field { from, convert: None, absent: Absent::Refuse }
}

fn converted(field: Field, conversion: Conversion) -> Field {
    Field { convert: Some(conversion), ..field }
}

fn event() -> MetricEventSettings {
    MetricEventSettings {
        target: TargetId(0),
        target_name: "production".to_owned(),
        key: literal("checkout-total"),
        context: vec![
            ("user".to_owned(), path("$.row.user_id")),
            ("organization".to_owned(), path("$.row.org")),
        ],
        value: Some(path("$.row.total")),
        time: Some(path("$.row.at")),
        data: vec![("channel".to_owned(), path("$.row.channel"))],
    }
}

fn route(event: MetricEventSettings, when: Option<&str>) -> RouteSettings {
    RouteSettings {
        checks: CheckPolicy::Warn,
        retry_for: None,
        priority: 1,
        name: "checkout".to_owned(),
        topics: vec![TopicSelector::parse("t").unwrap()],
        reading: Reading { format: Format::Json, before: BeforePolicy::Auto },
        when: when.map(|w| Condition::compile(w).unwrap()),
        operation: OperationSettings::MetricEvent(event),
    }
}

fn apply(settings: RouteSettings, row: &str) -> Result<(Routed, Vec<u8>), RouteError> {
    let record = Record {
        topic: "t",
        partition: 0,
        offset: 5,
        timestamp_ms: Some(1_767_225_600_777),
        key: None,
        value: None,
        headers: &NoHeaders,
    };
    apply_change(settings, &Change { after: Some(row), ..Change::new(record, Op::Upsert) })
}

fn apply_change(
    settings: RouteSettings,
    change: &Change<'_>,
) -> Result<(Routed, Vec<u8>), RouteError> {
    let router = Router::new(&[settings]);
    let topic = router.topic("t").unwrap();
    let group = &topic.groups()[0];
    let mut picks = Picks::default();
    group.pick(change, &mut picks)?;
    let mut body = b"before".to_vec();
    let routed = group.routes[0].apply(change, &picks, &mut body, &mut Vec::new());
    if routed.is_err() {
        assert_eq!(body, b"before", "E2: an error leaves the body as it was");
    }
    routed.map(|routed| (routed, body.split_off("before".len())))
}

fn mapped(settings: RouteSettings, row: &str) -> Value {
    let (routed, body) = apply(settings, row).unwrap();
    assert_eq!(routed, Routed::MetricEvent);
    assert_eq!(body[0], b',');
    serde_json::from_slice(&body[1..]).unwrap()
}

const ROW: &str =
    r#"{"user_id":"u-1","org":17,"total":41.50,"at":1767225600,"channel":"e\u006dail"}"#;

#[test]
fn a_full_event_has_every_field_in_place() {
    assert_eq!(
        mapped(route(event(), None), ROW),
        json!({
            "kind": "custom", "key": "checkout-total", "creationDate": 1_767_225_600_000_i64,
            "contextKeys": {"user": "u-1", "organization": "17"},
            "metricValue": 41.50, "data": {"channel": "email"},
        })
    );
    let (_, body) = apply(route(event(), None), ROW).unwrap();
    assert!(String::from_utf8(body).unwrap().contains("41.50"), "numbers keep their digits");
}

#[test]
fn the_record_timestamp_counts_when_no_time_is_mapped() {
    let settings = MetricEventSettings { time: None, ..event() };
    assert_eq!(mapped(route(settings, None), ROW)["creationDate"], json!(1_767_225_600_777_i64));
}

#[test]
fn absent_fields_follow_their_policy() {
    let row = r#"{"user_id":"u-1","org":"o","total":null,"at":1767225600}"#;
    let mut settings = event();
    settings.value = Some(Field { absent: Absent::LeaveOut, ..path("$.row.total") });
    settings.data[0].1.absent = Absent::LeaveOut;
    let event = mapped(route(settings.clone(), None), row);
    assert_eq!(event.get("metricValue"), None);
    assert_eq!(event["data"], json!({}));

    settings.value = Some(Field { absent: Absent::Default(json!(0)), ..path("$.row.total") });
    settings.data[0].1.absent = Absent::Default(json!("web"));
    let event = mapped(route(settings.clone(), None), row);
    assert_eq!((&event["metricValue"], &event["data"]), (&json!(0), &json!({"channel": "web"})));

    settings.value = Some(path("$.row.total"));
    let error = apply(route(settings, None), row).unwrap_err();
    assert_eq!(error.reason, RefusalReason::MissingField);
    assert_eq!(error.detail, "metric_event.value: $.row.total is absent or null");
}

#[test]
fn what_launchdarkly_would_drop_in_silence_is_refused_here() {
    let good: Value = serde_json::from_str(ROW).unwrap();
    for (field, value, reason, said) in [
        ("user_id", json!(""), RefusalReason::EmptyContextKey, "context.user: it is empty"),
        (
            "user_id",
            json!(null),
            RefusalReason::MissingField,
            "context.user: $.row.user_id is absent",
        ),
        ("user_id", json!(1.5), RefusalReason::WrongType, "context.user: it is a number"),
        ("user_id", json!(true), RefusalReason::WrongType, "context.user: it is a boolean"),
        ("user_id", json!({"id": 1}), RefusalReason::WrongType, "context.user: it is an object"),
        ("total", json!("41.5"), RefusalReason::WrongType, "value: it is a text, not a number"),
        ("total", json!([1]), RefusalReason::WrongType, "value: it is an array"),
        ("at", json!(20_454), RefusalReason::ImplausibleTime, "time: 20454 is no time"),
        ("at", json!("soon"), RefusalReason::ImplausibleTime, "time: it is neither"),
        ("at", json!(false), RefusalReason::ImplausibleTime, "time: it is a boolean"),
    ] {
        let mut row = good.clone();
        row[field] = value;
        let error = apply(route(event(), None), &row.to_string()).unwrap_err();
        assert_eq!(error.reason, reason, "{error}");
        assert!(error.detail.contains(said), "{error}");
    }
    let infinite = ROW.replace("41.50", "1e999");
    let error = apply(route(event(), None), &infinite).unwrap_err();
    assert!(error.detail.contains("value: it is not finite"), "{error}");
    let surrogate = ROW.replace("e\\u006dail", "\\ud800");
    let error = apply(route(event(), None), &surrogate).unwrap_err();
    assert_eq!(error.reason, RefusalReason::InvalidJson, "{error}");
}

#[test]
fn a_condition_filters_and_a_failing_one_refuses() {
    let filtered = apply(route(event(), Some("row.total > 100")), ROW).unwrap();
    assert_eq!(filtered, (Routed::Filtered(FilterReason::When), Vec::new()));
    assert_eq!(mapped(route(event(), Some("row.total > 41")), ROW)["key"], json!("checkout-total"));
    let error = apply(route(event(), Some("row.nothing > 1")), ROW).unwrap_err();
    assert_eq!(error.reason, RefusalReason::ExpressionFailed);
    assert_eq!(error.detail, "when: column 1: row.nothing is absent");
    for (when, said) in [
        ("row.user_id > 1", "when: column 13: `>` does not take a text and a number"),
        ("row.total", "when: gives something else than true or false"),
    ] {
        let error = apply(route(event(), Some(when)), ROW).unwrap_err();
        assert_eq!((error.reason, &*error.detail), (RefusalReason::ExpressionFailed, said));
    }
    let mistakes = Condition::compile("row.total + 1").unwrap_err();
    assert_eq!(mistakes[0].to_string(), "column 1: gives a number, not true or false");
}

#[test]
fn a_metric_event_is_for_rows_so_a_tombstone_is_filtered_unread() {
    let record = Record {
        topic: "t",
        partition: 0,
        offset: 5,
        timestamp_ms: Some(1_767_225_600_777),
        key: Some(ROW.as_bytes()),
        value: None,
        headers: &NoHeaders,
    };
    let delete = Change { key: Some(ROW), ..Change::new(record, Op::Delete) };
    let tombstone = Change { tombstone: true, ..delete };
    for when in [None, Some("true"), Some("false"), Some("row.nothing > 1")] {
        let routed = apply_change(route(event(), when), &tombstone).unwrap();
        assert_eq!(routed, (Routed::Filtered(FilterReason::Tombstone), Vec::new()), "{when:?}");
    }
    let (routed, _) = apply_change(route(event(), None), &delete).unwrap();
    assert_eq!(routed, Routed::MetricEvent, "a delete that has a value of its own is mapped");
    let rowless = Change::new(record, Op::Message);
    let routed = apply_change(route(event(), None), &rowless).unwrap();
    assert_eq!(routed.0, Routed::Filtered(FilterReason::NoRow));
}

#[test]
fn the_fingerprint_follows_the_mapping_and_nothing_else() {
    let of = |routes: &[RouteSettings]| {
        Router::new(routes).topic("t").unwrap().targets().collect::<Vec<_>>()
    };
    let other_topic = RouteSettings {
        topics: vec![TopicSelector::parse("other").unwrap()],
        ..route(event(), None)
    };
    let plain = of(&[route(event(), None)]);
    assert_eq!(plain, of(&[route(event(), None), other_topic]));
    assert_ne!(plain, of(&[route(event(), Some("true"))]));
    let reading = Reading { before: BeforePolicy::Full, ..route(event(), None).reading };
    assert_ne!(plain, of(&[RouteSettings { reading, ..route(event(), None) }]));
    assert_ne!(plain, of(&[route(MetricEventSettings { value: None, ..event() }, None)]));
    let valued =
        |value: Field| of(&[route(MetricEventSettings { value: Some(value), ..event() }, None)]);
    let values = [
        path("$.row.total"),
        converted(path("$.row.total"), Conversion::Number),
        converted(path("$.row.total"), Conversion::Decimal(Some(2))),
        converted(path("$.row.total"), Conversion::Decimal(Some(3))),
        computed("row.total"),
        computed("row.total + 1"),
        converted(computed("row.total"), Conversion::Number),
    ];
    let all = values.map(valued);
    for (at, one) in all.iter().enumerate() {
        assert!(all.iter().skip(at + 1).all(|other| one != other), "{at}");
    }
    assert_eq!(all[0], plain);
}

#[test]
fn a_mapping_keeps_its_fingerprint_from_version_to_version() {
    // Requests under way are recognised by it: changing it lets their events count twice.
    let event = format!("{:?}", path("$.row.total"));
    assert_eq!(event, "Field { from: Path($.row.total), absent: Refuse }");
}
