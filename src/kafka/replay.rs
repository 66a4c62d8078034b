//! Writes records to their topics and, in the same transaction, how far that has come; so whatever
//! happens in between, both are so or neither.
//!
//! Progress is the committed offsets of a consumer group that nobody ever joins, with a text beside
//! each. The transactional ID is the group's, so of two replays at once Kafka ends the first one.
//!
//! # Invariants
//! - Y1: [`Replay::write`] gives success only when Kafka has acknowledged every record and the
//!   progress.
//! - Y2: records that belong to a transaction which did not come to its end are never read by a
//!   consumer that reads what is committed, as the service does.
//!
//! Not here: which records, and what the text says (`dlq`).

use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use super::connection::{CreateError, KafkaLog, client_config, create};
use super::settings::KafkaSettings;
use crate::model::record::{OwnedRecord, Partition};

/// A step of a transaction, against a cluster that is slow.
const STEP: Duration = Duration::from_secs(30);

/// How far a replay of one partition has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub partition: Partition,
    pub next: i64,
    pub text: String,
}

/// A replay under way.
pub struct Replay {
    producer: FutureProducer<KafkaLog>,
    group: BaseConsumer<KafkaLog>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("librdkafka refuses the kafka properties; see `kafka.properties` in the configuration")]
    Properties(#[from] CreateError),
    #[error(
        "no transaction can be begun as `{id}`; the credentials need Write and Describe on this \
         transactional ID, and Kafka a place for its transaction log"
    )]
    Begin { id: String, source: KafkaError },
    #[error(
        "what group `{group}` has committed cannot be read; the credentials need Read and Describe on it"
    )]
    Progress { group: String, source: KafkaError },
    #[error("another replay has begun; this one ends")]
    Superseded,
    #[error("{0} was not written; nothing of its transaction was")]
    Record(Partition, #[source] KafkaError),
    #[error("a transaction failed; nothing of it was written")]
    Transaction(#[source] KafkaError),
    #[error(
        "Kafka did not say whether a transaction came to its end; begin again: what was replayed is \
         known then"
    )]
    Unknown(#[source] KafkaError),
}

/// The group whose offsets tell what was replayed.
pub fn group(settings: &KafkaSettings) -> String {
    format!("{}.dlq-replay", settings.group_id)
}

/// What was replayed of these partitions. Blocks; run it on a thread that may.
pub fn progress(
    settings: &KafkaSettings,
    partitions: &[Partition],
) -> Result<Vec<Mark>, ReplayError> {
    progress_of(&member(settings)?, settings, partitions)
}

fn member(settings: &KafkaSettings) -> Result<BaseConsumer<KafkaLog>, CreateError> {
    let mut config = client_config(settings);
    config
        .set("group.id", group(settings))
        .set("group.protocol", "classic")
        .set("enable.auto.commit", "false")
        // Offsets of a transaction that is still open are waited for.
        .set("isolation.level", "read_committed");
    create(&config, KafkaLog::default())
}

fn progress_of(
    consumer: &BaseConsumer<KafkaLog>,
    settings: &KafkaSettings,
    partitions: &[Partition],
) -> Result<Vec<Mark>, ReplayError> {
    let failed = |source| ReplayError::Progress { group: group(settings), source };
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for Partition { topic, number } in partitions {
        list.add_partition(topic, *number);
    }
    let committed = consumer.committed_offsets(list, STEP).map_err(failed)?;
    let mut marks = Vec::new();
    for element in committed.elements() {
        element.error().map_err(failed)?;
        if let Offset::Offset(next) = element.offset() {
            let partition = Partition::new(element.topic(), element.partition());
            marks.push(Mark { partition, next, text: element.metadata().to_owned() });
        }
    }
    Ok(marks)
}

// === impl Replay ===

impl Replay {
    /// Begins, ends what an earlier replay left open, and gives how far it had come. Blocks.
    pub fn begin(
        settings: &KafkaSettings,
        partitions: &[Partition],
    ) -> Result<(Self, Vec<Mark>), ReplayError> {
        let id = group(settings);
        let mut config = client_config(settings);
        config
            .set("transactional.id", &id)
            .set("acks", "all")
            // Headers come on top of what the records had.
            .set("message.max.bytes", "20000000");
        let producer: FutureProducer<KafkaLog> = create(&config, KafkaLog::default())?;
        producer
            .init_transactions(settings.startup_timeout)
            .map_err(|source| ReplayError::Begin { id, source })?;
        let group = member(settings)?;
        let marks = progress_of(&group, settings, partitions)?;
        Ok((Self { producer, group }, marks))
    }

    /// Writes records to where they say, and the progress, or nothing. Gives their offsets. Blocks;
    /// run it on a thread of the runtime that may.
    pub fn write(
        &self,
        records: &[OwnedRecord],
        progress: &[Mark],
    ) -> Result<Vec<i64>, ReplayError> {
        self.producer.begin_transaction().map_err(failed)?;
        let written = self.produce(records).and_then(|offsets| {
            self.note(progress).map_err(failed)?;
            Ok(offsets)
        });
        let offsets = match written {
            Ok(offsets) => offsets,
            Err(error) => {
                if let Err(error) = self.producer.abort_transaction(STEP) {
                    tracing::debug!(%error, "a transaction that failed ends with its time-out");
                }
                return Err(error);
            }
        };
        match self.producer.commit_transaction(STEP) {
            Ok(()) => Ok(offsets),
            Err(error) if is_fenced(&error) => Err(ReplayError::Superseded),
            Err(error) => Err(ReplayError::Unknown(error)),
        }
    }

    fn produce(&self, records: &[OwnedRecord]) -> Result<Vec<i64>, ReplayError> {
        let sent = records.iter().map(|record| async {
            let written = self.producer.send(message_of(record), STEP).await;
            written.map(|delivery| delivery.offset).map_err(|(error, _)| {
                if is_fenced(&error) || self.is_fenced() {
                    ReplayError::Superseded
                } else {
                    ReplayError::Record(record.partition.clone(), error)
                }
            })
        });
        Handle::current().block_on(join_all(sent)).into_iter().collect()
    }

    /// Whether somebody else has begun, as far as the client knows. Records that wait are told only
    /// that they were taken out of its queue then.
    fn is_fenced(&self) -> bool {
        let fatal = self.producer.client().fatal_error();
        fatal.is_some_and(|(code, _)| is_fencing(code))
    }

    /// Keeps the list inside, so that it is gone before the consumer is.
    fn note(&self, progress: &[Mark]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::with_capacity(progress.len());
        for Mark { partition, next, text } in progress {
            let mut element = list.add_partition(&partition.topic, partition.number);
            element.set_offset(Offset::Offset(*next))?;
            element.set_metadata(text);
        }
        let group = self.group.group_metadata().ok_or(KafkaError::Canceled)?;
        self.producer.send_offsets_to_transaction(&list, &group, STEP)
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

fn message_of(record: &OwnedRecord) -> FutureRecord<'_, [u8], [u8]> {
    let Partition { topic, number } = &record.partition;
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: name, value: value.as_ref() });
    }
    FutureRecord {
        topic,
        partition: Some(*number),
        payload: record.value.as_deref(),
        key: record.key.as_deref(),
        timestamp: record.timestamp_ms,
        headers: Some(headers),
    }
}

fn failed(error: KafkaError) -> ReplayError {
    if is_fenced(&error) { ReplayError::Superseded } else { ReplayError::Transaction(error) }
}

/// Somebody else has begun with the same transactional ID.
fn is_fenced(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(is_fencing)
}

fn is_fencing(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch
    )
}
