//! What tests do with a cluster: topics, records, offsets.
//!
//! Everything comes back as owned data. A `TopicPartitionList` that lives longer than its consumer
//! makes `drop(consumer)` hang for ever (rdkafka 0.39), so none leaves the function that made it.
//!
//! Blocking calls of librdkafka run on tokio's blocking threads, so these work on any runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::time::Instant;

use super::{KafkaCluster, blocking, unique_name};
use crate::support::wait::eventually;

/// For one request: long enough for a broker that was just suspended or restarted.
const REQUEST: Duration = Duration::from_secs(10);

/// For the first question to a new cluster's coordinator. librdkafka repeats it only after a second; a
/// new client asks at once.
const COORDINATOR: Duration = Duration::from_millis(300);

/// For a whole call on this page, fail-over of a killed broker included.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between attempts that are worth repeating.
const AGAIN: Duration = Duration::from_millis(100);

type Outgoing<'a> = BaseRecord<'a, [u8], [u8], Box<Ticket>>;

/// A record to produce. Without a partition, the key decides as it does in Java's producer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NewRecord {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(crate) timestamp: Option<i64>,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// A record as Kafka holds it. The timestamp is in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredRecord {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What a group has committed for a partition; the offset is the next to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) partition: i32,
    pub(crate) offset: Option<i64>,
    pub(crate) metadata: String,
}

/// The client behind everything that is not about records.
#[derive(Clone)]
pub(super) struct Admin(Arc<AdminClient<DefaultClientContext>>);

/// The cluster's one producer. Making another for every call would cost each call up to two seconds,
/// which librdkafka takes to get a producer id.
#[derive(Clone)]
pub(super) struct RecordProducer(Arc<BaseProducer<DeliveryReports>>);

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
    /// Creates an empty record (no key, no value) for a certain partition.
    pub(crate) fn to(partition: i32) -> Self {
        Self { partition: Some(partition), ..Self::default() }
    }

    #[must_use]
    pub(crate) fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into());
        self
    }

    #[must_use]
    pub(crate) fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = Some(value.into());
        self
    }

    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Sets the timestamp, in milliseconds since 1970.
    #[must_use]
    pub(crate) fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

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

// === impl StoredRecord ===

impl From<&BorrowedMessage<'_>> for StoredRecord {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| {
            headers
                .iter()
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect()
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        }
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
    pub(super) fn new(bootstrap: &str) -> Self {
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

// === impl Admin ===

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}

impl Admin {
    pub(super) fn new(bootstrap: &str) -> Self {
        Self(Arc::new(settings(bootstrap).create().expect("these settings are valid")))
    }

