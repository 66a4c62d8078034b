//! P2 while topics grow: partitions that are added, and topics that begin to match a pattern.

use std::sync::Arc;
use std::time::Duration;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
/// Instead of every minute.
const LOOK_OFTEN: &str = "topic.metadata.refresh.interval.ms: 500";

async fn produce(kafka: &Arc<KafkaCluster>, topic: &str, partitions: i32, ids: &[String]) {
    let records = ids
        .iter()
        .zip(0..)
        .map(|(id, n)| NewRecord::to(n % partitions).key(id.as_str()).value(order("c", id, "1")));
    kafka.produce(topic, records).await;
}

fn ids(prefix: &str) -> Vec<String> {
    (0..600).map(|n| format!("{prefix}-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_are_read_from_their_beginning() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 2).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let service = Service::start(&with_properties(&config, LOOK_OFTEN));
    let (before, after) = (ids("before"), ids("after"));
    produce(&kafka, &topic, 2, &before).await;
    eventually(PATIENCE, "the first records", async || {
        sandbox.count("events_counted").await == 600
    })
    .await;
    kafka.add_partitions(&topic, 5).await;
    produce(&kafka, &topic, 5, &after).await;
    let delivered = before.into_iter().chain(after).collect();
    let expected = Expected { delivered, ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
    expected.account(&sandbox).await;
    assert_eq!(sandbox.count("repeats_dropped").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_match_a_pattern_are_read_whenever_they_appear() {
    for protocol in ["group.protocol: classic", "group.protocol: consumer"] {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let prefix = unique_name("shop");
        let name = |table: &str| format!("{prefix}.{table}");
        for table in ["orders", "orders.archive"] {
            kafka.create_topic(&name(table), 2, 1).await;
        }
        let config =
            orders_config(kafka.bootstrap(), "TOPIC", &unique_name("group"), sandbox.url())
                .replace("[TOPIC]", &format!(r#"["^{prefix}\\.[a-z]+$"]"#))
                .replace("TOPIC.dead", &format!("{prefix}-dead"));
        let service =
            Service::start(&with_properties(&config, &format!("{LOOK_OFTEN}, {protocol}")));
        let (early, late) = (ids("early"), ids("late"));
        produce(&kafka, &name("orders"), 2, &early).await;
        // The pattern ends before the second dot.
        produce(&kafka, &name("orders.archive"), 2, &ids("archived")).await;
        eventually(PATIENCE, "the first topic", async || {
            sandbox.count("events_counted").await == 600
        })
        .await;
        kafka.create_topic(&name("returns"), 2, 1).await;
        produce(&kafka, &name("returns"), 2, &late).await;
        let delivered = early.into_iter().chain(late).collect();
        let expected = Expected { delivered, ..Expected::default() };
        expected.hold(PATIENCE, &sandbox).await;
        let ended = service.stop().await;
        assert!(ended.status.success(), "{protocol}: {}", ended.log);
        expected.account(&sandbox).await;
    }
}

/// What is under way of a topic that somebody deletes cannot be committed any more. The other topics
/// of the service do not wait until its client has found out.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_does_not_hold_up_the_others() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let (gone, stays) = (kafka.unique_topic("gone", 2).await, kafka.unique_topic("stays", 2).await);
    let config = orders_config(kafka.bootstrap(), &stays, &unique_name("group"), sandbox.url())
        .replace(&format!("topics: [{stays}]"), &format!("topics: [{gone}, {stays}]"));
    let slow = serde_json::json!([{ "action": { "kind": "delay", "ms": 300 } }]);
    sandbox.set_faults(slow).await;
    let lost: Vec<String> = (0..20_000).map(|n| format!("gone-{n}")).collect();
    produce(&kafka, &gone, 2, &lost).await;
    let service = Service::start(&config);
    eventually(PATIENCE, "events of the topic", async || {
        sandbox.count("events_counted").await > 1_000
    })
    .await;
    kafka.delete_topic(&gone).await;
    let ids = ids("stays");
    produce(&kafka, &stays, 2, &ids).await;
    eventually(Duration::from_secs(15), "the other topic's events", async || {
        let counted = sandbox.counted().await;
        let missing = ids.iter().filter(|id| !counted.contains_key(*id)).count();
        if missing == 0 { Ok(()) } else { Err(missing) }
    })
    .await;
    let ended = service.stop().await;
    assert!(matches!(ended.status.code(), Some(0 | 4)), "{}", ended.log);
}
