//! Makes the requests that a record would lead to, if it came alone.
//!
//! Alone, because what else is in a batch depends on what else is in the topic: the events and the
//! members in a larger request are the same, only its payload ID is another.
//!
//! Not here: when a segment or a metric is read, and what happens on a refusal (`pipeline::deliver`).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::explain::{Explanation, Fate, Made, RouteOutcome};
use crate::launchdarkly::answer::ApiError;
use crate::launchdarkly::definition::{self, PatchKind, PatchOp};
use crate::launchdarkly::events::{BodyCompression, EventsClient};
use crate::launchdarkly::members::{MemberChanges, MemberIntent};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::{SegmentForm, SegmentSpec, SegmentsClient};
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::launchdarkly::synced::{SyncedSegment, SyncedSpec};
use crate::launchdarkly::view::RequestView;
use crate::model::operation::{
    MemberList, Membership, MetricChange, MetricIntent, Operation, SegmentChange, SegmentKind,
};

/// No request is made, so nothing is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Plans requests to the configured targets.
#[derive(Debug)]
pub struct Planner {
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    name: String,
    events: EventsClient,
    metrics: MetricsClient,
    segments: SegmentsClient,
}

/// A request that would be made.
#[derive(Debug)]
pub struct Planned {
    /// The routes whose work it carries.
    pub routes: Vec<Arc<str>>,
    pub target: String,
    /// When it is made, if not always.
    pub condition: Option<&'static str>,
    /// The request, or why there cannot be one: the record would then become a dead letter.
    pub request: Result<RequestView, String>,
}

