//! P2 and P3 across reloads: a configuration that changes while records flow loses nothing and counts
//! nothing twice, and a file that is no good changes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::oracle::{Account, Expected};
use crate::support::service::{Service, order, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(90);
/// As many as the topic has.
const PARTITIONS: i32 = 6;

struct Scene {
    kafka: Arc<KafkaCluster>,
    sandbox: LaunchDarkly,
    topic: String,
    group: String,
    config: String,
}

impl Scene {
    async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let sandbox = LaunchDarkly::start().await;
        let topic = kafka.unique_topic("orders", 6).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
        Self { kafka, sandbox, topic, group, config }
    }

    /// The configuration with another mapping of the same records.
    fn mapping(&self, version: usize) -> String {
        let data = "data: { id: $.row.id }";
        assert!(self.config.contains(data));
        let other = format!("data: {{ id: $.row.id, version: {{ literal: {version} }} }}");
        self.config.replace(data, &other)
    }

    async fn produce(&self, ids: &[String]) {
        let records = ids.iter().zip(0_i32..).map(|(id, n)| {
            NewRecord::to(n % PARTITIONS).key(id.as_str()).value(order("c", id, "1"))
        });
        self.kafka.produce(&self.topic, records).await;
    }

    /// Waits until Kafka knows that everything is settled.
    async fn caught_up(&self) {
        self.kafka.all_committed(&self.group, &self.topic, PATIENCE).await;
    }

    async fn nothing_in_flight(&self, service: &Service) {
        eventually(PATIENCE, "nothing to be in flight", async || {
            let lag = service.metric("ldsink_in_flight_records", &[]).await;
            if lag == 0.0 { Ok(()) } else { Err(format!("{lag} in flight")) }
        })
        .await;
    }
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| format!("e-{n}")).collect()
}

fn expected(ids: impl IntoIterator<Item = String>) -> Expected {
    Expected { delivered: ids.into_iter().collect(), ..Expected::default() }
}

/// Mappings that change under load, with LaunchDarkly at its everyday worst.
#[tokio::test(flavor = "multi_thread")]
async fn mappings_that_change_under_load_lose_and_repeat_nothing() {
    let scene = Scene::set().await;
    let faults = json!([
        { "times": 4, "action": { "kind": "cut_after_accept" } },
        { "times": 3, "action": { "kind": "status", "status": 500, "after_accept": true } },
        { "times": 2, "action": { "kind": "status", "status": 429, "retry_after_seconds": 1 } },
        { "times": 4, "action": { "kind": "delay", "ms": 300 } },
        { "times": 3, "action": { "kind": "cut_after_accept" } },
    ]);
    let service = Service::start(&scene.config);
    for round in 0..8 {
        scene.sandbox.set_faults(faults.clone()).await;
        scene.produce(&ids(round * 4_000..(round + 1) * 4_000)).await;
        service.rewrite(&scene.mapping(round));
        if round % 2 == 0 {
            let (status, said) = service.reload().await;
            assert!(status == 200 && said.contains("generation"), "{status} {said}");
        } else {
            service.hang_up().await;
            eventually(PATIENCE, "the reload", async || {
                service.lines_with("configuration reloaded") == round + 1
            })
            .await;
        }
    }
    let expected = expected(ids(0..32_000));
    expected.hold(PATIENCE, &scene.sandbox).await;
    eventually(PATIENCE, "the configurations before to end", async || {
        let ended = service.lines_with("a configuration before has ended");
        if ended == 8 { Ok(()) } else { Err(ended.to_string()) }
    })
    .await;
    scene.nothing_in_flight(&service).await;
    let repeats = scene.sandbox.journal().await["repeats_dropped"].as_u64().unwrap();
    assert!(repeats >= 10, "the faults struck: {repeats}");
    assert!(service.metric("ldsink_recovered_records_total", &["may_repeat"]).await < 0.5);
    assert!(service.metric("ldsink_rebalances_total", &["revoked"]).await < 0.5);
    assert!(service.stop().await.status.success());
    expected.account(&scene.sandbox).await;
}

