//! Brokers that stop, die, hang and come back.

use std::time::Duration;

use crate::support::kafka::{KafkaCluster, NewRecord};

fn batch(name: &str) -> impl Iterator<Item = NewRecord> + use<> {
    let name = name.to_owned();
    (0..300).map(move |n| NewRecord::to(n % 3).value(format!("{name}-{n}")))
}

async fn assert_whole(kafka: &KafkaCluster, topic: &str, batches: usize) {
    let read = kafka.read_all(topic).await;
    let mut values: Vec<_> = read.into_iter().map(|record| record.value).collect();
    values.sort();
    values.dedup();
    assert_eq!(values.len(), batches * 300, "distinct records of {batches} batches");
}

/// One start for all three faults: three brokers are the dearest thing in this suite.
#[tokio::test]
async fn three_brokers_lose_no_record_to_a_stop_or_a_kill() {
    let kafka = KafkaCluster::start(3).await;
    kafka.create_topic("replicated", 3, 3).await;
    kafka.produce("replicated", batch("all three")).await;

    kafka.stop_broker(0).await;
    kafka.produce("replicated", batch("first stopped")).await;
    assert_whole(&kafka, "replicated", 2).await;
    kafka.restart_broker(0).await;

    kafka.kill_broker(1).await;
    kafka.produce("replicated", batch("second killed")).await;
    kafka.restart_broker(1).await;
    assert_whole(&kafka, "replicated", 3).await;
    assert_eq!(kafka.pids().len(), 3);
}

#[tokio::test]
async fn a_single_broker_comes_back_on_its_port_with_its_data() {
    let kafka = KafkaCluster::start(1).await;
    let topic = kafka.unique_topic("kept", 3).await;
    let bootstrap = kafka.bootstrap().to_owned();
    kafka.produce(&topic, batch("before")).await;

    kafka.kill_broker(0).await;
    assert!(kafka.pids().is_empty());
    kafka.restart_broker(0).await;
    assert_eq!(kafka.bootstrap(), bootstrap);
    kafka.produce(&topic, batch("between")).await;

    kafka.stop_broker(0).await;
    kafka.restart_broker(0).await;
    assert_whole(&kafka, &topic, 2).await;
}

#[tokio::test]
async fn a_suspended_broker_answers_only_when_resumed() {
    let kafka = KafkaCluster::start(1).await;
    let topic = kafka.unique_topic("silent", 3).await;
    kafka.suspend_broker(0);
    {
        let mut producing = std::pin::pin!(kafka.produce(&topic, batch("waiting")));
        let early = tokio::time::timeout(Duration::from_millis(500), &mut producing).await;
        assert!(early.is_err(), "a suspended broker acknowledged records");
        kafka.resume_broker(0);
        assert_eq!(producing.await.len(), 300);
    }
    assert_whole(&kafka, &topic, 1).await;
}
