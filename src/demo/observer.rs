//! Looks at Kafka beside the pipeline: what its group has committed, and the dead letters.
//!
//! Dead letters are read while they come, because their topic forgets beyond 5 MiB like any other.
//! The reader never joins the group, so the pipeline does not notice it.
//!
//! # Invariants
//! - B1: `letters_complete` is judged after the commits beside it were read: when all records are
//!   committed, and it holds, then no dead letter is missing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::broker::{ORDERS, PARTITIONS};
use super::evidence::Letter;
use super::manifest::Place;
use crate::kafka::connection::KafkaLog;
use crate::kafka::reader::{Next, Reader};
use crate::kafka::settings::KafkaSettings;
use crate::model::record::Partition;
use crate::runtime::tasks::TaskSet;

/// Between two looks at the commits; short against the time a window of the generator lasts.
const LOOK: Duration = Duration::from_millis(20);
/// One answer of a broker in this very process.
const PATIENCE: Duration = Duration::from_secs(5);

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// By partition of the orders' topic: the next offset to be read, 0 before the first commit.
    pub(super) committed: Vec<i64>,
    pub(super) letters: Vec<Letter>,
    /// Whether `letters` holds all there were when `committed` was read.
    pub(super) letters_complete: bool,
}

/// The observing thread's belongings.
struct Observer {
    reader: Reader,
    letters_topic: String,
    /// The next dead letter to be read.
    next_letter: i64,
    seen: Arc<Mutex<Seen>>,
}

// === impl Seen ===

impl Seen {
    /// How many records of the orders' topic are settled.
    pub(super) fn settled(&self) -> u64 {
        self.committed.iter().filter_map(|next| u64::try_from(*next).ok()).sum()
    }
}

/// Starts to observe until `stop` is cancelled.
pub(super) fn start(
    settings: &KafkaSettings,
    letters_topic: String,
    tasks: &TaskSet,
    stop: CancellationToken,
) -> Result<Arc<Mutex<Seen>>, KafkaError> {
    let properties = [
        ("auto.offset.reset", "earliest"),
        // Answers to other questions wait behind an idle fetch.
        ("fetch.wait.max.ms", "10"),
    ];
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut reader = Reader::new(settings, KafkaLog::default(), &properties)?;
    reader.assign(&Partition::new(letters_topic.as_str(), 0), Offset::Beginning)?;
    let mut observer = Observer { reader, letters_topic, next_letter: 0, seen: Arc::clone(&seen) };
    tasks.spawn_blocking("observer", move || {
        while !stop.is_cancelled() {
            observer.read_letters();
            if let Err(error) = observer.look() {
                // Without news the demo ends by its own deadline and says what it knows.
                tracing::debug!(%error, "kafka cannot be observed");
            }
        }
    });
    Ok(seen)
}

// === impl Observer ===

impl Observer {
    fn read_letters(&mut self) {
        let until = Instant::now() + LOOK;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.reader.next(left) {
                Ok(Next::Record(message)) => {
                    self.next_letter = message.offset() + 1;
                    let letter = letter_of(&message);
                    self.seen.lock().unwrap_or_else(PoisonError::into_inner).letters.push(letter);
                }
                Ok(Next::End | Next::Late) => {}
                Err(error) => tracing::debug!(%error, "dead letters cannot be read"),
            }
        }
    }

    /// Reads the commits first and the end of the dead letters after them (B1).
    fn look(&self) -> Result<(), KafkaError> {
        let committed = self.committed()?;
        let (_, end) = self.reader.consumer().fetch_watermarks(&self.letters_topic, 0, PATIENCE)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.committed = committed;
        seen.letters_complete = self.next_letter >= end;
        Ok(())
    }

    fn committed(&self) -> Result<Vec<i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(ORDERS, partition);
        }
        let answer = self.reader.consumer().committed_offsets(list, PATIENCE)?;
        // Before the first commit it is `Invalid`.
        let next = |partition| answer.find_partition(ORDERS, partition)?.offset().to_raw();
        Ok((0..PARTITIONS).map(|partition| next(partition).unwrap_or(0).max(0)).collect())
    }
}

fn letter_of(message: &BorrowedMessage<'_>) -> Letter {
    let header = |name: &str| -> Option<&str> {
        let found = message.headers()?.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let place = || {
        let partition = header("ldsink.partition")?.parse().ok()?;
        let offset = header("ldsink.offset")?.parse().ok()?;
        (header("ldsink.topic")? == ORDERS).then_some(Place { partition, offset })
    };
    Letter { place: place(), reason: header("ldsink.reason").unwrap_or_default().to_owned() }
}
