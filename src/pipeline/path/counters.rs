//! The path's metrics, with their labels resolved once instead of once per record.

use std::collections::HashMap;

use super::recovery::Recovered;
use crate::model::outcome::FilterReason;
use crate::pipeline::ack::Closed;
use crate::pipeline::route::RouteId;
use crate::pipeline::route::settings::RouteSettings;
use crate::telemetry::metrics::{Counter, LevelGauge, Metrics};

/// Handles of all metrics that records move.
#[derive(Debug)]
pub(super) struct PathCounters {
    metrics: Metrics,
    delivered: Counter,
    filtered: Counter,
    dead_lettered: Counter,
    /// By route.
    routes: Vec<RouteCounters>,
    coalesced: Counter,
    resent: Counter,
    skipped: Counter,
    may_repeat: Counter,
    in_flight_bytes: LevelGauge,
    in_flight_records: LevelGauge,
}

#[derive(Debug)]
struct RouteCounters {
    operations: Counter,
    filtered: HashMap<FilterReason, Counter>,
}

impl PathCounters {
    pub(super) fn new(metrics: &Metrics, routes: &[RouteSettings]) -> Self {
        let outcome = |label| metrics.records.with_label_values(&[label]);
        let recovered = |label| metrics.recovered_records.with_label_values(&[label]);
        let routes = routes.iter().map(|route| RouteCounters {
            operations: metrics
                .operations
                .with_label_values(&[route.name.as_str(), route.operation.as_str()]),
            filtered: FilterReason::ALL
                .into_iter()
                .map(|reason| {
                    let labels = [route.name.as_str(), reason.as_str()];
                    (reason, metrics.filtered.with_label_values(&labels))
                })
                .collect(),
        });
        Self {
            delivered: outcome("delivered"),
            filtered: outcome("filtered"),
            dead_lettered: outcome("dead_lettered"),
            routes: routes.collect(),
            coalesced: metrics.coalesced.clone(),
            resent: recovered("resent"),
            skipped: recovered("skipped"),
            may_repeat: recovered("may_repeat"),
            in_flight_bytes: metrics.in_flight_bytes.clone(),
            in_flight_records: metrics.in_flight_records.clone(),
            metrics: metrics.clone(),
        }
    }

    /// The counter of records read from a topic.
    pub(super) fn records_read(&self, topic: &str) -> Counter {
        self.metrics.records_read.with_label_values(&[topic])
    }

    pub(super) fn operation(&self, route: RouteId) {
        if let Some(counters) = self.routes.get(route.0) {
            counters.operations.inc();
        }
    }

    pub(super) fn filtered(&self, route: RouteId, reason: FilterReason) {
        if let Some(counter) = self.routes.get(route.0).and_then(|r| r.filtered.get(&reason)) {
            counter.inc();
        }
    }

    pub(super) fn offset_reset(&self) {
        self.metrics.offset_resets.inc();
    }

    /// An intent was replaced by a newer one before it was sent.
    pub(super) fn coalesced(&self) {
        self.coalesced.inc();
    }

    pub(super) fn closed(&self, closed: Closed) {
        self.delivered.inc_by(closed.delivered);
        self.filtered.inc_by(closed.filtered);
        self.dead_lettered.inc_by(closed.dead_lettered);
    }

    /// What became of records that an earlier owner of their partition may have sent.
    pub(super) fn recovered(&self, recovered: Recovered) {
        if recovered == Recovered::default() {
            return;
        }
        self.resent.inc_by(recovered.resent);
        self.skipped.inc_by(recovered.skipped);
        self.may_repeat.inc_by(recovered.may_repeat);
    }

    pub(super) fn in_flight(&self, bytes: usize, records: usize) {
        self.in_flight_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.in_flight_records.set(i64::try_from(records).unwrap_or(i64::MAX));
    }
}
