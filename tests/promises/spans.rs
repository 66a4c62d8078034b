//! Spans of a running service: all of them reach the collector before a clean stop ends, and no collector
//! holds anything up.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::otlp::{Collector, Mood, Span};
use crate::support::service::{Service, order, orders_config, with_checks};

const PATIENCE: Duration = Duration::from_secs(60);
const ONE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What the collector asks for.
const SECRET: &str = "Bearer 5f2c9a7184d04e6bb3ad90c1e7f6a2d8";
const SPANS: &str = "ldsink_trace_spans_total";

/// Orders of one trace in Kafka, LaunchDarkly, and the configuration between them without traces.
struct Scene {
    sandbox: LaunchDarkly,
    config: String,
    expected: Expected,
}

impl Scene {
    async fn new() -> Self {
        let (kafka, sandbox) = (KafkaCluster::shared().await, LaunchDarkly::start().await);
        let topic = kafka.unique_topic("orders", 2).await;
        let ids: BTreeSet<String> = (0..100).map(|n| format!("e-{n}")).collect();
        let record = |(id, n): (&String, i32)| {
            let order = order("c", id, "1");
            NewRecord::to(n % 2).value(order).header("traceparent", ONE)
        };
        kafka.produce(&topic, ids.iter().zip(0..).map(record)).await;
        let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
        let expected = Expected { delivered: ids, ..Expected::default() };
        Self { sandbox, config, expected }
    }

    fn traced(&self, traces: &str) -> String {
        format!("{}traces: {{ {traces} }}\n", self.config)
    }

    async fn delivered(&self) {
        self.expected.hold(PATIENCE, &self.sandbox).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_at_a_stop_is_exported_before_the_process_ends() {
    let (scene, collector) = (Scene::new().await, Collector::start(Mood::Takes).await);
    // Nothing but the stop ends the wait for more.
    let config = scene.traced(&format!(
        "endpoint: {}, linger: 1m, headers: {{ authorization: \"${{COLLECTOR_SECRET}}\" }}",
        collector.url()
    ));
    // What LaunchDarkly has is read for no record, and a request like others.
    let config = with_checks(&config, "warn");
    let service = Service::start_with(&config, &[("COLLECTOR_SECRET", SECRET)]);
    scene.delivered().await;
    assert!(collector.exports().is_empty());
    let (_, told) = service.ask("/config").await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    let requests = scene.sandbox.requests().await;
    let carried: BTreeSet<_> =
        requests.iter().map(|it| it["traceparent"].as_str().unwrap().to_owned()).collect();
    let spans = collector.spans();
    let context = |(trace, id)| format!("00-{trace}-{id}-01");
    let told_of: BTreeSet<_> = spans.iter().map(|it| context((&it.trace, &it.id))).collect();
    assert_eq!(told_of, carried);
    assert_eq!(spans.len(), requests.len());
    for span in &spans {
        let is_check = span.attributes["ldsink.operation"] == "check";
        assert_eq!(span.parent, if is_check { "" } else { "b7ad6b7169203331" });
    }
    let reads = |it: &&Span| it.attributes["http.request.method"] == "GET";
    assert!(spans.iter().filter(reads).count() > 0);
    for export in collector.exports() {
        assert_eq!(export.headers["authorization"], SECRET);
        assert_eq!(export.resource["service.name"], "ldsink");
        assert!(!String::from_utf8_lossy(&export.body).contains(SECRET));
    }
    assert!(!ended.log.contains(SECRET) && !told.contains(SECRET), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_endpoint_nothing_is_connected_whatever_the_environment_says() {
    let (scene, collector) = (Scene::new().await, Collector::start(Mood::Takes).await);
    let (base, traces) = (collector.url(), format!("{}/v1/traces", collector.url()));
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", base),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", traces.as_str()),
    ];
    let service = Service::start_with(&scene.config, &environment);
    scene.delivered().await;
    assert!(service.stop().await.status.success());
    assert_eq!(collector.connections(), 0);
    for request in scene.sandbox.requests().await {
        assert_eq!(request["traceparent"], ONE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_told_of_once_and_holds_nothing_up() {
    let scene = Scene::new().await;
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let config = scene.traced(&format!("endpoint: http://{closed}, linger: 10ms"));
    let service = Service::start(&config);
    scene.delivered().await;
    service.says(PATIENCE, &["spans are dropped", "cannot be reached"]).await;
    assert!(service.metric(SPANS, &["failed"]).await > 0.0);
    assert!(service.metric(SPANS, &["exported"]).await < 1.0);
    let (ready, told) = service.ask("/ready").await;
    assert_eq!(ready, 200, "records flow: {told}");
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert_eq!(ended.log.matches("spans are dropped").count(), 1, "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_does_not_hold_up_a_stop() {
    let (scene, collector) = (Scene::new().await, Collector::start(Mood::Hangs).await);
    let config = scene
        .traced(&format!("endpoint: {}, linger: 10ms, timeout: 1m", collector.url()))
        .replace("drain_deadline: 15s", "drain_deadline: 2s");
    let service = Service::start(&config);
    scene.delivered().await;
    let began = Instant::now();
    let ended = service.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}\n{}", began.elapsed(), ended.log);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(ended.log.contains("spans could not be exported before the end"), "{}", ended.log);
}
