//! Expressions over changes: what they see, what they give, and what is said when they fail.

use cel::ExecutionError;
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest,
};
use serde_json::{Map, json};

use super::*;
use crate::model::change::{Op, Placeholder};
use crate::model::record::{NoHeaders, Record};

fn change(op: Op, row: &str) -> Change<'_> {
    let record = Record {
        topic: "shop.public.orders",
        partition: 3,
        offset: 41,
        timestamp_ms: Some(1_767_225_600_000),
        key: None,
        value: None,
        headers: &NoHeaders,
    };
    Change { after: Some(row), ..Change::new(record, op) }
}

/// What an expression gives, and what is said where it gives nothing.
fn evaluate(source: &str, change: &Change<'_>) -> (Evaluated, String) {
    let expression = Expression::compile(source).unwrap_or_else(|e| panic!("{source}: {e:?}"));
    evaluated(&expression, change)
}

fn evaluated(expression: &Expression, change: &Change<'_>) -> (Evaluated, String) {
    let mut projection = Projection::default();
    let bound = expression.bind(&mut projection);
    let mut picks = Picks::default();
    projection.pick(change, &mut picks).unwrap();
    (bound.evaluate(change, &picks), bound.missing(change, &picks))
}

fn value(source: &str, change: &Change<'_>) -> Json {
    match evaluate(source, change).0 {
        Evaluated::Value(value) => value,
        other @ (Evaluated::Missing | Evaluated::Failed(_)) => panic!("{source}: {other:?}"),
    }
}

fn failure(source: &str, change: &Change<'_>) -> String {
    match evaluate(source, change) {
        (Evaluated::Failed(detail), _) => detail,
        (other, _) => panic!("{source}: {other:?}"),
    }
}

const ROW: &str = r#"{"total":41.5,"n":3,"name":"Ada","tags":["a"],"x":null,"nested":{"y":"z"},
    "big":18446744073709551615,"odd name":true}"#;

#[test]
fn expressions_see_the_change() {
    let create = change(Op::Create, ROW);
    for source in [
        r#"op in ["create", "snapshot"] && row.total > 0"#,
        "row.total > 41",
        "row.n > 2.5",
        "row.n == 3",
        "row.name == 'Ada' && 'a' in row.tags",
        "row.x == null",
        "!has(row.absent)",
        "!has(row.absent) || row.absent > 3",
        "!row.name.startsWith('B')",
        "row.name.matches('^A.a$')",
        "partition == 3 && offset > 40 && topic == 'shop.public.orders'",
        "timestamp > 0",
        "before == null",
        "row.tags.exists(t, t == 'a')",
        "row['odd name'] && row.nested.y == 'z' && has(row.nested.y)",
        "row.exists(name, name == 'total') && size(row) == 8",
        "type(row.n) == int",
        "row.big > 1u && size(headers) == 0",
    ] {
        assert_eq!(value(source, &create), json!(true), "{source}");
    }
}

