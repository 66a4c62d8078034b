//! P2 and P3: LaunchDarkly's everyday faults lose nothing and count nothing twice.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);

async fn produce(kafka: &KafkaCluster, topic: &str, ids: &[String], partitions: i32) {
    let records = ids
        .iter()
        .zip(0_i32..)
        .map(|(id, n)| NewRecord::to(n % partitions).key(id.as_str()).value(order("c", id, "1")));
    kafka.produce(topic, records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_outages_slow_answers_and_cut_connections() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox
        .set_faults(json!([
            { "times": 3, "action": { "kind": "status", "status": 503 } },
            { "times": 2, "action": { "kind": "status", "status": 429, "retry_after_seconds": 1 } },
            { "times": 2, "action": { "kind": "status", "status": 429 } },
            { "times": 3, "action": { "kind": "cut_after_accept" } },
            { "times": 2, "action": { "kind": "cut_before_accept" } },
            { "times": 2, "action": { "kind": "status", "status": 500, "after_accept": true } },
            { "times": 1, "action": { "kind": "hang" } },
            { "times": 2, "action": { "kind": "delay", "ms": 500 } },
        ]))
        .await;
    let topic = kafka.unique_topic("orders", 4).await;
    let ids: Vec<String> = (0..10_000).map(|n| format!("e-{n}")).collect();
    produce(&kafka, &topic, &ids, 4).await;
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };

    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
    expected.account(&sandbox).await;
    let journal = sandbox.journal().await;
    assert!(journal["repeats_dropped"].as_u64().unwrap() >= 3, "the faults struck: {journal}");
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
}

/// The acceptance run: a hundred thousand records over twelve partitions.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_are_all_accounted_for() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 12).await;
    let ids: Vec<String> = (0..100_000).map(|n| format!("e-{n}")).collect();
    produce(&kafka, &topic, &ids, 12).await;
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
    assert_eq!(kafka.uncommitted(&group, &topic).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_goes_away_and_comes_back() {
    let kafka = KafkaCluster::start(1).await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 2).await;
    let ids: Vec<String> = (0..4_000).map(|n| format!("e-{n}")).collect();
    produce(&kafka, &topic, &ids[..2_000], 2).await;
    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    eventually(PATIENCE, "the first half", async || sandbox.count("events_counted").await == 2_000)
        .await;

    kafka.stop_broker(0).await;
    service.says(PATIENCE, &["kafka cannot be reached"]).await;
    let (status, body) = service.ask("/ready").await;
    assert!(status == 503 && body.contains("kafka"), "{status} {body}");
    assert_eq!(service.ask("/live").await.0, 200, "waiting is not being dead");

    kafka.restart_broker(0).await;
    produce(&kafka, &topic, &ids[2_000..], 2).await;
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    expected.account(&sandbox).await;
}
