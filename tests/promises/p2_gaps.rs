//! P2 where offsets have gaps: transactions leave markers that are no records, and aborted ones leave
//! records that are not to be read.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::Expected;
use crate::support::service::{Service, order, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);
const REQUEST: Duration = Duration::from_secs(20);
const PARTITIONS: i32 = 3;

/// Produces transactions in turn, every other one aborted. Gives what was committed. Blocks.
fn produce(bootstrap: &str, topic: &str) -> Vec<String> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", topic)
        .create()
        .unwrap();
    producer.init_transactions(REQUEST).unwrap();
    let mut committed = Vec::new();
    for transaction in 0..40 {
        producer.begin_transaction().unwrap();
        let ids: Vec<String> = (0..25).map(|n| format!("t{transaction}-{n}")).collect();
        for (id, n) in ids.iter().zip(0..) {
            let value = order("c", id, "1");
            let record = BaseRecord::to(topic).partition(n % PARTITIONS).key(id).payload(&value);
            producer.send(record).unwrap();
        }
        if transaction % 2 == 0 {
            producer.commit_transaction(REQUEST).unwrap();
            committed.extend(ids);
        } else {
            // What was not sent yet would be dropped by the client itself.
            producer.flush(REQUEST).unwrap();
            producer.abort_transaction(REQUEST).unwrap();
        }
    }
    committed
}

#[tokio::test(flavor = "multi_thread")]
async fn only_committed_transactions_are_read_and_their_markers_are_passed() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("orders", usize::try_from(PARTITIONS).unwrap()).await;
    let group = unique_name("group");
    let config = orders_config(kafka.bootstrap(), &topic, &group, sandbox.url());
    let service = Service::start(&config);
    let (bootstrap, produced_to) = (kafka.bootstrap().to_owned(), topic.clone());
    let committed =
        tokio::task::spawn_blocking(move || produce(&bootstrap, &produced_to)).await.unwrap();
    let expected = Expected { delivered: committed.into_iter().collect(), ..Expected::default() };
    expected.hold(PATIENCE, &sandbox).await;
    // The log ends with an aborted transaction; the progress stands behind the last record before.
    let ends = kafka.end_offsets(&topic).await;
    eventually(PATIENCE, "the progress to be committed", async || {
        let committed = kafka.committed(&group, &topic).await;
        let near = |partition: i32, offset: Option<i64>| {
            offset.is_some_and(|offset| ends[&partition] - offset <= 25 / i64::from(PARTITIONS) + 4)
        };
        if committed.iter().all(|at| near(at.partition, at.offset)) {
            Ok(())
        } else {
            Err(format!("{committed:?} of {ends:?}"))
        }
    })
    .await;
    assert_eq!(service.stop().await.status.code(), Some(0));

    let service = Service::start(&config);
    let ready = async || service.ask("/ready").await.0 == 200;
    eventually(PATIENCE, "the next start", ready).await;
    assert_eq!(service.stop().await.status.code(), Some(0));
    expected.account(&sandbox).await;
    assert_eq!(sandbox.count("repeats_dropped").await, 0);
}
