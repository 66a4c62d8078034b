//! P5: what waits for LaunchDarkly waits in Kafka. However long it is down, memory stays within the
//! limits and the group keeps its member.

use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(120);
const PARTITIONS: i32 = 8;
const RECORDS: i32 = 30_000;
/// Twice the time that a member may stay away from `poll` here.
const OUTAGE_SECONDS: f64 = 24.0;
/// The limits, the client's queues, and what any such process takes.
const RESIDENT_BYTES: f64 = 160e6;

/// An order of about two kilobytes, so that the backlog is many times the limits.
fn bulky(id: &str) -> String {
    let note = "n".repeat(1_800);
    format!(
        r#"{{"op":"c","before":null,"source":{{}},"after":{{"id":"{id}","user_id":"u","total":1,"at":1767225600250000,"note":"{note}"}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_pauses_reading_and_never_costs_the_membership() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    sandbox.set_faults(json!([{ "action": { "kind": "status", "status": 503 } }])).await;
    let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
    let ids: Vec<String> = (0..RECORDS).map(|n| format!("e-{n}")).collect();
    let records = ids.iter().zip(0..).map(|(id, n)| NewRecord::to(n % PARTITIONS).value(bulky(id)));
    kafka.produce(&topic, records).await;

    let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url())
        .replace("batch: { ", "batch: { max_bytes: 200KB, ")
        .replace("drain_deadline: 15s", "drain_deadline: 1s")
        + "limits: { in_flight_bytes: 1MB, partition_in_flight_bytes: 300KB }\n";
    let properties = "max.poll.interval.ms: 12000, session.timeout.ms: 6000, \
                      queued.max.messages.kbytes: 1024";
    let service = Service::start(&with_properties(&config, properties));
    eventually(PATIENCE, "all partitions to be paused", async || {
        let paused = service.metric("ldsink_paused_partitions", &[]).await;
        if paused > f64::from(PARTITIONS) - 0.5 { Ok(()) } else { Err(paused) }
    })
    .await;
    let waited = || async { service.metric("process_cpu_seconds_total", &[]).await };
    let cpu_before = waited().await;
    let begun = tokio::time::Instant::now();
    eventually(PATIENCE, "two poll intervals of outage", async || {
        let bytes = service.metric("ldsink_in_flight_bytes", &[]).await;
        assert!(bytes < 2e6, "{bytes} bytes in flight");
        begun.elapsed().as_secs_f64() > OUTAGE_SECONDS
    })
    .await;
    let resident = service.metric("process_resident_memory_bytes", &[]).await;
    assert!(resident < RESIDENT_BYTES, "{resident} bytes resident");
    let cpu = waited().await - cpu_before;
    assert!(cpu < OUTAGE_SECONDS / 2.0, "{cpu} CPU-seconds for waiting");
    assert_eq!(service.ask("/ready").await.0, 503, "it tells");
    assert_eq!(service.ask("/live").await.0, 200);
    for kind in ["kind=\"revoked\"", "kind=\"lost\""] {
        let rebalances = service.metric("ldsink_rebalances_total", &[kind]).await;
        assert!(rebalances.abs() < f64::EPSILON, "{rebalances} {kind}");
    }
    assert_eq!(sandbox.count("events_counted").await, 0);

    sandbox.clear_faults().await;
    let expected = Expected { delivered: ids.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    expected.account(&sandbox).await;
}
