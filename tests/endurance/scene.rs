//! A group with its topics, the stand-in for LaunchDarkly, and the comparison of both ends.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::load::{LARGE, METRICS, Model, PARTITIONS, PLANS, Pace, definition_name};
use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Account;
use crate::support::wait::eventually;

/// Nothing that goes well takes this long without any progress.
pub(crate) const STALL: Duration = Duration::from_secs(90);

pub(crate) struct Scene {
    pub(crate) kafka: Arc<KafkaCluster>,
    pub(crate) sandbox: LaunchDarkly,
    pub(crate) orders: String,
    pub(crate) metrics: String,
    pub(crate) group: String,
}

/// Sees to it that something happens, whatever that is.
#[derive(Debug)]
pub(crate) struct Watchdog {
    last: u64,
    since: Instant,
}

impl Scene {
    pub(crate) async fn set(kafka: &Arc<KafkaCluster>, sandbox: LaunchDarkly) -> Self {
        let (orders, metrics) = (unique_name("orders"), unique_name("metrics"));
        let replicas = kafka.pids().len().clamp(1, 3);
        let partitions = usize::try_from(PARTITIONS).unwrap();
        kafka.create_topic(&orders, partitions, replicas).await;
        kafka.create_topic(&metrics, 1, replicas).await;
        let group = unique_name("group");
        Self { kafka: Arc::clone(kafka), sandbox, orders, metrics, group }
    }

    pub(crate) fn pace(&self, per_second: usize, seed: u64) -> Pace {
        Pace {
            orders: self.orders.clone(),
            metrics: self.metrics.clone(),
            per_second,
            seed,
            keeps_identities: true,
        }
    }

    /// The configuration of a member, with properties for librdkafka.
    pub(crate) fn config(&self, properties: &str) -> String {
        let Self { orders, metrics, group, .. } = self;
        let (bootstrap, url) = (self.kafka.bootstrap(), self.sandbox.url());
        let target = |name| {
            format!(
                "  {name}: {{ access_token: api-sandbox, project: storefront, environment: {name}, \
                 events_url: \"{url}\", api_url: \"{url}\" }}\n"
            )
        };
        let event = |target, key| {
            format!(
                "metric_event: {{ target: {target}, key: {key}, context: {{ user: $.row.user_id }}, \
                 value: $.row.total, time: $.row.at, data: {{ id: $.row.id }} }}"
            )
        };
        format!(
            r#"
kafka:
  bootstrap_servers: "{bootstrap}"
  group_id: {group}
  startup_timeout: 60s
  properties: {{ {properties} }}
targets:
{production}{staging}
routes:
  - {{ name: orders, topics: [{orders}], format: debezium, when: op != "delete",
      {order} }}
  - {{ name: large, topics: [{orders}], format: debezium, when: op != "delete" && row.total >= {LARGE},
      {large} }}
  - name: plans
    topics: [{orders}]
    format: debezium
    before: full
    segment_member: {{ target: production, segment: $.row.plan, context_key: $.row.user_id, member: row.active, create: true }}
  - name: definitions
    topics: [{metrics}]
    format: json
    metric: {{ target: production, key: $.row.key, name: $.row.name, kind: custom, event_key: $.row.key, is_numeric: false }}
batch: {{ max_events: 100, linger: 100ms }}
segments: {{ max_members: 40, linger: 50ms }}
delivery: {{ retry_initial: 50ms, retry_max: 500ms, probe_interval: 1s, request_timeout: 10s }}
dead_letter: {{ topic: {orders}.dead }}
commit_interval: 200ms
checks: {{ enabled: false }}
drain_deadline: 20s
admin: {{ listen: "127.0.0.1:0" }}
log: {{ level: info, format: json }}
"#,
            production = target("production"),
            staging = target("staging"),
            order = event("production", "order"),
            large = event("staging", "large-order"),
        )
    }

    /// Waits until every record's offset is committed.
    pub(crate) async fn all_committed(&self) {
        eventually(STALL, "everything to be committed", async || match self.uncommitted().await {
            0 => Ok(()),
            left => Err(format!("{left} records are not")),
        })
        .await;
    }

