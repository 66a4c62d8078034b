//! Reads what a topic holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::super::{KafkaCluster, blocking, unique_name};
use super::{DEADLINE, REQUEST, StoredRecord, consumer};
use crate::support::wait::eventually;

// === impl KafkaCluster ===

impl KafkaCluster {
    /// Reads all records that are in the topic now, ordered by partition and offset.
    pub(crate) async fn read_all(&self, topic: &str) -> Vec<StoredRecord> {
        let ends = self.end_offsets(topic).await;
        let (bootstrap, topic) = (self.bootstrap().to_owned(), topic.to_owned());
        blocking(move || read_to(&bootstrap, &topic, &ends)).await
    }

    /// Returns the offset after the last record of each partition.
    pub(crate) async fn end_offsets(&self, topic: &str) -> BTreeMap<i32, i64> {
        let partitions = self.partitions(topic).await;
        let what = format!("the end offsets of {topic}");
        eventually(DEADLINE, &what, async || {
            let (admin, topic) = (Arc::clone(&self.admin.0), topic.to_owned());
            let partitions = partitions.clone();
            blocking(move || {
                let end = |&part: &i32| {
                    let (_, high) = admin.inner().fetch_watermarks(&topic, part, REQUEST)?;
                    Ok::<_, KafkaError>((part, high))
                };
                partitions.iter().map(end).collect::<Result<BTreeMap<_, _>, _>>()
            })
            .await
        })
        .await
    }
}

fn read_to(bootstrap: &str, topic: &str, ends: &BTreeMap<i32, i64>) -> Vec<StoredRecord> {
    let consumer = consumer(bootstrap, &unique_name("read-all"));
    let mut list = TopicPartitionList::new();
    for &partition in ends.keys() {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid position");
    }
    consumer.assign(&list).expect("a consumer of its own can be assigned");
    drop(list);

    let deadline = Instant::now() + DEADLINE;
    let mut open: BTreeSet<i32> =
        ends.iter().filter(|&(_, &end)| end > 0).map(|(&partition, _)| partition).collect();
    let mut records = Vec::new();
    while !open.is_empty() {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let record = StoredRecord::from(&message);
                if record.offset + 1 >= ends[&record.partition] {
                    open.remove(&record.partition);
                }
                records.push(record);
            }
            // The last offsets may hold no record: aborted, compacted, or a transaction's marker.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // A restarting broker: librdkafka tries again by itself, and the deadline bounds it.
            Some(Err(_)) | None => {}
        }
        assert!(
            Instant::now() < deadline,
            "read {} records of {topic} in {DEADLINE:?}, not all; unread partitions: {open:?}, ends: {ends:?}",
            records.len()
        );
    }
    records.retain(|record| record.offset < ends[&record.partition]);
    records.sort_by_key(|record| (record.partition, record.offset));
    records
}