type Step = (Option<&'static str>, Result<RequestView, String>);

// === impl Planner ===

impl Planner {
    pub fn try_new(targets: &[TargetSettings], gzip: bool) -> Result<Self, ClientError> {
        let compression = if gzip { BodyCompression::Gzip } else { BodyCompression::None };
        let of = |settings: &TargetSettings| {
            let rest = RestClient::new(settings, TIMEOUT, || 0)?;
            Ok(Target {
                name: settings.name.clone(),
                events: EventsClient::new(settings, compression, TIMEOUT)?,
                metrics: MetricsClient::new(rest.clone()),
                segments: SegmentsClient::new(rest),
            })
        };
        Ok(Self { targets: targets.iter().map(of).collect::<Result<_, ClientError>>()? })
    }

    /// The name of a target.
    pub fn target(&self, outcome: &RouteOutcome) -> &str {
        self.targets.get(outcome.target.0).map_or("", |target| target.name.as_str())
    }

    /// The requests of a record; none unless it is delivered.
    pub fn plan(&self, explanation: &Explanation) -> Vec<Planned> {
        if explanation.fate != Fate::Delivered {
            return Vec::new();
        }
        let mut planned = Vec::new();
        for batch in &explanation.batches {
            let Some(target) = self.targets.get(batch.target.0) else { continue };
            let of_batch = |outcome: &&RouteOutcome| {
                outcome.target == batch.target && matches!(outcome.made, Made::Event(_))
            };
            let routes = explanation.routes.iter().filter(of_batch);
            let id = batch.payload_id(&target.name);
            planned.push(Planned {
                routes: routes.map(|outcome| Arc::clone(&outcome.route)).collect(),
                target: target.name.clone(),
                condition: None,
                request: told(target.events.describe(batch.to_json(), id)),
            });
        }
        for outcome in &explanation.routes {
            let Some(target) = self.targets.get(outcome.target.0) else { continue };
            let Made::Operations(operations) = &outcome.made else { continue };
            let steps = operations.iter().flat_map(|operation| target.steps(operation));
            planned.extend(steps.map(|(condition, request)| Planned {
                routes: vec![Arc::clone(&outcome.route)],
                target: target.name.clone(),
                condition,
                request,
            }));
        }
        planned
    }
}

// === impl Target ===

impl Target {
    fn steps(&self, operation: &Operation) -> Vec<Step> {
        match operation {
            Operation::Segment(change) => self.segment_steps(change),
            Operation::Metric(change) => self.metric_steps(change),
        }
    }

    fn segment_steps(&self, change: &SegmentChange) -> Vec<Step> {
        let SegmentChange { segment, shape, member, membership, .. } = change;
        let changes = MemberChanges::from_intents([(member.clone(), intent(*membership))]);
        let kind = shape.context_kind.as_str();
        let writes = match &shape.kind {
            SegmentKind::Big => Ok(vec![self.segments.big_write(segment, &changes)]),
            SegmentKind::Standard => Ok(self.segments.standard_writes(segment, kind, &changes)),
            SegmentKind::Synced { integration_key, client_side_id, cohort_id } => {
                let spec = SyncedSpec {
                    integration_key: integration_key.clone(),
                    client_side_id: client_side_id.clone(),
                    cohort_id: cohort_id.clone().unwrap_or_else(|| segment.to_string()),
                    cohort_name: change.name.clone().unwrap_or_else(|| segment.to_string()),
                    context_kind: kind.to_owned(),
                };
                SyncedSegment::try_new(spec)
                    .and_then(|synced| SegmentsClient::synced_writes(&synced, &changes))
            }
        };
        let mut steps: Vec<Step> = self.segment_creation(change).into_iter().collect();
        match writes {
            Ok(writes) => {
                let described = writes.iter().map(|write| self.segments.describe(write));
                steps.extend(described.map(|view| (None, told(view))));
            }
            Err(error) => steps.push((None, Err(error.to_string()))),
        }
        steps
    }

    fn segment_creation(&self, change: &SegmentChange) -> Option<Step> {
        let creation = change.shape.create.as_ref()?;
        let context_kind = change.shape.context_kind.clone();
        let form = match &change.shape.kind {
            SegmentKind::Big => SegmentForm::Big { context_kind },
            SegmentKind::Standard => SegmentForm::Standard,
            SegmentKind::Synced { .. } => return None,
        };
        let spec = SegmentSpec {
            key: change.segment.to_string(),
            name: change.name.clone().unwrap_or_else(|| change.segment.to_string()),
            description: creation.description.clone(),
            tags: creation.tags.clone(),
            form,
        };
        let request = told(self.segments.describe_create(&spec));
        Some((Some("only when the segment does not exist"), request))
    }

    fn metric_steps(&self, change: &MetricChange) -> Vec<Step> {
        let read = (None, told(self.metrics.describe_get(&change.key)));
        match &change.intent {
            MetricIntent::Archive => {
                let path = "/archived".to_owned();
                let patch = [PatchOp { op: PatchKind::Replace, path, value: Value::Bool(true) }];
                let archive = told(self.metrics.describe_patch(&change.key, &patch));
                vec![read, (Some("only when it exists and is not archived"), archive)]
            }
            MetricIntent::Upsert(fields) => {
                let mut desired: Map<String, Value> = fields.clone();
                desired.insert("key".to_owned(), Value::from(&*change.key));
                let create = match definition::validate(&desired) {
                    Ok(()) => told(self.metrics.describe_create(&desired)),
                    Err(error) => Err(error.to_string()),
                };
                let when = "when it does not exist; otherwise a patch of what differs from this";
                vec![read, (Some(when), create)]
            }
        }
    }
}

fn intent(membership: Membership) -> MemberIntent {
    match membership {
        Membership::In(MemberList::Included) => MemberIntent::Include,
        Membership::In(MemberList::Excluded) => MemberIntent::Exclude,
        Membership::OutOf(MemberList::Included) => MemberIntent::DropIncluded,
        Membership::OutOf(MemberList::Excluded) => MemberIntent::DropExcluded,
    }
}

fn told(view: Result<RequestView, ApiError>) -> Result<RequestView, String> {
    view.map_err(|error| error.detail)
}
