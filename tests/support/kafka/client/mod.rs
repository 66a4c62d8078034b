//! What tests do with a cluster: topics, records, offsets.
//!
//! Everything comes back as owned data. A `TopicPartitionList` that lives longer than its consumer
//! makes `drop(consumer)` hang for ever (rdkafka 0.39), so none leaves the function that made it.
//!
//! Blocking calls of librdkafka run on tokio's blocking threads, so these work on any runtime.

mod groups;
mod produce;
mod read;
mod record;
mod topics;

use std::time::Duration;

use rdkafka::admin::{AdminOptions, TopicResult};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

pub(crate) use self::groups::Committed;
pub(super) use self::groups::coordinator_answers;
pub(super) use self::produce::RecordProducer;
pub(crate) use self::record::{NewRecord, Position, StoredRecord};
pub(super) use self::topics::Admin;

/// For one request: long enough for a broker that was just suspended or restarted.
const REQUEST: Duration = Duration::from_secs(10);

/// For a whole call on this page, fail-over of a killed broker included.
const DEADLINE: Duration = Duration::from_secs(60);

fn consumer(bootstrap: &str, group: &str) -> BaseConsumer {
    settings(bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .create()
        .expect("these settings are valid")
}

/// What all clients here have in common: quick to come back, because the harness restarts brokers.
fn settings(bootstrap: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "500")
        .set("socket.timeout.ms", REQUEST.as_millis().to_string())
        .set("log.connection.close", "false");
    settings
}

fn patience() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE))
}

fn assert_done(verb: &str, name: &str, done: Result<Vec<TopicResult>, KafkaError>) {
    let results = done.unwrap_or_else(|error| panic!("cannot {verb} {name}: {error}"));
    for result in results {
        if let Err((_, code)) = result {
            panic!("cannot {verb} {name}: {code}");
        }
    }
}
