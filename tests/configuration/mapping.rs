//! How routes map fields: references, literals, expressions and conversions.

use ldsink::pipeline::route::expression::Expression;
use ldsink::pipeline::route::settings::{Absent, Conversion, FieldSource, Unit};

use crate::base::{BASE, appended, metric_event, replaced};

#[test]
fn conditions_and_references_are_blamed_at_their_very_character() {
    let roots = "one of row, before, after, key, source, headers, topic, partition, offset, \
                 timestamp, op";
    let cel = "conditions are CEL: https://github.com/google/cel-spec";
    let when = |text: &str, place: &str, column: usize| {
        let expected = format!(
            "{place}: routes[0].when: `rows` is not a part of a change; {roots} \
             (fields are row.rows) (column {column} of the expression); {cel}"
        );
        replaced("format: json", &format!("when: {text}\n    format: json"), &[&expected]);
    };
    when("op == \"create\" && rows.total > 3", "12:29", 19);
    when("'op == \"create\" && rows.total > 3'", "12:30", 19);
    when(">-\n      op == \"create\"\n      && rows.total > 3", "13:7", 19);
    for (key, column, said) in [
        ("$.rwo.id", 14, &*format!("`rwo` is not a part of a change; {roots}")),
        ("\"$.row\"", 18, "name a field of it, for example $.row.id"),
    ] {
        let remedy = "write a reference like $.row.user_id";
        let expected = format!("15:{column}: routes[0].metric_event.key: {said}; {remedy}");
        replaced("key: checkout", &format!("key: {key}"), &[&expected]);
    }
}

#[test]
fn event_keys_and_contexts_are_always_there() {
    let not_counted = "is empty: LaunchDarkly does not count such an event; \
                       give a text or a reference";
    for (key, said) in [
        ("\"\"", &*format!("15:12: routes[0].metric_event.key: {not_counted}")),
        (
            "{ from: $.row.kind, optional: true }",
            "15:42: routes[0].metric_event.key.optional: cannot be left out: \
             LaunchDarkly does not count an event without it; \
             remove `optional`: a record without it becomes a dead letter",
        ),
        (
            "{ from: $.row.kind, literal: a }",
            "15:41: routes[0].metric_event.key.literal: stands beside `from`; keep one of the two",
        ),
        (
            "{}",
            "15:7: routes[0].metric_event.key: says neither `from` nor `expr` nor `literal`; \
             give one: { from: $.row.id }",
        ),
        (
            "true",
            "15:12: routes[0].metric_event.key: `true` is not a text; quote it if it is meant",
        ),
    ] {
        replaced("key: checkout", &format!("key: {key}"), &[said]);
    }
    let remedy = "say whom the event is about: context: { user: $.row.user_id }";
    replaced(
        "      context: { user: $.row.user_id }\n",
        "",
        &[&format!("13:5: routes[0].metric_event.context: is missing; {remedy}")],
    );
    replaced(
        "{ user: $.row.user_id }",
        "{}",
        &[&format!("16:7: routes[0].metric_event.context: names no context kind; {remedy}")],
    );
    replaced(
        "{ user: $.row.user_id }",
        "{ kind: a, user: \"\" }",
        &[
            "16:18: routes[0].metric_event.context.kind: cannot name a context kind; \
             use letters, digits, `.`, `_`, `-`; `kind` and `multi` are reserved",
            &format!("16:33: routes[0].metric_event.context.user: {not_counted}"),
        ],
    );
}

