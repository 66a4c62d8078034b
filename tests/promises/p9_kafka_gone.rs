//! P9 without Kafka: a stop ends, whoever does not answer.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::service::{Ended, Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const DRAIN: Duration = Duration::from_secs(3);
/// The last commit and leaving the group, which nobody answers.
const LEAVE: Duration = Duration::from_secs(10);

/// A service with the short drain that these tests are about.
fn start(kafka: &KafkaCluster, topic: &str, group: &str, sandbox: &LaunchDarkly) -> Service {
    let config = orders_config(kafka.bootstrap(), topic, group, sandbox.url());
    Service::start(&config.replace("drain_deadline: 15s", "drain_deadline: 3s"))
}

async fn produce(kafka: &KafkaCluster, topic: &str, from: usize) {
    let ids: Vec<String> = (from..from + 500).map(|n| format!("{topic}-{n}")).collect();
    kafka.produce(topic, ids.iter().map(|id| NewRecord::to(0).value(order("c", id, "1")))).await;
}

/// Stops the service and demands that it ends in time.
async fn stop_in_time(service: Service) -> Ended {
    let begun = Instant::now();
    let ended = service.stop().await;
    let took = begun.elapsed();
    assert!(took < DRAIN + LEAVE, "it took {took:?}:\n{}", ended.log);
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_broker_is_silent_or_gone() {
    let kafka = KafkaCluster::start(1).await;
    let sandbox = LaunchDarkly::start().await;
    let counted = async || sandbox.count("events_counted").await;

    // Silent, and what was delivered could not be committed: unfinished.
    let (topic, group) = (kafka.unique_topic("orders", 1).await, unique_name("group"));
    let service = start(&kafka, &topic, &group, &sandbox);
    produce(&kafka, &topic, 0).await;
    eventually(PATIENCE, "the first records", async || counted().await == 500).await;
    sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    produce(&kafka, &topic, 500).await;
    // A batch leaves only after Kafka has its edges.
    eventually(PATIENCE, "all records on their way", async || {
        let sent = service.metric("ldsink_batch_operations_sum", &[]).await;
        if sent > 999.5 { Ok(()) } else { Err(sent) }
    })
    .await;
    kafka.suspend_broker(0);
    sandbox.clear_faults().await;
    eventually(PATIENCE, "the other records", async || counted().await == 1_000).await;
    let ended = stop_in_time(service).await;
    kafka.resume_broker(0);
    assert_eq!(ended.status.code(), Some(4), "{}", ended.log);

    // Gone, and nothing was left to commit: clean. The silent broker still waits for the first group's
    // member, hence another group.
    let (topic, group) = (kafka.unique_topic("orders", 1).await, unique_name("group"));
    let service = start(&kafka, &topic, &group, &sandbox);
    produce(&kafka, &topic, 0).await;
    eventually(PATIENCE, "all records", async || counted().await == 1_500).await;
    eventually(PATIENCE, "the commit", async || {
        kafka.committed(&group, &topic).await[0].offset == Some(500)
    })
    .await;
    kafka.kill_broker(0).await;
    service.says(PATIENCE, &["kafka cannot be reached"]).await;
    let ended = stop_in_time(service).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
}

/// An address that refuses, and one that takes the connection and never says a word.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_broker_is_waited_for() {
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    for broker in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let config = orders_config(&broker, "orders", "group", "http://127.0.0.1:1")
            .replace("startup_timeout: 20s", "startup_timeout: 60s");
        let service = Service::start(&config);
        service.says(PATIENCE, &["connecting to kafka"]).await;
        service.terminate().await;
        let ended = service.ended(Duration::from_secs(8)).await;
        assert_eq!(ended.status.code(), Some(0), "{broker}: {}", ended.log);
    }
}
