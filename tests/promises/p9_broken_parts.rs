//! P9 when a part of the service breaks by a fault of ours: the process ends and says so, instead of
//! going on with partitions that nobody reads; and nothing is lost, nor counted twice.

use std::time::Duration;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config, with_properties};
use crate::support::wait::eventually;

/// A thread that is stuck is given a minute.
const PATIENCE: Duration = Duration::from_secs(100);
const RECORDS: usize = 2_000;

async fn ends_visibly(failpoint: &str, says: &str) {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 2).await;
    let ids: Vec<String> = (0..RECORDS).map(|n| format!("e-{n}")).collect();
    let records = ids.iter().enumerate().map(|(n, id)| {
        NewRecord::to(i32::from(n % 2 == 1)).key(id.as_str()).value(order("c", id, "1"))
    });
    kafka.produce(&topic, records).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    let config = with_properties(&config, "session.timeout.ms: 6000");
    let ended = Service::start_with(&config, &[("LDSINK_FAILPOINT", failpoint)]).ended(PATIENCE);
    let ended = ended.await;
    assert_eq!(ended.status.code(), Some(1), "{failpoint}: {}", ended.log);
    let is_told = |line: &str| line.contains("\"ERROR\"") && line.contains(says);
    assert!(ended.log.lines().any(is_told), "{failpoint}: {}", ended.log);

    let service = Service::start(&config);
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    let may_repeat = service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
    assert!(may_repeat.abs() < f64::EPSILON, "{failpoint}: {may_repeat}");
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{failpoint}: {}", ended.log);
    expected.account(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_panics_ends_the_process() {
    ends_visibly("answered_not_settled:3:panic", "`deliver` panicked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_thread_that_panics_ends_the_process() {
    ends_visibly("settled_not_committed:2:panic", "`consumer` panicked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_thread_that_is_stuck_ends_the_process() {
    ends_visibly("settled_not_committed:2:stick", "the consumer thread has not turned for").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_thread_that_panics_ends_the_process() {
    ends_visibly("committing:3:panic", "the commit thread has ended").await;
}
