//! Turns a change into operations, by rules compiled once at start.
//!
//! The routes of a topic are grouped by how they read it, so a record is decoded once for each format
//! and belief in `before`, and its fields are picked once, however many routes read it. Routes of other topics cost nothing.
//!
//! # Invariants
//! - R1: pure; equal records under equal settings give equal operations.
//! - R2: a refused record leaves nothing behind: either all its operations exist or none.
//!
//! Not here: how bytes are decoded (`decode`), how operations travel (`batch`, `deliver`).

pub mod claim;
pub mod condition;
mod convert;
mod event_time;
pub mod expression;
mod metric;
mod metric_event;
pub mod path;
pub mod projection;
mod replay;
mod segment_member;
pub mod settings;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use self::metric::MetricMapping;
use self::metric_event::EventMapping;
use self::projection::{Picks, Projection};
use self::segment_member::SegmentMapping;
use self::settings::{OperationSettings, RouteSettings};
use crate::model::batch::{MappingFingerprint, TargetId};
use crate::model::change::{BeforeExtent, Change, Op, Reading, Wanted};
use crate::model::operation::Operation;
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::routes::{RouteSet, TopicMapping};

/// The namespace of mapping fingerprints, and with the format number below part of every payload
/// ID: raise the number when other bytes are written for an unchanged mapping. Then a batch that was
/// cut by an older version is another batch. `tests/fixtures/bodies` holds it to that.
const FINGERPRINT_NAMESPACE: Uuid = Uuid::from_u128(0x0e6c_94b1_53a7_4f0b_8f52_9a51_c3f5_7d10);
pub(super) const BODY_FORMAT: u32 = 2;

/// Part of a refusal for want of a field that stood in `before` and was not believed.
const DISBELIEF: &str = " (of the row as it was, only the columns of the record's key are believed: the \
    others may be invented; if the source tells whole rows, as PostgreSQL does of a table with \
    REPLICA IDENTITY FULL, set `before: full` on the route)";

/// Which of the configured routes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RouteId(pub usize);

/// All routes, by topic. A topic's are compiled when it is first asked for: a pattern tells only
/// then which topics there are.
#[derive(Debug)]
pub struct Router {
    routes: Vec<RouteSettings>,
    topics: Mutex<HashMap<String, Arc<TopicRoutes>>>,
}

/// What happens to the records of one topic.
#[derive(Debug)]
pub struct TopicRoutes {
    groups: Vec<FormatGroup>,
    /// In the configuration's order.
    names: Vec<Arc<str>>,
    ids: Vec<RouteId>,
    /// The mapping's identity per target.
    fingerprints: HashMap<TargetId, MappingFingerprint>,
}

/// The routes of a topic that read its records alike.
#[derive(Debug)]
pub struct FormatGroup {
    pub reading: Reading,
    /// What the routes read of a change besides its row.
    pub wanted: Wanted,
    projection: Projection,
    pub routes: Vec<Route>,
    places: RouteSet,
}

/// One compiled rule.
#[derive(Debug)]
pub struct Route {
    pub id: RouteId,
    /// Its place among the routes of its topic.
    pub place: usize,
    pub name: Arc<str>,
    pub target: TargetId,
    when: Option<condition::BoundCondition>,
    /// Whether an expression of it speaks of the row as it was.
    reads_before: bool,
    mapping: Mapping,
}

/// The compiled operation of a route.
#[derive(Debug)]
enum Mapping {
    MetricEvent(EventMapping),
    Metric(MetricMapping),
    SegmentMember(Box<SegmentMapping>),
}

/// What a route made of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed {
    /// A metric event was appended to the body.
    MetricEvent,
    /// Operations that need order were appended.
    Operations,
    Filtered(FilterReason),
}

/// Why a route refuses a change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct RouteError {
    pub reason: RefusalReason,
    pub detail: String,
}

// === impl Router ===

impl Router {
    pub fn new(routes: &[RouteSettings]) -> Self {
        Self { routes: routes.to_vec(), topics: Mutex::default() }
    }

    /// The compiled routes of a topic; `None` when no route reads it.
    pub fn topic(&self, name: &str) -> Option<Arc<TopicRoutes>> {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compiled) = topics.get(name) {
            return Some(Arc::clone(compiled));
        }
        let reads = |route: &&RouteSettings| route.topics.iter().any(|topic| topic.selects(name));
        let routes: Vec<_> = (self.routes.iter().enumerate())
            .filter(|(_, route)| reads(route))
            .map(|(index, route)| (RouteId(index), route))
            .collect();
        if routes.is_empty() {
            return None;
        }
        let compiled = Arc::new(TopicRoutes::compile(&routes));
        topics.insert(name.to_owned(), Arc::clone(&compiled));
        Some(compiled)
    }
}

