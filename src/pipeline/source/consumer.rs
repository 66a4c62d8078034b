//! The consumer's properties and callbacks.
//!
//! Callbacks run inside `poll` on the consumer thread and own no state: they note what happened for
//! the loop, which does own it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::bindings::rd_kafka_resp_err_t;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;

use super::Reports;
use super::statistics::{Statistics, Totals};
use crate::kafka::connection::{CreateError, KafkaLog, client_config, create as create_client};
use crate::kafka::settings::KafkaSettings;
use crate::model::record::Partition;

/// What the group decided.
#[derive(Debug)]
pub(super) enum RebalanceEvent {
    Assigned(Vec<Partition>),
    Revoked(Vec<Partition>),
}

/// The consumer's callbacks.
#[derive(Debug)]
pub(super) struct Context {
    log: KafkaLog,
    reports: Reports,
    events: Mutex<VecDeque<RebalanceEvent>>,
    /// Once the loop has ended, rebalances are carried out on the spot: leaving waits for them.
    closing: AtomicBool,
    reported: Mutex<Reported>,
}

/// What librdkafka's statistics last said.
#[derive(Debug, Default)]
struct Reported {
    totals: Totals,
    unread: HashMap<Partition, bool>,
}

pub(super) fn create(
    settings: &KafkaSettings,
    reports: &Reports,
) -> Result<BaseConsumer<Context>, CreateError> {
    let mut config = client_config(settings);
    let user: Vec<&str> = settings.properties.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in DEFAULTS {
        if !user.contains(name) {
            config.set(*name, *value);
        }
    }
    // KIP-848 groups are assigned by the broker and refuse the client-side strategy.
    let by_broker = settings
        .properties
        .iter()
        .any(|(name, value)| name == "group.protocol" && value.eq_ignore_ascii_case("consumer"));
    if !by_broker && !user.contains(&"partition.assignment.strategy") {
        config.set("partition.assignment.strategy", "cooperative-sticky");
    }
    config.set("group.id", &settings.group_id);
    for (name, value) in PROTECTED {
        config.set(*name, *value);
    }
    let context = Context {
        log: KafkaLog::default(),
        reports: reports.clone(),
        events: Mutex::default(),
        closing: AtomicBool::new(false),
        reported: Mutex::default(),
    };
    create_client(&config, context)
}

/// Ours unless the user says otherwise.
const DEFAULTS: &[(&str, &str)] = &[
    ("auto.offset.reset", "earliest"), // `latest` loses records on a first start.
    ("check.crcs", "true"),
    ("topic.blacklist", "^__"), // Kafka's own topics are never meant by a pattern.
    ("topic.metadata.refresh.interval.ms", "60000"), // New partitions are found within a minute.
    // Per partition; the defaults let 150 partitions prefetch gigabytes.
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "8192"),
    // A record takes more than twice its bytes while it waits to be read.
    ("fetch.max.bytes", "4194304"),
    // The default of 1 s stalls small queues for that long.
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.wait.max.ms", "100"),
    ("statistics.interval.ms", "5000"),
];

/// Ours whatever the user says: progress is what the ledger says it is.
const PROTECTED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "false"),
    ("allow.auto.create.topics", "false"),
    ("isolation.level", "read_committed"),
];

// === impl Context ===

impl Context {
    pub(super) fn next_event(&self) -> Option<RebalanceEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// From now on nobody looks at events any more.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Whether Kafka has records of a partition that were not handed to us yet, as far as is known.
    pub(super) fn is_unread(&self, partition: &Partition) -> bool {
        let reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.unread.get(partition).copied().unwrap_or_default()
    }

    fn note(&self, event: RebalanceEvent) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            tracing::debug!("librdkafka's statistics cannot be read");
            return;
        };
        if statistics.is_connected() {
            self.reports.note_connection();
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        statistics.show(&self.reports.metrics, &mut reported.totals);
        reported.unread = statistics.unread();
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        err: rd_kafka_resp_err_t,
        list: &mut TopicPartitionList,
    ) {
        if self.closing.load(Ordering::SeqCst) {
            let assigned = err == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
            let result = match consumer.rebalance_protocol() {
                // It has to be answered before it can be given up; what is read of it is dropped.
                RebalanceProtocol::Cooperative if assigned => consumer.incremental_assign(list),
                RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
                RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a rebalance while closing");
            }
            return;
        }
        let partitions: Vec<Partition> = list
            .elements()
            .iter()
            .map(|element| Partition::new(element.topic(), element.partition()))
            .collect();
        // The loop calls `assign` or `unassign` itself, after it has done what has to come first.
        self.note(if err == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            RebalanceEvent::Assigned(partitions)
        } else {
            RebalanceEvent::Revoked(partitions)
        });
    }
}
