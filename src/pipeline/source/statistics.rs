//! The part of librdkafka's statistics that we show. It reports about every five seconds.

use std::collections::HashMap;

use serde::Deserialize;

use crate::model::record::Partition;
use crate::telemetry::metrics::Metrics;

/// librdkafka's report, as far as it is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Statistics {
    brokers: HashMap<String, Broker>,
    topics: HashMap<String, Topic>,
    cgrp: Group,
    rxmsg_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Broker {
    nodeid: i64,
    state: String,
    disconnects: u64,
    rxerrs: u64,
    txerrs: u64,
    req_timeouts: u64,
    rtt: Window,
}

/// A rolling window of measurements, in microseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Window {
    cnt: u64,
    p99: u32,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Topic {
    partitions: HashMap<String, PartitionReport>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PartitionReport {
    consumer_lag: i64,
    desired: bool,
    fetch_state: String,
    fetchq_cnt: i64,
    fetchq_size: i64,
    next_offset: i64,
    ls_offset: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    state: String,
    join_state: String,
}

/// What librdkafka counts from its own start on, so that the difference is counted.
#[derive(Debug, Default)]
pub(super) struct Totals(HashMap<&'static str, u64>);

/// A broker's address before its identity is known, and the logical one of the group's coordinator, are
/// no brokers of their own.
const NO_NODE: i64 = -1;

impl Statistics {
    pub(super) fn is_connected(&self) -> bool {
        self.connected() > 0
    }

    /// The partitions of which Kafka has records that were not handed to us yet.
    pub(super) fn unread(&self) -> HashMap<Partition, bool> {
        self.fetched()
            .map(|(topic, number, it)| (Partition::new(topic, number), it.is_unread()))
            .collect()
    }

    /// Shows everything; `totals` are those shown before.
    pub(super) fn show(&self, metrics: &Metrics, totals: &mut Totals) {
        let slowest = self.brokers.values().filter(|broker| broker.rtt.cnt > 0);
        let slowest = slowest.map(|broker| broker.rtt.p99).max().unwrap_or_default();
        metrics.kafka_brokers.set(self.connected());
        metrics.kafka_round_trip.set(f64::from(slowest) / 1e6);
        metrics.kafka_group_steady.set(i64::from(self.cgrp.is_steady()));
        let (mut records, mut bytes) = (0, 0);
        for (topic, number, partition) in self.fetched() {
            let lag = metrics.consumer_lag.with_label_values(&[topic, &number.to_string()]);
            lag.set(partition.consumer_lag.max(0));
            records += partition.fetchq_cnt;
            bytes += partition.fetchq_size;
        }
        metrics.kafka_prefetched_records.set(records);
        metrics.kafka_prefetched_bytes.set(bytes);
        metrics.kafka_received_bytes.inc_by(totals.grown("received", self.rxmsg_bytes));
        for (kind, of) in ERRORS {
            let total = self.brokers.values().map(of).sum();
            metrics.kafka_errors.with_label_values(&[kind]).inc_by(totals.grown(kind, total));
        }
    }

    fn connected(&self) -> i64 {
        let up = self.brokers.values().filter(|it| it.state == "UP" && it.nodeid != NO_NODE);
        i64::try_from(up.count()).unwrap_or(i64::MAX)
    }

    /// The partitions that are ours: librdkafka goes on listing those that were, and -1 is its own
    /// collective of unassigned messages.
    fn fetched(&self) -> impl Iterator<Item = (&str, i32, &PartitionReport)> {
        let all = self.topics.iter().flat_map(|(topic, Topic { partitions })| {
            partitions.iter().map(move |(number, report)| (topic.as_str(), number.parse(), report))
        });
        all.filter_map(|(topic, number, report)| Some((topic, number.ok()?, report)))
            .filter(|(_, number, report)| *number >= 0 && report.desired && report.is_fetched())
    }
}

/// Reads one of a broker's totals.
type Total = fn(&Broker) -> u64;

/// A broker's trouble, by kind.
const ERRORS: [(&str, Total); 4] = [
    ("disconnect", |broker| broker.disconnects),
    ("receive", |broker| broker.rxerrs),
    ("send", |broker| broker.txerrs),
    ("timeout", |broker| broker.req_timeouts),
];

/// Begins every series, so that there is none that hides its first event.
pub(super) fn declare_series(metrics: &Metrics) {
    for (kind, _) in ERRORS {
        metrics.kafka_errors.with_label_values(&[kind]);
    }
}

impl PartitionReport {
    fn is_fetched(&self) -> bool {
        matches!(self.fetch_state.as_str(), "active" | "offset-query" | "offset-wait")
    }

    /// By what is left to fetch rather than by offsets that were read: the last offset of a topic that is
    /// written in transactions is no record.
    fn is_unread(&self) -> bool {
        self.fetchq_cnt > 0 || self.next_offset < self.ls_offset
    }
}

impl Group {
    /// Classic groups say `steady`; groups that the broker assigns are up and have nothing to join.
    fn is_steady(&self) -> bool {
        self.state == "up" && matches!(self.join_state.as_str(), "steady" | "init")
    }
}

impl Totals {
    /// By how much a total has grown. A broker that is forgotten takes its part of a total along.
    fn grown(&mut self, name: &'static str, total: u64) -> u64 {
        let before = self.0.insert(name, total).unwrap_or_default();
        total.saturating_sub(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "rxmsg_bytes": 5000,
        "brokers": {
            "kafka-1:9092/1": { "nodeid": 1, "state": "UP", "disconnects": 2, "rtt": { "cnt": 4, "p99": 2500 } },
            "kafka-2:9092/2": { "nodeid": 2, "state": "DOWN", "req_timeouts": 1, "rtt": { "cnt": 0, "p99": 9 } },
            "GroupCoordinator": { "nodeid": -1, "state": "UP", "disconnects": 1 }
        },
        "cgrp": { "state": "up", "join_state": "steady" },
        "topics": { "t": { "partitions": {
            "-1": { "desired": true, "fetch_state": "active", "consumer_lag": -1 },
            "0": { "desired": true, "fetch_state": "active", "consumer_lag": 7,
                   "fetchq_cnt": 3, "fetchq_size": 300, "next_offset": 9, "ls_offset": 9 },
            "1": { "desired": true, "fetch_state": "active", "consumer_lag": -1,
                   "next_offset": 4, "ls_offset": 4 },
            "2": { "desired": true, "fetch_state": "active", "next_offset": 4, "ls_offset": 5 },
            "3": { "desired": true, "fetch_state": "stopped", "consumer_lag": 70, "fetchq_cnt": 70 }
        } } }
    }"#;

    #[test]
    fn what_matters_is_shown_and_totals_grow_by_the_difference() {
        let metrics = Metrics::new().unwrap();
        let mut totals = Totals::default();
        let mut report: Statistics = serde_json::from_str(REPORT).unwrap();
        report.show(&metrics, &mut totals);
        report.show(&metrics, &mut totals);
        let errors = |kind| metrics.kafka_errors.with_label_values(&[kind]).get();
        assert_eq!((metrics.kafka_brokers.get(), metrics.kafka_group_steady.get()), (1, 1));
        assert!((metrics.kafka_round_trip.get() - 0.0025).abs() < 1e-9);
        assert_eq!((errors("disconnect"), errors("timeout"), errors("send")), (3, 1, 0));
        assert_eq!(metrics.kafka_received_bytes.get(), 5_000);
        assert_eq!(metrics.kafka_prefetched_records.get(), 3);
        assert_eq!(metrics.kafka_prefetched_bytes.get(), 300);
        assert_eq!(metrics.consumer_lag.with_label_values(&["t", "0"]).get(), 7);
        report.rxmsg_bytes = 5_400;
        report.cgrp.join_state = "wait-sync".to_owned();
        report.show(&metrics, &mut totals);
        assert_eq!(
            (metrics.kafka_received_bytes.get(), metrics.kafka_group_steady.get()),
            (5_400, 0)
        );
    }

    #[test]
    fn unread_is_what_is_prefetched_or_still_to_be_fetched() {
        let report: Statistics = serde_json::from_str(REPORT).unwrap();
        let mut unread: Vec<_> =
            report.unread().into_iter().map(|(id, unread)| (id.number, unread)).collect();
        unread.sort_unstable();
        assert_eq!(unread, [(0, true), (1, false), (2, true)]);
    }
}
