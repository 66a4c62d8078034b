//! Reads what was committed for partitions that were just assigned: their progress and its journal.
//!
//! Without the journal a partition must not be read: batches would be cut anew that are on their way
//! already, and counted twice.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::consumer::Context;
use super::list_of;
use crate::model::progress::{Committed, NextOffset};
use crate::model::record::Partition;

/// One attempt's time; a stop is heard between two.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Between attempts, while the group's coordinator moves.
const PAUSE: Duration = Duration::from_millis(100);
/// All attempts' time. Well below `max.poll.interval.ms`, after which others own the partitions.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads what was committed, trying again while Kafka does not answer.
///
/// # Errors
/// Kafka's last answer, after [`PATIENCE`], or when `stopped` says so.
pub(super) fn read(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
    stopped: impl Fn() -> bool,
    alive: impl Fn(),
) -> Result<Vec<Committed>, KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        alive();
        let error = match attempt(consumer, partitions) {
            Ok(committed) => return Ok(committed),
            Err(error) => error,
        };
        if stopped() || Instant::now() >= deadline {
            return Err(error);
        }
        tracing::warn!(%error, "committed offsets cannot be read; trying again");
        std::thread::park_timeout(PAUSE);
    }
}

fn attempt(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
) -> Result<Vec<Committed>, KafkaError> {
    let list = consumer.committed_offsets(list_of(partitions), ATTEMPT)?;
    let read = list.elements().into_iter().map(|element| {
        element.error()?;
        let next = match element.offset() {
            Offset::Offset(next) => Some(NextOffset(next)),
            // Nothing was committed; `auto.offset.reset` says where to begin.
            Offset::Invalid
            | Offset::Stored
            | Offset::Beginning
            | Offset::End
            | Offset::OffsetTail(_) => None,
        };
        let partition = Partition::new(element.topic(), element.partition());
        Ok(Committed { partition, next, journal: element.metadata().to_owned() })
    });
    read.collect()
}

/// The list to assign: each partition from where its progress stands.
pub(super) fn list_from(committed: &[Committed]) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::with_capacity(committed.len());
    for Committed { partition, next, .. } in committed {
        let from = next.map_or(Offset::Invalid, |next| Offset::Offset(next.0));
        list.add_partition_offset(&partition.topic, partition.number, from)?;
    }
    Ok(list)
}