/// What was cut under one mapping keeps it while LaunchDarkly does not answer, whatever is reloaded
/// meanwhile: it had taken all of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_holds_a_change_up_and_loses_nothing() {
    let scene = Scene::set().await;
    let service = Service::start(&scene.config);
    scene.produce(&ids(0..600)).await;
    expected(ids(0..600)).hold(PATIENCE, &scene.sandbox).await;
    // Accepted, and nobody hears of it.
    scene
        .sandbox
        .set_faults(json!([{ "times": 100_000, "action": { "kind": "cut_after_accept" } }]))
        .await;
    scene.produce(&ids(600..1_200)).await;
    eventually(PATIENCE, "requests that fail", async || {
        service.metric("ldsink_request_retries_total", &[]).await >= 6.0
    })
    .await;
    service.rewrite(&scene.mapping(1));
    assert_eq!(service.reload().await.0, 200);
    eventually(PATIENCE, "partitions that change over", async || {
        let status: Value = serde_json::from_str(&service.ask("/status").await.1).unwrap();
        let states: Vec<_> =
            status["partitions"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
        if states.iter().any(|state| *state == "changes_over") {
            Ok(())
        } else {
            Err(format!("{states:?}"))
        }
    })
    .await;
    scene.produce(&ids(1_200..1_800)).await;
    let (_, in_flight) = service.ask("/in-flight").await;
    let in_flight: Value = serde_json::from_str(&in_flight).unwrap();
    let oldest = &in_flight["requests"][0];
    assert!(oldest["last_error"].as_str().is_some(), "{in_flight}");
    assert_eq!(oldest["topic"], scene.topic.as_str());

    scene.sandbox.clear_faults().await;
    let all = expected(ids(0..1_800));
    all.hold(PATIENCE, &scene.sandbox).await;
    scene.nothing_in_flight(&service).await;
    assert!(service.metric("ldsink_recovered_records_total", &["may_repeat"]).await < 0.5);
    assert!(service.stop().await.status.success());
    all.account(&scene.sandbox).await;
}

/// A kill while partitions change over is a changed mapping across a crash: nothing is lost, and what may
/// count twice is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_change_loses_nothing_and_tells_what_may_repeat() {
    let scene = Scene::set().await;
    let mut next = 0;
    let mut may_repeat = 0.0;
    // The group soon forgets who was killed.
    let mapping = |version| {
        with_properties(
            &scene.mapping(version),
            "session.timeout.ms: 6000, heartbeat.interval.ms: 500",
        )
    };
    for version in 0..3 {
        let service = Service::start(&mapping(version));
        // What the one before left is accounted for.
        scene.caught_up().await;
        may_repeat += service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
        let counted = scene.sandbox.count("events_counted").await;
        scene.produce(&ids(next..next + 4_000)).await;
        next += 4_000;
        eventually(PATIENCE, "some of it to count", async || {
            scene.sandbox.count("events_counted").await > counted + 500
        })
        .await;
        service.rewrite(&mapping(version + 1));
        assert_eq!(service.reload().await.0, 200);
        service.kill().await;
    }
    let service = Service::start(&mapping(3));
    scene.caught_up().await;
    let all = expected(ids(0..next));
    may_repeat += service.metric("ldsink_recovered_records_total", &["may_repeat"]).await;
    assert!(service.stop().await.status.success());
    let account = Account::of(&all.delivered, &scene.sandbox.counted().await);
    assert!(account.lost.is_empty() && account.unexpected.is_empty(), "{account}");
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let twice = account.counted_twice.len() as f64;
    assert!(twice <= may_repeat, "{twice} count twice, {may_repeat} were told");
}

/// What waits for a token is cut under the mapping before; it goes with the new token and that mapping.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_and_a_mapping_that_were_wrong_are_mended_together() {
    let scene = Scene::set().await;
    let token = "    access_token: ${LDSINK_TEST_TOKEN:-api-sandbox}";
    assert!(scene.config.contains(token));
    let in_file = |config: &str| config.replace(token, "    access_token_file: token");
    let service =
        Service::start_beside(&in_file(&scene.config), &[], &[("token", "api-revoked\n")]);
    scene.produce(&ids(0..300)).await;
    service.says(PATIENCE, &["lane halted"]).await;
    assert_eq!(service.ask("/ready").await.0, 503);

    service.write("token", &format!("{TOKEN}\n"));
    service.rewrite(&in_file(&scene.mapping(2)));
    let (status, said) = service.reload().await;
    assert!(status == 200 && said.contains("new access tokens: production"), "{status} {said}");
    let all = expected(ids(0..300));
    all.hold(PATIENCE, &scene.sandbox).await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    // A token alone takes no generation.
    service.write("token", "api-revoked\n");
    let (_, said) = service.reload().await;
    assert!(said.contains("new access tokens") && !said.contains("generation"), "{said}");
    service.write("token", &format!("{TOKEN}\n"));
    assert_eq!(service.reload().await.0, 200);
    assert!(service.reload().await.1.contains("nothing has changed"));
    assert!(!service.log().contains(TOKEN));
    assert!(service.stop().await.status.success());
    all.account(&scene.sandbox).await;
}

