//! What `before` of a route decides: nothing that a connector invented becomes an operation.

use serde_json::{Value, json};

use super::{explain, explainer, told};

const HEAD: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  t: { access_token: api-1, project: p, environment: e }
routes:
"#;

const CANCELLED: &str = r#"
  - name: cancelled
    topics: [orders]
    format: debezium
    # BEFORE
    when: op == "delete"
    metric_event:
      target: t
      key: cancelled
      context: { user: $.row.id }
      value: FIELD
"#;

/// A row moves from one segment to another.
const TIERS: &str = r"
  - name: tiers
    topics: [customers]
    format: FORMAT
    # BEFORE
    segment_member:
      target: t
      segment: $.row.tier
      context_key: $.row.id
      # EXCLUSIVE
";

fn config(route: &str, changes: &[(&str, &str)]) -> String {
    let changed = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    changes.iter().fold(format!("{HEAD}{route}"), changed)
}

/// What a delete becomes of which PostgreSQL told the key and Debezium invented the total.
fn deleted(connector: &str, changes: &[(&str, &str)]) -> String {
    let envelope = json!({
        "op": "d", "before": { "id": 7, "total": 0 }, "after": null,
        "source": { "connector": connector },
    });
    let record = json!({ "topic": "orders", "key": { "id": 7 }, "value": envelope, "timestamp": 1_767_225_600_000_i64 });
    let told = told(&explain(&explainer(&config(CANCELLED, changes)), &record));
    assert_eq!(told.len(), 1, "{told:?}");
    told[0].clone()
}

#[test]
fn a_delete_that_needs_more_than_its_key_is_refused_and_told_what_to_set() {
    let (required, event) = (("FIELD", "$.row.total"), "metric_event {");
    let refused = deleted("postgresql", &[required]);
    let absent =
        "missing_field: metric_event.value: $.row.total is absent or null (of the row as it";
    assert!(refused.starts_with(absent), "{refused}");
    assert!(refused.contains("REPLICA IDENTITY FULL, set `before: full`"), "{refused}");
    for (connector, before, is_refused) in [
        ("postgresql", "before: auto", true),
        ("postgresql", "before: key_only", true),
        ("postgresql", "before: full", false),
        ("mysql", "before: auto", false),
        ("mysql", "before: key_only", true),
        ("of tomorrow", "before: auto", true),
    ] {
        let told = deleted(connector, &[required, ("# BEFORE", before)]);
        assert_eq!(told.starts_with("missing_field"), is_refused, "{connector} {before}: {told}");
        assert_eq!(told.starts_with(event), !is_refused, "{connector} {before}: {told}");
    }
}

#[test]
fn what_is_not_believed_follows_the_policy_of_its_field() {
    let left_out = deleted("postgresql", &[("FIELD", "{ from: $.row.total, optional: true }")]);
    assert!(left_out.starts_with("metric_event") && !left_out.contains("value"), "{left_out}");
    let replaced = deleted("postgresql", &[("FIELD", "{ from: $.row.total, default: 5 }")]);
    assert!(replaced.contains("\"value\":5"), "{replaced}");
    let of_key = deleted("postgresql", &[("FIELD", "$.row.id")]);
    assert!(of_key.contains("\"value\":7"), "{of_key}");
}

#[test]
fn a_condition_on_what_is_not_believed_is_told_too() {
    let field = ("FIELD", "1");
    let told = deleted("postgresql", &[field, ("op == \"delete\"", "row.total == 0")]);
    assert!(told.starts_with("expression_failed: when: "), "{told}");
    assert!(told.contains("set `before: full`"), "{told}");
    let guarded = deleted("postgresql", &[field, ("op == \"delete\"", "'!has(row.total)'")]);
    assert!(guarded.starts_with("metric_event"), "{guarded}");
}

#[test]
fn routes_of_one_topic_believe_each_for_itself() {
    let doubting = CANCELLED.replace("FIELD", "{ from: $.row.total, default: 5 }");
    let full =
        doubting.replace("name: cancelled", "name: full").replace("# BEFORE", "before: full");
    let record = json!({
        "topic": "orders", "key": { "id": 7 }, "timestamp": 1_767_225_600_000_i64,
        "value": { "op": "d", "before": { "id": 7, "total": 0 }, "source": {} },
    });
    let told = told(&explain(&explainer(&format!("{HEAD}{doubting}{full}")), &record));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("\"value\":5") && told[1].contains("\"value\":0"), "{told:?}");
}

// --- segments ---

/// What becomes of a row of PostgreSQL's that was in `silver` and is in `gold`.
fn moved(before: &Value, changes: &[(&str, &str)]) -> Vec<String> {
    let envelope = json!({
        "op": "u", "before": before, "after": { "id": "u", "tier": "gold" },
        "source": { "connector": "postgresql" },
    });
    let record = json!({ "topic": "customers", "key": { "id": "u" }, "value": envelope });
    let config = config(TIERS, &[&[("FORMAT", "debezium")], changes].concat());
    told(&explain(&explainer(&config), &record))
}

fn member(segment: &str, member: bool) -> String {
    let said =
        json!({ "segment": segment, "context_key": "u", "member": member, "list": "included" });
    format!("segment_member {said}")
}

