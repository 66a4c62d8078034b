//! P7: a fault of the configuration stops the lane and consumes nothing.

use std::time::Duration;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_halts_the_lane_until_it_is_back() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 2).await;
    let ids: Vec<String> = (0..2_000).map(|n| format!("e-{n}")).collect();
    let records = |range: std::ops::Range<usize>| {
        ids[range]
            .iter()
            .zip(0_i32..)
            .map(|(id, n)| NewRecord::to(n % 2).value(order("c", id, "1")))
    };
    kafka.produce(&topic, records(0..1_000)).await;
    let group = unique_name("group");
    let service = Service::start(&orders_config(kafka.bootstrap(), &topic, &group, sandbox.url()));
    eventually(PATIENCE, "the first half", async || sandbox.count("events_counted").await == 1_000)
        .await;

    sandbox.set_tokens(&["api-another"]).await;
    kafka.produce(&topic, records(1_000..2_000)).await;
    let line = service.says(PATIENCE, &["lane halted", "\"status\":401"]).await;
    assert!(line.contains("importEventData"), "the remedy is in the log: {line}");
    let (status, body) = service.ask("/ready").await;
    assert_eq!(status, 503);
    assert!(body.contains("target production") && body.contains("access_token"), "{body}");
    assert_eq!(service.ask("/live").await.0, 200);
    assert!(service.metric("ldsink_lane_halted", &["production"]).await > 0.5);
    // It probes, and goes on waiting.
    let refused = || async { sandbox.journal().await["requests_by_status"]["401"].as_u64() };
    let first = refused().await;
    eventually(PATIENCE, "another probe", async || refused().await > first).await;
    assert_eq!(sandbox.count("events_counted").await, 1_000);
    let committed = kafka.committed(&group, &topic).await;
    assert!(committed.iter().all(|c| c.offset <= Some(500)), "nothing is consumed: {committed:?}");

    sandbox.set_tokens(&[TOKEN]).await;
    let expected = Expected { delivered: ids.iter().cloned().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    service.says(PATIENCE, &["requests succeed again"]).await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    assert_eq!(ended.log.matches("lane halted").count(), 1, "one event once");
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
    assert!(!ended.log.contains(TOKEN), "the token is in the log");
}
