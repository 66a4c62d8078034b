//! Computed and converted values, from settings to operations.

use super::*;
use crate::model::operation::{MemberList, SegmentKind, SegmentShape};
use crate::pipeline::route::settings::SegmentMemberSettings;

#[test]
fn every_value_of_an_event_can_be_computed() {
    let settings = MetricEventSettings {
        key: computed("'checkout-' + row.channel"),
        context: vec![("user".to_owned(), computed("row.user_id.upperAscii()"))],
        value: Some(computed("row.total * 2.0")),
        time: Some(computed("row.at + 60")),
        data: vec![
            ("org".to_owned(), computed("[row.org, 'a\"b']")),
            ("none".to_owned(), Field { absent: Absent::LeaveOut, ..computed("row.nothing") }),
            (
                "web".to_owned(),
                Field { absent: Absent::Default(json!("w")), ..computed("row.x.y") },
            ),
        ],
        ..event()
    };
    assert_eq!(
        mapped(route(settings, None), ROW),
        json!({
            "kind": "custom", "key": "checkout-email", "creationDate": 1_767_225_660_000_i64,
            "contextKeys": {"user": "U-1"}, "metricValue": 83.0,
            "data": {"org": [17, "a\"b"], "web": "w"},
        })
    );
}

#[test]
fn a_failed_computation_is_a_refusal_with_its_field_and_column() {
    for (value, reason, said) in [
        ("row.nothing * 2.0", RefusalReason::MissingField, "expr: column 1: row.nothing is absent"),
        (
            "row.total % row.org",
            RefusalReason::ExpressionFailed,
            "expr: column 11: `%` does not take double and int; make them alike, for example by int()",
        ),
        ("row.user_id", RefusalReason::WrongType, "it is a text, not a number"),
        (
            "row.total / 0.0",
            RefusalReason::ExpressionFailed,
            "expr: gives a number that is not finite",
        ),
    ] {
        let settings = MetricEventSettings { value: Some(computed(value)), ..event() };
        let error = apply(route(settings, None), ROW).unwrap_err();
        assert_eq!(error.reason, reason, "{error}");
        assert_eq!(error.detail, format!("metric_event.value: {said}"), "{value}");
    }
}

#[test]
fn conversions_happen_where_they_are_asked_for_and_nowhere_else() {
    let row = r#"{"u":"u-1","price":"E4I=","total":" 12.50","paid":"t","day":20454,"n":1.0}"#;
    let settings = MetricEventSettings {
        context: vec![("user".to_owned(), path("$.row.u"))],
        value: Some(converted(path("$.row.price"), Conversion::Decimal(Some(2)))),
        time: Some(converted(path("$.row.day"), Conversion::Timestamp(Some(Unit::Days)))),
        data: vec![
            ("total".to_owned(), converted(path("$.row.total"), Conversion::Number)),
            ("as_it_is".to_owned(), path("$.row.total")),
            ("paid".to_owned(), converted(path("$.row.paid"), Conversion::Boolean)),
            ("n".to_owned(), converted(path("$.row.n"), Conversion::Integer)),
            ("day".to_owned(), converted(path("$.row.day"), Conversion::Text)),
            ("sum".to_owned(), converted(computed("row.total + '1'"), Conversion::Number)),
            (
                "gone".to_owned(),
                Field {
                    absent: Absent::Default(json!(0)),
                    ..converted(path("$.row.gone"), Conversion::Number)
                },
            ),
        ],
        ..event()
    };
    assert_eq!(
        mapped(route(settings.clone(), None), row),
        json!({
            "kind": "custom", "key": "checkout-total", "creationDate": 1_767_225_600_000_i64,
            "contextKeys": {"user": "u-1"}, "metricValue": 49.94,
            "data": {"total": 12.5, "as_it_is": " 12.50", "paid": true, "n": 1, "day": "20454",
                "sum": 12.501, "gone": 0},
        })
    );
    let error = apply(route(settings.clone(), None), &row.replace("E4I=", "4,99")).unwrap_err();
    assert_eq!(error.reason, RefusalReason::WrongType);
    assert_eq!(error.detail, "metric_event.value: as decimal: it is a text that is not base64");
    let error = apply(route(settings.clone(), None), &row.replace("20454", "1")).unwrap_err();
    assert_eq!(error.reason, RefusalReason::ImplausibleTime);
    assert_eq!(error.detail, "metric_event.time: 86400000 ms lies outside 2000 to 2099");
    let error = apply(route(settings, None), &row.replace("20454", "\"soon\"")).unwrap_err();
    let said = "metric_event.time: as timestamp: it is a text that is no time in ISO 8601";
    assert_eq!((error.reason, &*error.detail), (RefusalReason::ImplausibleTime, said));
}

/// A member of the segment of its plan.
fn member() -> SegmentMemberSettings {
    SegmentMemberSettings {
        target: TargetId(0),
        target_name: "production".to_owned(),
        segment: computed("'plan-' + row.plan.lowerAscii()"),
        name: Some(computed("'Plan ' + row.plan")),
        shape: Arc::new(SegmentShape {
            kind: SegmentKind::Big,
            context_kind: "user".to_owned(),
            fixed: false,
            create: None,
        }),
        context_key: converted(path("$.row.id"), Conversion::Decimal(Some(0))),
        member: Some(Condition::compile("row.active").unwrap()),
        list: MemberList::Included,
        exclusive: Vec::new(),
    }
}

#[test]
fn a_moved_member_leaves_the_segment_that_was_computed_for_it() {
    let settings = RouteSettings {
        operation: OperationSettings::SegmentMember(member()),
        ..route(event(), None)
    };
    let record = Record {
        topic: "t",
        partition: 0,
        offset: 5,
        timestamp_ms: None,
        key: None,
        value: None,
        headers: &NoHeaders,
    };
    let change = Change {
        before: Some(r#"{"id":"AQ==","plan":"PRO","active":true}"#),
        after: Some(r#"{"id":"AQ==","plan":"Team","active":true}"#),
        ..Change::new(record, Op::Update)
    };
    let router = Router::new(&[settings]);
    let topic = router.topic("t").unwrap();
    let mut picks = Picks::default();
    topic.groups()[0].pick(&change, &mut picks).unwrap();
    let mut operations = Vec::new();
    topic.groups()[0].routes[0].apply(&change, &picks, &mut Vec::new(), &mut operations).unwrap();
    let made: Vec<String> = operations
        .iter()
        .map(|operation| match operation {
            Operation::Segment(change) => format!(
                "{} {} {:?} {:?}",
                change.segment,
                change.member,
                change.name.as_deref(),
                change.membership
            ),
            Operation::Metric(metric) => format!("{metric:?}"),
        })
        .collect();
    assert_eq!(
        made,
        [
            r#"plan-pro 1 Some("Plan PRO") OutOf(Included)"#,
            r#"plan-team 1 Some("Plan Team") In(Included)"#,
        ]
    );
}