#[test]
fn a_move_is_never_half_done() {
    let silver = json!({ "id": "u", "tier": "silver" });
    let both = [member("silver", false), member("gold", true)];
    assert_eq!(moved(&silver, &[("# BEFORE", "before: full")]), both);
    // Something is told and not believed: the old segment may be any.
    let refused = moved(&silver, &[]);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].starts_with("missing_field: segment_member.segment: $.before.tier "));
    assert!(refused[0].contains("set `before: full`"), "{refused:?}");
    // Declared segments need nobody's belief.
    let exclusive = ("# EXCLUSIVE", "exclusive: [silver, gold]");
    assert_eq!(moved(&silver, &[exclusive]), both);
    // Nothing is told, as of every update of a table without REPLICA IDENTITY FULL.
    assert_eq!(moved(&Value::Null, &[]), [member("gold", true)]);
    assert_eq!(moved(&Value::Null, &[exclusive]), both);
    // A fixed segment and a member by the key are known without the rest.
    let fixed = moved(&silver, &[("$.row.tier", "staff")]);
    assert_eq!(fixed, [member("staff", true)]);
}

#[test]
fn what_maxwell_leaves_out_of_an_update_did_not_change() {
    let explainer = explainer(&config(TIERS, &[("FORMAT", "maxwell")]));
    let became = |old: &Value| {
        let value = json!({
            "database": "d", "table": "customers", "type": "update", "old": old,
            "data": { "id": "u", "tier": "gold" },
        });
        told(&explain(&explainer, &json!({ "topic": "customers", "value": value })))
    };
    let left = [member("silver", false), member("gold", true)];
    assert_eq!(became(&json!({ "tier": "silver" })), left);
    assert_eq!(became(&json!({ "name": "x" })), [member("gold", true)]);
    // It was in no segment before.
    assert_eq!(became(&json!({ "tier": null })), [member("gold", true)]);
    let renamed = member("gold", false).replace("\"u\"", "\"v\"");
    assert_eq!(became(&json!({ "id": "v" })), [renamed, member("gold", true)]);
}

/// The same segments, by an expression that has a guard.
const GUARDED: (&str, &str) =
    ("$.row.tier", "{ expr: 'has(row.tier) && row.tier != null ? row.tier : \"none\"' }");

#[test]
fn a_computed_segment_moves_like_one_that_is_picked() {
    let silver = json!({ "id": "u", "tier": "silver" });
    let both = [member("silver", false), member("gold", true)];
    assert_eq!(moved(&silver, &[GUARDED, ("# BEFORE", "before: full")]), both);
    // A guard does not make unknown what was not there: the old segment may be any.
    let refused = moved(&silver, &[GUARDED]);
    let said = "missing_field: segment_member.segment: with $.before for the row, expr: \
                row.tier is not told (of the row as it was";
    assert!(refused[0].starts_with(said), "{refused:?}");
    let exclusive = ("# EXCLUSIVE", "exclusive: [silver, gold]");
    assert_eq!(moved(&silver, &[GUARDED, exclusive]), both);
    assert_eq!(moved(&Value::Null, &[GUARDED]), [member("gold", true)]);
}

#[test]
fn a_computed_segment_of_a_deleted_row_is_known_or_refused() {
    let gone = |before: &str, value: &Value| {
        let config = config(TIERS, &[("FORMAT", "debezium"), ("# BEFORE", before), GUARDED]);
        let record = json!({ "topic": "customers", "key": { "id": "u" }, "value": value });
        told(&explain(&explainer(&config), &record)).remove(0)
    };
    let row = json!({
        "op": "d", "before": { "id": "u", "tier": "silver" }, "after": null,
        "source": { "connector": "postgresql" },
    });
    assert_eq!(gone("before: full", &row), member("silver", false));
    let unknown = gone("before: auto", &row);
    let said = "missing_field: segment_member.segment: expr: row.tier is not told (of the row";
    assert!(unknown.starts_with(said), "{unknown}");
    let nothing = json!({ "op": "d", "before": null, "after": null, "source": {} });
    let unknown = gone("before: full", &nothing);
    assert!(unknown.contains("row.tier is not told"), "{unknown}");
}

#[test]
fn a_segment_computed_of_several_columns_knows_those_that_maxwell_left_out() {
    for segment in ["row.tier + '-' + row.plan", "size(row) > 0 ? row.tier + '-' + row.plan : ''"] {
        let segment = ("$.row.tier", &*format!("{{ expr: \"{segment}\" }}"));
        let explainer = explainer(&config(TIERS, &[("FORMAT", "maxwell"), segment]));
        let became = |old: &Value| {
            let value = json!({
                "database": "d", "table": "customers", "type": "update", "old": old,
                "data": { "id": "u", "tier": "gold", "plan": "a" },
            });
            told(&explain(&explainer, &json!({ "topic": "customers", "value": value })))
        };
        let now = member("gold-a", true);
        assert_eq!(became(&json!({ "tier": "silver" })), [member("silver-a", false), now.clone()]);
        assert_eq!(became(&json!({ "plan": "b" })), [member("gold-b", false), now.clone()]);
        assert_eq!(became(&json!({ "name": "x" })), [now]);
    }
}

#[test]
fn a_computed_value_of_what_is_not_believed_is_refused_with_the_remedy() {
    for value in ["{ expr: row.total * 2 }", "{ expr: before.total * 2 }"] {
        let refused = deleted("postgresql", &[("FIELD", value)]);
        assert!(refused.starts_with("missing_field: metric_event.value: expr: "), "{refused}");
        assert!(refused.contains("set `before: full`"), "{refused}");
    }
    let guarded = deleted("postgresql", &[("FIELD", "{ expr: 'has(row.total) ? row.total : 3' }")]);
    assert!(guarded.contains("\"value\":3"), "{guarded}");
}
