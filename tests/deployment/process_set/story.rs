//! The set as its user meets it: started, looked at, disturbed as the compose file suggests, stopped,
//! started again.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::account::Account;
use super::grafana;
use super::set::{Ended, ProcessSet};
use crate::configuration::configuration;
use crate::files::{path, text};
use crate::rules::rules;
use crate::support::kafka::KafkaCluster;
use crate::support::prometheus::Prometheus;
use crate::support::wait::eventually;

/// Enough that orders without a user and lines that are no JSON soon come up.
const ORDERS: (&str, &str) = ("ORDERS_PER_SECOND", "400");
/// For records to get through, and for Prometheus to have seen them twice.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How the services end that nothing but the others' stop waits for, in reverse order of their start.
const DOWN: [(&str, i32); 3] = [("sandbox", 0), ("prometheus", 0), ("kafka", TERMINATED)];

/// How a process ends that SIGTERM ends: what bash and the Java machine do.
const TERMINATED: i32 = 128 + 15;

#[tokio::test(flavor = "multi_thread")]
async fn the_set_starts_delivers_stops_and_goes_on() {
    let mut set = ProcessSet::lay_out(&[ORDERS]);
    the_scripts_are_unchanged(&set);
    set.up().await;
    let kafka = kafka_of(&set).await;
    let prometheus = Prometheus::existing(&set.url(9090));
    the_topics_are_those_of_the_script(&kafka).await;
    orders_arrive(&set, &kafka).await;
    prometheus_sees_it(&prometheus).await;
    grafana::would_show_it(&set).await;
    a_fault_as_the_file_suggests_is_seen_and_passes(&mut set).await;

    assert_eq!(set.stop_one("orders").await.1, TERMINATED);
    assert_eq!(set.stop_one("ldsink").await.1, 0);
    let before = journal(&set).await;
    let scraped = prometheus.query("timestamp(up{job='ldsink'})").await[0].1;
    assert_eq!(set.down().await, DOWN.map(named));
    drop(kafka);

    set.up().await;
    let kafka = kafka_of(&set).await;
    set.comes_back_without("orders", "ConsoleProducer").await;
    orders_arrive(&set, &kafka).await;
    assert_eq!(set.stop_one("orders").await.1, TERMINATED);
    kafka.all_committed(&configuration(&[]).kafka.group_id, &orders(), PATIENCE).await;
    let after = journal(&set).await;
    nothing_is_lost_or_repeated(&kafka, [before, after]).await;
    let kept = format!("up{{job='ldsink'}} @ {scraped}");
    assert_eq!(prometheus.query(&kept).await.len(), 1, "Prometheus has forgotten the first run");
    let [sandbox, prometheus, kafka] = DOWN;
    assert_eq!(set.down().await, [("ldsink", 0), sandbox, prometheus, kafka].map(named));
}

fn named((name, code): (&str, i32)) -> Ended {
    (name.to_owned(), code)
}

/// A script that had been changed for this test would be a copy.
fn the_scripts_are_unchanged(set: &ProcessSet) {
    for name in ["topics", "orders"] {
        let script = set.places.root(set.service(name)).join(format!("scripts/{name}.sh"));
        assert_eq!(fs::read_link(script).unwrap(), path(&format!("config/compose/{name}.sh")));
    }
}

/// With the partitions and the settings that it asks for.
async fn the_topics_are_those_of_the_script(kafka: &KafkaCluster) {
    let script = text("config/compose/topics.sh");
    let asked = script.lines().filter_map(|line| line.strip_prefix("create "));
    let asked: Vec<Vec<&str>> = asked.map(|line| line.split(' ').collect()).collect();
    let mut set = 0;
    for words in &asked {
        let [topic, "--partitions", partitions, settings @ ..] = &words[..] else {
            panic!("{words:?}")
        };
        assert_eq!(kafka.partitions(topic).await.len().to_string(), *partitions, "{topic}");
        if let ["--config", setting] = settings {
            let (key, value) = setting.split_once('=').unwrap();
            assert_eq!(kafka.topic_setting(topic, key).await.as_deref(), Some(value), "{topic}");
            set += 1;
        }
    }
    assert_eq!((asked.len(), set), (2, 1), "the topics and the settings of {asked:?}");
}