// === impl TopicRoutes ===

impl TopicRoutes {
    fn compile(routes: &[(RouteId, &RouteSettings)]) -> Self {
        let mut groups: Vec<FormatGroup> = Vec::new();
        let mut mappings: HashMap<TargetId, String> = HashMap::new();
        for (place, (id, settings)) in routes.iter().enumerate() {
            let at =
                groups.iter().position(|g| g.reading == settings.reading).unwrap_or_else(|| {
                    groups.push(FormatGroup::new(settings.reading));
                    groups.len() - 1
                });
            if let Some(group) = groups.get_mut(at) {
                let route = Route::compile(*id, place, settings, &mut group.projection);
                let mapping =
                    mappings.entry(route.target).or_insert_with(|| BODY_FORMAT.to_string());
                mapping.push('\n');
                mapping.push_str(&settings.canonical());
                group.add(route, settings);
            }
        }
        let fingerprint = |text: String| {
            MappingFingerprint(Uuid::new_v5(&FINGERPRINT_NAMESPACE, text.as_bytes()))
        };
        Self {
            groups,
            names: routes.iter().map(|(_, route)| Arc::from(route.name.as_str())).collect(),
            ids: routes.iter().map(|(id, _)| *id).collect(),
            fingerprints: mappings.into_iter().map(|(t, text)| (t, fingerprint(text))).collect(),
        }
    }

    /// The topic's routes by their places.
    pub fn ids(&self) -> &[RouteId] {
        &self.ids
    }

    pub fn groups(&self) -> &[FormatGroup] {
        &self.groups
    }

    /// The topic's routes by their places, and what identifies what they make of its records.
    pub fn mapping(&self) -> TopicMapping {
        let mappings: Vec<String> =
            self.targets().map(|(target, of)| format!("{}={}", target.0, of.0)).collect();
        let fingerprint = Uuid::new_v5(&FINGERPRINT_NAMESPACE, mappings.join("\n").as_bytes());
        TopicMapping { routes: self.names.clone(), fingerprint }
    }

    /// The targets that the topic feeds, each with the identity of what maps it there.
    pub fn targets(&self) -> impl Iterator<Item = (TargetId, MappingFingerprint)> {
        let mut targets: Vec<_> = self.fingerprints.iter().map(|(t, f)| (*t, *f)).collect();
        targets.sort_by_key(|(target, _)| *target);
        targets.into_iter()
    }
}

// === impl FormatGroup ===

impl FormatGroup {
    fn new(reading: Reading) -> Self {
        Self {
            reading,
            wanted: Wanted::ROW,
            projection: Projection::default(),
            routes: Vec::new(),
            places: RouteSet::NONE,
        }
    }

    fn add(&mut self, route: Route, settings: &RouteSettings) {
        let reads =
            |root| self.projection.reads(root) || settings.expressions().any(|it| it.reads(root));
        self.wanted = self.wanted.and(match route.mapping {
            Mapping::MetricEvent(_) => {
                Wanted { before: reads(path::Root::Before), key: reads(path::Root::Key) }
            }
            // What was before tells what is to be taken back.
            Mapping::Metric(_) | Mapping::SegmentMember(_) => Wanted::ALL,
        });
        self.places = self.places.and(route.set());
        self.routes.push(route);
    }

    /// Picks the fields that any of the routes reads.
    pub fn pick(&self, change: &Change<'_>, picks: &mut Picks) -> Result<(), RouteError> {
        self.projection
            .pick(change, picks)
            .map_err(|detail| RouteError { reason: RefusalReason::InvalidJson, detail })
    }

    /// Its routes by their places.
    pub fn places(&self) -> RouteSet {
        self.places
    }

    /// Whether none of the routes has a use for the change, so that nothing of it need be read.
    pub fn declines(&self, change: &Change<'_>) -> bool {
        self.routes.iter().all(|route| route.declines(change).is_some())
    }
}

// === impl Route ===

