//! Reads the last records of a topic, for a person who wants to see some.
//!
//! # Invariants
//! - L1: the consumer is assigned its partitions and never subscribes or commits, so the group of
//!   the service is not disturbed and nothing of its progress changes.
//! - L2: every partition is read up to where it ended at the beginning, so that a busy topic ends.
//!
//! Not here: what the records become (`preview`).

use std::collections::VecDeque;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::time::Instant;

use super::connection::{KafkaLog, client_config};
use super::message::owned;
use super::settings::KafkaSettings;
use crate::model::record::{OwnedRecord, Partition};

/// One request's time; reaching the cluster at all has `startup_timeout`.
const REQUEST: Duration = Duration::from_secs(5);
/// How long to wait for the next record before the cluster counts as gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much further back to begin when a stretch held too few records: compaction and transactions
/// leave offsets without records.
const FURTHER: i64 = 4;

/// Which records to read.
#[derive(Debug, Clone)]
pub struct Tail {
    pub topic: String,
    /// All partitions when `None`.
    pub partition: Option<i32>,
    /// How many of each partition.
    pub last: usize,
}

/// Why there are no records.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    #[error("librdkafka refuses the kafka properties; see `kafka.properties` in the configuration")]
    Properties(#[source] KafkaError),
    #[error(
        "no Kafka broker answered at {servers} within {waited:?} ({complaint}); check \
         `kafka.bootstrap_servers`, and `security.protocol` if the cluster wants TLS or SASL"
    )]
    Unreachable { servers: String, waited: Duration, complaint: String },
    #[error("Kafka has no topic `{0}`, or the credentials may not describe it")]
    NoTopic(String),
    #[error("the topic `{topic}` has no partition {partition}")]
    NoPartition { topic: String, partition: i32 },
    #[error("{partition} cannot be read")]
    Read { partition: Partition, source: KafkaError },
}

/// Reads the last records, by partition and offset. Blocks; run it on a thread that may.
pub fn read(settings: &KafkaSettings, tail: &Tail) -> Result<Vec<OwnedRecord>, TailError> {
    let (consumer, log) = connect(settings)?;
    let mut records = Vec::new();
    for number in partitions(&consumer, &log, settings, tail)? {
        let partition = Partition::new(tail.topic.as_str(), number);
        let read = last_of(&consumer, &partition, tail.last)
            .map_err(|source| TailError::Read { partition, source });
        records.extend(read?);
    }
    Ok(records)
}

fn connect(settings: &KafkaSettings) -> Result<(BaseConsumer<KafkaLog>, KafkaLog), TailError> {
    let log = KafkaLog::default();
    let mut config = client_config(settings);
    config
        // A group id is demanded of every consumer; this one never joins.
        .set("group.id", &settings.group_id)
        .set("group.protocol", "classic")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("allow.auto.create.topics", "false")
        .set("isolation.level", "read_committed")
        // Retention may take the first record between the question and the read.
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100");
    let consumer = config.create_with_context(log.clone()).map_err(TailError::Properties)?;
    Ok((consumer, log))
}

fn partitions(
    consumer: &BaseConsumer<KafkaLog>,
    log: &KafkaLog,
    settings: &KafkaSettings,
    tail: &Tail,
) -> Result<Vec<i32>, TailError> {
    let started = Instant::now();
    let mut numbers = loop {
        // `poll` serves the callbacks that tell why a connection fails.
        if let Some(Err(error)) = consumer.poll(Duration::ZERO) {
            tracing::debug!(%error, "kafka at start");
        }
        let left = settings.startup_timeout.saturating_sub(started.elapsed());
        match consumer.fetch_metadata(Some(&tail.topic), REQUEST.min(left)) {
            Ok(metadata) => {
                let of_topic = metadata.topics().iter().flat_map(MetadataTopic::partitions);
                break of_topic.map(MetadataPartition::id).collect::<Vec<_>>();
            }
            Err(error) if left.is_zero() => {
                return Err(TailError::Unreachable {
                    servers: settings.bootstrap_servers.clone(),
                    waited: settings.startup_timeout,
                    complaint: log.last.get().unwrap_or_else(|| error.to_string()),
                });
            }
            Err(error) => tracing::debug!(%error, "waiting for a kafka broker"),
        }
    };
    if numbers.is_empty() {
        return Err(TailError::NoTopic(tail.topic.clone()));
    }
    numbers.sort_unstable();
    if let Some(partition) = tail.partition {
        if !numbers.contains(&partition) {
            return Err(TailError::NoPartition { topic: tail.topic.clone(), partition });
        }
        numbers = vec![partition];
    }
    Ok(numbers)
}

fn last_of(
    consumer: &BaseConsumer<KafkaLog>,
    partition: &Partition,
    last: usize,
) -> Result<VecDeque<OwnedRecord>, KafkaError> {
    let (low, high) = consumer.fetch_watermarks(&partition.topic, partition.number, REQUEST)?;
    let mut stretch = i64::try_from(last).unwrap_or(i64::MAX);
    loop {
        let start = high.saturating_sub(stretch).max(low);
        let records = stretch_of(consumer, partition, start, high, last)?;
        if records.len() >= last || start <= low {
            return Ok(records);
        }
        stretch = stretch.saturating_mul(FURTHER);
    }
}

/// Reads from `start` up to `end`, and keeps the last records.
fn stretch_of(
    consumer: &BaseConsumer<KafkaLog>,
    partition: &Partition,
    start: i64,
    end: i64,
    last: usize,
) -> Result<VecDeque<OwnedRecord>, KafkaError> {
    let mut records = VecDeque::new();
    if start >= end || last == 0 {
        return Ok(records);
    }
    assign(consumer, partition, start)?;
    let mut waiting_since = Instant::now();
    let read = loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) if message.offset() >= end => break Ok(records),
            Some(Ok(message)) => {
                if records.len() == last {
                    records.pop_front();
                }
                records.push_back(owned(&message, partition));
                waiting_since = Instant::now();
                if message.offset() + 1 >= end {
                    break Ok(records);
                }
            }
            Some(Err(KafkaError::PartitionEOF(number))) if number == partition.number => {
                break Ok(records);
            }
            Some(Err(error)) if waiting_since.elapsed() > PATIENCE => break Err(error),
            None if waiting_since.elapsed() > PATIENCE => {
                break Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
            }
            Some(Err(_)) | None => {}
        }
    };
    consumer.unassign()?;
    read
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