/// What the sandbox has counted, and what came to it a second time.
#[derive(Debug, Clone, Copy)]
struct Journal {
    counted: u64,
    repeated: u64,
}

async fn journal(set: &ProcessSet) -> Journal {
    let answer = reqwest::get(format!("{}/sandbox/journal", set.url(8765))).await.unwrap();
    let journal: Value = answer.json().await.unwrap();
    let number =
        |field: &str| journal[field].as_u64().unwrap_or_else(|| panic!("{field}: {journal}"));
    assert_eq!(number("events_accepted"), number("events_counted"), "some do not count: {journal}");
    Journal { counted: number("events_counted"), repeated: number("events_repeated") }
}

/// To the sandbox, and to the dead-letter topic.
async fn orders_arrive(set: &ProcessSet, kafka: &KafkaCluster) {
    eventually(PATIENCE, "orders to be counted and refused", async || {
        let counted = journal(set).await.counted;
        let letters = kafka.end_offsets(&dead_letters()).await.values().sum::<i64>();
        if counted > 1_000 && letters > 0 {
            Ok(())
        } else {
            Err(format!("{counted} counted, {letters} refused"))
        }
    })
    .await;
}

async fn prometheus_sees_it(prometheus: &Prometheus) {
    eventually(PATIENCE, "both jobs to be up", async || {
        let up = prometheus.query("up == 1").await;
        let jobs: BTreeSet<_> =
            up.iter().filter_map(|(labels, _)| labels["job"].as_str()).collect();
        if jobs == BTreeSet::from(["ldsink", "prometheus"]) {
            Ok(())
        } else {
            Err(format!("{up:?}"))
        }
    })
    .await;
    let read = prometheus.rules().await;
    let name = |rule: &Value, key: &str| rule[key].as_str().unwrap().to_owned();
    let read: BTreeSet<_> = read.iter().map(|rule| name(rule, "name")).collect();
    assert_eq!(read, rules().iter().map(|rule| name(rule, "alert")).collect());
    assert_eq!(prometheus.broken_rules().await, Vec::<String>::new());
}

/// Does what the compose file tells its reader to try.
async fn a_fault_as_the_file_suggests_is_seen_and_passes(set: &mut ProcessSet) {
    let compose = text("docker-compose.yml");
    let commands = compose
        .lines()
        .filter_map(|line| line.strip_prefix("#   ").filter(|it| it.starts_with("curl ")));
    let commands: Vec<String> =
        commands.map(|it| set.places.for_this_machine(&set.services, it)).collect();
    let [fault, end] = &commands[..] else { panic!("{commands:?}") };
    sh(fault);
    let reason = set.unhealthy("ldsink", PATIENCE).await;
    assert!(reason.contains("outage"), "{reason}");
    sh(end);
    set.healthy("ldsink").await;
}

fn sh(command: &str) {
    let output = Command::new("sh")
        .args(["-c", &format!("{command} --silent --show-error --fail")])
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
}

async fn nothing_is_lost_or_repeated(kafka: &KafkaCluster, runs: [Journal; 2]) {
    let expected = Account::of(&kafka.read_all(&orders()).await);
    let letters = kafka.read_all(&dead_letters()).await.len() as u64;
    assert!(expected.delivered > 2_000 && expected.filtered > 200, "{expected:?}");
    let counted: u64 = runs.iter().map(|run| run.counted).sum();
    assert_eq!(
        (counted, letters),
        (expected.delivered, expected.dead_letters),
        "{runs:?} {expected:?}"
    );
    assert_eq!(runs.map(|run| run.repeated), [0, 0], "a clean stop repeats nothing");
}

/// As a client of this machine has it.
async fn kafka_of(set: &ProcessSet) -> KafkaCluster {
    KafkaCluster::existing(set.places.published(&set.services, 29092)).await
}

fn orders() -> String {
    configuration(&[]).pipeline.routes[0].topics[0].to_string()
}

fn dead_letters() -> String {
    configuration(&[]).pipeline.dead_letter.topic
}