impl Route {
    fn compile(
        id: RouteId,
        place: usize,
        settings: &RouteSettings,
        projection: &mut Projection,
    ) -> Self {
        let mapping = match &settings.operation {
            OperationSettings::MetricEvent(event) => {
                Mapping::MetricEvent(EventMapping::compile(event, projection))
            }
            OperationSettings::Metric(metric) => {
                Mapping::Metric(MetricMapping::compile(metric, projection))
            }
            OperationSettings::SegmentMember(member) => {
                Mapping::SegmentMember(Box::new(SegmentMapping::compile(member, projection)))
            }
        };
        Self {
            id,
            place,
            name: Arc::from(settings.name.as_str()),
            target: settings.operation.target(),
            when: settings.when.as_ref().map(|when| when.bind(projection)),
            reads_before: settings.expressions().any(|it| it.reads(path::Root::Before)),
            mapping,
        }
    }

    /// It alone, among the routes of its topic.
    pub fn set(&self) -> RouteSet {
        RouteSet::of(self.place)
    }

    /// Why the change is not for this kind of operation, whatever its fields hold.
    ///
    /// A metric event counts what happened to a row. A tombstone is not counted: the delete it
    /// stands for was a record of its own, or the topic says no more of a row than that it is gone.
    /// To a membership that is all there is to know; a metric needs its fields.
    pub fn declines(&self, change: &Change<'_>) -> Option<FilterReason> {
        let needs_fields = !matches!(self.mapping, Mapping::SegmentMember(_));
        if change.tombstone && needs_fields {
            return Some(FilterReason::Tombstone);
        }
        change.row().is_none().then_some(FilterReason::NoRow)
    }

    /// Maps a change: a metric event is appended to `body`, preceded by a comma, everything else to
    /// `operations`.
    ///
    /// # Errors
    /// Why the change cannot be mapped. Nothing has been appended then.
    pub fn apply(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        body: &mut Vec<u8>,
        operations: &mut Vec<Operation>,
    ) -> Result<Routed, RouteError> {
        let routed = self.map(change, picks, body, operations);
        routed.map_err(|error| self.with_disbelief(change, error))
    }

    /// Says so where a field may be absent because the route does not believe in it.
    fn with_disbelief(&self, change: &Change<'_>, mut error: RouteError) -> RouteError {
        let (reason, detail) = (error.reason, &error.detail);
        let failed = reason == RefusalReason::ExpressionFailed;
        // Of a delete, `row` is what it was.
        let is_computed = failed || detail.contains(value::COMPUTED);
        let reads_it = change.op == Op::Delete
            || detail.contains("$.before")
            || (is_computed && self.reads_before);
        let is_disbelieved = change.before_extent == BeforeExtent::Key && reads_it;
        if is_disbelieved && (failed || reason == RefusalReason::MissingField) {
            error.detail.push_str(DISBELIEF);
        }
        error
    }

    fn map(
        &self,
        change: &Change<'_>,
        picks: &Picks,
        body: &mut Vec<u8>,
        operations: &mut Vec<Operation>,
    ) -> Result<Routed, RouteError> {
        if let Some(reason) = self.declines(change) {
            return Ok(Routed::Filtered(reason));
        }
        if let Some(when) = &self.when {
            let holds = when.holds(change, picks).map_err(|error| RouteError {
                reason: RefusalReason::ExpressionFailed,
                detail: format!("when: {error}"),
            })?;
            if !holds {
                return Ok(Routed::Filtered(FilterReason::When));
            }
        }
        match &self.mapping {
            Mapping::MetricEvent(event) => {
                let before = body.len();
                body.push(b',');
                event.write(change, picks, body).map(|()| Routed::MetricEvent).map_err(|error| {
                    body.truncate(before);
                    of_operation("metric_event", &error)
                })
            }
            Mapping::Metric(metric) => match metric.map(change, picks) {
                Ok(Some(operation)) => {
                    operations.push(operation);
                    Ok(Routed::Operations)
                }
                Ok(None) => Ok(Routed::Filtered(FilterReason::DeleteIgnored)),
                Err(error) => Err(of_operation("metric", &error)),
            },
            Mapping::SegmentMember(member) => {
                let before = operations.len();
                match member.map(change, picks, operations) {
                    Ok(()) if operations.len() == before => {
                        Ok(Routed::Filtered(FilterReason::NoSegment))
                    }
                    Ok(()) => Ok(Routed::Operations),
                    Err(error) => Err(of_operation("segment_member", &error)),
                }
            }
        }
    }
}

fn of_operation(operation: &str, error: &value::MapError) -> RouteError {
    let reason = error.reason;
    RouteError { reason, detail: format!("{operation}.{error}") }
}

#[cfg(test)]
mod tests;
