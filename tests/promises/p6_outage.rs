//! P6 while LaunchDarkly does not answer: one probe at a time, told once, and no stampede after it.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 6;
/// Batches: enough for every request that may be under way at once.
const RECORDS: i32 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_probed_by_one_and_told_once() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
    let ids: Vec<String> = (0..RECORDS).map(|n| format!("e-{n}")).collect();
    let records =
        ids.iter().zip(0..).map(|(id, n)| NewRecord::to(n % PARTITIONS).value(order("c", id, "1")));
    kafka.produce(&topic, records).await;
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("max_events: 500", "max_events: 2")
        .replace("retry_initial: 50ms, retry_max: 500ms", "retry_initial: 1s, retry_max: 2s");
    let service = Service::start(&config);
    let outage = async || service.metric("ldsink_outage", &["production", "events"]).await;
    eventually(PATIENCE, "the outage", async || outage().await > 1.5).await;
    let (status, reasons) = service.ask("/ready").await;
    assert!(status == 503 && reasons.contains("outage"), "{status} {reasons}");

    // A dozen probes, no two of them together. What was under way when it began is not counted.
    let before = sandbox.requests().await.len();
    eventually(PATIENCE, "some probes", async || sandbox.requests().await.len() > before + 6).await;
    let requests = sandbox.requests().await;
    let at: Vec<i64> =
        requests.iter().map(|request| request["received_at_ms"].as_i64().unwrap()).collect();
    let pauses: Vec<i64> = at[before..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.iter().all(|pause| *pause >= 450), "half of the first pause: {pauses:?}");

    sandbox.clear_faults().await;
    let expected = Expected { delivered: ids.iter().cloned().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    eventually(PATIENCE, "the end of the outage", async || outage().await < 0.5).await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    let ended = service.stop().await;
    assert!(ended.status.success());
    let told = |what: &str| ended.log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(told("outage: LaunchDarkly does not answer"), 1, "{}", ended.log);
    assert_eq!(told("the outage is over"), 1, "{}", ended.log);
}
