//! Makes the requests that a record would lead to, if it came alone, or tells why there can be none.
//!
//! Alone, because what else is in a batch depends on what else is in the topic: the events and the
//! members in a larger request are the same, only its payload ID is another.
//!
//! Not here: when a segment or a metric is read, and what happens on a refusal (`pipeline::deliver`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::explain::{Made, RouteOutcome};
use crate::launchdarkly::answer::ApiError;
use crate::launchdarkly::definition::{PatchKind, PatchOp};
use crate::launchdarkly::events::{BodyCompression, EventsClient};
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::launchdarkly::view::RequestView;
use crate::model::batch::EventBatch;
use crate::model::intent::Slots;
use crate::model::operation::{
    MetricBatch, MetricChange, MetricIntent, Operation, SegmentBatch, SegmentChange,
};
use crate::model::outcome::Refusal;
use crate::pipeline::deliver::{definitions, refused, segments};

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
    pub request: RequestView,
}

/// A request and when it is made, if not always.
type Step = (Option<&'static str>, RequestView);

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

    /// The request for a batch of metric events, which are of these routes.
    pub fn plan_events(&self, batch: &EventBatch, routes: &[RouteOutcome]) -> Option<Planned> {
        let target = self.targets.get(batch.target.0)?;
        let its = |outcome: &&RouteOutcome| {
            outcome.target == batch.target && matches!(outcome.made, Made::Event(_))
        };
        let id = batch.payload_id(&target.name);
        Some(Planned {
            routes: routes.iter().filter(its).map(|it| Arc::clone(&it.route)).collect(),
            target: target.name.clone(),
            condition: None,
            // What stands in it is checked where it is mapped; only the address could be wrong, and
            // the configuration has tried that.
            request: target.events.describe(batch.body.clone(), id).ok()?,
        })
    }

    /// The requests for an operation.
    ///
    /// # Errors
    /// What its record's dead letter tells: there can be no request.
    pub fn plan_operation(
        &self,
        operation: &Operation,
        route: &Arc<str>,
    ) -> Result<Vec<Planned>, Refusal> {
        let (Operation::Segment(SegmentChange { target, .. })
        | Operation::Metric(MetricChange { target, .. })) = operation;
        let Some(target) = self.targets.get(target.0) else { return Ok(Vec::new()) };
        let steps = match operation {
            Operation::Segment(change) => target.segment_steps(change),
            Operation::Metric(change) => target.metric_steps(change),
        };
        let planned = |(condition, request)| Planned {
            routes: vec![Arc::clone(route)],
            target: target.name.clone(),
            condition,
            request,
        };
        Ok(steps?.into_iter().map(planned).collect())
    }
}

// === impl Target ===

impl Target {
    fn segment_steps(&self, change: &SegmentChange) -> Result<Vec<Step>, Refusal> {
        let batch = SegmentBatch {
            target: change.target,
            segment: Arc::clone(&change.segment),
            shape: Arc::clone(&change.shape),
            name: change.name.clone(),
            intents: Vec::new(),
            since: Instant::now(),
        };
        let mut steps = Vec::new();
        let alone = segments::changes_of([(change.member.as_str(), change.membership)]);
        for write in &segments::writes_of(&self.segments, &batch, &alone) {
            self.add(&mut steps, None, self.segments.describe(write), refused::of_member)?;
        }
        if let Some(spec) = segments::creation_of(&batch) {
            let when = "when the segment does not exist; then the request above again";
            let creation = self.segments.describe_create(&spec);
            self.add(&mut steps, Some(when), creation, refused::of_member)?;
        }
        Ok(steps)
    }

    fn metric_steps(&self, change: &MetricChange) -> Result<Vec<Step>, Refusal> {
        let MetricChange { target, key, intent } = change;
        let (metric, intent) = (Arc::clone(key), intent.clone());
        let (slots, since) = (Slots::default(), Instant::now());
        let batch = MetricBatch { target: *target, metric, intent, slots, since };
        if let Some(refusal) = refused::of_invalid(&batch, &self.name) {
            return Err(refusal);
        }
        let (when, write) = match batch.intent {
            MetricIntent::Archive => {
                let op =
                    PatchOp { op: PatchKind::Replace, path: ARCHIVED.into(), value: true.into() };
                let archive = self.metrics.describe_patch(key, &[op]);
                ("when it exists and is not archived", archive)
            }
            MetricIntent::Upsert(_) => {
                let create = self.metrics.describe_create(&definitions::desired(&batch));
                ("when it does not exist; otherwise a patch of what differs from this", create)
            }
        };
        let mut steps = Vec::new();
        let read = self.metrics.describe_get(key);
        self.add(&mut steps, None, read, refused::of_metric)?;
        self.add(&mut steps, Some(when), write, refused::of_metric)?;
        Ok(steps)
    }

    /// Adds a request, or gives what it comes to that it cannot be made.
    fn add(
        &self,
        steps: &mut Vec<Step>,
        when: Option<&'static str>,
        request: Result<RequestView, ApiError>,
        refusal_of: fn(ApiError, &str) -> Option<Refusal>,
    ) -> Result<(), Refusal> {
        match request {
            Ok(view) => steps.push((when, view)),
            Err(error) => refusal_of(error, &self.name).map_or(Ok(()), Err)?,
        }
        Ok(())
    }
}
