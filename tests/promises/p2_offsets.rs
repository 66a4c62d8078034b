//! P2 when offsets do not lead where they did: a topic made anew, a position outside of the log.

use std::time::Duration;

use crate::support::kafka::{Committed, KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Ended, Service, order, orders_config, with_properties};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

async fn produce(kafka: &KafkaCluster, topic: &str, ids: &[String]) {
    let records = ids.iter().map(|id| NewRecord::to(0).key(id.as_str()).value(order("c", id, "1")));
    kafka.produce(topic, records).await;
}

async fn commits(kafka: &KafkaCluster, group: &str, topic: &str, offset: i64) {
    eventually(PATIENCE, &format!("offset {offset} to be committed"), async || {
        let committed = kafka.committed(group, topic).await;
        if committed[0].offset == Some(offset) { Ok(()) } else { Err(format!("{committed:?}")) }
    })
    .await;
}

/// What was delivered of a topic, and what comes after it was deleted and created again: more records,
/// at offsets that have been settled once already.
struct TwoLives {
    before: Vec<String>,
    after: Vec<String>,
    expected: Expected,
}

fn two_lives() -> TwoLives {
    let ids = |life: &str, count: u32| (0..count).map(|n| format!("{life}-{n}")).collect();
    let (before, after): (Vec<String>, Vec<String>) = (ids("before", 1_000), ids("after", 1_200));
    let delivered = before.iter().chain(&after).cloned().collect();
    TwoLives { before, after, expected: Expected { delivered, ..Expected::default() } }
}

/// How a consumer may learn that its topic was made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// It looked while there was no topic.
    Gone,
    /// Its position is beyond the end of the new log. Kafka has no other way to tell.
    OutOfRange,
}

async fn a_topic_begins_again(notice: Notice) {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let group = unique_name("group");
    let mut config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
    if notice == Notice::Gone {
        // The client looks at its topics every minute by default.
        config = with_properties(&config, "topic.metadata.refresh.interval.ms: 500");
    }
    let TwoLives { before, after, expected } = two_lives();

    produce(&kafka, &topic, &before).await;
    let service = Service::start(&config);
    commits(&kafka, &group, &topic, 1_000).await;
    kafka.delete_topic(&topic).await;
    if notice == Notice::Gone {
        service.says(PATIENCE, &["partitions revoked"]).await;
    }
    kafka.create_topic(&topic, 1, 1).await;
    if notice == Notice::OutOfRange {
        service.says(PATIENCE, &["offset reset", &topic]).await;
    }
    produce(&kafka, &topic, &after).await;
    expected.hold(PATIENCE, &sandbox).await;
    commits(&kafka, &group, &topic, 1_200).await;
    let ended = service.stop().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    expected.account(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_after_a_while_created_again() {
    a_topic_begins_again(Notice::Gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_at_once_created_again() {
    a_topic_begins_again(Notice::OutOfRange).await;
}

/// Kafka forgets the group's offsets together with the topic, so a start begins with the first record.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_created_again_between_two_runs() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let group = unique_name("group");
    let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
    let TwoLives { before, after, expected } = two_lives();

    produce(&kafka, &topic, &before).await;
    let service = Service::start(&config);
    commits(&kafka, &group, &topic, 1_000).await;
    assert!(service.stop().await.status.success());
    kafka.delete_topic(&topic).await;
    kafka.create_topic(&topic, 1, 1).await;
    produce(&kafka, &topic, &after).await;
    let service = Service::start(&config);
    expected.hold(PATIENCE, &sandbox).await;
    commits(&kafka, &group, &topic, 1_200).await;
    assert!(service.stop().await.status.success());
    expected.account(&sandbox).await;
}

/// `auto.offset.reset: error` says that a position must not be guessed. A service that went on would
/// sit there, alive and ready, and never read a record again.
async fn a_service_without_a_position_ends(committed: Option<i64>) {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let group = unique_name("group");
    produce(&kafka, &topic, &["e-0".to_owned()]).await;
    if let Some(offset) = committed {
        let at = Committed { partition: 0, offset: Some(offset), metadata: String::new() };
        kafka.commit(&group, &topic, [at]).await;
    }
    let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
    let service = Service::start(&with_properties(&config, "auto.offset.reset: error"));
    let Ended { status, log } = service.ended(Duration::from_secs(20)).await;
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {log}");
    let said = log.lines().find(|line| line.contains("\"ERROR\"")).unwrap_or_default();
    assert!(said.contains("auto.offset.reset"), "the error does not tell why:\n{log}");
    let after = kafka.committed(&group, &topic).await;
    assert_eq!(after[0].offset, committed, "the position is the user's to mend");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_outside_of_the_log_ends_the_service_when_told_so() {
    a_service_without_a_position_ends(Some(5_000)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_position_at_all_ends_the_service_when_told_so() {
    a_service_without_a_position_ends(None).await;
}

/// Somebody moves the group's offsets between two runs, as `kafka-consumer-groups --reset-offsets`
/// does. That is a wish: what lies from there on is read, and what was counted before counts again.
#[tokio::test(flavor = "multi_thread")]
async fn offsets_that_were_moved_by_hand_are_obeyed() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let group = unique_name("group");
    let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
    let ids = |from: usize, to: usize| (from..to).map(|n| format!("e-{n}")).collect::<Vec<_>>();
    let run_until = async |offset: i64| {
        let service = Service::start(&config);
        commits(&kafka, &group, &topic, offset).await;
        let ended = service.stop().await;
        assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    };
    let move_to = async |offset: i64, metadata: &str| {
        let at = Committed { partition: 0, offset: Some(offset), metadata: metadata.to_owned() };
        kafka.commit(&group, &topic, [at]).await;
    };
    let times = async |n: usize| sandbox.counted().await.get(&format!("e-{n}")).copied();

    produce(&kafka, &topic, &ids(0, 1_000)).await;
    run_until(1_000).await;
    // Back, with metadata that is not ours.
    move_to(400, "reset by hand").await;
    run_until(1_000).await;
    assert_eq!((times(399).await, times(400).await, times(999).await), (Some(1), Some(2), Some(2)));
    // Onward, past records that nobody wants.
    produce(&kafka, &topic, &ids(1_000, 1_500)).await;
    move_to(1_200, "").await;
    run_until(1_500).await;
    assert_eq!((times(1_199).await, times(1_200).await), (None, Some(1)));
    // Gone: everything from the beginning. Batches that happen to be the same as then are the same
    // requests, so how often their events count is not ours to say.
    kafka.delete_group(&group).await;
    run_until(1_500).await;
    assert_eq!(times(1_199).await, Some(1));
    assert_eq!(sandbox.counted().await.len(), 1_500, "nothing is missing");
}
