//! The consumer's properties and callbacks.
//!
//! Callbacks run inside `poll` on the consumer thread and own no state: they note what happened for
//! the loop, which does own it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::bindings::rd_kafka_resp_err_t;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use serde::Deserialize;

use super::Reports;
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
}

/// The part of librdkafka's statistics that we show.
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: std::collections::HashMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: std::collections::HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
struct TopicStatistics {
    #[serde(default)]
    partitions: std::collections::HashMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    #[serde(default)]
    consumer_lag: i64,
    #[serde(default)]
    desired: bool,
    #[serde(default)]
    fetch_state: String,
}

impl PartitionStatistics {
    /// Whether the partition is ours: librdkafka goes on listing those that were.
    fn is_fetched(&self) -> bool {
        matches!(self.fetch_state.as_str(), "active" | "offset-query" | "offset-wait")
    }
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
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.max.bytes", "16777216"),
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
        let Ok(Statistics { brokers, topics }) = serde_json::from_slice(statistics) else {
            tracing::debug!("librdkafka's statistics cannot be read");
            return;
        };
        if brokers.values().any(|broker| broker.state == "UP") {
            self.reports.note_connection();
        }
        for (topic, TopicStatistics { partitions }) in topics {
            for (number, partition) in partitions {
                // -1 is librdkafka's own collective of unassigned messages.
                if partition.desired && partition.is_fetched() && number != "-1" {
                    let labels = [topic.as_str(), number.as_str()];
                    let lag = partition.consumer_lag.max(0);
                    self.reports.metrics.consumer_lag.with_label_values(&labels).set(lag);
                }
            }
        }
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
