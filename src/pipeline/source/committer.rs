//! The thread that writes progress and journals to Kafka and waits for the confirmation.
//!
//! Only a synchronous commit tells whether it succeeded, and it blocks; so it has a thread of its
//! own, and the consumer thread never waits for Kafka without a deadline.
//!
//! # Invariants
//! - M1: commits are written in the order they were asked for.
//! - M2: every commit asked for is confirmed once, unless the thread was stopped.
//! - M3: what waited here while its partition was given up is not written: Kafka takes it from any
//!   member of the group, and it would hide what the next owner has written since.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::consumer::Context;
use super::{Intake, Source, sight};
use crate::model::progress::CommitEntry;
use crate::runtime::failpoint::{self, Failpoint};
use crate::telemetry::clock;

/// A handle to the thread.
#[derive(Debug)]
pub(super) struct Committer {
    requests: Sender<Vec<CommitEntry>>,
    confirmations: Receiver<Confirmation>,
    thread: JoinHandle<()>,
}

/// How a commit ended.
#[derive(Debug, Default)]
pub(super) struct Confirmation {
    /// What Kafka has.
    pub(super) written: Vec<CommitEntry>,
    /// What Kafka has not, or may not have.
    pub(super) failed: Vec<CommitEntry>,
    /// Why.
    error: Option<KafkaError>,
    pub(super) took: Duration,
}

impl Committer {
    pub(super) fn start(consumer: Arc<BaseConsumer<Context>>) -> Self {
        let (requests, incoming) = channel::<Vec<CommitEntry>>();
        let (outgoing, confirmations) = channel();
        let thread = std::thread::spawn(move || {
            for entries in incoming {
                failpoint::reach(Failpoint::Committing);
                let started = Instant::now();
                let confirmation = commit(&consumer, entries);
                if outgoing.send(Confirmation { took: started.elapsed(), ..confirmation }).is_err()
                {
                    break;
                }
            }
        });
        Self { requests, confirmations, thread }
    }

    /// Asks for a commit. Gives whether somebody is there to make it: the thread only ends with us or
    /// by a panic.
    #[must_use]
    pub(super) fn commit(&self, entries: Vec<CommitEntry>) -> bool {
        self.requests.send(entries).is_ok()
    }

    /// Whether the thread has panicked: it ends no other way as long as we have it.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }

    /// The confirmations that have come, without waiting.
    pub(super) fn confirmations(&self) -> Vec<Confirmation> {
        self.confirmations.try_iter().collect()
    }

    pub(super) fn next_confirmation(&self, timeout: Duration) -> Option<Confirmation> {
        self.confirmations.recv_timeout(timeout).ok()
    }

    /// Ends the thread after the commit under way.
    pub(super) fn stop(self) {
        drop(self.requests);
        drop(self.confirmations);
        if self.thread.join().is_err() {
            tracing::error!("the commit thread panicked");
        }
    }
}

impl<I: Intake> Source<I> {
    pub(super) fn note_commits(&mut self, now: Instant) {
        for confirmation in self.committer.confirmations() {
            self.note_commit(confirmation, now);
        }
    }

    pub(super) fn note_commit(&mut self, confirmation: Confirmation, now: Instant) {
        let Confirmation { written, failed, error, took } = confirmation;
        let metrics = &self.reports.metrics;
        metrics.commits.with_label_values(&[sight::commit_label(error.is_none())]).inc();
        metrics.commit_seconds.observe(took.as_secs_f64());
        if let Some(error) = &error {
            let partitions = failed.len();
            if self.commits_fail {
                tracing::debug!(%error, partitions, "commit failed again");
            } else {
                tracing::warn!(%error, partitions, "commit failed; it is repeated");
            }
        } else if self.commits_fail {
            tracing::info!("commits succeed again");
        }
        self.commits_fail = error.is_some();
        if error.is_none() || !written.is_empty() {
            metrics.last_commit_seconds.set(clock::now_seconds());
            self.reports.note_connection();
            self.intake.committed(written, true, now);
        }
        if let Some(error) = &error {
            self.intake.committed(failed, false, now);
            self.note_expulsion(error);
        }
    }
}

