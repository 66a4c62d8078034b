//! P2, P3 and P9 while Kafka itself is in trouble: leaders and coordinators move, brokers die, the
//! network between is cut, silent, slow or narrow.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::production::Production;
use crate::support::proxy::{Network, Proxy};
use crate::support::service::{Service, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 3;
const RECORDS_PER_SECOND: usize = 1_000;

struct Scene {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    group: String,
    config: String,
    production: Production,
}

impl Scene {
    async fn set(kafka: KafkaCluster, bootstrap: &str, replication: usize) -> Self {
        let kafka = Arc::new(kafka);
        let sandbox = LaunchDarkly::start().await;
        let (topic, group) = (unique_name("orders"), unique_name("group"));
        kafka.create_topic(&topic, usize::try_from(PARTITIONS).unwrap(), replication).await;
        let config = orders_config(bootstrap, &topic, &group, sandbox.url());
        // A client hears of trouble within seconds instead of a minute.
        let config = with_properties(
            &config,
            "session.timeout.ms: 6000, socket.timeout.ms: 5000, reconnect.backoff.max.ms: 500, \
             topic.metadata.refresh.interval.ms: 2000",
        );
        let production = Production::start(&kafka, &topic, PARTITIONS, RECORDS_PER_SECOND);
        Self { kafka, sandbox, topic, group, config, production }
    }

    async fn flows(&self) {
        let before = self.sandbox.count("events_counted").await;
        eventually(PATIENCE, "events to flow", async || {
            self.sandbox.count("events_counted").await > before + 500
        })
        .await;
    }

    /// Waits for all events and their commit, ends the service, and looks at both ends.
    async fn close(self, service: Service) {
        let delivered: BTreeSet<String> = self.production.stop().await;
        let expected = Expected { delivered, ..Expected::default() };
        expected.hold(PATIENCE, &self.sandbox).await;
        self.kafka.all_committed(&self.group, &self.topic, PATIENCE).await;
        let may_repeat = service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
        assert!(may_repeat.abs() < f64::EPSILON, "{may_repeat} records were cut differently");
        let ended = service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        expected.account(&self.sandbox).await;
    }
}

/// Each broker is stopped in turn and comes back: every partition's leader moves, and the group's
/// coordinator with it. The last one dies without a word.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_and_coordinators_move() {
    let kafka = KafkaCluster::start(3).await;
    let bootstrap = kafka.bootstrap().to_owned();
    let scene = Scene::set(kafka, &bootstrap, 3).await;
    let service = Service::start(&scene.config);
    scene.flows().await;
    for broker in 0..2 {
        scene.kafka.stop_broker(broker).await;
        scene.flows().await;
        scene.kafka.restart_broker(broker).await;
        scene.flows().await;
    }
    scene.kafka.kill_broker(2).await;
    scene.flows().await;
    scene.kafka.restart_broker(2).await;
    scene.flows().await;
    scene.close(service).await;
}

/// The same with the service dying in between, so that the journal is read from the new coordinator.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_outlives_its_coordinator() {
    let kafka = KafkaCluster::start(3).await;
    let bootstrap = kafka.bootstrap().to_owned();
    let scene = Scene::set(kafka, &bootstrap, 3).await;
    let slow = serde_json::json!([{ "action": { "kind": "delay", "ms": 150 } }]);
    scene.sandbox.set_faults(slow).await;
    for broker in 0..3 {
        let service = Service::start(&scene.config);
        scene.flows().await;
        service.kill().await;
        scene.kafka.kill_broker(broker).await;
        let service = Service::start(&scene.config);
        scene.flows().await;
        service.kill().await;
        scene.kafka.restart_broker(broker).await;
    }
    let service = Service::start(&scene.config);
    scene.close(service).await;
}

/// The network to Kafka is cut, silent, slow and narrow, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_to_kafka() {
    let (kafka, proxy) = KafkaCluster::start_behind_proxy().await;
    let bootstrap = proxy.address().to_string();
    let scene = Scene::set(kafka, &bootstrap, 1).await;
    let service = Service::start(&scene.config);
    scene.flows().await;
    for bad in [Network::Cut, Network::Silent] {
        proxy.set(bad);
        service.says(PATIENCE, &["kafka cannot be reached"]).await;
        eventually(PATIENCE, "readiness to tell", async || service.ask("/ready").await.0 == 503)
            .await;
        assert_eq!(service.ask("/live").await.0, 200, "waiting is not being dead");
        proxy.set(Network::Good);
        scene.flows().await;
        eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    }
    for bad in [Network::Slow(Duration::from_millis(300)), Network::Narrow(300_000)] {
        proxy.set(bad);
        scene.flows().await;
    }
    proxy.set(Network::Good);
    scene.close(service).await;
}

/// The same towards LaunchDarkly.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_network_to_launchdarkly() {
    let kafka = KafkaCluster::start(1).await;
    let bootstrap = kafka.bootstrap().to_owned();
    let mut scene = Scene::set(kafka, &bootstrap, 1).await;
    let upstream = scene.sandbox.url().trim_start_matches("http://").parse().unwrap();
    let proxy = Proxy::start(upstream).await;
    scene.config =
        scene.config.replace(scene.sandbox.url(), &format!("http://{}", proxy.address()));
    let service = Service::start(&scene.config);
    scene.flows().await;
    for bad in [Network::Cut, Network::Silent] {
        proxy.set(bad);
        let failed = async || {
            let requests = "ldsink_requests_total";
            service.metric(requests, &["result=\"network\""]).await
        };
        let before = failed().await;
        eventually(PATIENCE, "requests to fail", async || failed().await > before + 5.0).await;
        proxy.set(Network::Good);
        scene.flows().await;
    }
    for bad in [Network::Slow(Duration::from_millis(700)), Network::Narrow(200_000)] {
        proxy.set(bad);
        scene.flows().await;
    }
    proxy.set(Network::Good);
    scene.close(service).await;
}
