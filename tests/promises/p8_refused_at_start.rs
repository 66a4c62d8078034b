//! P8: what cannot work ends at start, in clear words, with an exit code of its own.

use std::time::Duration;

use crate::support::kafka::{KafkaCluster, unique_name};
use crate::support::service::{Service, orders_config};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_broker() {
    let config = orders_config("127.0.0.1:1", "orders", "group", "http://127.0.0.1:1")
        .replace("startup_timeout: 20s", "startup_timeout: 2s");
    let ended = Service::start(&config).ended(PATIENCE).await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.log);
    for said in
        ["no Kafka broker answered at 127.0.0.1:1", "Connection refused", "kafka.bootstrap_servers"]
    {
        assert!(ended.log.contains(said), "{said:?} is not in:\n{}", ended.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_topic_and_the_one_that_was_meant() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("shop-public-orders", 1).await;
    let mistyped = topic.replace("orders", "order");
    let config =
        orders_config(kafka.bootstrap(), &mistyped, &unique_name("group"), "http://127.0.0.1:1");
    let ended = Service::start(&config).ended(PATIENCE).await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.log);
    for said in [format!("no topic `{mistyped}`"), format!("did you mean `{topic}`?")] {
        assert!(ended.log.contains(&said), "{said:?} is not in:\n{}", ended.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_topic_that_may_not_be_created() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("orders", 1).await;
    let config =
        orders_config(kafka.bootstrap(), &topic, &unique_name("group"), "http://127.0.0.1:1")
            .replace("dead_letter: { ", "dead_letter: { create: false, ");
    let ended = Service::start(&config).ended(PATIENCE).await;
    assert_eq!(ended.status.code(), Some(3), "{}", ended.log);
    assert!(ended.log.contains("dead_letter.create: true"), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_property_that_librdkafka_does_not_know() {
    let config = orders_config("127.0.0.1:1", "orders", "group", "http://127.0.0.1:1")
        .replace("targets:", "  properties: { sesion.timeout.ms: 6000 }\ntargets:");
    let ended = Service::start(&config).ended(PATIENCE).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    for said in ["kafka.properties", "sesion.timeout.ms"] {
        assert!(ended.log.contains(said), "{said:?} is not in:\n{}", ended.log);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_file_come_all_at_once_and_with_exit_code_2() {
    let config = orders_config("127.0.0.1:1", "orders", "group", "http://127.0.0.1:1")
        .replace("group_id", "groupid")
        .replace("max_events: 500", "max_events: 0")
        .replace("$.row.total", "$.rwo.total")
        .replace("op != \"delete\"", "op != ")
        .replace("target: production", "target: prodcution");
    let ended = Service::start(&config).ended(PATIENCE).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.log);
    for said in ["groupid", "max_events", "rwo", "when", "prodcution", "mistakes in"] {
        assert!(ended.log.contains(said), "{said:?} is not in:\n{}", ended.log);
    }
}
