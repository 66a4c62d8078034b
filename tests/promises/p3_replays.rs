//! P3 for dead letters: what one target has counted and another refused is counted once by each after
//! a replay, however often that is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::{LaunchDarkly, TOKEN};
use crate::support::oracle::{Expected, header};
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const GOOD: usize = 50;

/// A topic that feeds two targets; one of them refuses poison.
struct Scene {
    kafka: Arc<KafkaCluster>,
    production: LaunchDarkly,
    partner: LaunchDarkly,
    topic: String,
    group: String,
    config: String,
    directory: TempDir,
}

/// What a command said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Scene {
    async fn set() -> Self {
        let kafka = KafkaCluster::shared().await;
        let (production, partner) = (LaunchDarkly::start().await, LaunchDarkly::start().await);
        let topic = kafka.unique_topic("orders", 2).await;
        let group = unique_name("group");
        let config = orders_config(kafka.bootstrap(), &topic, &group, production.url());
        let partner_url = partner.url();
        let target = format!(
            "targets:\n  partner: {{ access_token: {TOKEN}, project: storefront, environment: \
             production, events_url: \"{partner_url}\", api_url: \"{partner_url}\" }}\n"
        );
        let route = format!(
            "routes:\n  - name: partner\n    topics: [{topic}]\n    format: debezium\n    \
             metric_event: {{ target: partner, key: checkout, context: {{ user: $.row.user_id }}, \
             data: {{ id: $.row.id }} }}\n"
        );
        let config = config.replace("targets:\n", &target).replace("routes:\n", &route);
        let scene = Self {
            kafka,
            production,
            partner,
            topic,
            group,
            config,
            directory: TempDir::new().unwrap(),
        };
        scene.write(&scene.config);
        let refusal = json!([{
            "body_contains": "poison",
            "action": { "kind": "status", "status": 400 }
        }]);
        scene.partner.set_faults(refusal).await;
        scene
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ldsink.yaml")
    }

    fn write(&self, config: &str) {
        std::fs::write(self.file(), config).unwrap();
    }

    fn dead(&self) -> String {
        format!("{}.dead", self.topic)
    }

    /// Good ones, one that no mapping takes, and one that only the partner refuses.
    async fn produce(&self) -> BTreeSet<String> {
        let mut ids: BTreeSet<String> = (0..GOOD).map(|n| format!("e-{n}")).collect();
        let mut records: Vec<NewRecord> = ids
            .iter()
            .map(|id| NewRecord::to(0).key(id.as_str()).value(order("c", id, "1")))
            .collect();
        let nobody = order("c", "nobody", "1").replace(r#""user_id":"u-nobody","#, "");
        records.insert(20, NewRecord::to(0).key("nobody").value(nobody).header("trace", "t-1"));
        let poison = order("c", "poison", "1");
        records.push(NewRecord::to(1).key("poison").value(poison).timestamp(1_700_000_000_123));
        self.kafka.produce(&self.topic, records).await;
        ids.extend(["nobody".to_owned(), "poison".to_owned()]);
        ids
    }

    async fn letters(&self, count: usize) -> Vec<crate::support::kafka::StoredRecord> {
        eventually(PATIENCE, &format!("{count} dead letters"), async || {
            let letters = self.kafka.read_all(&self.dead()).await;
            if letters.len() == count { Ok(letters) } else { Err(letters.len().to_string()) }
        })
        .await
    }

    async fn dlq(&self, arguments: &[&str]) -> Said {
        ldsink(&self.file(), arguments).await
    }
}

