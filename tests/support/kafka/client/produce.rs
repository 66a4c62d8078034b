//! Produces records, each to be acknowledged by all in-sync replicas.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use super::super::{KafkaCluster, blocking};
use super::{DEADLINE, NewRecord, Position, REQUEST, settings};

type Outgoing<'a> = BaseRecord<'a, [u8], [u8], Box<Ticket>>;

/// The cluster's one producer. Making another for every call would cost each call up to two seconds,
/// which librdkafka takes to get a producer id.
#[derive(Clone)]
pub(crate) struct RecordProducer(Arc<BaseProducer<DeliveryReports>>);

/// Hands each delivery report to the `produce` that waits for it.
struct DeliveryReports;

/// What became of the records of one `produce`, in the order given.
struct Sending {
    outcomes: Mutex<Vec<Option<Result<Position, KafkaError>>>>,
    undecided: AtomicUsize,
}

/// A record's place in its `Sending`.
struct Ticket {
    sending: Arc<Sending>,
    index: usize,
}

// === impl NewRecord ===

impl NewRecord {
    fn as_sent<'a>(&'a self, topic: &'a str, ticket: Ticket) -> Outgoing<'a> {
        let mut sent = BaseRecord::with_opaque_to(topic, Box::new(ticket));
        sent.partition = self.partition;
        sent.key = self.key.as_deref();
        sent.payload = self.value.as_deref();
        sent.timestamp = self.timestamp;
        sent.headers = (!self.headers.is_empty()).then(|| {
            self.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                headers.insert(Header { key, value: value.as_ref() })
            })
        });
        sent
    }
}

// === impl DeliveryReports ===

impl ClientContext for DeliveryReports {}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let outcome = match result {
            Ok(sent) => Ok(Position { partition: sent.partition(), offset: sent.offset() }),
            Err((error, _)) => Err(error.clone()),
        };
        let Ticket { sending, index } = *ticket;
        sending.outcomes.lock().expect("nothing panics in here")[index] = Some(outcome);
        sending.undecided.fetch_sub(1, Ordering::Release);
    }
}

// === impl RecordProducer ===

impl std::fmt::Debug for RecordProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordProducer")
    }
}

impl RecordProducer {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let producer = settings(bootstrap)
            // Implies acks=all, and neither repeats nor reorders across a broker's restart.
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", DEADLINE.as_millis().to_string())
            .set("message.max.bytes", "20000000")
            .create_with_context(DeliveryReports)
            .expect("these settings are valid");
        Self(Arc::new(producer))
    }

    /// Asks how many partitions a topic has; the producer then knows it, too.
    pub(super) async fn known_partitions(&self, topic: &str) -> Result<usize, KafkaError> {
        let (producer, topic) = (self.clone(), topic.to_owned());
        let asked = blocking(move || producer.0.client().fetch_metadata(Some(&topic), REQUEST));
        Ok(asked.await?.topics().first().map_or(0, |topic| topic.partitions().len()))
    }

    fn send_all(&self, topic: &str, records: &[NewRecord]) -> Vec<Position> {
        let sending = Arc::new(Sending {
            outcomes: Mutex::new(vec![None; records.len()]),
            undecided: AtomicUsize::new(records.len()),
        });
        for (index, record) in records.iter().enumerate() {
            self.send(record.as_sent(topic, Ticket { sending: Arc::clone(&sending), index }));
        }
        // Ends without a deadline of its own: `message.timeout.ms` brings every report.
        while sending.undecided.load(Ordering::Acquire) > 0 {
            self.0.poll(Duration::from_millis(5));
        }
        let outcomes = sending.outcomes.lock().expect("nothing panics in here");
        let position = |(index, outcome): (usize, &Option<_>)| match outcome {
            Some(Ok(position)) => *position,
            other => panic!("record {index} was not delivered to {topic}: {other:?}"),
        };
        outcomes.iter().enumerate().map(position).collect()
    }

    fn send(&self, mut record: Outgoing<'_>) {
        while let Err((error, back)) = self.0.send(record) {
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            assert!(full, "cannot produce to {}: {error}", back.topic);
            self.0.poll(Duration::from_millis(10));
            record = back;
        }
    }
}

// === impl KafkaCluster ===

impl KafkaCluster {
    /// Produces the records, in order within each partition and without duplicates, and returns where
    /// each of them lies, in the order given.
    ///
    /// Survives broker restarts of less than a minute.
    ///
    /// # Panics
    /// When a record is refused or not acknowledged within a minute.
    pub(crate) async fn produce(
        &self,
        topic: &str,
        records: impl IntoIterator<Item = NewRecord>,
    ) -> Vec<Position> {
        let records: Vec<_> = records.into_iter().collect();
        let (producer, topic) = (self.producer.clone(), topic.to_owned());
        blocking(move || producer.send_all(&topic, &records)).await
    }
}