    /// Tells whether at least `brokers` brokers are registered and, if `everyone` is there, every
    /// partition of the cluster is led and fully replicated.
    pub(super) async fn readiness(&self, brokers: usize, everyone: bool) -> Result<(), String> {
        let admin = Arc::clone(&self.0);
        blocking(move || {
            let metadata = admin
                .inner()
                // Short: a first connection that came too early is better tried again than waited for.
                .fetch_metadata(None, Duration::from_secs(1))
                .map_err(|error| format!("no metadata: {error}"))?;
            let registered = metadata.brokers().len();
            if registered < brokers.max(1) {
                return Err(format!("{registered} of {brokers} brokers are registered"));
            }
            let waiting = metadata.topics().iter().find(|topic| {
                topic
                    .partitions()
                    .iter()
                    .any(|part| part.leader() < 0 || part.isr().len() < part.replicas().len())
            });
            match waiting {
                Some(topic) if everyone => {
                    Err(format!("topic {} lacks leaders or replicas", topic.name()))
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Returns the partitions of a topic, all of them led; `None` if there is no such topic.
    async fn partitions(&self, topic: &str) -> Result<Option<Vec<i32>>, String> {
        let (admin, topic) = (Arc::clone(&self.0), topic.to_owned());
        blocking(move || {
            let metadata = admin
                .inner()
                .fetch_metadata(Some(&topic), REQUEST)
                .map_err(|error| format!("no metadata of {topic}: {error}"))?;
            let found = metadata.topics().first().ok_or("the answer names no topic")?;
            match found.error().map(RDKafkaErrorCode::from) {
                Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
                Some(error) => return Err(format!("{topic}: {error}")),
                None => {}
            }
            let mut partitions = Vec::new();
            for partition in found.partitions() {
                if partition.leader() < 0 {
                    return Err(format!("partition {} of {topic} has no leader", partition.id()));
                }
                partitions.push(partition.id());
            }
            partitions.sort_unstable();
            Ok(Some(partitions))
        })
        .await
    }
}

// === impl KafkaCluster ===

/// Topics.
impl KafkaCluster {
    /// Creates a topic and returns when all its partitions are led.
    pub(crate) async fn create_topic(&self, name: &str, partitions: usize, replication: usize) {
        self.create_topic_with(name, partitions, replication, &[]).await;
    }

    /// As [`KafkaCluster::create_topic`], with settings such as `("cleanup.policy", "compact")`.
    pub(crate) async fn create_topic_with(
        &self,
        name: &str,
        partitions: usize,
        replication: usize,
        settings: &[(&str, &str)],
    ) {
        let count = i32::try_from(partitions).expect("a test's partitions are few");
        let copies = i32::try_from(replication).expect("a test's brokers are few");
        let mut topic = NewTopic::new(name, count, TopicReplication::Fixed(copies));
        topic.config.extend_from_slice(settings);
        // A broker that was suspended is fenced until its next heartbeat, and counts as none.
        let fenced = |result: &TopicResult| {
            matches!(result, Err((_, RDKafkaErrorCode::InvalidReplicationFactor)))
        };
        let deadline = Instant::now() + DEADLINE;
        let done = loop {
            let done = self.admin.0.create_topics([&topic], &patience()).await;
            if Instant::now() >= deadline || !done.iter().flatten().any(fenced) {
                break done;
            }
            tokio::time::sleep(AGAIN).await;
        };
        assert_done("create topic", name, done);
        self.await_partitions(name, partitions).await;
    }

    /// Creates an unreplicated topic that is the caller's alone, and returns its name.
    pub(crate) async fn unique_topic(&self, prefix: &str, partitions: usize) -> String {
        let name = unique_name(prefix);
        self.create_topic(&name, partitions, 1).await;
        name
    }

    /// Replaces all settings of a topic's own; what is left out goes back to its default. The broker
    /// follows within moments.
    pub(crate) async fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let wanted = settings
            .iter()
            .fold(AlterConfig::new(ResourceSpecifier::Topic(name)), |wanted, (key, value)| {
                wanted.set(key, value)
            });
        let done = self.admin.0.alter_configs([&wanted], &patience()).await;
        let results = done.unwrap_or_else(|error| panic!("cannot alter {name}: {error}"));
        for result in results {
            if let Err((_, code)) = result {
                panic!("cannot alter {name}: {code}");
            }
        }
    }

    /// Deletes a topic and returns when the cluster no longer knows it.
    pub(crate) async fn delete_topic(&self, name: &str) {
        let done = self.admin.0.delete_topics(&[name], &patience()).await;
        assert_done("delete topic", name, done);
        eventually(DEADLINE, "the topic to be gone", async || {
            match self.admin.partitions(name).await? {
                None => Ok(()),
                Some(left) => Err(format!("{name} still has partitions {left:?}")),
            }
        })
        .await;
    }

    /// Grows a topic to `total` partitions and returns when all are led.
    pub(crate) async fn add_partitions(&self, name: &str, total: usize) {
        let wanted = NewPartitions::new(name, total);
        let done = self.admin.0.create_partitions([&wanted], &patience()).await;
        assert_done("add partitions to", name, done);
        self.await_partitions(name, total).await;
        // The producer remembers how many there were.
        let (producer, topic) = (Arc::clone(&self.producer.0), name.to_owned());
        let what = format!("the producer to know {total} partitions of {name}");
        eventually(DEADLINE, &what, async || {
            let (producer, topic) = (Arc::clone(&producer), topic.clone());
            let asked = blocking(move || producer.client().fetch_metadata(Some(&topic), REQUEST));
            let metadata = asked.await.map_err(|error| error.to_string())?;
            let known = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
            if known == total { Ok(()) } else { Err(format!("it knows {known}")) }
        })
        .await;
    }

    /// Returns the partitions of a topic in order.
    pub(crate) async fn partitions(&self, topic: &str) -> Vec<i32> {
        let what = format!("topic {topic} to have leaders");
        eventually(DEADLINE, &what, async || {
            self.admin.partitions(topic).await?.ok_or_else(|| format!("there is no topic {topic}"))
        })
        .await
    }

    async fn await_partitions(&self, topic: &str, total: usize) {
        let what = format!("topic {topic} to have {total} partitions");
        eventually(DEADLINE, &what, async || match self.admin.partitions(topic).await? {
            Some(there) if there.len() == total => Ok(()),
            there => Err(format!("there are {there:?}")),
        })
        .await;
    }
}

/// Records.
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

/// Group offsets.
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
pub(super) async fn coordinator_answers(bootstrap: &str, group: &str) -> Result<(), String> {
    let (bootstrap, group) = (bootstrap.to_owned(), group.to_owned());
    blocking(move || {
        // Any topic will do: the question goes to the coordinator, who need not know it.
        committed(&bootstrap, &group, "no-such-topic", &[0], COORDINATOR)
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await
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

fn consumer(bootstrap: &str, group: &str) -> BaseConsumer {
    settings(bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "error")
        .create()
        .expect("these settings are valid")
}

/// What all clients here have in common: quick to come back, because the harness restarts brokers.
fn settings(bootstrap: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "500")
        .set("socket.timeout.ms", REQUEST.as_millis().to_string())
        .set("log.connection.close", "false");
    settings
}

fn patience() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(DEADLINE)).operation_timeout(Some(DEADLINE))
}

fn assert_done(verb: &str, name: &str, done: Result<Vec<TopicResult>, KafkaError>) {
    let results = done.unwrap_or_else(|error| panic!("cannot {verb} {name}: {error}"));
    for result in results {
        if let Err((_, code)) = result {
            panic!("cannot {verb} {name}: {code}");
        }
    }
}
