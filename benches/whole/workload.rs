//! The topics that are read: what is in them, how many records there are, and in how many partitions.
//!
//! Not here: what a record looks like (`record`).

use rdkafka::ClientConfig;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::util::Timeout;

use crate::record::{Shape, record};
use crate::support::kafka::KafkaCluster;

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) partitions: usize,
    /// Measured.
    pub(crate) records: usize,
    pub(crate) gzip: bool,
    /// Routes, all but one of which read other topics.
    pub(crate) routes: usize,
    /// Segments whose members change, in turn.
    pub(crate) segments: usize,
    /// How long the sink takes for an answer, in milliseconds.
    pub(crate) delay_ms: u64,
    /// Records per second, when what is measured is how late they arrive.
    pub(crate) steady: Option<usize>,
}

/// The long one, which has to be asked for.
const BACKLOG: &str = "backlog10m";
/// A Java process needs some seconds until it is warm.
const STEADY_WARM_UP_SECONDS: usize = 10;

impl Workload {
    /// Those that are run when none is named.
    pub(crate) fn usual() -> Vec<Self> {
        Self::all().into_iter().filter(|workload| !workload.is_backlog()).collect()
    }

    pub(crate) fn all() -> Vec<Self> {
        let plain = Self {
            name: "plain",
            shape: Shape::Plain,
            partitions: 12,
            records: 1_400_000,
            gzip: false,
            routes: 1,
            segments: 1,
            delay_ms: 2,
            steady: None,
        };
        let debezium = Self { shape: Shape::Debezium, records: 700_000, ..plain.clone() };
        let schema = Self { shape: Shape::DebeziumWithSchema, records: 350_000, ..plain.clone() };
        let members = Self { shape: Shape::Members, records: 700_000, ..plain.clone() };
        vec![
            plain.clone(),
            Self { name: "plain-gzip", gzip: true, ..plain.clone() },
            Self { name: "plain-1-partition", partitions: 1, ..plain.clone() },
            Self { name: "plain-150-partitions", partitions: 150, ..plain.clone() },
            Self { name: "plain-20-routes", routes: 20, ..plain.clone() },
            Self { name: "plain-slow-sink", delay_ms: 50, records: 700_000, ..plain.clone() },
            Self { name: "debezium", ..debezium },
            Self { name: "debezium-schema", ..schema },
            Self { name: "members-1-segment", ..members.clone() },
            Self { name: "members-10000-segments", segments: 10_000, ..members },
            Self { name: "steady", records: 20_000, steady: Some(1_000), ..plain.clone() },
            Self { name: BACKLOG, records: 9_000_000, ..plain },
        ]
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|workload| workload.name == name)
    }

    pub(crate) fn scaled(mut self, scale: f64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of records"
        )]
        {
            self.records = (self.records as f64 * scale) as usize;
        }
        self
    }

    pub(crate) fn is_backlog(&self) -> bool {
        self.name == BACKLOG
    }

    /// Records before those that are measured.
    pub(crate) fn warm_up(&self) -> usize {
        match self.steady {
            Some(rate) => rate * STEADY_WARM_UP_SECONDS,
            None if self.is_backlog() => self.records / 9,
            // Virtual machines compile while they run.
            None => self.records / 4,
        }
    }

    pub(crate) fn total(&self) -> usize {
        self.records + self.warm_up()
    }

    /// Workloads that read the same records share a topic.
    pub(crate) fn topic(&self) -> String {
        let Self { shape, partitions, segments, .. } = self;
        format!("bench-{shape:?}-{partitions}-{segments}-{}", self.total()).to_lowercase()
    }

    /// Writes the topic.
    pub(crate) async fn prepare(&self, kafka: &KafkaCluster) {
        let topic = self.topic();
        kafka.create_topic(&topic, self.partitions, 1).await;
        let (workload, bootstrap) = (self.clone(), kafka.bootstrap().to_owned());
        tokio::task::spawn_blocking(move || workload.fill(&bootstrap, &topic)).await.unwrap();
    }

    fn fill(&self, bootstrap: &str, topic: &str) {
        let producer = producer(bootstrap);
        let mut text = String::new();
        for n in 0..self.total() {
            self.record(n, 1_767_225_600_000, &mut text);
            send(&producer, topic, n, self.partitions, &text);
        }
        producer.flush(Timeout::Never).unwrap();
    }

    /// Writes record `n`, made at a time.
    pub(crate) fn record(&self, n: usize, at_ms: i64, text: &mut String) {
        record(self.shape, self.segments, n, at_ms, text);
    }
}

/// A producer for many records.
pub(crate) fn producer(bootstrap: &str) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true") // What is in the topic twice is no contender's fault.
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap()
}

/// Sends a record, and waits while the queue is full.
pub(crate) fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    n: usize,
    partitions: usize,
    text: &str,
) {
    let partition = i32::try_from(n % partitions).unwrap();
    let mut record = BaseRecord::<[u8; 8], str>::to(topic).partition(partition).payload(text);
    let key = n.to_be_bytes();
    record = record.key(&key);
    while let Err((_, refused)) = producer.send(record) {
        producer.flush(Timeout::Never).unwrap();
        record = refused;
    }
}
