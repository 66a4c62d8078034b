//! The thread that writes progress and journals to Kafka and waits for the confirmation.
//!
//! Only a synchronous commit tells whether it succeeded, and it blocks; so it has a thread of its
//! own, and the consumer thread never waits for Kafka without a deadline.
//!
//! # Invariants
//! - M1: commits are written in the order they were asked for.
//! - M2: every commit asked for is confirmed once, unless the thread was stopped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::consumer::Context;
use crate::model::progress::CommitEntry;

/// A handle to the thread.
#[derive(Debug)]
pub(super) struct Committer {
    requests: Sender<Vec<CommitEntry>>,
    confirmations: Receiver<Confirmation>,
    thread: JoinHandle<()>,
}

/// How a commit ended.
#[derive(Debug)]
pub(super) struct Confirmation {
    pub(super) entries: Vec<CommitEntry>,
    pub(super) result: Result<(), KafkaError>,
}

impl Committer {
    pub(super) fn start(consumer: Arc<BaseConsumer<Context>>) -> Self {
        let (requests, incoming) = channel::<Vec<CommitEntry>>();
        let (outgoing, confirmations) = channel();
        let thread = std::thread::spawn(move || {
            for entries in incoming {
                let result = write(&consumer, &entries);
                if outgoing.send(Confirmation { entries, result }).is_err() {
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

fn write(consumer: &BaseConsumer<Context>, entries: &[CommitEntry]) -> Result<(), KafkaError> {
    let mut list = TopicPartitionList::with_capacity(entries.len());
    for CommitEntry { partition, next, journal, .. } in entries {
        let mut element = list.add_partition(&partition.topic, partition.number);
        element.set_offset(Offset::Offset(next.0))?;
        element.set_metadata(journal);
    }
    match consumer.commit(&list, CommitMode::Sync) {
        // Nothing new to Kafka.
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
        result => result,
    }
}
