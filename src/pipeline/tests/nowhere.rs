//! Rows that are in no segment: their segment is optional, and null.

use serde_json::{Value, json};

use super::{explain, explainer, told};
use crate::model::outcome::FilterReason;
use crate::preview::explain::{Explanation, Made};

fn routed(more: &str, record: &Value) -> Vec<String> {
    routed_as("debezium", more, record)
}

fn routed_as(format: &str, more: &str, record: &Value) -> Vec<String> {
    told(&explained(format, more, record))
}

fn explained(format: &str, more: &str, record: &Value) -> Explanation {
    let config = format!(
        r#"
kafka: {{ bootstrap_servers: "localhost:9092", group_id: g }}
targets:
  t: {{ access_token: api-1, project: p, environment: e }}
routes:
  - name: plans
    topics: [customers]
    format: {format}
    segment_member:
      target: t
      segment: {{ from: $.row.plan, optional: true }}
      context_key: $.row.id
      {more}
"#
    );
    explain(&explainer(&config), record)
}

fn change(connector: &str, op: &str, before: Option<&str>, after: Option<&str>) -> Value {
    let row = |plan: Option<&str>| json!({ "id": "u", "plan": plan });
    let (before, after) = match op {
        "c" => (Value::Null, row(after)),
        "d" => (row(before), Value::Null),
        _ => (row(before), row(after)),
    };
    json!({
        "topic": "customers",
        "key": { "id": "u" },
        "value": { "op": op, "before": before, "after": after, "source": { "connector": connector } },
    })
}

/// Whether the texts are about these, in this order.
fn assert_told(found: &[String], wanted: &[&str]) {
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for (found, wanted) in found.iter().zip(wanted) {
        assert!(wanted.split(' ').all(|word| found.contains(word)), "{found}: {wanted}");
    }
}

#[test]
fn a_row_that_loses_its_segment_leaves_it_and_one_that_gains_one_enters_it() {
    let (gold, none) = (Some("gold"), None);
    assert_told(
        &routed("", &change("mysql", "u", gold, none)),
        &[r#""segment":"gold" "member":false"#],
    );
    assert_told(
        &routed("", &change("mysql", "u", none, gold)),
        &[r#""segment":"gold" "member":true"#],
    );
    for op in ["c", "u", "d"] {
        let explanation = explained("debezium", "", &change("mysql", op, none, none));
        let made: Vec<_> = explanation.routes.iter().map(|outcome| &outcome.made).collect();
        assert!(matches!(made[..], [Made::Filtered(FilterReason::NoSegment)]), "{made:?}");
    }
    assert_told(
        &routed("", &change("mysql", "d", gold, none)),
        &[r#""segment":"gold" "member":false"#],
    );
}

/// What is not told is not nowhere: the row may have been in a segment.
#[test]
fn where_the_row_as_it_was_is_not_known_nothing_is_passed_over_in_silence() {
    let (gold, none) = (Some("gold"), None);
    for op in ["u", "d"] {
        let found = routed("", &change("postgresql", op, gold, none));
        assert_told(&found, &["missing_field segment"]);
    }
    let tombstone = json!({ "topic": "customers", "key": { "id": "u" }, "value": null });
    assert_told(&routed_as("json", "", &tombstone), &["missing_field segment"]);
    let exclusive = "exclusive: [gold, silver]";
    let found = routed(exclusive, &change("postgresql", "u", gold, none));
    assert_told(
        &found,
        &[r#""segment":"gold" "member":false"#, r#""segment":"silver" "member":false"#],
    );
    assert_told(
        &routed("", &change("postgresql", "c", none, gold)),
        &[r#""segment":"gold" "member":true"#],
    );
}
