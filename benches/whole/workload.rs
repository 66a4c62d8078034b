//! The topics that are read: what their records look like, how many there are, and in how many
//! partitions.

use std::fmt::Write as _;
use std::sync::LazyLock;

use rdkafka::ClientConfig;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::util::Timeout;

use crate::support::kafka::KafkaCluster;

/// What a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A plain JSON object of about 230 bytes.
    Plain,
    /// A Debezium envelope of about 900 bytes.
    Debezium,
    /// The same with its schema, about 2,800 bytes.
    DebeziumWithSchema,
}

#[derive(Debug, Clone)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) partitions: usize,
    /// Measured; a seventh of them warms up before.
    pub(crate) records: usize,
    pub(crate) gzip: bool,
    /// Routes, all but one of which read other topics.
    pub(crate) routes: usize,
    /// How long the sink takes for an answer, in milliseconds.
    pub(crate) delay_ms: u64,
    /// Records per second, when what is measured is how late they arrive.
    pub(crate) steady: Option<usize>,
}

impl Workload {
    pub(crate) fn all() -> Vec<Self> {
        let plain = Self {
            name: "plain",
            shape: Shape::Plain,
            partitions: 12,
            records: 2_100_000,
            gzip: false,
            routes: 1,
            delay_ms: 2,
            steady: None,
        };
        let debezium = Self { shape: Shape::Debezium, records: 700_000, ..plain.clone() };
        let schema = Self { shape: Shape::DebeziumWithSchema, records: 350_000, ..plain.clone() };
        vec![
            plain.clone(),
            Self { name: "plain-gzip", gzip: true, ..plain.clone() },
            Self { name: "plain-1-partition", partitions: 1, ..plain.clone() },
            Self { name: "plain-150-partitions", partitions: 150, ..plain.clone() },
            Self { name: "plain-20-routes", routes: 20, ..plain.clone() },
            Self { name: "plain-slow-sink", delay_ms: 50, ..plain.clone() },
            Self { name: "debezium", ..debezium },
            Self { name: "debezium-schema", ..schema },
            Self { name: "steady", records: 20_000, steady: Some(1_000), ..plain },
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

    pub(crate) fn warm_up(&self) -> usize {
        self.records / 7
    }

    pub(crate) fn total(&self) -> usize {
        self.records + self.warm_up()
    }

    /// Workloads that read the same records share a topic.
    pub(crate) fn topic(&self) -> String {
        format!("bench-{:?}-{}-{}", self.shape, self.partitions, self.total()).to_lowercase()
    }

    /// Writes the topic, unless it is there.
    pub(crate) async fn prepare(&self, kafka: &KafkaCluster) {
        let topic = self.topic();
        kafka.create_topic(&topic, self.partitions, 1).await;
        let (shape, total, partitions) = (self.shape, self.total(), self.partitions);
        let bootstrap = kafka.bootstrap().to_owned();
        tokio::task::spawn_blocking(move || fill(&bootstrap, &topic, shape, total, partitions))
            .await
            .unwrap();
    }
}

/// A producer for many records.
pub(crate) fn producer(bootstrap: &str) -> ThreadedProducer<DefaultProducerContext> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "200000")
        .create()
        .unwrap()
}

fn fill(bootstrap: &str, topic: &str, shape: Shape, total: usize, partitions: usize) {
    let producer = producer(bootstrap);
    let mut text = String::new();
    for n in 0..total {
        record(shape, n, 1_767_225_600_000, &mut text);
        send(&producer, topic, n, partitions, &text);
    }
    producer.flush(Timeout::Never).unwrap();
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

/// Writes record `n`. Its number stands where every contender passes it on: as the text `id`.
pub(crate) fn record(shape: Shape, n: usize, at_ms: i64, text: &mut String) {
    text.clear();
    let row = |text: &mut String| {
        write!(
            text,
            r#"{{"id":"{n}","user_id":"user-{:06}","total":{}.{:02},"currency":"EUR","created_at":{at_ms},"status":"paid","channel":"web","store":"berlin-{:03}","items":{},"coupon":null,"note":"left at the front door, second floor"}}"#,
            n % 500_000,
            n % 400,
            n % 100,
            n % 40,
            n % 9,
        )
        .unwrap();
    };
    match shape {
        Shape::Plain => row(text),
        Shape::Debezium => envelope(text, row, at_ms),
        Shape::DebeziumWithSchema => {
            text.push_str(&SCHEMA);
            envelope(text, row, at_ms);
            text.push('}');
        }
    }
}

fn envelope(text: &mut String, row: impl Fn(&mut String), at_ms: i64) {
    text.push_str(r#"{"before":"#);
    row(text);
    text.push_str(r#","after":"#);
    row(text);
    write!(
        text,
        r#","source":{{"version":"3.6.0.Final","connector":"postgresql","name":"shop","ts_ms":{at_ms},"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023128\"]","ts_us":{at_ms}000,"ts_ns":{at_ms}000000,"schema":"public","table":"orders","txId":555,"lsn":24023128,"xmin":null}},"transaction":null,"op":"u","ts_ms":{at_ms},"ts_us":{at_ms}000,"ts_ns":{at_ms}000000}}"#
    )
    .unwrap();
}

/// As Kafka Connect's `JsonConverter` writes it with `schemas.enable`, up to the payload.
static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let fields = |fields: &[(&str, &str)]| {
        let one = |(name, kind): &(&str, &str)| {
            format!(r#"{{"type":"{kind}","optional":true,"field":"{name}"}}"#)
        };
        fields.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let of_struct = |its: &[(&str, &str)], name: &str, field: &str| {
        let its = fields(its);
        format!(
            r#"{{"type":"struct","fields":[{its}],"optional":true,"name":"{name}","field":"{field}"}}"#
        )
    };
    let row = |field| of_struct(&ROW, "shop.public.orders.Value", field);
    let source = of_struct(&SOURCE, "io.debezium.connector.postgresql.Source", "source");
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{},{},{source},{}],"optional":false,"name":"shop.public.orders.Envelope","version":2}},"payload":"#,
        row("before"),
        row("after"),
        fields(&OUTER),
    )
});

const ROW: [(&str, &str); 11] = [
    ("id", "string"),
    ("user_id", "string"),
    ("total", "double"),
    ("currency", "string"),
    ("created_at", "int64"),
    ("status", "string"),
    ("channel", "string"),
    ("store", "string"),
    ("items", "int32"),
    ("coupon", "string"),
    ("note", "string"),
];
const SOURCE: [(&str, &str); 8] = [
    ("version", "string"),
    ("connector", "string"),
    ("name", "string"),
    ("ts_ms", "int64"),
    ("snapshot", "string"),
    ("db", "string"),
    ("table", "string"),
    ("lsn", "int64"),
];
const OUTER: [(&str, &str); 4] =
    [("op", "string"), ("ts_ms", "int64"), ("ts_us", "int64"), ("ts_ns", "int64")];
