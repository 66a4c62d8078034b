//! P1 with a route that gives up: after `retry_for` its records are dead letters, whatever they were to
//! become, and the others go on.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::header;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const RECORDS: usize = 30;

const OTHER_ROUTES: &str = r"
  - name: buyers
    topics: [TOPIC]
    format: debezium
    retry_for: 1s
    segment_member:
      target: production
      segment: buyers
      kind: big
      create: true
      context_kind: user
      context_key: $.row.user_id
  - name: totals
    topics: [TOPIC]
    format: debezium
    retry_for: 1s
    metric:
      target: production
      key: totals
      kind: custom
      event_key: total
      is_numeric: false
      name: $.row.id
";

/// Three obligations per record, of which each gives up by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_in_time_is_a_dead_letter() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("    format: debezium\n", "    format: debezium\n    retry_for: 1s\n")
        .replace("\nbatch: {", &format!("{}\nbatch: {{", OTHER_ROUTES.replace("TOPIC", &topic)));
    let records: Vec<_> =
        (0..RECORDS).map(|n| NewRecord::to(0).value(order("c", &format!("e-{n}"), "1"))).collect();
    kafka.produce(&topic, records).await;
    let service = Service::start(&config);
    let letters = eventually(PATIENCE, "dead letters", async || {
        let letters = kafka.read_all(&format!("{topic}.dead")).await;
        // Every order: its event and its membership; and the one definition that was left of them.
        if letters.len() > RECORDS * 2 { Ok(letters) } else { Err(letters.len()) }
    })
    .await;
    assert_eq!(letters.len(), RECORDS * 2 + 1);
    for letter in &letters {
        assert_eq!(header(letter, "ldsink.reason"), "gave_up", "{letter:?}");
    }
    assert!(header(&letters[0], "ldsink.detail").contains("retry_for"));
    assert_eq!(header(&letters[0], "ldsink.status"), "503");

    sandbox.clear_faults().await;
    kafka.produce(&topic, [NewRecord::to(0).value(order("c", "after", "1"))]).await;
    eventually(PATIENCE, "the next order", async || sandbox.count("events_counted").await == 1)
        .await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}
