//! P2 when too much is refused: the route halts instead of emptying its topic into the dead-letter
//! topic, other topics go on, a stop does not wait for a person, and nothing is lost or counted twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::support::kafka::{KafkaCluster, NewRecord, StoredRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const PARTITIONS: i32 = 2;
const RECORDS: i32 = 4_000;
const MAX_RUN: usize = 20;
/// Single records under way when the last one of the run is refused, and some probes after it.
const OVERSHOOT: usize = 25;

/// Two topics that feed one target.
struct Scene {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    other: String,
    config: String,
}

impl Scene {
    async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
        let other = kafka.unique_topic("visits", 1).await;
        let config = orders_config(kafka.bootstrap(), &topic, &unique_name("group"), sandbox.url());
        let route = format!(
            "routes:\n  - name: visits\n    topics: [{other}]\n    format: debezium\n    \
             metric_event: {{ target: production, key: visit, context: {{ user: $.row.user_id }}, \
             data: {{ id: $.row.id }} }}\n"
        );
        let guard = format!(".dead, guard: {{ max_run: {MAX_RUN}, probe_interval: 1s }} }}");
        let config = config.replace("routes:\n", &route).replace(".dead }", &guard);
        Self { kafka, sandbox, topic, other, config }
    }

    async fn refuse_orders(&self) {
        let refusal = json!([{
            "body_contains": "checkout-total",
            "action": { "kind": "status", "status": 400 }
        }]);
        self.sandbox.set_faults(refusal).await;
    }

    async fn orders(&self, ids: impl Iterator<Item = String>) -> BTreeSet<String> {
        let ids: Vec<String> = ids.collect();
        let records = ids.iter().zip(0_i32..).map(|(id, n)| {
            NewRecord::to(n % PARTITIONS).key(id.as_str()).value(order("c", id, "1"))
        });
        self.kafka.produce(&self.topic, records).await;
        ids.into_iter().collect()
    }

    async fn visits(&self, ids: impl Iterator<Item = String>) -> BTreeSet<String> {
        let ids: Vec<String> = ids.collect();
        let records =
            ids.iter().map(|id| NewRecord::to(0).key(id.as_str()).value(order("c", id, "1")));
        self.kafka.produce(&self.other, records).await;
        ids.into_iter().collect()
    }

    async fn letters(&self) -> Vec<StoredRecord> {
        self.kafka.read_all(&format!("{}.dead", self.topic)).await
    }

    /// The identities of dead letters, each once.
    async fn dead(&self) -> BTreeSet<String> {
        let letters = self.letters().await;
        let keys: BTreeSet<_> =
            letters.iter().map(|it| String::from_utf8(it.key.clone().unwrap()).unwrap()).collect();
        assert_eq!(keys.len(), letters.len(), "a record was dead-lettered twice");
        keys
    }

    async fn is_halted(&self, service: &Service, stage: &str) {
        let labels = ["route=\"checkout\"", &format!("stage=\"{stage}\"")];
        let halted = async || service.metric("ldsink_route_halted", &labels).await > 0.5;
        eventually(PATIENCE, "the route to be halted", halted).await;
        let (status, body) = service.ask("/ready").await;
        assert!(status == 503 && body.contains(&format!("route checkout ({stage})")), "{body}");
        service.says(PATIENCE, &["route halted", "in a row", "ldsink dlq list"]).await;
    }
}

async fn goes_on(service: &Service) {
    let halted = async || service.metric("ldsink_route_halted", &[]).await < 0.5;
    eventually(PATIENCE, "the route to go on", halted).await;
    let ready = async || service.ask("/ready").await.0 == 200;
    eventually(PATIENCE, "readiness", ready).await;
}

