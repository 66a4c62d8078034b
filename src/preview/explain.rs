//! Takes one record through the routes of its topic and tells what each of them makes of it.
//!
//! The service stops at the first route that refuses; this goes on, because whoever mends a mapping
//! wants to see everything that is wrong with it. What becomes of the record is decided as there.
//!
//! # Invariants
//! - E1: the fate, its refusal and the metric events are those of `pipeline::path` for a record that
//!   comes alone, and of `pipeline::deliver` where no answer is needed to tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use super::plan::{Planned, Planner};
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::model::batch::{EventBatch, TargetId};
use crate::model::fence::Fence;
use crate::model::operation::Operation;
use crate::model::outcome::{FilterReason, Refusal, RefusalReason, Stage};
use crate::model::progress::Epoch;
use crate::model::record::{OwnedRecord, Record};
use crate::model::routes::RouteSet;
use crate::pipeline::batch::OpenBatch;
use crate::pipeline::decode::{DecodeError, Decoded, Room, check, decode};
use crate::pipeline::route::projection::Picks;
use crate::pipeline::route::{FormatGroup, Route, RouteError, RouteId, Routed, Router};
use crate::pipeline::settings::{BatchSettings, PipelineSettings, Unmatched};

/// Explains records under one configuration.
#[derive(Debug)]
pub struct Explainer {
    router: Router,
    planner: Planner,
    batch: BatchSettings,
    unmatched: Unmatched,
    /// Batches that are cut at once have no age.
    now: Instant,
}

/// What becomes of a record.
#[derive(Debug)]
pub struct Explanation {
    pub fate: Fate,
    /// The routes of its topic, in the configuration's order.
    pub routes: Vec<RouteOutcome>,
    /// Its metric events, one batch for each target; empty unless something is sent.
    pub batches: Vec<EventBatch>,
    /// What would be sent.
    pub requests: Vec<Planned>,
}

/// How the record as a whole would end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Filtered,
    /// It becomes a dead letter. Nothing of it is sent, unless a single operation cannot be: the
    /// others have then gone their way.
    Refused(Refusal),
    /// No route names its topic, so it is never read.
    Unread,
}

/// What one route makes of a record.
#[derive(Debug)]
pub struct RouteOutcome {
    pub id: RouteId,
    pub route: Arc<str>,
    pub target: TargetId,
    pub made: Made,
}

#[derive(Debug)]
pub enum Made {
    /// The event's JSON.
    Event(Bytes),
    Operations(Vec<Intended>),
    Filtered(FilterReason),
    Refused(Refusal),
}

/// An operation, and what becomes of the record where it cannot be sent.
#[derive(Debug)]
pub struct Intended {
    pub operation: Operation,
    pub refusal: Option<Refusal>,
}

/// A record on its way through its routes.
struct Walk<'a> {
    record: Record<'a>,
    picks: Picks,
    /// The routes that have not taken it before.
    owed: RouteSet,
    open: BTreeMap<TargetId, OpenBatch>,
    outcomes: Vec<RouteOutcome>,
    refusal: Option<Refusal>,
    /// Every format found a row in it, so that it surprises when no route maps it.
    has_row: bool,
}

// === impl Explainer ===

impl Explainer {
    pub fn try_new(
        settings: &PipelineSettings,
        targets: &[TargetSettings],
    ) -> Result<Self, ClientError> {
        Ok(Self {
            router: Router::new(&settings.routes),
            planner: Planner::try_new(targets, settings.delivery.gzip)?,
            batch: settings.batch,
            unmatched: settings.unmatched,
            now: Instant::now(),
        })
    }

    /// The name of a target.
    pub fn target(&self, outcome: &RouteOutcome) -> &str {
        self.planner.target(outcome)
    }

