//! P9: SIGTERM drains and commits; what starts next repeats nothing and misses nothing.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_in_the_middle_and_a_restart_repeat_nothing() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    // Slow enough that a stop always finds requests under way.
    sandbox.set_faults(json!([{ "action": { "kind": "delay", "ms": 150 } }])).await;
    let topic = kafka.unique_topic("orders", 6).await;
    let ids: Vec<String> = (0..100_000).map(|n| format!("e-{n}")).collect();
    let records = ids
        .iter()
        .zip(0_i32..)
        .map(|(id, n)| NewRecord::to(n % 6).key(id.as_str()).value(order("c", id, "1")));
    kafka.produce(&topic, records).await;
    // Little in flight, so that the drains do not finish the backlog by themselves.
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("batch: { ", "batch: { max_bytes: 200KB, ")
        + "limits: { in_flight_bytes: 1MB, partition_in_flight_bytes: 400KB }\n";

    for _ in 0..3 {
        let before = sandbox.count("events_counted").await;
        let service = Service::start(&config);
        eventually(PATIENCE, "some thousand events", async || {
            let counted = sandbox.count("events_counted").await;
            if counted >= before + 5_000 { Ok(()) } else { Err(counted) }
        })
        .await;
        let ended = service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        assert!(sandbox.count("events_counted").await < 100_000, "stopped in the middle");
        assert_eq!(sandbox.count("repeats_dropped").await, 0);
    }
    sandbox.clear_faults().await;
    let service = Service::start(&config);
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
    // Not even a repeat that LaunchDarkly would have dropped.
    assert_eq!(sandbox.count("repeats_dropped").await, 0);
    expected.account(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_that_cannot_drain_ends_at_its_deadline_and_loses_nothing() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(json!([{ "action": { "kind": "hang" } }])).await;
    let topic = kafka.unique_topic("orders", 1).await;
    let ids: Vec<String> = (0..100).map(|n| format!("e-{n}")).collect();
    kafka.produce(&topic, ids.iter().map(|id| NewRecord::to(0).value(order("c", id, "1")))).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("drain_deadline: 15s", "drain_deadline: 1s");
    let service = Service::start(&config);
    eventually(PATIENCE, "a request", async || sandbox.count("requests_faulted").await > 0).await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.log);
    sandbox.clear_faults().await;
    let service = Service::start(&config);
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_at_once() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(json!([{ "action": { "kind": "hang" } }])).await;
    let topic = kafka.unique_topic("orders", 1).await;
    kafka.produce(&topic, [NewRecord::to(0).value(order("c", "e", "1"))]).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("drain_deadline: 15s", "drain_deadline: 4m");
    let service = Service::start(&config);
    eventually(PATIENCE, "a request", async || sandbox.count("requests_faulted").await > 0).await;
    service.terminate().await;
    service.says(PATIENCE, &["draining"]).await;
    service.terminate().await;
    let ended = service.ended(Duration::from_secs(30)).await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.log);
}
