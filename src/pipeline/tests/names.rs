//! Which name goes with a segment, for when it has to be created.

use serde_json::{Value, json};

use super::{explain, explainer};
use crate::model::operation::Operation;
use crate::preview::explain::{Fate, Made};

/// The segments that a change of a row touches, each with its name, or why there are none.
fn named(format: &str, more: &str, value: &Value) -> Result<Vec<(String, Option<String>)>, String> {
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
      segment: $.row.plan
      name: $.row.title
      context_key: $.row.id
      create: true
      {more}
"#
    );
    let record = json!({ "topic": "customers", "key": { "id": "u" }, "value": value });
    let explanation = explain(&explainer(&config), &record);
    if let Fate::Refused(refusal) = explanation.fate {
        return Err(refusal.detail);
    }
    let operations = explanation.routes.into_iter().flat_map(|outcome| match outcome.made {
        Made::Operations(operations) => operations,
        made @ (Made::Event(_) | Made::Filtered(_) | Made::Refused(_)) => panic!("{made:?}"),
    });
    let named = operations.map(|intended| match intended.operation {
        Operation::Segment(change) => (change.segment.to_string(), change.name),
        Operation::Metric(change) => panic!("{change:?}"),
    });
    Ok(named.collect())
}

fn of(segment: &str, name: Option<&str>) -> (String, Option<String>) {
    (segment.to_owned(), name.map(str::to_owned))
}

fn envelope(op: &str, before: &Value, after: &Value) -> Value {
    json!({ "op": op, "before": before, "after": after, "source": { "connector": "mysql" } })
}

#[test]
fn the_segment_that_is_left_keeps_its_own_name() {
    let silver = json!({ "id": "u", "plan": "silver", "title": "Silver" });
    let gold = json!({ "id": "u", "plan": "gold", "title": "Gold" });
    let moved = named("debezium", "", &envelope("u", &silver, &gold));
    let own = [of("silver", Some("Silver")), of("gold", Some("Gold"))];
    assert_eq!(moved.as_deref(), Ok(&own[..]));
    // What it was called is not told, so nothing is said of it.
    let nameless = json!({ "id": "u", "plan": "silver", "title": null });
    let moved = named("debezium", "", &envelope("u", &nameless, &gold));
    assert_eq!(moved.as_deref(), Ok(&[of("silver", None), of("gold", Some("Gold"))][..]));
    let moved = named("json", "exclusive: [silver, gold]", &gold);
    assert_eq!(moved.as_deref(), Ok(&[of("silver", None), of("gold", Some("Gold"))][..]));
    // Maxwell leaves out what did not change.
    let update = json!({
        "database": "d", "table": "customers", "type": "update", "old": { "plan": "silver" },
        "data": gold,
    });
    let moved = named("maxwell", "", &update);
    assert_eq!(moved.as_deref(), Ok(&[of("silver", Some("Gold")), of("gold", Some("Gold"))][..]));
}

#[test]
fn a_deleted_row_needs_no_name() {
    let nameless = json!({ "id": "u", "plan": "silver", "title": null });
    let gone = named("debezium", "", &envelope("d", &nameless, &Value::Null));
    assert_eq!(gone.as_deref(), Ok(&[of("silver", None)][..]));
    let there = named("debezium", "", &envelope("c", &Value::Null, &nameless));
    assert_eq!(there.unwrap_err(), "segment_member.name: $.row.title is absent or null");
}