/// A mapping that refuses everything is mended without a restart, and what waited is mapped anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_halted_goes_on_with_the_mended_mapping() {
    let scene = Scene::set().await;
    let broken = scene.config.replace("user: $.row.user_id", "user: $.row.customer");
    let guard = "dead_letter: { guard: { max_run: 5, probe_interval: 1h }, topic:";
    let broken = broken.replace("dead_letter: { topic:", guard);
    let service = Service::start(&broken);
    scene.produce(&ids(0..300)).await;
    service.says(PATIENCE, &["route halted"]).await;
    service.rewrite(&broken.replace("user: $.row.customer", "user: $.row.user_id"));
    let (status, said) = service.reload().await;
    assert_eq!(status, 200, "{said}");
    eventually(PATIENCE, "all but the dead letters to count", async || {
        let dead = service.metric("ldsink_records_total", &["dead_lettered"]).await;
        let counted = scene.sandbox.count("events_counted").await;
        #[expect(clippy::cast_precision_loss, reason = "hundreds")]
        let all = counted as f64 + dead;
        if dead > 0.0 && (all - 300.0).abs() < 0.5 {
            Ok(())
        } else {
            Err(format!("{counted} and {dead}"))
        }
    })
    .await;
    eventually(PATIENCE, "readiness", async || service.ask("/ready").await.0 == 200).await;
    assert!(service.stop().await.status.success());
    let letters = scene.kafka.read_all(&format!("{}.dead", scene.topic)).await;
    let dead: BTreeSet<_> =
        letters.iter().map(|it| String::from_utf8(it.key.clone().unwrap()).unwrap()).collect();
    assert_eq!(dead.len(), letters.len());
    expected(ids(0..300).into_iter().filter(|id| !dead.contains(id))).account(&scene.sandbox).await;
}

/// What is wrong is told as `ldsink check` tells it, and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_good_is_refused_with_its_reasons() {
    let scene = Scene::set().await;
    let service = Service::start(&scene.config);
    scene.produce(&ids(0..100)).await;
    expected(ids(0..100)).hold(PATIENCE, &scene.sandbox).await;
    let refused = async |config: &str, wanted: &[&str]| {
        service.rewrite(config);
        let (status, said) = service.reload().await;
        assert_eq!(status, 422, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        let message = said["message"].as_str().unwrap().to_owned();
        assert!(wanted.iter().all(|part| message.contains(part)), "{message}");
        message
    };
    let bad =
        scene.config.replace("format: debezium", "format: debezum").replace("500ms", "5 apples");
    let message = refused(&bad, &["did you mean `debezium`?", "2 mistakes"]).await;
    let directory = tempfile::TempDir::new().unwrap();
    let file = directory.path().join("ldsink.yaml");
    std::fs::write(&file, &bad).unwrap();
    let mut check = std::process::Command::new(env!("CARGO_BIN_EXE_ldsink"));
    let said = check.arg("check").arg(&file).output().unwrap();
    let lines = |text: &str| -> Vec<String> {
        let after = |line: &str| line.split_once("ldsink.yaml").map(|(_, rest)| rest.to_owned());
        text.lines().filter_map(after).collect()
    };
    assert_eq!(lines(&message), lines(&String::from_utf8(said.stderr).unwrap()));

    let group = scene.config.replace("  group_id: ", "  group_id: other-");
    refused(&group, &["kafka: takes a restart; nothing was reloaded"]).await;
    let traces = format!("{}traces: {{ endpoint: http://127.0.0.1:1 }}\n", scene.config);
    refused(&traces, &["traces: takes a restart"]).await;
    let topics = format!("topics: [{}]", scene.topic);
    let more = scene.config.replace(&topics, &format!("topics: [{}, another]", scene.topic));
    let letters = more.replace("dead_letter: { topic: ", "dead_letter: { topic: other-");
    refused(&letters, &["the topics of routes", "dead_letter.topic"]).await;
    refused("kafka: [", &["1 mistake"]).await;

    let (_, status) = service.ask("/status").await;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["generation"], &status["reloaded"]["ok"]), (&json!(1), &json!(false)));
    scene.produce(&ids(100..200)).await;
    let all = expected(ids(0..200));
    all.hold(PATIENCE, &scene.sandbox).await;
    assert!(service.stop().await.status.success());
    all.account(&scene.sandbox).await;
}
