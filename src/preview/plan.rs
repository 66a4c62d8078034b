//! Makes the requests that a record would lead to, if it came alone.
//!
//! Alone, because what else is in a batch depends on what else is in the topic: the events and the
//! members in a larger request are the same, only its payload ID is another.
//!
//! Not here: when a segment or a metric is read, and what happens on a refusal (`pipeline::deliver`).

use std::sync::Arc;
use std::time::Duration;

use super::explain::{Explanation, Fate, Made, RouteOutcome};
use crate::launchdarkly::answer::ApiError;
use crate::launchdarkly::definition::{self, PatchKind, PatchOp};
use crate::launchdarkly::events::{BodyCompression, EventsClient};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::launchdarkly::view::RequestView;
use crate::model::operation::{
    Intent, Member, MetricBatch, MetricChange, MetricIntent, Operation, SegmentBatch, SegmentChange,
};
use crate::pipeline::deliver::{definitions, segments};

/// The pointer to the field of a metric that takes it out of use.
const ARCHIVED: &str = "/archived";
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
        let part = Member(change.member.clone());
        let batch = SegmentBatch {
            target: change.target,
            segment: Arc::clone(&change.segment),
            shape: Arc::clone(&change.shape),
            name: change.name.clone(),
            intents: vec![Intent { part, intent: change.membership, slots: Vec::new() }],
        };
        let writes =
            segments::writes_of(&self.segments, &batch, &segments::changes_of(&batch.intents));
        let writes = writes.iter().map(|write| (None, told(self.segments.describe(write))));
        let creation = segments::creation_of(&batch).map(|spec| {
            let when = "when the segment does not exist; then the request above again";
            (Some(when), told(self.segments.describe_create(&spec)))
        });
        writes.chain(creation).collect()
    }

    fn metric_steps(&self, change: &MetricChange) -> Vec<Step> {
        let MetricChange { target, key, intent } = change;
        let (metric, intent) = (Arc::clone(key), intent.clone());
        let batch = MetricBatch { target: *target, metric, intent, slots: Vec::new() };
        let desired = definitions::desired(&batch);
        let read = (None, told(self.metrics.describe_get(key)));
        match batch.intent {
            MetricIntent::Archive => {
                let op =
                    PatchOp { op: PatchKind::Replace, path: ARCHIVED.into(), value: true.into() };
                let archive = told(self.metrics.describe_patch(key, &[op]));
                vec![read, (Some("when it exists and is not archived"), archive)]
            }
            MetricIntent::Upsert(_) => {
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

fn told(view: Result<RequestView, ApiError>) -> Result<RequestView, String> {
    view.map_err(|error| error.detail)
}
