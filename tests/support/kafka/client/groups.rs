//! Consumer groups: what they have committed, and who they are.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::super::{KafkaCluster, blocking};
use super::{DEADLINE, REQUEST, assert_done, consumer, patience};
use crate::support::wait::eventually;

/// For the first question to a new cluster's coordinator. librdkafka repeats it only after a second; a
/// new client asks at once.
const COORDINATOR: Duration = Duration::from_millis(300);

/// What a group has committed for a partition; the offset is the next to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) partition: i32,
    pub(crate) offset: Option<i64>,
    pub(crate) metadata: String,
}

// === impl KafkaCluster ===

impl KafkaCluster {
    /// Returns what a group has committed for every partition of a topic, in order of partition.
    pub(crate) async fn committed(&self, group: &str, topic: &str) -> Vec<Committed> {
        let partitions = self.partitions(topic).await;
        let what = format!("the offsets of group {group}");
        eventually(DEADLINE, &what, async || {
            let (bootstrap, group, topic) =
                (self.bootstrap().to_owned(), group.to_owned(), topic.to_owned());
            let partitions = partitions.clone();
            blocking(move || committed(&bootstrap, &group, &topic, &partitions, REQUEST)).await
        })
        .await
    }

    /// Returns the partitions of a topic whose end a group has not committed, with what it has. An empty
    /// partition needs no commit.
    pub(crate) async fn uncommitted(&self, group: &str, topic: &str) -> Vec<(Committed, i64)> {
        let ends = self.end_offsets(topic).await;
        let committed = self.committed(group, topic).await.into_iter();
        let with_ends = committed.map(|at| {
            let end = ends[&at.partition];
            (at, end)
        });
        with_ends.filter(|(at, end)| *end > 0 && at.offset != Some(*end)).collect()
    }

    /// Waits until a group has committed the end of every partition of a topic.
    pub(crate) async fn all_committed(&self, group: &str, topic: &str, within: Duration) {
        eventually(within, &format!("all of {topic} to be committed"), async || {
            let left = self.uncommitted(group, topic).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }

    /// Commits offsets in a group's name, as an operator's reset does; Kafka allows it only while the
    /// group has no members.
    ///
    /// # Panics
    /// When Kafka refuses, for instance because the group has members.
    pub(crate) async fn commit(
        &self,
        group: &str,
        topic: &str,
        offsets: impl IntoIterator<Item = Committed>,
    ) {
        let offsets: Vec<_> = offsets.into_iter().collect();
        let (bootstrap, group, topic) =
            (self.bootstrap().to_owned(), group.to_owned(), topic.to_owned());
        blocking(move || {
            let mut list = TopicPartitionList::new();
            for committed in &offsets {
                let mut entry = list.add_partition(&topic, committed.partition);
                let offset =
                    committed.offset.expect("an offset to commit; delete_group forgets them");
                entry.set_offset(Offset::Offset(offset)).expect("offsets are not negative");
                entry.set_metadata(&committed.metadata);
            }
            consumer(&bootstrap, &group)
                .commit(&list, CommitMode::Sync)
                .unwrap_or_else(|error| panic!("cannot commit for group {group}: {error}"));
        })
        .await;
    }

    /// Deletes a group with all its offsets; Kafka allows it only while the group has no members.
    pub(crate) async fn delete_group(&self, group: &str) {
        let done = self.admin.0.delete_groups(&[group], &patience()).await;
        assert_done("delete group", group, done);
    }

    /// Tells whether a group has members. For groups of the classic protocol; others look empty.
    pub(crate) async fn has_members(&self, group: &str) -> bool {
        let (admin, group) = (Arc::clone(&self.admin.0), group.to_owned());
        blocking(move || {
            let groups = admin.inner().fetch_group_list(Some(&group), REQUEST);
            let groups =
                groups.unwrap_or_else(|error| panic!("cannot describe group {group}: {error}"));
            groups.groups().iter().any(|found| !found.members().is_empty())
        })
        .await
    }
}

/// Returns whether the coordinator of `group` answers, for which Kafka makes the offsets topic first.
pub(crate) async fn coordinator_answers(bootstrap: &str, group: &str) -> Result<(), String> {
    let (bootstrap, group) = (bootstrap.to_owned(), group.to_owned());
    blocking(move || {
        // Any topic will do: the question goes to the coordinator, who need not know it.
        committed(&bootstrap, &group, "no-such-topic", &[0], COORDINATOR)
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await
}

fn committed(
    bootstrap: &str,
    group: &str,
    topic: &str,
    partitions: &[i32],
    within: Duration,
) -> Result<Vec<Committed>, KafkaError> {
    let consumer = consumer(bootstrap, group);
    let mut list = TopicPartitionList::new();
    for &partition in partitions {
        list.add_partition(topic, partition);
    }
    let answer = consumer.committed_offsets(list, within)?;
    let mut committed = Vec::new();
    for entry in answer.elements() {
        entry.error()?;
        committed.push(Committed {
            partition: entry.partition(),
            offset: if let Offset::Offset(next) = entry.offset() { Some(next) } else { None },
            metadata: entry.metadata().to_owned(),
        });
    }
    committed.sort_by_key(|entry| entry.partition);
    Ok(committed)
}
