//! Reads a partition beside the service, without its group noticing.
//!
//! # Invariants
//! - L1: a reader is assigned its partition and never subscribes or commits, so the group of the
//!   service is not disturbed and nothing of its progress changes.
//! - L2: no `TopicPartitionList` outlives the function that made it: one that does makes dropping the
//!   consumer hang for ever.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::connection::{KafkaLog, client_config};
use super::settings::KafkaSettings;
use crate::model::record::Partition;

/// How long the client is asked at once; a partition's end or an error cuts it short.
const POLL: Duration = Duration::from_millis(200);

/// A consumer for one partition at a time.
pub struct Reader {
    consumer: BaseConsumer<KafkaLog>,
    partition: Option<Partition>,
}

/// What comes next in a partition.
#[derive(Debug)]
pub enum Next<'a> {
    Record(BorrowedMessage<'a>),
    /// There is no more of it at present.
    End,
    /// Nothing has come in the time given.
    Late,
}

// === impl Reader ===

impl Reader {
    /// Makes a reader. `properties` come after those that all readers share.
    pub fn new(
        settings: &KafkaSettings,
        log: KafkaLog,
        properties: &[(&str, &str)],
    ) -> Result<Self, KafkaError> {
        let mut config = client_config(settings);
        config
            // A group id is demanded of every consumer; this one never joins.
            .set("group.id", &settings.group_id)
            .set("group.protocol", "classic")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("allow.auto.create.topics", "false")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        for (name, value) in properties {
            config.set(*name, *value);
        }
        Ok(Self { consumer: config.create_with_context(log)?, partition: None })
    }

    /// The consumer, for questions that need no assignment.
    pub fn consumer(&self) -> &BaseConsumer<KafkaLog> {
        &self.consumer
    }

    /// Reads this partition from now on, and no other.
    pub fn assign(&mut self, partition: &Partition, offset: Offset) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&partition.topic, partition.number, offset)?;
        self.partition = Some(partition.clone());
        self.consumer.assign(&list)
    }

    /// Reads nothing any more, until it is assigned again.
    pub fn rest(&mut self) -> Result<(), KafkaError> {
        self.partition = None;
        self.consumer.unassign()
    }

    /// Waits for the next record, through errors that pass.
    ///
    /// # Errors
    /// What librdkafka told last when nothing has come for as long as `patience`, and at once that
    /// the offset is gone, when `auto.offset.reset` is `error`.
    pub fn next(&self, patience: Duration) -> Result<Next<'_>, KafkaError> {
        let began = Instant::now();
        let mut trouble = None;
        loop {
            let left = patience.saturating_sub(began.elapsed());
            match self.consumer.poll(POLL.min(left)) {
                Some(Ok(message)) => return Ok(Next::Record(message)),
                Some(Err(KafkaError::PartitionEOF(number))) if self.reads(number) => {
                    return Ok(Next::End);
                }
                Some(Err(error)) if is_out_of_range(&error) => return Err(error),
                Some(Err(error)) => trouble = Some(error),
                None => {}
            }
            if began.elapsed() >= patience {
                return trouble.map_or(Ok(Next::Late), Err);
            }
        }
    }

    fn reads(&self, number: i32) -> bool {
        self.partition.as_ref().is_some_and(|partition| partition.number == number)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reader").field(&self.partition).finish()
    }
}

impl Drop for Reader {
    /// An assigned consumer takes its time to close.
    fn drop(&mut self) {
        if let Err(error) = self.consumer.unassign() {
            tracing::debug!(%error, "unassigning a reader");
        }
    }
}

/// Whether an offset is no longer, or not yet, in its partition.
pub fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::OffsetOutOfRange
                | RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::NoOffset
        )
    )
}

/// Nothing has come in time, as an error.
pub fn timed_out() -> KafkaError {
    KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)
}