fn all_of(sets: &[&BTreeSet<String>], without: &BTreeSet<String>) -> Expected {
    let all = sets.iter().flat_map(|set| set.iter()).filter(|id| !without.contains(*id));
    Expected { delivered: all.cloned().collect(), ..Expected::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn launchdarkly_refuses_everything_and_the_topic_waits() {
    let scene = Scene::set().await;
    scene.refuse_orders().await;
    let orders = scene.orders((0..RECORDS).map(|n| format!("e-{n}"))).await;
    let service = Service::start(&scene.config);
    scene.is_halted(&service, "deliver").await;
    // The same target, another topic.
    let visits = scene.visits((0..500).map(|n| format!("v-{n}"))).await;
    all_of(&[&visits], &BTreeSet::new()).hold(PATIENCE, &scene.sandbox).await;
    let written = async || scene.letters().await.len() >= MAX_RUN;
    eventually(PATIENCE, "the letters of the run", written).await;
    let letters = scene.letters().await.len();
    assert!(letters < MAX_RUN + OVERSHOOT, "{letters} letters");

    // A stop does not wait for what waits for a person.
    let began = Instant::now();
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());

    // Whoever comes next begins where this one ended, and what was refused is mended meanwhile.
    scene.sandbox.clear_faults().await;
    let dead = scene.dead().await;
    let service = Service::start(&scene.config);
    all_of(&[&orders, &visits], &dead).hold(PATIENCE, &scene.sandbox).await;
    let repeats = service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
    assert!(repeats.abs() < f64::EPSILON, "{repeats} records were cut differently");
    assert_eq!(service.stop().await.status.code(), Some(0));
    all_of(&[&orders, &visits], &dead).account(&scene.sandbox).await;
    assert_eq!(scene.dead().await, dead);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_route_goes_on_by_itself_when_launchdarkly_does() {
    let scene = Scene::set().await;
    let first = scene.orders((0..RECORDS).map(|n| format!("e-{n}"))).await;
    let service = Service::start(&scene.config);
    all_of(&[&first], &BTreeSet::new()).hold(PATIENCE, &scene.sandbox).await;
    scene.refuse_orders().await;
    let second = scene.orders((RECORDS..2 * RECORDS).map(|n| format!("e-{n}"))).await;
    scene.is_halted(&service, "deliver").await;
    scene.sandbox.clear_faults().await;
    goes_on(&service).await;
    let written = async || scene.letters().await.len() >= MAX_RUN;
    eventually(PATIENCE, "the letters of the run", written).await;
    let drained = async || service.metric("ldsink_in_flight_records", &[]).await < 0.5;
    eventually(PATIENCE, "everything to be settled", drained).await;
    let dead = scene.dead().await;
    assert!(dead.len() < MAX_RUN + OVERSHOOT, "{} letters", dead.len());
    all_of(&[&first, &second], &dead).hold(PATIENCE, &scene.sandbox).await;
    assert_eq!(service.stop().await.status.code(), Some(0));
    all_of(&[&first, &second], &dead).account(&scene.sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_whose_format_breaks_does_not_fill_the_dead_letters() {
    const BROKEN: usize = MAX_RUN + 4;
    let scene = Scene::set().await;
    let before = scene.orders((0..500).map(|n| format!("e-{n}"))).await;
    let broken = (0..BROKEN).map(|n| NewRecord::to(0).key(format!("b-{n}")).value("<xml/>"));
    scene.kafka.produce(&scene.topic, broken).await;
    let after = scene.orders((500..1_000).map(|n| format!("e-{n}"))).await;
    let service = Service::start(&scene.config);
    scene.is_halted(&service, "route").await;
    let halted_with = scene.dead().await.len();
    assert!(halted_with < BROKEN, "{halted_with} letters");
    // Each probe ends one of the broken records, and the good ones behind them open the route.
    goes_on(&service).await;
    all_of(&[&before, &after], &BTreeSet::new()).hold(PATIENCE, &scene.sandbox).await;
    assert_eq!(scene.dead().await.len(), BROKEN);
    assert_eq!(service.stop().await.status.code(), Some(0));
}
