//! P6: what LaunchDarkly asks for is obeyed, however short our own pauses are.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const ASKED_FOR_MS: i64 = 3_000;
const PARTITIONS: i32 = 4;

/// What happens while the hint is to be obeyed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    /// On all partitions, so that other batches than the refused one are ready to go.
    MoreRecords,
}

/// One request is answered with 429 and a hint.
async fn nothing_is_sent_before_its_time(mut refusal: Value, meanwhile: Meanwhile) {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    refusal["kind"] = "status".into();
    refusal["status"] = 429.into();
    sandbox.set_faults(json!([{ "times": 1, "action": refusal }])).await;
    let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
    let count = if meanwhile == Meanwhile::Nothing { 10 } else { 2_000 };
    let ids: Vec<String> = (0..count).map(|n| format!("e-{n}")).collect();
    let record = |partition: i32, id: &String| NewRecord::to(partition).value(order("c", id, "1"));

    // Our own pauses are half a second at the longest.
    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
    assert!(config.contains("retry_max: 500ms"));
    let service = Service::start(&config);
    kafka.produce(&topic, ids[..10].iter().map(|id| record(0, id))).await;
    service.says(PATIENCE, &["request failed", "429"]).await;
    is_shown(&service).await;
    let others = ids[10..].iter().zip(0_i32..);
    kafka.produce(&topic, others.map(|(id, n)| record(n % PARTITIONS, id))).await;

    let expected = Expected { delivered: ids.iter().cloned().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    assert!(service.stop().await.status.success());
    let requests = sandbox.requests().await;
    let at = |request: &Value| request["received_at_ms"].as_i64().unwrap();
    assert_eq!(requests[0]["status"], 429);
    let refused_at = at(&requests[0]);
    let pauses: Vec<_> = requests[1..].iter().map(|later| at(later) - refused_at).collect();
    let early = pauses.iter().filter(|pause| **pause < ASKED_FOR_MS).count();
    assert_eq!(early, 0, "of {} requests, these long after the 429: {pauses:?} ms", pauses.len());
    // Obeyed is not forgotten.
    assert!(pauses[0] < 3 * ASKED_FOR_MS, "{pauses:?}");
}

/// A pause longer than our own longest one is told.
async fn is_shown(service: &Service) {
    let (status, reasons) = service.ask("/ready").await;
    assert!(status == 503 && reasons.contains("asked not to be sent anything"), "{reasons}");
    assert!(service.metric("ldsink_hint_until_timestamp_seconds", &["events"]).await > 1e9);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_obeyed() {
    let refusal = json!({ "retry_after_seconds": 3 });
    nothing_is_sent_before_its_time(refusal, Meanwhile::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reset_of_a_spent_limit_is_obeyed() {
    let refusal = json!({ "ratelimit_reset_ms_from_now": ASKED_FOR_MS });
    nothing_is_sent_before_its_time(refusal, Meanwhile::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_is_obeyed_by_the_whole_lane() {
    let refusal = json!({ "retry_after_seconds": 3 });
    nothing_is_sent_before_its_time(refusal, Meanwhile::MoreRecords).await;
}

/// Other errors than 429 may carry a hint, and every single one counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_s_hints_are_obeyed_one_by_one() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox
        .set_faults(json!([{
            "times": 3,
            "action": { "kind": "status", "status": 503, "retry_after_seconds": 1 }
        }]))
        .await;
    let topic = kafka.unique_topic("orders", 1).await;
    kafka.produce(&topic, [NewRecord::to(0).value(order("c", "e-0", "1"))]).await;
    let service = Service::start(&orders_config(
        kafka.bootstrap(),
        &topic,
        &unique_name("group"),
        sandbox.url(),
    ));
    eventually(PATIENCE, "the event", async || sandbox.count("events_counted").await == 1).await;
    assert!(service.stop().await.status.success());
    let requests = sandbox.requests().await;
    let at: Vec<_> = requests.iter().map(|r| r["received_at_ms"].as_i64().unwrap()).collect();
    assert_eq!(at.len(), 4, "the same request until it was accepted: {requests:?}");
    let ids: Vec<_> = requests.iter().map(|request| &request["payload_id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{at:?}");
}
