//! P2 and P3 when a process ends between two steps, as in a power cut: nothing is lost, and no metric
//! event counts twice, because its batch is sent again as the same request.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::{Expected, header};
use crate::support::service::{Service, order, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 4;
const RECORDS: i32 = 6_000;
/// Every so many records one that LaunchDarkly refuses.
const POISON_EVERY: i32 = 1_500;
const FAILPOINT: &str = "LDSINK_FAILPOINT";

/// A topic with records, some of which LaunchDarkly refuses, and what must become of them.
struct Scene {
    kafka: std::sync::Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    group: String,
    config: String,
    delivered: BTreeSet<String>,
    poison: BTreeSet<String>,
}

impl Scene {
    async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url())
            .replace("max_events: 500", "max_events: 200");
        // A member that dies is missed within the session's time-out.
        let config = with_properties(&config, "session.timeout.ms: 6000");
        let id =
            |n: i32| if n % POISON_EVERY == 7 { format!("poison-{n}") } else { format!("e-{n}") };
        let ids: Vec<String> = (0..RECORDS).map(id).collect();
        let records = ids.iter().zip(0..).map(|(id, n)| {
            NewRecord::to(n % PARTITIONS).key(id.as_str()).value(order("c", id, "1"))
        });
        kafka.produce(&topic, records).await;
        let (poison, delivered) = ids.into_iter().partition(|id: &String| id.starts_with("poison"));
        let scene = Self { kafka, sandbox, topic, group, config, delivered, poison };
        scene.be_slow(60).await;
        scene
    }

    /// Answers late, so that batches overlap, and refuses poison.
    async fn be_slow(&self, ms: u64) {
        let poison =
            json!({ "body_contains": "poison-", "action": { "kind": "status", "status": 400 } });
        let slow = json!({ "action": { "kind": "delay", "ms": ms } });
        self.sandbox.set_faults(json!([slow, poison])).await;
    }

    async fn crash_at(&self, point: &str) {
        let service = Service::start_with(&self.config, &[(FAILPOINT, point)]);
        let ended = service.ended(PATIENCE).await;
        assert_eq!(ended.status.code(), None, "it was to be killed at {point}:\n{}", ended.log);
    }

    /// Starts the service once more and demands that every record has come to its end.
    async fn hold(self) {
        let service = Service::start(&self.config);
        let expected = Expected { delivered: self.delivered.clone(), ..Expected::default() };
        expected.hold(PATIENCE, &self.sandbox).await;
        self.kafka.all_committed(&self.group, &self.topic, PATIENCE).await;
        let repeats = service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
        assert!(repeats.abs() < f64::EPSILON, "{repeats} records were cut differently");
        let ended = service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
        expected.account(&self.sandbox).await;
        // A dead letter may come twice when the process ends between it and its commit.
        let letters = self.kafka.read_all(&format!("{}.dead", self.topic)).await;
        let dead: BTreeSet<String> = letters.iter().map(key_of).collect();
        assert_eq!(dead, self.poison);
        assert_eq!(header(&letters[0], "ldsink.reason"), "refused_by_launchdarkly");
    }
}

fn key_of(letter: &crate::support::kafka::StoredRecord) -> String {
    String::from_utf8(letter.key.clone().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_after_the_journal_and_before_the_request() {
    let scene = Scene::set().await;
    for point in ["journaled_not_sent", "journaled_not_sent:3", "journaled_not_sent:9"] {
        scene.crash_at(point).await;
    }
    scene.hold().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_after_the_answer_and_before_it_is_settled() {
    let scene = Scene::set().await;
    for point in ["answered_not_settled", "answered_not_settled:5", "answered_not_settled:8"] {
        scene.crash_at(point).await;
    }
    assert!(scene.sandbox.count("events_counted").await > 0, "something had been accepted");
    scene.hold().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_after_settling_and_before_the_commit() {
    let scene = Scene::set().await;
    for point in ["settled_not_committed", "settled_not_committed:4", "settled_not_committed:11"] {
        scene.crash_at(point).await;
    }
    scene.hold().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crashes_with_a_dead_letter_written_and_not_settled() {
    let scene = Scene::set().await;
    for point in ["dead_letter_not_settled", "dead_letter_not_settled:2"] {
        scene.crash_at(point).await;
    }
    scene.hold().await;
}

/// The answers are on their way, and nobody is there to read them.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_acceptance_and_answer() {
    let scene = Scene::set().await;
    for _ in 0..3 {
        scene.be_slow(30_000).await;
        let arrived = async || {
            let sandbox = &scene.sandbox;
            sandbox.count("events_accepted").await + sandbox.count("events_repeated").await
        };
        let before = arrived().await;
        let service = Service::start(&scene.config);
        eventually(PATIENCE, "events accepted without an answer", async || {
            let accepted = arrived().await;
            if accepted > before + 500 { Ok(()) } else { Err(format!("{accepted} after {before}")) }
        })
        .await;
        service.kill().await;
    }
    scene.be_slow(10).await;
    let repeats = scene.sandbox.count("repeats_dropped").await;
    assert!(repeats > 0, "what was accepted is sent again and dropped");
    scene.hold().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_partitions_are_given_up() {
    let scene = Scene::set().await;
    scene.be_slow(500).await;
    let first = Service::start_with(&scene.config, &[(FAILPOINT, "in_revoke")]);
    eventually(PATIENCE, "the first events", async || {
        scene.sandbox.count("events_counted").await > 0
    })
    .await;
    let second = Service::start(&scene.config);
    let ended = first.ended(PATIENCE).await;
    assert_eq!(ended.status.code(), None, "it was to be killed in the revocation:\n{}", ended.log);
    scene.be_slow(10).await;
    eventually(PATIENCE, "the second to own all partitions", async || {
        let share = second.metric("ldsink_assigned_partitions", &[]).await;
        (share - f64::from(PARTITIONS)).abs() < 0.5
    })
    .await;
    assert_eq!(second.stop().await.status.code(), Some(0));
    scene.hold().await;
}

/// The mapping is another one after the crash, so the same requests cannot be made again: that is
/// told, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_mapping_that_changes_over_a_crash_is_told() {
    let mut scene = Scene::set().await;
    scene.crash_at("answered_not_settled:4").await;
    scene.config = scene.config.replace("value: $.row.total", "value: 2");
    let service = Service::start(&scene.config);
    eventually(PATIENCE, "all events", async || {
        let counted = scene.sandbox.counted().await;
        scene.delivered.iter().all(|id| counted.contains_key(id))
    })
    .await;
    assert!(service.metric("ldsink_recovered_records_total", &["may_repeat"]).await > 0.0);
    assert_eq!(service.stop().await.status.code(), Some(0));
}