#[test]
fn computed_values_are_json() {
    let create = change(Op::Create, ROW);
    for (source, expected) in [
        ("row.total * 2.0", json!(83.0)),
        ("row.n * 2", json!(6)),
        ("row.n * 1.5", json!(4.5)),
        ("2 * row.total - row.n", json!(80.0)),
        ("row.total / 2 + 1u", json!(21.75)),
        ("7 / 2", json!(3)),
        ("row.name + row.name", json!("AdaAda")),
        ("row.name.lowerAscii() + '-' + string(row.n)", json!("ada-3")),
        ("row.total > 40.0 ? 'big' : 'small'", json!("big")),
        ("math.round(row.total)", json!(42.0)),
        ("int(row.total)", json!(41)),
        ("[row.name, 'x'] + row.tags", json!(["Ada", "x", "a"])),
        ("{'b': row.n, 'a': [1, null]}", json!({"a": [1, null], "b": 3})),
        ("row.tags.map(t, t + t)", json!(["aa"])),
        ("row.big", json!(u64::MAX)),
        ("topic.split('.')[2]", json!("orders")),
        ("[row.n, 7].filter(n, n > 5)", json!([7])),
        ("math.greatest(row.n, 2)", json!(3)),
    ] {
        assert_eq!(value(source, &create), expected, "{source}");
    }
    // X1: members stand in one order, however often it is asked.
    let members = "{'c': 1, 'a': 2, 'b': 3, 'd': 4, 'e': 5}";
    for _ in 0..20 {
        assert_eq!(value(members, &create).to_string(), r#"{"a":2,"b":3,"c":1,"d":4,"e":5}"#);
    }
}

#[test]
fn loops_over_objects_are_in_order() {
    let row = r#"{"m":{"f":1,"d":2,"a":3,"c":4,"e":5,"b":6},"tags":["z","a"]}"#;
    let create = change(Op::Create, row);
    for (source, expected) in [
        (
            "row.m.map(name, name + string(row.m[name]))",
            json!(["a3", "b6", "c4", "d2", "e5", "f1"]),
        ),
        ("row.m.filter(name, name > 'b')", json!(["c", "d", "e", "f"])),
        ("[[row.m].map(m, m.map(name, name))[0][0]]", json!(["a"])),
        ("{'k': row.m.filter(n, n < 'c').join('-')}", json!({"k": "a-b"})),
        ("{10: 'x', 9: 'y', true: 'z', 'a': 'w'}.map(k, type(k) == int ? 1 : 0).size()", json!(4)),
        ("row.tags.map(t, t)", json!(["z", "a"])),
    ] {
        for _ in 0..10 {
            assert_eq!(value(source, &create), expected, "{source}");
        }
    }
}

#[test]
fn absent_and_null_are_missing_and_say_what() {
    let create = change(Op::Create, ROW);
    for (source, said) in [
        ("row.x", "it is null"),
        ("row.total + row.absent", "column 13: row.absent is absent"),
        ("row.nested.nothing", "column 1: row.nested.nothing is absent"),
        ("row['gone']", "column 1: row[\"gone\"] is absent"),
        ("row.tags[3]", "column 1: row.tags[3] is absent"),
        ("row.x * 2.0", "column 7: `*` does not take null and a number"),
        ("before.total", "column 1: before is null, so it has no field `total`"),
        ("row.n > 2 ? row.gone : row.other", "column 13: row.gone is absent"),
        ("string(row.x)", "column 1: `string` does not take null"),
    ] {
        let (given, missing) = evaluate(source, &create);
        assert_eq!(given, Evaluated::Missing, "{source}");
        assert_eq!(missing, said, "{source}");
    }
}

#[test]
fn failures_name_the_place_and_never_the_value() {
    let create = change(Op::Create, r#"{"secret":"zq9-s3cret","n":3,"d":1.5,"zero":0}"#);
    for (source, said) in [
        (
            "row.n % row.d",
            "column 7: `%` does not take int and double; make them alike, for example by int()",
        ),
        ("1 + row.secret.size() / row.zero", "column 23: division by zero"),
        ("row.n > 2 && row.secret > 1", "column 25: `>` does not take a text and a number"),
        ("double(row.secret)", "column 1: `double` cannot take this value"),
        ("row.secret.nothing", "column 1: row.secret is a text, so it has no field `nothing`"),
        ("row.n ? 1 : 2", "column 7: it is a number, not true or false"),
        ("row.secret.matches(row.secret + '[')", "column 1: `matches` cannot take this value"),
        ("9223372036854775807 + row.n", "column 21: the result is too large"),
        ("row.secret + row.n", "column 12: `+` does not take a text and a number"),
        ("row.d / 0.0", "gives a number that is not finite"),
        ("row.n == 3 ? b'x' : b'y'", "gives bytes, which a request cannot hold"),
    ] {
        let detail = failure(source, &create);
        assert_eq!(detail, said, "{source}");
        assert!(!detail.contains("zq9"), "{detail}");
    }
}

#[test]
fn every_error_of_the_language_has_words_without_values() {
    let node = IdedExpr::default();
    let secret = Value::from("zq9");
    for error in [
        ExecutionError::unsupported_key_type(secret.clone()),
        ExecutionError::DuplicateKey(secret.clone()),
        ExecutionError::ValuesNotComparable(secret.clone(), secret.clone()),
        ExecutionError::function_error("f", "zq9"),
        ExecutionError::UnsupportedIndex(secret.clone(), secret.clone()),
        ExecutionError::Overflow("add", secret.clone(), secret.clone()),
        ExecutionError::RemainderByZero(secret.clone()),
        ExecutionError::UnsupportedBinaryOperator("add", secret.clone(), secret.clone()),
        ExecutionError::UnsupportedTargetType { target: secret },
    ] {
        let words = blame::words(&error, &node);
        assert!(!words.is_empty() && !words.contains("zq9"), "{words}");
    }
}

#[test]
fn hostile_values_are_outcomes_not_panics() {
    let create = change(
        Op::Create,
        r#"{"min":-9223372036854775808,"minus":-1,"huge":1e300,"s":"é𝄞","l":[1],"deep":[[[{}]]],
            "m":{"":{}},"zero":0,"neg":-0.0}"#,
    );
    for source in [
        "row.min / row.minus",
        "row.min % row.minus",
        "-row.min",
        "math.abs(row.min)",
        "row.min - 1",
        "row.l[-1]",
        "row.l[row.huge]",
        "row.l[row.min]",
        "int(row.huge)",
        "uint(row.minus)",
        "row.huge * row.huge",
        "row.s.substring(1, 5)",
        "row.s.substring(2, 1)",
        "row.s.charAt(9)",
        "row.s.split('', 1)",
        "row.s.replace('é', '')",
        "row.s.format([1])",
        "'%d %s'.format([row.s])",
        "row.s.matches(row.s)",
        "row.deep[0][0][0].x.y",
        "row.m[''].z",
        "math.bitShiftLeft(1, row.minus)",
        "math.round(row.neg)",
        "string(row.l)",
        "row.l.map(x, x / row.zero)",
        "{row.l: 1}",
        "row.l[0] in row.s",
    ] {
        match evaluate(source, &create).0 {
            Evaluated::Value(value) => assert!(!value.is_null(), "{source}"),
            Evaluated::Failed(said) => assert!(!said.contains('é'), "{source}: {said}"),
            Evaluated::Missing => {}
        }
    }
}

#[test]
fn what_the_source_did_not_send_is_absent() {
    let placeholder = Placeholder { text: "-no", base64: "LW5v", codes: "[45,110,111]" };
    let row = r#"{"t":"-no","b":"LW5v","a":["-no"],"c":[45,110,111],"o":["-no","x"],"n":[45],
        "sub":{"t":"-no","u":1}}"#;
    let plain = change(Op::Update, row);
    let update = Change { unavailable: Some(&placeholder), ..plain };
    for field in ["t", "b", "a", "c", "sub.t"] {
        let source = format!("has(row.{field})");
        assert_eq!(value(&source, &update), json!(false), "{field}");
        assert_eq!(value(&source, &plain), json!(true), "{field}");
        // The same when all of the row is read.
        let source = format!("size(row) >= 0 && has(row.{field})");
        assert_eq!(value(&source, &update), json!(false), "{field}");
    }
    assert_eq!(
        value("has(row.o) && has(after.n) && !has(after.t) && has(row.sub.u)", &update),
        true
    );
    assert_eq!(evaluate("row.t == 'x'", &update).0, Evaluated::Missing);
}