impl Confirmation {
    /// Whether it is the answer to this commit.
    pub(super) fn answers(&self, entries: &[CommitEntry]) -> bool {
        let known = |entry| self.written.contains(entry) || self.failed.contains(entry);
        self.written.len() + self.failed.len() == entries.len() && entries.iter().all(known)
    }
}

/// Writes everything at once; if Kafka does not take something of a topic, topic by topic: a topic that
/// was deleted must not hold up the others.
fn commit(consumer: &BaseConsumer<Context>, entries: Vec<CommitEntry>) -> Confirmation {
    let error = match write(consumer, &entries) {
        Ok(()) => return Confirmation { written: entries, ..Confirmation::default() },
        Err(error) => error,
    };
    let mut confirmation = Confirmation::default();
    let topic = |entry: &CommitEntry| Arc::clone(&entry.partition.topic);
    let first = entries.first().map(topic);
    if !is_of_a_topic(&error) || entries.iter().all(|entry| Some(topic(entry)) == first) {
        return Confirmation { failed: entries, error: Some(error), ..confirmation };
    }
    let mut entries = entries;
    entries.sort_by(|a, b| a.partition.topic.cmp(&b.partition.topic));
    for of_one in entries.chunk_by(|a, b| a.partition.topic == b.partition.topic) {
        match write(consumer, of_one) {
            Ok(()) => confirmation.written.extend_from_slice(of_one),
            Err(error) => {
                confirmation.failed.extend_from_slice(of_one);
                confirmation.error = Some(error);
            }
        }
    }
    confirmation
}

/// Whether other topics may be fine.
fn is_of_a_topic(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::OffsetMetadataTooLarge
                | RDKafkaErrorCode::InvalidCommitOffsetSize
        )
    )
}

fn write(consumer: &BaseConsumer<Context>, entries: &[CommitEntry]) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::with_capacity(entries.len());
    let ours = entries.iter().filter(|entry| !entry.fence.has_fallen());
    for CommitEntry { partition, next, journal, .. } in ours {
        let mut element = list.add_partition(&partition.topic, partition.number);
        element.set_offset(Offset::Offset(next.0))?;
        element.set_metadata(journal);
    }
    if list.count() == 0 {
        return Ok(());
    }
    match consumer.commit(&list, CommitMode::Sync) {
        // Nothing new to Kafka.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::super::{Reports, committed, consumer};
    use super::*;
    use crate::kafka::settings::KafkaSettings;
    use crate::model::fence::Fence;
    use crate::model::progress::{Epoch, NextOffset};
    use crate::model::record::Partition;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_was_given_up_meanwhile_is_not_written_m3() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let settings = KafkaSettings {
            bootstrap_servers: cluster.bootstrap_servers(),
            group_id: "g".to_owned(),
            properties: Vec::new(),
            startup_timeout: Duration::from_secs(10),
        };
        let reports = Reports { health: Arc::default(), metrics: Metrics::new().unwrap() };
        let consumer = Arc::new(consumer::create(&settings, &reports).unwrap());
        let partition = Partition::new("t", 0);
        let entry = |next| CommitEntry {
            partition: partition.clone(),
            epoch: Epoch(1),
            fence: Fence::default(),
            next: NextOffset(next),
            journal: String::new(),
            cuts: 0,
        };
        let committer = Committer::start(Arc::clone(&consumer));
        let newer = entry(7);
        let stale = entry(3);
        stale.fence.fall();
        for entry in [newer, stale] {
            assert!(committer.commit(vec![entry.clone()]));
            let confirmation = committer.next_confirmation(Duration::from_secs(20)).unwrap();
            assert!(confirmation.answers(std::slice::from_ref(&entry)), "M2");
            assert_eq!(confirmation.written, [entry], "{:?}", confirmation.error);
        }
        let found = committed::read(&consumer, &[partition], || false, || {}).unwrap();
        assert_eq!(found[0].next, Some(NextOffset(7)));
        committer.stop();
    }
}