async fn ldsink(config: &Path, arguments: &[&str]) -> Said {
    let output = Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .arg("dlq")
        .args(arguments)
        .arg("--config")
        .arg(config)
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn set(ids: &BTreeSet<String>, without: &[&str]) -> Expected {
    let delivered = ids.iter().filter(|id| !without.contains(&id.as_str())).cloned().collect();
    Expected { delivered, ..Expected::default() }
}

/// Looking at letters tells all but what they hold.
async fn look(scene: &Scene) {
    let listed = scene.dlq(&["list"]).await;
    assert_eq!(listed.code, Some(0), "{}", listed.err);
    assert_eq!(listed.out.lines().count(), 4, "{}", listed.out);
    assert!(listed.out.contains("2 dead letters (1 missing_field, 1 refused_by_launchdarkly)"));
    assert!(!listed.out.contains("user_id\":"), "D1: {}", listed.out);
    let poison = scene.dlq(&["list", "--json", "--route", "partner", "--since", "1h"]).await.out;
    let lines: Vec<Value> = poison.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let reasons: Vec<_> = lines.iter().map(|l| &l["told"]["ldsink.reason"]).collect();
    assert!(reasons.contains(&&json!("refused_by_launchdarkly")), "{poison}");
    let poison = &lines.iter().find(|l| l["told"]["ldsink.status"] == "400").unwrap();
    assert_eq!(poison["told"]["ldsink.only_routes"], "partner");
    assert!(!poison["told"]["ldsink.answer"].as_str().unwrap().is_empty());
    let place = poison["letter"].as_str().unwrap();
    let shown = scene.dlq(&["show", place]).await.out;
    assert!(shown.contains("ldsink.remedy: ") && !shown.contains("u-poison"), "{shown}");
    assert!(scene.dlq(&["show", place, "--value"]).await.out.contains("u-poison"));
    for (nothing, said) in
        [("--until", "1h"), ("--topic", "elsewhere"), ("--reason", "invalid_json")]
    {
        assert_eq!(scene.dlq(&["list", nothing, said]).await.out, "no dead letters\n");
    }
}

/// What was replayed is the record as it was, in its place.
async fn originals(scene: &Scene) {
    let stored = scene.kafka.read_all(&scene.topic).await;
    let again: Vec<_> = stored
        .iter()
        .filter(|record| record.headers.iter().any(|(name, _)| name == "ldsink.replay_count"))
        .collect();
    assert_eq!(again.len(), 2);
    for record in again {
        let is_original = |other: &&crate::support::kafka::StoredRecord| {
            other.key == record.key && other.offset != record.offset
        };
        let original = stored.iter().find(is_original).unwrap();
        assert_eq!(record.partition, original.partition);
        assert_eq!(record.value, original.value);
        assert_eq!(record.timestamp, original.timestamp);
        let own = record.headers.iter().filter(|(name, _)| !name.starts_with("ldsink."));
        assert_eq!(own.collect::<Vec<_>>(), original.headers.iter().collect::<Vec<_>>());
        assert!(record.headers.iter().all(|(name, _)| !name.starts_with("__connect")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_after_mending_counts_everything_once_at_every_target() {
    let scene = Scene::set().await;
    let ids = scene.produce().await;
    let service = Service::start(&scene.config);
    set(&ids, &["nobody"]).hold(PATIENCE, &scene.production).await;
    set(&ids, &["nobody", "poison"]).hold(PATIENCE, &scene.partner).await;
    let letters = scene.letters(2).await;
    assert!(service.stop().await.status.success());
    for letter in &letters {
        let all = format!("{:?}", letter.headers);
        assert!(!all.contains(TOKEN), "{all}");
        assert_eq!(header(letter, "ldsink.replay_count"), "0");
    }

    look(&scene).await;
    let before = scene.kafka.end_offsets(&scene.topic).await;
    let dry = scene.dlq(&["replay", "--all", "--dry-run"]).await;
    assert!(dry.out.contains("2 would be replayed, 0 replayed before, 0 left"), "{}", dry.out);
    assert_eq!(scene.dlq(&["replay"]).await.code, Some(2), "it asks for which");
    assert_eq!(scene.kafka.end_offsets(&scene.topic).await, before);

    // Mended at both ends, and replayed by several people at once and again.
    scene.partner.clear_faults().await;
    let user = "context: { user: $.row.user_id }";
    assert_eq!(scene.config.matches(user).count(), 2);
    let mended = "context: { user: { from: $.row.user_id, default: nobody } }";
    let mended = scene.config.replace(user, mended);
    scene.write(&mended);
    let first = scene.dlq(&["replay", "--route", "partner", "--reason", "missing_field"]).await;
    assert!(first.out.contains("1 replayed, 0 replayed before"), "{} {}", first.out, first.err);
    let (one, two) = tokio::join!(scene.dlq(&["replay", "--all"]), scene.dlq(&["replay", "--all"]));
    for said in [&one, &two] {
        let is_superseded = said.err.contains("another replay has begun");
        assert!(said.code == Some(0) || is_superseded, "{} {}", said.out, said.err);
    }
    let last = scene.dlq(&["replay", "--all"]).await;
    assert!(
        last.out.contains("0 replayed, 2 replayed before, 0 left"),
        "{} {}",
        last.out,
        last.err
    );
    assert!(scene.dlq(&["list", "--open"]).await.out.contains("no dead letters"));

    let service = Service::start(&mended);
    set(&ids, &[]).hold(PATIENCE, &scene.production).await;
    set(&ids, &[]).hold(PATIENCE, &scene.partner).await;
    assert!(service.stop().await.status.success());
    set(&ids, &[]).account(&scene.production).await;
    set(&ids, &[]).account(&scene.partner).await;
    assert_eq!(scene.letters(2).await.len(), 2, "nothing was refused again");
    originals(&scene).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_again_and_again_ends_at_the_ceiling() {
    let scene = Scene::set().await;
    let ids = scene.produce().await;
    let service = Service::start(&scene.config);
    scene.letters(2).await;
    let only = ["replay", "--reason", "refused_by_launchdarkly", "--max-replays", "2"];
    for round in 1..=2 {
        let said = scene.dlq(&only).await;
        assert!(said.out.contains("1 replayed"), "{} {}", said.out, said.err);
        let letters = scene.letters(2 + round).await;
        let newest = letters.iter().max_by_key(|letter| letter.offset).unwrap();
        assert_eq!(header(newest, "ldsink.replay_count"), round.to_string());
        assert_eq!(header(newest, "ldsink.only_routes"), "partner");
        let first = header(&letters[0], "ldsink.first_failed_at");
        assert!(header(newest, "ldsink.first_failed_at") >= first);
        assert!(header(newest, "ldsink.failed_at") > header(newest, "ldsink.first_failed_at"));
    }
    let said = scene.dlq(&only).await;
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("it was replayed 2 times already"), "{}", said.err);
    assert!(said.out.contains("0 replayed, 2 replayed before, 1 left"), "{}", said.out);
    // A replay marks what was replayed, and nothing else.
    let marks = scene.kafka.committed(&format!("{}.dlq-replay", scene.group), &scene.dead()).await;
    assert!(marks.iter().any(|mark| mark.metadata.starts_with("ldsink-dlq/1")), "{marks:?}");
    // The other target has counted it when it came first, and never again.
    set(&ids, &["nobody"]).account(&scene.production).await;
    assert!(service.stop().await.status.success());
}