#[test]
fn the_row_as_it_was_stands_for_the_row() {
    let mut update = change(Op::Update, r#"{"a":"now"}"#);
    update.before = Some(r#"{"a":"then"}"#);
    let expression = Expression::compile("row.a + after.a + before.a + op").unwrap();
    let given = |expression: &Expression| evaluated(expression, &update).0;
    assert_eq!(given(&expression), Evaluated::Value(json!("nownowthenupdate")));
    assert_eq!(given(&expression.of_before()), Evaluated::Value(json!("thenthenthenupdate")));
}

#[test]
fn a_key_that_is_no_object_is_itself() {
    let mut create = change(Op::Create, ROW);
    create.key = Some("17");
    assert_eq!(value("key == 17 ? 'yes' : 'no'", &create), json!("yes"));
    assert_eq!(failure("key.id", &create), "column 1: key is a number, so it has no field `id`");
    create.key = Some(r#"{"id":8,"other":9}"#);
    assert_eq!(value("key.id", &create), json!(8));
}

#[test]
fn a_malformed_text_is_named_and_only_where_it_is_read() {
    let create = change(Op::Create, r#"{"bad":"\ud800","good":1}"#);
    assert_eq!(value("row.good", &create), json!(1));
    let detail = failure("row.bad == 'x'", &create);
    assert!(detail.starts_with("row.bad is malformed: "), "{detail}");
}

#[test]
fn mistakes_are_found_when_compiling() {
    for (source, expected) in [
        ("rwo.total > 0", &[(1, "`rwo` is not a part of a change")][..]),
        ("row.tags.exists(t, u == t)", &[(20, "`u` is not a part")]),
        ("op == \"create\" && total > 0", &[(19, "(fields are row.total)")]),
        ("rwo.a + rwo.b", &[(1, "`rwo`"), (9, "`rwo`")]),
        ("lower(row.a)", &[(1, "there is no function `lower`")]),
        ("row.a.lower()", &[(1, "there is no function `lower`")]),
        ("math.cbrt(row.a)", &[(1, "there is no function `math.cbrt`")]),
        ("row.a.startsWith('a', 'b')", &[(1, "`startsWith` does not take 2 arguments")]),
        ("size()", &[(1, "`size` does not take 0 arguments")]),
        ("row.a.startsWith(5)", &[(1, "`startsWith` does not take anything and a whole number")]),
        ("math.round('a')", &[(1, "`math.round` does not take a text")]),
        ("topic + 1", &[(7, "`+` does not take a text and a whole number")]),
        ("offset % 1.5", &[(8, "`%` does not take a whole number and a floating-point number")]),
        ("-topic", &[(1, "`-` does not take a text")]),
        ("op && true", &[(1, "this is a text, which is no condition")]),
        ("row.a ? topic : op ? 1 : 2", &[(17, "which is no condition")]),
        ("op.name", &[(1, "this is a text, which has no fields")]),
        ("op == 3", &[(4, "a text never equals a whole number")]),
        ("timestamp[0]", &[(1, "which has no items")]),
        ("topic.exists(t, t == 'a')", &[(1, "this is a text, which has no items")]),
        ("row.tags.all(t, t + 1 + '')", &[(23, "`+` does not take")]),
        ("row.n % 0", &[(7, "always fails: division by zero")]),
        ("['a'] + {'b': 1}", &[(7, "`+` does not take a list and an object")]),
        ("1 / 0 > row.n", &[(3, "always fails: division by zero")]),
        ("row.a.matches('[')", &[(1, "always fails: `matches` cannot take this value")]),
        ("{'a': 1}.b + row.n", &[(1, "always fails: `b` is absent")]),
        ("int('x')", &[(1, "always fails: `int` cannot take this value")]),
        ("Thing{a: 1}", &[(6, "there is no type `Thing`")]),
        ("row.total >", &[(12, "Syntax error: mismatched input '<EOF>'")]),
        ("row.a +\n  * 3", &[(11, "Syntax error: extraneous input '*'")]),
        ("'é' + rwo", &[(7, "`rwo`")]),
    ] {
        let mistakes = Expression::compile(source).unwrap_err();
        assert_eq!(mistakes.len(), expected.len(), "{source}: {mistakes:?}");
        for (mistake, (column, said)) in mistakes.iter().zip(expected) {
            assert!(mistake.message.contains(said), "{source}: {mistake}");
            assert_eq!(mistake.column, *column, "{source}: {mistake}");
        }
    }
}

#[test]
fn what_may_succeed_is_let_through_with_what_it_may_give() {
    for (source, kinds) in [
        ("row.a", Kinds::ANY),
        ("row.a + 1", Kinds::INTEGER | Kinds::DOUBLE),
        ("offset * 1.5", Kinds::DOUBLE),
        ("row.a * 1.5", Kinds::DOUBLE),
        ("row.a + row.b", Kinds::NUMBER | Kinds::TEXT | Kinds::BYTES | Kinds::LIST),
        ("row.a > row.b", Kinds::BOOLEAN),
        ("row.a ? 'x' : 1", Kinds::TEXT | Kinds::INTEGER),
        ("dyn(1) == 'a'", Kinds::BOOLEAN),
        ("row.tags.map(t, t + 1)", Kinds::LIST),
        ("row.tags.filter(t, t > 1)", Kinds::LIST),
        ("row.tags.exists_one(t, t > 1)", Kinds::BOOLEAN),
        ("row.tags.all(t, t > 1)", Kinds::BOOLEAN),
        ("headers.trace", Kinds::TEXT),
        ("timestamp == null", Kinds::BOOLEAN),
        ("row.a.replace('a', 'b').substring(1, row.n)", Kinds::TEXT),
        ("math.least(row.a, 2, 3)", Kinds::NUMBER),
        ("null", Kinds::NULL),
        ("size(row.a)", Kinds::INTEGER),
        ("row.tags.join(',')", Kinds::TEXT),
        ("row.a.format([1, 2])", Kinds::TEXT),
    ] {
        let expression = Expression::compile(source).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        assert_eq!(expression.kinds(), kinds, "{source}: {}", expression.kinds());
    }
}

#[test]
fn expressions_are_told_apart_by_their_source() {
    let compile = |source| Expression::compile(source).unwrap();
    assert_eq!(compile("row.a"), compile("row.a"));
    assert_ne!(compile("row.a"), compile("row.b"));
    assert_ne!(compile("row.a"), compile("row.a").of_before());
    assert_eq!(format!("{:?}", compile("row.a")), "Expression(\"row.a\")");
}

// --- only what is named is decoded, and that changes nothing ---

fn document() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        prop::strategy::Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "(no|[a-c\"\\\\é]{0,3})".prop_map(Json::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::hash_map("[ab]", inner, 0..3)
                .prop_map(|members| Json::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    });
    prop::collection::hash_map("[abc]", value, 0..4)
        .prop_map(|members| Json::Object(members.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// The model reads the whole row: a bare `row` makes the same expression do so.
    #[test]
    fn picked_fields_are_the_rows_fields(row in document()) {
        let placeholder = Placeholder { text: "no", base64: "bm8=", codes: "[110,111]" };
        let text = row.to_string();
        let mut update = change(Op::Update, &text);
        update.unavailable = Some(&placeholder);
        for inner in ["row.a", "row.a.b", "has(row.a)", "has(row.b.a)", "row['c']", "row.a == row.b",
            "row.a[0]", "row.b + row.c", "[row.a, row.b]", "row.c.map(x, [x, row.a])"]
        {
            let lazy = evaluate(inner, &update).0;
            let whole = evaluate(&format!("size(row) >= 0 ? dyn({inner}) : 0"), &update).0;
            match (lazy, whole) {
                // The columns differ, for the model has more in front.
                (Evaluated::Failed(_), Evaluated::Failed(_)) => {}
                (lazy, whole) => prop_assert_eq!(lazy, whole, "{} of {}", inner, text),
            }
        }
    }
}