#[test]
fn literals_fit_what_they_are_for() {
    appended(
        "      value: much\n      time: 5\n      data: { a: , b: { literal: x, default: y } }",
        &[
            "17:14: routes[0].metric_event.value: `much` is not a number; \
             write a number, or refer to a field: $.row.total",
            "18:13: routes[0].metric_event.time: `5` would be the time of every event; \
             refer to a field: $.row.created_at",
            "19:15: routes[0].metric_event.data.a: has no value; \
             give it one, or remove the key when it is optional",
            "19:46: routes[0].metric_event.data.b.default: has no meaning beside `literal`, \
             which is always there; remove it",
        ],
    );
    appended(
        "      value: { from: $.row.x, optional: true, default: 1 }",
        &["17:56: routes[0].metric_event.value.default: stands beside `optional`; \
           keep one of the two"],
    );
    appended(
        "      value: { from: $.row.x, default: none }",
        &["17:40: routes[0].metric_event.value.default: `none` is not a number; \
           write a number, or refer to a field: $.row.total"],
    );
}

#[test]
fn expressions_are_checked_where_they_stand() {
    let cel = "expressions are CEL: https://github.com/google/cel-spec";
    let value = |text: &str, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|said| said.replacen(" : ", ": routes[0].metric_event.value.expr: ", 1))
            .map(|said| said.replace(" CEL", &format!(" of the expression); {cel}")))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        appended(&format!("      value: {{ expr: {text} }}"), &expected);
    };
    value(
        "row.price * 2.0 + rwos",
        &["17:40 : `rwos` is not a part of a change; one of row, before, after, key, source, \
         headers, topic, partition, offset, timestamp, op (fields are row.rwos) (column 19 CEL"],
    );
    value(
        "'roundd(row.price) + size()'",
        &[
            "17:23 : there is no function `roundd` (column 1 CEL",
            "17:43 : `size` does not take 0 arguments (column 21 CEL",
        ],
    );
    value("row.price +", &["17:33 : Syntax error: mismatched input '<EOF>' (column 12 CEL"]);
    value("row.price % 0", &["17:32 : always fails: division by zero (column 11 CEL"]);
    value(
        "topic",
        &["17:22 : gives a text, not a number; mend the expression, or choose another `as`"],
    );
    appended(
        "      value:\n        expr: >-\n          row.price *\n          rwos\n        default: 0",
        &[&format!(
            "19:11: routes[0].metric_event.value.expr: `rwos` is not a part of a change; one of \
             row, before, after, key, source, headers, topic, partition, offset, timestamp, op \
             (fields are row.rwos) (column 13 of the expression); {cel}"
        )],
    );
}

#[test]
fn what_an_expression_gives_fits_its_field() {
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        "key: checkout",
        "key: { expr: row.a > row.b }",
        &[&format!(
            "15:20: routes[0].metric_event.key.expr: gives true or false, \
         not a text or a whole number; {remedy}"
        )],
    );
    replaced(
        "user: $.row.user_id",
        "user: { expr: row.a * 1.5 }",
        &[&format!(
            "16:32: routes[0].metric_event.context.user.expr: gives a floating-point number, \
         not a text or a whole number; {remedy}"
        )],
    );
    appended(
        "      time: { expr: '[row.at]' }",
        &[&format!(
            "17:21: routes[0].metric_event.time.expr: gives a list, not a number or a text; {remedy}"
        )],
    );
    appended(
        "      data: { a: { expr: 'null' } }",
        &[&format!(
            "17:26: routes[0].metric_event.data.a.expr: gives null, \
         not a number or a text or true or false or a list or an object; {remedy}"
        )],
    );
    replaced(
        "format: json",
        "format: json\n    when: row.total + 1",
        &["13:11: routes[0].when: gives a number, not true or false \
         (column 1 of the expression); conditions are CEL: https://github.com/google/cel-spec"],
    );
}