    /// Compares both ends, identity by identity.
    pub(crate) async fn account(&self, model: &Model) -> Account {
        let mut total = Account::default();
        for (environment, wanted) in
            [("production", &model.orders), ("staging", &model.large_orders)]
        {
            let counted = self.sandbox.counted_in(environment).await;
            total += Account::of(wanted, &counted);
        }
        self.hold_model(model).await;
        total
    }

    /// Segments and metrics are as the model has them, and nothing is a dead letter.
    pub(crate) async fn hold_model(&self, model: &Model) {
        assert_eq!(self.sandbox.count("payload_id_conflicts").await, 0, "one ID, two bodies");
        assert_eq!(self.sandbox.count("taken_without_payload_id").await, 0);
        for plan in 0..PLANS {
            assert_eq!(self.included(plan).await, model.members(plan), "segment plan-{plan}");
        }
        for metric in 0..METRICS {
            let path = format!("/sandbox/metrics/storefront/metric-{metric}");
            let found = self.sandbox.look(&path).await;
            let found = found.map(|metric| metric["definition"]["name"].clone());
            let wanted = model.definitions.get(&metric).map(|number| definition_name(*number));
            assert_eq!(found, wanted.map(Value::from), "metric-{metric}");
        }
        let dead = self.kafka.read_all(&format!("{}.dead", self.orders)).await;
        assert!(dead.is_empty(), "{} dead letters, the first: {:?}", dead.len(), dead[0]);
    }

    async fn included(&self, plan: usize) -> BTreeSet<String> {
        let path = format!("/sandbox/segments/storefront/production/plan-{plan}");
        let Some(found) = self.sandbox.look(&path).await else { return BTreeSet::new() };
        let members = found["included"]["user"].as_array().cloned().unwrap_or_default();
        members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn counted(&self) -> u64 {
        self.sandbox.count("events_counted").await
    }

    /// Records whose offsets are not committed.
    async fn uncommitted(&self) -> i64 {
        let committed = self.committed().await;
        self.ends().await.iter().zip(committed).map(|(end, at)| end - at).sum()
    }

    /// The committed offsets of all partitions.
    pub(crate) async fn committed(&self) -> Vec<i64> {
        let mut committed = Vec::new();
        for topic in [&self.orders, &self.metrics] {
            let found = self.kafka.committed(&self.group, topic).await;
            committed.extend(found.iter().map(|at| at.offset.unwrap_or(0)));
        }
        committed
    }

    /// The ends of all partitions, in the same order.
    pub(crate) async fn ends(&self) -> Vec<i64> {
        let mut ends = Vec::new();
        for topic in [&self.orders, &self.metrics] {
            ends.extend(self.kafka.end_offsets(topic).await.into_values());
        }
        ends
    }
}

/// What LaunchDarkly does all the time: mostly answer, sometimes late, sometimes not, and sometimes
/// it takes a request and nobody hears of it.
pub(crate) fn everyday_faults() -> Value {
    let faults = [
        (json!({ "kind": "delay", "ms": 40 }), 0.5),
        (json!({ "kind": "delay", "ms": 600 }), 0.05),
        (json!({ "kind": "status", "status": 503 }), 0.04),
        (json!({ "kind": "status", "status": 500, "after_accept": true }), 0.02),
        (json!({ "kind": "cut_after_accept" }), 0.03),
        (json!({ "kind": "cut_before_accept" }), 0.02),
    ];
    let rules = faults.map(|(action, share)| json!({ "probability": share, "action": action }));
    Value::from(rules.to_vec())
}

// === impl Watchdog ===

impl Watchdog {
    pub(crate) fn new() -> Self {
        Self { last: 0, since: Instant::now() }
    }

    /// Notes how far things are. Gives whether they have moved.
    ///
    /// # Panics
    /// When they have stood still for too long.
    #[track_caller]
    pub(crate) fn look(&mut self, progress: u64) -> bool {
        let moved = progress != self.last;
        if moved {
            (self.last, self.since) = (progress, Instant::now());
        }
        assert!(self.since.elapsed() < STALL, "no progress for {STALL:?} at {progress}");
        moved
    }
}
