//! A service with something to show: two targets, orders and a segment, dead letters.

use std::sync::Arc;
use std::time::Duration;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::service::order;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
pub(crate) const PARTITIONS: i32 = 4;

pub(crate) struct Scene {
    kafka: Arc<KafkaCluster>,
    pub(crate) production: LaunchDarkly,
    _partner: LaunchDarkly,
    pub(crate) topic: String,
    pub(crate) config: String,
}

impl Scene {
    pub(crate) async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let (production, partner) = (LaunchDarkly::start().await, LaunchDarkly::start().await);
        let topic = kafka.unique_topic("shop.public.orders", 4).await;
        let config = config(kafka.bootstrap(), &topic, production.url(), partner.url());
        Self { kafka, production, _partner: partner, topic, config }
    }

    /// Orders, each of its own user.
    pub(crate) async fn produce(&self, ids: std::ops::Range<usize>) {
        let records = ids.zip(0_i32..).map(|(id, n)| {
            let id = format!("e-{id}");
            NewRecord::to(n % PARTITIONS).key(id.as_str()).value(order("c", &id, "1"))
        });
        self.kafka.produce(&self.topic, records).await;
    }

    /// An order of nobody.
    pub(crate) async fn produce_bad(&self, key: &str) {
        let nobody = order("c", "nobody", "1").replace(r#""user_id":"u-nobody","#, "");
        let record = NewRecord::to(0).key(key).value(nobody);
        self.kafka.produce(&self.topic, [record]).await;
    }
}

fn config(bootstrap: &str, topic: &str, production: &str, partner: &str) -> String {
    let group = unique_name("group");
    format!(
        r#"
kafka: {{ bootstrap_servers: "{bootstrap}", group_id: {group}, startup_timeout: 20s }}
targets:
  production:
    access_token: {TOKEN}
    project: storefront
    environment: production
    events_url: {production}
    api_url: {production}
  partner:
    access_token_file: partner-token
    project: storefront
    environment: production
    events_url: {partner}
    api_url: {partner}
routes:
  - name: checkout
    topics: [{topic}]
    format: debezium
    metric_event:
      target: production
      key: checkout-total
      context: {{ user: $.row.user_id }}
      value: $.row.total
      data: {{ id: $.row.id }}
  - name: partner-orders
    topics: [{topic}]
    format: debezium
    when: row.id.endsWith("7")
    metric_event: {{ target: partner, key: order, context: {{ user: $.row.user_id }}, data: {{ id: $.row.id }} }}
  - name: buyers
    topics: [{topic}]
    format: debezium
    when: row.id.endsWith("00")
    segment_member: {{ target: production, segment: buyers, kind: big, create: true, context_kind: user, context_key: $.row.user_id }}
batch: {{ max_events: 200, linger: 200ms }}
segments: {{ linger: 200ms }}
delivery: {{ retry_initial: 50ms, retry_max: 1s, probe_interval: 1s, request_timeout: 5s }}
dead_letter: {{ topic: {topic}.dead }}
commit_interval: 200ms
checks: {{ enabled: false }}
admin: {{ listen: "127.0.0.1:0", token: "${{ADMIN_TOKEN:-open-sesame-open-sesame}}" }}
log: {{ level: info, format: json }}
"#
    )
}