#[test]
fn conversions_fit_what_they_are_for() {
    for (field, said) in [
        (
            "{ from: $.row.x, as: money }",
            "17:35: routes[0].metric_event.value.as: `money` is no choice here; \
          one of number, integer, string, boolean, timestamp, decimal",
        ),
        (
            "{ from: $.row.x, as: boolean }",
            "17:22: routes[0].metric_event.value.from: gives true or false, \
          not a number; mend the expression, or choose another `as`",
        ),
        (
            "{ expr: row.a > 1, as: decimal }",
            "17:22: routes[0].metric_event.value.expr: gives true or false, \
          which cannot be taken as decimal; mend the expression, or remove `as`",
        ),
        (
            "{ from: $.row.x, as: number, scale: 2 }",
            "17:50: routes[0].metric_event.value.scale: \
          has no meaning without `as: decimal`; add it, or remove this",
        ),
        (
            "{ from: $.row.x, unit: days }",
            "17:37: routes[0].metric_event.value.unit: \
          has no meaning without `as: timestamp`; add it, or remove this",
        ),
        (
            "{ from: $.row.x, as: decimal, scale: two }",
            "17:51: routes[0].metric_event.value.scale: \
          `two` is no number of digits; choose -100 to 400",
        ),
        (
            "{ from: $.row.x, as: timestamp, unit: min }",
            "17:52: routes[0].metric_event.value.unit: \
          `min` is no choice here; one of s, ms, us, ns, days",
        ),
        (
            "{ literal: 5, as: number }",
            "17:32: routes[0].metric_event.value.as: has no meaning beside \
          `literal`, which is sent as it stands; remove it",
        ),
        (
            "{ from: $.row.x, expr: row.x }",
            "17:37: routes[0].metric_event.value.expr: stands beside `from`; \
          keep one of the two",
        ),
    ] {
        appended(&format!("      value: {field}"), &[said]);
    }
}

#[test]
fn literals_keep_their_meaning() {
    let event = metric_event(&format!(
        "{BASE}      value: 3\n      data:\n        n: 1.5\n        t: '1.5'\n        b: true\n        \
         z: 007\n        e: ''\n        l: {{ literal: $.row.x }}\n        \
         d: {{ from: $.row.x, default: 2 }}\n        o: {{ from: $.row.x, optional: true }}\n"
    )
    .replace("key: checkout", "key: 007"));
    let literal = |value: serde_json::Value| FieldSource::Literal(value);
    assert_eq!(event.key.from, literal("007".into()));
    assert_eq!(event.value.unwrap().from, literal(3.into()));
    let sources: Vec<_> = event.data.iter().map(|(_, field)| field.from.clone()).collect();
    let expected: [serde_json::Value; 6] =
        [1.5.into(), "1.5".into(), true.into(), "007".into(), "".into(), "$.row.x".into()];
    assert_eq!(sources[..6], expected.map(literal));
    assert_eq!(event.data[6].1.absent, Absent::Default(2.into()));
    assert_eq!(event.data[7].1.absent, Absent::LeaveOut);
    assert_eq!(event.context[0].1.absent, Absent::Refuse);
}

#[test]
fn fields_are_computed_and_converted() {
    let event = metric_event(&format!(
        "{BASE}      value: {{ expr: row.price * double(row.count), default: 0 }}\n      \
         time: {{ from: $.row.day, as: timestamp, unit: days }}\n      data:\n        \
         d: {{ from: $.row.d, as: decimal, scale: 2, optional: true }}\n        \
         v: {{ from: $.row.d, as: decimal }}\n        s: {{ expr: row.n, as: string }}\n"
    ));
    let value = event.value.unwrap();
    assert_eq!(value.from, computed("row.price * double(row.count)"));
    assert_eq!((value.convert, value.absent), (None, Absent::Default(0.into())));
    assert_eq!(event.time.unwrap().convert, Some(Conversion::Timestamp(Some(Unit::Days))));
    let data: Vec<_> = event.data.iter().map(|(_, field)| field.convert.unwrap()).collect();
    let decimals = [Conversion::Decimal(Some(2)), Conversion::Decimal(None), Conversion::Text];
    assert_eq!(data, decimals);
    assert_eq!(event.data[0].1.absent, Absent::LeaveOut);
    assert_eq!(event.data[2].1.from, computed("row.n"));
}

fn computed(source: &str) -> FieldSource {
    FieldSource::Computed(Expression::compile(source).unwrap())
}
