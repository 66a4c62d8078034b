//! The path's metrics, with their labels resolved once instead of once per record.

use std::collections::HashMap;

use super::recovery::Recovered;
use crate::model::batch::TargetId;
use crate::model::operation::{LaneKey, MemberList, Membership, Operation};
use crate::model::outcome::{FilterReason, Outcome};
use crate::pipeline::ack::{Closed, ClosedOn};
use crate::pipeline::route::RouteId;
use crate::pipeline::route::settings::RouteSettings;
use crate::telemetry::metrics::{Counter, LevelGauge, Metrics};

/// The names of operations, as in the configuration.
const SEGMENT_MEMBER: &str = "segment_member";
const METRIC: &str = "metric";

/// Handles of all metrics that records move.
#[derive(Debug)]
pub(super) struct PathCounters {
    metrics: Metrics,
    delivered: Counter,
    filtered: Counter,
    dead_lettered: Counter,
    /// By route.
    routes: Vec<RouteCounters>,
    /// By target.
    coalesced: Vec<Coalesced>,
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
    ended: HashMap<Outcome, Counter>,
    members: Vec<(Change, Counter)>,
}

/// How a segment's list changes.
type Change = (MemberList, bool);

/// Of one target.
#[derive(Debug)]
struct Coalesced {
    members: Counter,
    definitions: Counter,
}

impl PathCounters {
    pub(super) fn new(metrics: &Metrics, routes: &[RouteSettings], targets: &[String]) -> Self {
        let outcome = |label| metrics.records.with_label_values(&[label]);
        let recovered = |label| metrics.recovered_records.with_label_values(&[label]);
        let name_of = |target: TargetId| targets.get(target.0).map_or("", String::as_str);
        let routes = routes
            .iter()
            .map(|route| RouteCounters::new(metrics, route, name_of(route.operation.target())));
        let coalesced = targets.iter().map(|target| Coalesced::new(metrics, target));
        Self {
            delivered: outcome("delivered"),
            filtered: outcome("filtered"),
            dead_lettered: outcome("dead_lettered"),
            routes: routes.collect(),
            coalesced: coalesced.collect(),
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
        let Some(counters) = self.routes.get(route.0) else { return };
        counters.filtered.get(&reason).into_iter().for_each(Counter::inc);
        counters.ended.get(&Outcome::Filtered).into_iter().for_each(Counter::inc);
    }

    /// What a record asks of a segment's members.
    pub(super) fn members(&self, route: RouteId, operation: &Operation) {
        let Operation::Segment(change) = operation else { return };
        let wanted = match change.membership {
            Membership::In(list) => (list, true),
            Membership::OutOf(list) => (list, false),
            // Only several changes come to that.
            Membership::Nowhere => return,
        };
        let members = self.routes.get(route.0).map(|route| route.members.as_slice());
        let counter = members.unwrap_or_default().iter().find(|(change, _)| *change == wanted);
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }

    pub(super) fn offset_reset(&self) {
        self.metrics.offset_resets.inc();
    }

    /// An intent was replaced by a newer one before it was sent.
    pub(super) fn coalesced(&self, lane: &LaneKey) {
        let of = |target: &TargetId| self.coalesced.get(target.0);
        let counter = match lane {
            LaneKey::Segment { target, .. } => of(target).map(|of| &of.members),
            LaneKey::Metric { target, .. } => of(target).map(|of| &of.definitions),
        };
        counter.into_iter().for_each(Counter::inc);
    }

    pub(super) fn closed(&self, closed: Closed) {
        self.delivered.inc_by(closed.delivered);
        self.filtered.inc_by(closed.filtered);
        self.dead_lettered.inc_by(closed.dead_lettered);
    }

    /// The same by route; `routes` are those of the records' topic by their places.
    pub(super) fn closed_on(&self, routes: &[RouteId], closed: &[ClosedOn]) {
        for ClosedOn { delivered, dead, records } in closed {
            for (set, outcome) in [(delivered, Outcome::Delivered), (dead, Outcome::DeadLettered)] {
                let counters = set.pick(routes).filter_map(|id| self.routes.get(id.0));
                let ended = counters.filter_map(|counters| counters.ended.get(&outcome));
                ended.for_each(|counter| counter.inc_by(*records));
            }
        }
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

// === impl RouteCounters ===

impl RouteCounters {
    fn new(metrics: &Metrics, route: &RouteSettings, target: &str) -> Self {
        let (name, operation) = (route.name.as_str(), route.operation.as_str());
        let filtered = |reason: FilterReason| {
            (reason, metrics.filtered.with_label_values(&[name, reason.as_str()]))
        };
        let ended = |outcome: Outcome| {
            (outcome, metrics.route_records.with_label_values(&[name, outcome.as_str()]))
        };
        let change = |list: MemberList, added: bool| {
            let labels = [name, list.as_str(), if added { "added" } else { "removed" }];
            ((list, added), metrics.member_changes.with_label_values(&labels))
        };
        let lists = [MemberList::Included, MemberList::Excluded];
        let members = lists.into_iter().flat_map(|list| [change(list, true), change(list, false)]);
        Self {
            operations: metrics.operations.with_label_values(&[name, target, operation]),
            filtered: FilterReason::ALL.into_iter().map(filtered).collect(),
            ended: Outcome::ALL.into_iter().map(ended).collect(),
            // Begun for routes that change members only: for others they would be noise.
            members: if operation == SEGMENT_MEMBER { members.collect() } else { Vec::new() },
        }
    }
}

// === impl Coalesced ===

impl Coalesced {
    fn new(metrics: &Metrics, target: &str) -> Self {
        let of = |operation| metrics.coalesced.with_label_values(&[target, operation]);
        Self { members: of(SEGMENT_MEMBER), definitions: of(METRIC) }
    }
}
