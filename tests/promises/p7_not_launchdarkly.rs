//! P7: who answers is not LaunchDarkly, so nothing is taken for delivered.

use std::time::Duration;

use axum::response::{Html, IntoResponse};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::service::{Service, order, orders_config};
use crate::support::stranger::Stranger;
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy's login page, a web server's welcome: 200 to everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_welcomes_everything_halts_the_lane() {
    let kafka = KafkaCluster::shared().await;
    let stranger = Stranger::start(|_| Html("<html>welcome</html>").into_response()).await;
    let topic = kafka.unique_topic("orders", 2).await;
    let ids: Vec<String> = (0..100).map(|n| format!("e-{n}")).collect();
    let records =
        ids.iter().zip(0_i32..).map(|(id, n)| NewRecord::to(n % 2).value(order("c", id, "1")));
    kafka.produce(&topic, records).await;
    let group = unique_name("group");
    let config = orders_config(kafka.bootstrap(), &topic, &group, stranger.url())
        .replace("drain_deadline: 15s", "drain_deadline: 1s");
    let service = Service::start(&config);
    let line = service.says(PATIENCE, &["lane halted"]).await;
    assert!(line.contains("events_url"), "the remedy is in the log: {line}");
    let (status, body) = service.ask("/ready").await;
    assert!(status == 503 && body.contains("target production"), "{status} {body}");
    assert!(body.contains("events_url"), "{body}");
    assert!(service.metric("ldsink_lane_halted", &["production", "metric_event"]).await > 0.5);
    // Several probes later still nothing counts as delivered.
    let answered = async || service.metric("ldsink_requests_total", &["metric_event"]).await;
    let before = answered().await;
    eventually(PATIENCE, "another probe", async || answered().await > before + 0.5).await;
    let delivered = service.metric("ldsink_records_total", &["delivered"]).await;
    assert!(delivered < 0.5, "{delivered} records were taken for delivered");

    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(4), "{}", ended.log);
    let committed = kafka.committed(&group, &topic).await;
    assert!(committed.iter().all(|at| at.offset.is_none_or(|next| next == 0)), "{committed:?}");
    assert!(kafka.read_all(&format!("{topic}.dead")).await.is_empty());
}
