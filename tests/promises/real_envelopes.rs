//! Records that Debezium wrote for a real PostgreSQL drive all three operations, and what LaunchDarkly
//! ends with is what the tables ended with. What Debezium made up of deleted rows ends as dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::debezium::{final_state, fixture};
use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::header;
use crate::support::service::{Service, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
/// LaunchDarkly's fields of a metric, and the columns that they are mapped from.
const DEFINITION: [(&str, &str); 9] = [
    ("key", "key"),
    ("kind", "kind"),
    ("name", "name"),
    ("eventKey", "event_key"),
    ("isNumeric", "is_numeric"),
    ("unit", "unit"),
    ("successCriteria", "success_criteria"),
    ("analysisUnits", "randomization_units"),
    ("archived", "archived"),
];
const TABLES: [&str; 3] = ["memberships", "metrics", "orders"];

fn config(bootstrap: &str, prefix: &str, url: &str) -> String {
    let routes = format!(
        r#"routes:
  - name: memberships
    topics: [{prefix}.memberships]
    format: debezium
    segment_member:
      target: production
      segment: $.row.segment_key
      context_key: $.row.customer_id
      member: row.member
      create: true
  - name: metrics
    topics: [{prefix}.metrics]
    format: debezium
    when: op != "delete" && row.kind == "custom"
    metric:
      target: production
      key: $.row.key
      kind: $.row.kind
      name: $.row.name
      description: {{ from: $.row.description, optional: true }}
      event_key: $.row.event_key
      is_numeric: $.row.is_numeric
      unit: {{ from: $.row.unit, optional: true }}
      success_criteria: {{ from: $.row.success_criteria, optional: true }}
      analysis_units: $.row.randomization_units
      archived: $.row.archived
  - name: orders
    topics: [{prefix}.orders]
    format: debezium
    when: op in ["create", "snapshot"]
    metric_event:
      target: production
      key: order-placed
      context: {{ user: $.row.customer_id }}
      time: $.row.created_at
      data: {{ id: $.row.id, paid: $.row.paid }}
  # Would count for customer 0: PostgreSQL tells only the key of a deleted row.
  - name: cancelled
    topics: [{prefix}.orders]
    format: debezium
    when: op == "delete"
    metric_event:
      target: production
      key: order-cancelled
      context: {{ user: $.row.customer_id }}
"#
    );
    let whole = orders_config(bootstrap, prefix, &unique_name("group"), url);
    let (head, tail) = whole.split_once("routes:\n").unwrap();
    let (_, tail) = tail.split_once("batch:").unwrap();
    format!("{head}{routes}segments: {{ linger: 50ms }}\nbatch:{tail}")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Produces the fixtures of all tables and gives how many orders were placed.
async fn produce(kafka: &KafkaCluster, prefix: &str) -> u64 {
    let mut placed = 0;
    for table in TABLES {
        let records: Vec<_> = fixture("plain")
            .into_iter()
            .filter(|record| record.topic == format!("shop.public.{table}"))
            .collect();
        assert!(records.len() > 5, "{table}");
        let created = |value: &Option<String>| {
            value
                .as_deref()
                .is_some_and(|v| v.contains("\"op\":\"c\"") || v.contains("\"op\":\"r\""))
        };
        if table == "orders" {
            placed = records.iter().map(|record| u64::from(created(&record.value))).sum();
        }
        let produced = records.into_iter().map(|record| NewRecord {
            key: record.key.map(String::into_bytes),
            value: record.value.map(String::into_bytes),
            ..NewRecord::default()
        });
        kafka.produce(&format!("{prefix}.{table}"), produced).await;
    }
    placed
}

/// The members that each segment must end with.
fn members(state: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in state["memberships"].as_array().unwrap() {
        let segment = members.entry(text(&row["segment_key"])).or_default();
        if row["member"] == json!(true) {
            segment.insert(text(&row["customer_id"]));
        }
    }
    members
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgresql_ended_with_is_what_launchdarkly_ends_with() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let prefix = unique_name("shop");
    for table in TABLES {
        kafka.create_topic(&format!("{prefix}.{table}"), 2, 1).await;
    }
    let placed = produce(&kafka, &prefix).await;
    let service = Service::start(&config(kafka.bootstrap(), &prefix, sandbox.url()));

    let state: Value = serde_json::from_str(&final_state()).unwrap();
    let members = members(&state);
    assert!(members.values().filter(|members| !members.is_empty()).count() > 2);
    for (segment, wanted) in &members {
        eventually(PATIENCE, &format!("segment {segment}"), async || {
            let path = format!("/sandbox/segments/storefront/production/{segment}");
            let found = sandbox.look(&path).await.ok_or("no such segment")?;
            let found: BTreeSet<String> =
                found["included"]["user"].as_array().into_iter().flatten().map(text).collect();
            if found == *wanted { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
        })
        .await;
    }
    let metrics = state["metrics"].as_array().unwrap();
    let custom: Vec<_> = metrics.iter().filter(|row| row["kind"] == "custom").collect();
    assert!(!custom.is_empty());
    for row in custom {
        eventually(PATIENCE, "the metric", async || {
            let path = format!("/sandbox/metrics/storefront/{}", text(&row["key"]));
            let found = sandbox.look(&path).await.ok_or("none")?;
            let found = &found["definition"];
            let differs = DEFINITION.iter().find(|(theirs, ours)| found[*theirs] != row[*ours]);
            differs.map_or(Ok(()), |differs| Err(format!("{differs:?}: {found}")))
        })
        .await;
    }
    eventually(PATIENCE, "the orders", async || {
        let counted = sandbox.count("events_counted").await;
        if counted == placed { Ok(()) } else { Err(format!("{counted} of {placed}")) }
    })
    .await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    let letters = kafka.read_all(&format!("{prefix}.dead")).await;
    assert_eq!(letters.len(), 2, "orders 102 and 103 were deleted");
    for letter in &letters {
        assert_eq!(header(letter, "ldsink.route"), "cancelled");
        assert_eq!(header(letter, "ldsink.reason"), "missing_field");
        let detail = header(letter, "ldsink.detail");
        assert!(detail.contains("set `before: full` on the route"), "{detail}");
    }
}
