//! Reads one record again by its offset.
//!
//! A consumer of its own is assigned to the one partition and never joins the group, so the group's
//! own consumer is not disturbed.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::kafka::connection::{KafkaLog, client_config};
use crate::kafka::message::owned;
use crate::kafka::settings::KafkaSettings;
use crate::model::record::{OwnedRecord, Partition};

/// After this an attempt counts as failed and is made again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches records, one at a time.
#[derive(Debug)]
pub(super) struct Fetcher {
    settings: KafkaSettings,
    turn: Mutex<()>,
}

#[derive(Debug)]
pub(super) enum FetchError {
    /// The partition no longer holds the offset.
    Gone,
    Kafka(KafkaError),
}

impl Fetcher {
    pub(super) fn new(settings: KafkaSettings) -> Self {
        Self { settings, turn: Mutex::new(()) }
    }

    /// Reads the record at `offset`.
    pub(super) async fn fetch(
        &self,
        partition: Partition,
        offset: i64,
    ) -> Result<OwnedRecord, FetchError> {
        // One consumer at a time: dead letters are rare, connections are not free.
        let turn = self.turn.lock().await;
        let settings = self.settings.clone();
        let fetched =
            tokio::task::spawn_blocking(move || read(&settings, &partition, offset)).await;
        drop(turn);
        fetched.unwrap_or(Err(FetchError::Kafka(KafkaError::Canceled)))
    }
}

fn read(
    settings: &KafkaSettings,
    partition: &Partition,
    offset: i64,
) -> Result<OwnedRecord, FetchError> {
    let mut config = client_config(settings);
    config
        .set("group.id", &settings.group_id)
        .set("group.protocol", "classic")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is gone must be an error, not a jump.
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("fetch.queue.backoff.ms", "20")
        .set("queued.min.messages", "1");
    let consumer: BaseConsumer<KafkaLog> =
        config.create_with_context(KafkaLog::default()).map_err(FetchError::Kafka)?;
    assign(&consumer, partition, offset).map_err(FetchError::Kafka)?;
    let started = Instant::now();
    let result = loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() == offset => {
                break Ok(owned(&message, partition));
            }
            // Past it without having met it: compacted away.
            Some(Ok(message)) if message.offset() > offset => break Err(FetchError::Gone),
            Some(Err(KafkaError::PartitionEOF(_))) => break Err(FetchError::Gone),
            Some(Err(error)) if is_out_of_range(&error) => break Err(FetchError::Gone),
            Some(Err(error)) if started.elapsed() > PATIENCE => {
                break Err(FetchError::Kafka(error));
            }
            None if started.elapsed() > PATIENCE => break Err(FetchError::Kafka(timed_out())),
            Some(_) | None => {}
        }
    };
    if let Err(error) = consumer.unassign() {
        tracing::debug!(%error, "unassigning after a fetch");
    }
    result
}

/// Keeps the list inside, so that it is gone before the consumer is (it would hang the drop).
fn assign(
    consumer: &BaseConsumer<KafkaLog>,
    partition: &Partition,
    offset: i64,
) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(offset))?;
    consumer.assign(&list)
}

fn is_out_of_range(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode;
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::NoOffset
        )
    )
}

fn timed_out() -> KafkaError {
    KafkaError::MessageConsumption(rdkafka::error::RDKafkaErrorCode::OperationTimedOut)
}