    pub fn explain(&self, record: &OwnedRecord) -> Explanation {
        let Some(routes) = self.router.topic(&record.partition.topic) else {
            let (routes, batches, requests) = (Vec::new(), Vec::new(), Vec::new());
            return Explanation { fate: Fate::Unread, routes, batches, requests };
        };
        let open =
            routes.targets().map(|(target, of)| (target, OpenBatch::new(self.batch, target, of)));
        let mut walk = Walk {
            record: record.lend(),
            picks: Picks::default(),
            owed: RouteSet::ALL,
            open: open.collect(),
            outcomes: Vec::new(),
            refusal: None,
            has_row: true,
        };
        match routes.owed(&walk.record) {
            Ok(owed) => {
                walk.owed = owed;
                routes.groups().iter().for_each(|group| walk.take_group(group));
            }
            Err(error) => {
                let refusal = refusal(Stage::Route, None, error.reason, error.detail);
                routes.groups().iter().for_each(|group| walk.refuse_all(group, &refusal));
            }
        }
        walk.end(record, self)
    }
}

// === impl Walk ===

impl Walk<'_> {
    fn take_group(&mut self, group: &FormatGroup) {
        self.has_row &= self.owed == RouteSet::ALL;
        if group.places().within(self.owed).is_empty() {
            return self.note_all(group, &|_| Made::Filtered(FilterReason::TakenBefore));
        }
        let (record, mut room) = (self.record, Room::default());
        let decoded = decode(group.reading, group.wanted, &record, &mut room);
        let change = match decoded.and_then(checked) {
            Ok(Decoded::Change(change)) => change,
            Ok(Decoded::Filtered(reason)) => {
                self.has_row = false;
                return self.note_all(group, &|_| Made::Filtered(reason));
            }
            Err(error) => {
                let refusal = refusal(Stage::Decode, None, error.reason, error.detail);
                return self.refuse_all(group, &refusal);
            }
        };
        if group.declines(&change) {
            self.has_row = false;
            let declined = |route: &Route| route.declines(&change);
            return self.note_all(group, &|route| {
                Made::Filtered(declined(route).unwrap_or(FilterReason::NoRow))
            });
        }
        if let Err(RouteError { reason, detail }) = group.pick(&change, &mut self.picks) {
            return self.refuse_all(group, &refusal(Stage::Route, None, reason, detail));
        }
        self.has_row &= !change.tombstone;
        for route in &group.routes {
            if !self.owed.has(route.place) {
                self.outcomes.push(outcome(route, Made::Filtered(FilterReason::TakenBefore)));
                continue;
            }
            let Some(open) = self.open.get_mut(&route.target) else { continue };
            let (mut operations, before) = (Vec::new(), open.body().len());
            let routed = route.apply(&change, &self.picks, open.body(), &mut operations);
            let made = match routed {
                Ok(Routed::MetricEvent) => {
                    open.count_event(route.place);
                    // The comma before it belongs to the batch.
                    Made::Event(Bytes::copy_from_slice(
                        open.body().get(before + 1..).unwrap_or_default(),
                    ))
                }
                Ok(Routed::Operations) => {
                    let intended = |operation| Intended { operation, refusal: None };
                    Made::Operations(operations.into_iter().map(intended).collect())
                }
                Ok(Routed::Filtered(reason)) => Made::Filtered(reason),
                Err(RouteError { reason, detail }) => {
                    let refusal = refusal(Stage::Route, Some(&route.name), reason, detail);
                    self.refusal.get_or_insert_with(|| refusal.clone());
                    Made::Refused(refusal)
                }
            };
            self.outcomes.push(outcome(route, made));
        }
    }

    fn note_all(&mut self, group: &FormatGroup, made: &dyn Fn(&Route) -> Made) {
        self.outcomes.extend(group.routes.iter().map(|route| outcome(route, made(route))));
    }

    fn refuse_all(&mut self, group: &FormatGroup, refusal: &Refusal) {
        self.refusal.get_or_insert_with(|| refusal.clone());
        self.note_all(group, &|_| Made::Refused(refusal.clone()));
    }

    fn end(mut self, record: &OwnedRecord, explainer: &Explainer) -> Explanation {
        self.outcomes.sort_by_key(|outcome| outcome.id.0);
        let mut fate = self.fate(explainer.unmatched);
        let (mut batches, mut requests) = (Vec::new(), Vec::new());
        if fate == Fate::Delivered {
            for open in self.open.values_mut().filter(|open| open.has_unsealed()) {
                let full = open.seal(&self.record, explainer.now);
                let cut = full.into_iter().chain(open.cut());
                batches.extend(cut.map(|cut| {
                    cut.of(record.partition.clone(), Epoch::default(), Fence::default())
                }));
            }
            let events = |batch| explainer.planner.plan_events(batch, &self.outcomes);
            requests.extend(batches.iter().filter_map(events));
            if let Some(refusal) = self.plan_operations(&explainer.planner, &mut requests) {
                fate = Fate::Refused(refusal);
            }
        }
        Explanation { fate, routes: self.outcomes, batches, requests }
    }

    /// Gives the first refusal among the operations.
    fn plan_operations(
        &mut self,
        planner: &Planner,
        requests: &mut Vec<Planned>,
    ) -> Option<Refusal> {
        let mut first = None;
        for RouteOutcome { route, made, .. } in &mut self.outcomes {
            let Made::Operations(operations) = made else { continue };
            for intended in operations {
                match planner.plan_operation(&intended.operation, route) {
                    Ok(planned) => requests.extend(planned),
                    Err(refusal) => {
                        first.get_or_insert_with(|| refusal.clone());
                        intended.refusal = Some(refusal);
                    }
                }
            }
        }
        first
    }

    fn fate(&self, unmatched: Unmatched) -> Fate {
        let refused =
            |reason, detail: &str| Fate::Refused(refusal(Stage::Route, None, reason, detail));
        if let Some(refusal) = &self.refusal {
            return Fate::Refused(refusal.clone());
        }
        if self.open.values().any(|open| open.has_unsealed() && open.is_oversized()) {
            return refused(
                RefusalReason::TooLarge,
                "its events are larger than `batch.max_bytes`",
            );
        }
        let is_made = |outcome: &RouteOutcome| outcome.made.is_something();
        if self.outcomes.iter().any(is_made) {
            Fate::Delivered
        } else if self.has_row && unmatched == Unmatched::DeadLetter {
            refused(RefusalReason::Unmatched, "no route's `when` holds")
        } else {
            Fate::Filtered
        }
    }
}

impl Fate {
    /// Whether anything may be sent for the record.
    pub fn sends(&self) -> bool {
        match self {
            Self::Delivered => true,
            Self::Refused(refusal) => refusal.stage == Stage::Deliver,
            Self::Filtered | Self::Unread => false,
        }
    }
}

impl Made {
    /// Whether the route wants something sent.
    pub fn is_something(&self) -> bool {
        match self {
            Self::Event(_) => true,
            Self::Operations(operations) => !operations.is_empty(),
            Self::Filtered(_) | Self::Refused(_) => false,
        }
    }
}

fn outcome(route: &Route, made: Made) -> RouteOutcome {
    RouteOutcome { id: route.id, route: Arc::clone(&route.name), target: route.target, made }
}

fn refusal(
    stage: Stage,
    route: Option<&str>,
    reason: RefusalReason,
    detail: impl Into<String>,
) -> Refusal {
    Refusal {
        reason,
        stage,
        route: route.map(str::to_owned),
        detail: detail.into(),
        status: None,
        answer: None,
        attempts: 0,
    }
}

fn checked(decoded: Decoded<'_>) -> Result<Decoded<'_>, DecodeError> {
    if let Decoded::Change(change) = &decoded {
        check(change)?;
    }
    Ok(decoded)
}
