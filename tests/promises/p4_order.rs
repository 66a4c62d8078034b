//! P4: membership and definitions end as the last change in their partition says, whatever LaunchDarkly
//! does in between.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Service, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);
const MEMBERS: usize = 120;
const CHANGES: usize = 6_000;

/// Tables as a naive program keeps them: the truth that the segments must mirror.
#[derive(Default)]
struct Tables {
    /// Member → (segment, active).
    plans: BTreeMap<usize, (usize, bool)>,
}

/// Adds routes to the configuration: plans into segments by name, vips into a standard segment,
/// metrics into definitions.
fn config(bootstrap: &str, topic: &str, url: &str) -> String {
    let routes = format!(
        r#"routes:
  - name: plans
    topics: [{topic}]
    format: debezium
    before: full
    segment_member:
      target: production
      segment: $.row.plan
      context_key: $.row.user
      member: row.active
      create: true
  - name: vips
    topics: [{topic}]
    format: debezium
    before: full
    segment_member:
      target: production
      segment: vips
      kind: standard
      context_key: $.row.user
      member: row.active && row.plan == "plan-2"
      create: true
  - name: metrics
    topics: [{topic}-metrics]
    format: json
    metric:
      target: production
      key: $.row.key
      name: $.row.name
      kind: custom
      event_key: $.row.key
      is_numeric: true
      unit: $.row.unit
      success_criteria: HigherThanBaseline
"#
    );
    let whole = orders_config(bootstrap, topic, &unique_name("group"), url);
    let (head, tail) = whole.split_once("routes:\n").unwrap();
    let (_, tail) = tail.split_once("batch:").unwrap();
    format!("{head}{routes}segments: {{ max_members: 40, linger: 50ms }}\nbatch:{tail}")
}

fn row(user: usize, (plan, active): (usize, bool)) -> Value {
    json!({ "user": format!("u-{user}"), "plan": format!("plan-{plan}"), "active": active })
}

/// A random walk of the tables, as the records that Debezium writes for a table with full identity.
fn walk(tables: &mut Tables) -> Vec<NewRecord> {
    let mut runner = TestRunner::deterministic();
    let step = (0..MEMBERS, 0..4_usize, proptest::bool::ANY, 0..10_u8);
    let mut records = Vec::new();
    for _ in 0..CHANGES {
        let (user, plan, active, kind) = step.new_tree(&mut runner).unwrap().current();
        let before = tables.plans.get(&user).copied();
        let after = (kind > 0).then_some((plan, active));
        let op = match (before, after) {
            (None, None) => continue,
            (None, Some(_)) => "c",
            (Some(_), Some(_)) => "u",
            (Some(_), None) => "d",
        };
        let key = json!({ "user": format!("u-{user}") }).to_string();
        let value = json!({
            "before": before.map(|state| row(user, state)),
            "after": after.map(|state| row(user, state)),
            "op": op,
            "source": { "table": "plans" },
        });
        records.push(NewRecord::default().key(key.as_str()).value(value.to_string()));
        if let Some(state) = after {
            tables.plans.insert(user, state);
        } else {
            records.push(NewRecord::default().key(key.as_str()));
            tables.plans.remove(&user);
        }
    }
    records
}

impl Tables {
    fn members(&self, wanted: impl Fn(usize, bool) -> bool) -> BTreeSet<String> {
        let rows = self.plans.iter().filter(|(_, (plan, active))| wanted(*plan, *active));
        rows.map(|(user, _)| format!("u-{user}")).collect()
    }
}

async fn included(sandbox: &LaunchDarkly, segment: &str) -> Result<BTreeSet<String>, String> {
    let path = format!("/sandbox/segments/storefront/production/{segment}");
    let found = sandbox.look(&path).await.ok_or("no such segment")?;
    assert_eq!(found["excluded"], json!({}), "{segment}");
    let members = found["included"]["user"].as_array().cloned().unwrap_or_default();
    Ok(members.iter().map(|member| member.as_str().unwrap().to_owned()).collect())
}

fn faults() -> Value {
    let cut = json!({ "kind": "cut_after_accept" });
    let conflict = json!({ "kind": "conflict" });
    let busy = json!({ "kind": "status", "status": 429, "retry_after_seconds": 1 });
    json!([
        { "operation": "segment_contexts", "times": 6, "action": { "kind": "status", "status": 503 } },
        { "operation": "segment_contexts", "times": 6, "action": cut },
        { "operation": "segment_update", "times": 4, "action": cut },
        { "operation": "segment_update", "times": 3, "action": conflict },
        { "operation": "metric_update", "times": 2, "action": conflict },
        { "operation": "metric_create", "times": 2, "action": cut },
        { "operation": "metric_get", "times": 2, "action": busy },
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_and_metrics_end_as_their_tables_under_faults() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(faults()).await;
    let topic = kafka.unique_topic("plans", 4).await;
    let metrics = format!("{topic}-metrics");
    kafka.create_topic(&metrics, 1, 1).await;
    let mut tables = Tables::default();
    let records = walk(&mut tables);
    assert!(records.len() > 5_000);
    let service = Service::start(&config(kafka.bootstrap(), &topic, sandbox.url()));
    for part in records.chunks(500) {
        kafka.produce(&topic, part.to_vec()).await;
    }
    let definitions = (0..200).map(|n| {
        let row = json!({ "key": format!("m-{}", n % 4), "name": format!("Metric {n}"), "unit": format!("u{n}") });
        NewRecord::to(0).key(format!("m-{}", n % 4)).value(row.to_string())
    });
    kafka.produce(&metrics, definitions).await;

    for plan in 0..4 {
        let wanted = tables.members(|its, active| its == plan && active);
        eventually(PATIENCE, &format!("plan-{plan} to mirror its rows"), async || {
            let found = included(&sandbox, &format!("plan-{plan}")).await?;
            if found == wanted {
                return Ok(());
            }
            let (more, less) =
                (found.difference(&wanted).count(), wanted.difference(&found).count());
            Err(format!("{more} too many, {less} missing"))
        })
        .await;
    }
    let wanted = tables.members(|plan, active| plan == 2 && active);
    eventually(PATIENCE, "the standard segment to mirror its rows", async || {
        let found = included(&sandbox, "vips").await?;
        if found == wanted { Ok(()) } else { Err(format!("{} of {}", found.len(), wanted.len())) }
    })
    .await;
    for metric in 0..4 {
        eventually(PATIENCE, "the newest definition", async || {
            let path = format!("/sandbox/metrics/storefront/m-{metric}");
            let found = sandbox.look(&path).await.ok_or("no such metric")?;
            let name = found["definition"]["name"].as_str().unwrap_or_default().to_owned();
            if name == format!("Metric {}", 196 + metric) { Ok(()) } else { Err(name) }
        })
        .await;
    }
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
    // Coalescing spares requests: far fewer than changes.
    let requests = sandbox.requests().await.len();
    assert!(requests < CHANGES / 4, "{requests} requests");
}
