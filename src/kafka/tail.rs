//! Reads the last records of a topic, for a person who wants to see some.
//!
//! # Invariants
//! - L3: every partition is read up to where it ended at the beginning, so that a busy topic ends.
//!
//! Not here: how the group is left alone (`reader`), what the records become (`preview`).

use std::collections::VecDeque;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::{Message, Offset};
use tokio::time::Instant;

use super::connection::KafkaLog;
use super::message::owned;
use super::reader::{Next, Reader, timed_out};
use super::settings::KafkaSettings;
use crate::model::record::{OwnedRecord, Partition};

/// One request's time; reaching the cluster at all has `startup_timeout`.
pub(super) const REQUEST: Duration = Duration::from_secs(5);
/// How long to wait for the next record before the cluster counts as gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
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
    let (mut reader, log) = connect(settings)?;
    let mut records = Vec::new();
    for number in partitions(&reader, &log, settings, tail)? {
        let partition = Partition::new(tail.topic.as_str(), number);
        let read = last_of(&mut reader, &partition, tail.last)
            .map_err(|source| TailError::Read { partition, source });
        records.extend(read?);
    }
    Ok(records)
}

pub(super) fn connect(settings: &KafkaSettings) -> Result<(Reader, KafkaLog), TailError> {
    let log = KafkaLog::default();
    let properties = [
        // Retention may take the first record between the question and the read.
        ("auto.offset.reset", "earliest"),
        ("fetch.wait.max.ms", "100"),
    ];
    let reader = Reader::new(settings, log.clone(), &properties).map_err(TailError::Properties)?;
    Ok((reader, log))
}

pub(super) fn partitions(
    reader: &Reader,
    log: &KafkaLog,
    settings: &KafkaSettings,
    tail: &Tail,
) -> Result<Vec<i32>, TailError> {
    let (consumer, started) = (reader.consumer(), Instant::now());
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
    reader: &mut Reader,
    partition: &Partition,
    last: usize,
) -> Result<VecDeque<OwnedRecord>, KafkaError> {
    let Partition { topic, number } = partition;
    let (low, high) = reader.consumer().fetch_watermarks(topic, *number, REQUEST)?;
    let mut stretch = i64::try_from(last).unwrap_or(i64::MAX);
    loop {
        let start = high.saturating_sub(stretch).max(low);
        let records = stretch_of(reader, partition, start, high, last)?;
        if records.len() >= last || start <= low {
            return Ok(records);
        }
        stretch = stretch.saturating_mul(FURTHER);
    }
}

/// Reads from `start` up to `end`, and keeps the last records.
fn stretch_of(
    reader: &mut Reader,
    partition: &Partition,
    start: i64,
    end: i64,
    last: usize,
) -> Result<VecDeque<OwnedRecord>, KafkaError> {
    let mut records = VecDeque::new();
    if start >= end || last == 0 {
        return Ok(records);
    }
    reader.assign(partition, Offset::Offset(start))?;
    loop {
        match reader.next(PATIENCE)? {
            Next::Record(message) if message.offset() < end => {
                if records.len() == last {
                    records.pop_front();
                }
                records.push_back(owned(&message, partition));
                if message.offset() + 1 >= end {
                    return Ok(records);
                }
            }
            Next::Record(_) | Next::End => return Ok(records),
            Next::Late => return Err(timed_out()),
        }
    }
}
