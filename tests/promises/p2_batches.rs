//! P1 to P3 for whole batches that LaunchDarkly refuses: they are split, and what can be taken is.

use std::time::Duration;

use ldsink::sandbox::Settings;
use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const RECORDS: usize = 8_000;

/// Batches of thousands that nobody cuts smaller.
fn large_batches(config: &str) -> String {
    config.replace(
        "batch: { max_events: 500, linger: 100ms }",
        "batch: { max_events: 5000, linger: 1s }",
    )
}

async fn produce(kafka: &KafkaCluster, topic: &str, ids: &[String]) -> Vec<i64> {
    let records = ids.iter().map(|id| NewRecord::to(0).key(id.as_str()).value(order("c", id, "1")));
    kafka.produce(topic, records).await.iter().map(|position| position.offset).collect()
}

/// 413 above a size, as from a proxy in between: every batch is split until it fits, no record is lost,
/// and none is a dead letter.
#[tokio::test(flavor = "multi_thread")]
async fn batches_above_a_size_are_split_until_they_fit() {
    let kafka = KafkaCluster::shared().await;
    let small = Settings { max_body_bytes: 60_000, ..Settings::default() };
    let sandbox = LaunchDarkly::with(small).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let ids: Vec<String> = (0..RECORDS).map(|n| format!("e-{n}")).collect();
    produce(&kafka, &topic, &ids).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let service = Service::start(&large_batches(&config));
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.metric("ldsink_batch_splits_total", &[]).await > 5.0, "nothing was too large");
    assert!(service.stop().await.status.success());
    expected.account(&sandbox).await;
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
}

/// One poison event among thousands, and the process killed while it is looked for: the same halves are
/// tried again under the same IDs, and only the poison is a dead letter.
#[tokio::test(flavor = "multi_thread")]
async fn the_search_for_a_poison_event_survives_a_kill() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let poison =
        json!({ "body_contains": "poison", "action": { "kind": "status", "status": 400 } });
    let slow = json!({ "action": { "kind": "delay", "ms": 400 } });
    sandbox.set_faults(json!([slow, poison])).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let id = |n| if n == 3_210 { "poison".to_owned() } else { format!("e-{n}") };
    let ids: Vec<String> = (0..RECORDS).map(id).collect();
    let offsets = produce(&kafka, &topic, &ids).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let config = large_batches(&config).replace(
        "startup_timeout: 20s",
        "startup_timeout: 20s\n  properties: { session.timeout.ms: 6000 }",
    );
    for splits in [2.0, 4.0] {
        let service = Service::start(&config);
        eventually(PATIENCE, "some splits", async || {
            service.metric("ldsink_batch_splits_total", &[]).await > splits
        })
        .await;
        service.kill().await;
    }
    sandbox.set_faults(json!([poison])).await;
    let service = Service::start(&config);
    let mut expected = Expected::default();
    expected.delivered.extend(ids.into_iter().filter(|id| id != "poison"));
    expected.dead.insert((0, offsets[3_210]), "refused_by_launchdarkly");
    expected.hold(PATIENCE, &sandbox).await;
    expected.dead_letters(PATIENCE, &kafka, &format!("{topic}.dead")).await;
    assert!(sandbox.count("repeats_dropped").await > 0, "what was accepted came again");
    assert!(service.stop().await.status.success());
    expected.account(&sandbox).await;
}
