//! The first yardstick: what it costs just to get the records out of Kafka, with the client that
//! ldsink uses. Nothing could be cheaper on it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use reqwest::Client;
use tokio::runtime::Runtime;

use crate::arguments::Yardstick;

/// After so many records it tells how far it is.
const STEP: usize = 20_000;

pub(crate) fn consumer(settings: &Yardstick, group: &str) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &settings.bootstrap)
        .set("group.id", format!("{group}-{}", std::process::id()))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "1000")
        .create()
        .unwrap();
    consumer.subscribe(&[&settings.topic]).unwrap();
    consumer
}

/// Counts records until the process is ended.
pub(crate) fn run(settings: &Yardstick, runtime: &Runtime) -> ! {
    println!("ready");
    let consumer = consumer(settings, "raw");
    let client = Client::new();
    let mut count = 0;
    loop {
        let record = consumer.poll(Duration::from_millis(100));
        let is_record = matches!(&record, Some(Ok(_)));
        count += usize::from(is_record);
        if count > 0 && (count.is_multiple_of(STEP) || !is_record) {
            let told = client.post(format!("{}/raw/{count}", settings.sink)).send();
            runtime.block_on(told).unwrap();
        }
    }
}
