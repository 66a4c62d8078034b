//! Reads what a target has in LaunchDarkly, at start, from time to time, and when somebody doubts.
//!
//! Nobody waits for it and nothing depends on it: what cannot be read is unknown. Its requests share
//! the budget of all requests to the target, and a reading that took long is not repeated soon.
//!
//! # Invariants
//! - V7: at most one request is under way, and two readings lie at least `checks.reread` and ten times
//!   the earlier one's length apart.
//! - V8: a segment is absent only if its environment is there: a mistaken environment is a fault of
//!   the configuration (P7), not of the records.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pacing::Pacing;
use super::sight::LaneSight;
use super::spans::{self, Cause, RequestSpans};
use crate::launchdarkly::answer::{Answered, ApiError, ErrorClass};
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::facts::metric_facts;
use crate::launchdarkly::metrics::MetricsClient;
use crate::launchdarkly::rest::RestClient;
use crate::launchdarkly::segments::SegmentsClient;
use crate::launchdarkly::settings::{ClientError, TargetSettings};
use crate::launchdarkly::token::LiveToken;
use crate::model::knowledge::{Knowledge, MetricsByEventKey, Question, SegmentFacts, Wanted};
use crate::model::trace::TraceParent;
use crate::pipeline::settings::{CheckSettings, DeliverySettings};
use crate::resilience::fair::LaneNumber;
use crate::resilience::retry::RetryPauses;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::Tracer;

/// The name of these requests' operation.
pub const OPERATION: &str = "check";
/// Somebody may wait for certainty; a request that takes longer than this brings none.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A reading that took long is followed by a pause so many times as long.
const POLITENESS: u32 = 10;

/// Reads one target.
#[derive(Debug)]
pub struct KnowledgeReader {
    target: String,
    metrics: MetricsClient,
    segments: SegmentsClient,
    wanted: Wanted,
    settings: CheckSettings,
    pacing: Arc<Pacing>,
    lane: LaneNumber,
    telemetry: Metrics,
    sight: LaneSight,
    spans: RequestSpans,
    pauses: RetryPauses,
    tell: watch::Sender<Arc<Knowledge>>,
    questions: UnboundedReceiver<Question>,
    /// Whether the last reading gave everything.
    readable: bool,
}

/// The other end of a reader.
#[derive(Debug)]
pub struct KnowledgeLink {
    pub knowledge: watch::Receiver<Arc<Knowledge>>,
    pub questions: UnboundedSender<Question>,
    /// What its requests are signed with.
    pub token: LiveToken,
}

/// When the next reading is due, and when it may be at the earliest.
struct Schedule {
    due: Instant,
    soonest: Instant,
}

/// What a reading gave.
struct Reading {
    metrics: Option<Arc<MetricsByEventKey>>,
    segments: Vec<(String, Option<SegmentFacts>)>,
    /// Why a part of it is missing.
    gap: Option<ApiError>,
}

// === impl KnowledgeReader ===

impl KnowledgeReader {
    pub fn new(
        target: &TargetSettings,
        wanted: Wanted,
        settings: CheckSettings,
        delivery: &DeliverySettings,
        pacing: Arc<Pacing>,
        telemetry: Metrics,
    ) -> Result<(Self, KnowledgeLink), ClientError> {
        let timeout = delivery.request_timeout.min(TIMEOUT);
        let rest = RestClient::new(target, timeout, clock::now_ms)?;
        let token = rest.token();
        let (tell, knowledge) = watch::channel(Arc::default());
        let (questions, asked) = unbounded_channel();
        telemetry.checks_known.with_label_values(&[target.name.as_str()]).set(0);
        let reader = Self {
            target: target.name.clone(),
            spans: RequestSpans::new(Tracer::default(), &target.name, OPERATION),
            metrics: MetricsClient::new(rest.clone()),
            segments: SegmentsClient::new(rest),
            wanted,
            settings,
            lane: pacing.lane(1),
            pacing,
            sight: LaneSight::of_requests(&telemetry, &target.name, OPERATION),
            telemetry,
            pauses: RetryPauses::new(settings.reread, settings.interval.max(settings.reread)),
            tell,
            questions: asked,
            readable: true,
        };
        Ok((reader, KnowledgeLink { knowledge, questions, token }))
    }

    /// Traces its requests, each by itself: no record causes one.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        let spans = RequestSpans::new(tracer, &self.target, OPERATION).to(self.metrics.server());
        Self { spans, ..self }
    }

    /// Reads until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let next = async {
                let schedule = self.read_and_tell().await;
                self.wait(schedule).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = next => {}
            }
        }
    }

    /// Waits until the next reading is due, and looks for segments that are asked for meanwhile.
    async fn wait(&mut self, Schedule { mut due, soonest }: Schedule) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                Some(question) = self.questions.recv() => match question {
                    Question::Again => due = due.min(soonest),
                    Question::Segment(key) => self.look_for(key).await,
                },
            }
        }
    }

    async fn read_and_tell(&mut self) -> Schedule {
        let began = Instant::now();
        let reading = self.read().await;
        let now = Instant::now();
        match reading {
            Ok(Reading { metrics, segments, gap }) => {
                let rest = self.settings.reread.max((now - began).saturating_mul(POLITENESS));
                let soonest = began + rest;
                self.tell(|known| {
                    known.certain_until = Some(soonest);
                    known.metrics = metrics;
                    known.segments = segments.into_iter().collect();
                });
                self.pauses = RetryPauses::new(
                    self.settings.reread,
                    self.settings.interval.max(self.settings.reread),
                );
                self.note(gap.as_ref());
                Schedule { due: (began + self.settings.interval).max(soonest), soonest }
            }
            Err(error) => {
                self.tell(|known| known.certain_until = None);
                self.note(Some(&error));
                let due = now + self.pauses.next(error.hint);
                Schedule { due, soonest: due }
            }
        }
    }

    /// Reads everything that is needed.
    ///
    /// # Errors
    /// When LaunchDarkly could not answer, this time. What it refuses is a gap.
    async fn read(&self) -> Result<Reading, ApiError> {
        let mut reading = Reading { metrics: None, segments: Vec::new(), gap: None };
        if self.wanted.metrics {
            match passing(self.read_metrics().await)? {
                Ok(metrics) => reading.metrics = Some(Arc::new(metrics)),
                Err(gap) => reading.gap = Some(gap),
            }
        }
        match passing(self.read_segments(&self.wanted.segments).await)? {
            Ok(segments) => reading.segments = segments,
            Err(gap) => reading.gap = Some(gap),
        }
        Ok(reading)
    }

    async fn read_metrics(&self) -> Result<MetricsByEventKey, ApiError> {
        let (mut all, mut next) = (Vec::new(), Some(0));
        while let Some(offset) = next {
            let list = |trace| async move { self.metrics.of_trace(trace).list(offset).await };
            let page = self.ask(Endpoint::MetricList, list).await?;
            all.extend(page.items.iter().filter_map(metric_facts));
            next = page.next;
        }
        Ok(Knowledge::by_event_key(all))
    }

    async fn read_segments(
        &self,
        keys: &[String],
    ) -> Result<Vec<(String, Option<SegmentFacts>)>, ApiError> {
        let mut segments = Vec::with_capacity(keys.len());
        for key in keys {
            let get = |trace| async move { self.segments.of_trace(trace).get(key).await };
            let view = self.ask(Endpoint::SegmentGet, get).await?;
            segments.push((key.clone(), view.map(|view| view.kind.into())));
        }
        if segments.iter().any(|(_, found)| found.is_none()) {
            let find =
                |trace| async move { self.segments.of_trace(trace).find_environment().await };
            self.ask(Endpoint::SegmentList, find).await?;
        }
        Ok(segments)
    }

    /// Looks for a segment that a record names; when that fails, the next reading tries again.
    async fn look_for(&mut self, key: String) {
        match self.read_segments(std::slice::from_ref(&key)).await {
            Ok(found) => self.tell(|known| known.segments.extend(found)),
            Err(error) => tracing::debug!(%error, segment = key, "a segment cannot be looked for"),
        }
        self.wanted.segments.push(key);
    }

    /// Makes a request once.
    async fn ask<T, F, R>(&self, endpoint: Endpoint, request: F) -> Result<T, ApiError>
    where
        F: Fn(Option<TraceParent>) -> R + Sync,
        R: Future<Output = Result<Answered<T>, ApiError>> + Send,
        T: Send,
    {
        let permit = self.pacing.admit(self.lane, endpoint).await;
        let (started, in_flight) = (Instant::now(), self.sight.request_begins());
        let cause = Cause::default();
        let span = self.spans.begin(endpoint, &cause, 0);
        let answer = request(cause.context(span.as_ref())).await;
        drop(in_flight);
        spans::answered(span, &answer);
        self.sight.request_ends(&answer, started.elapsed());
        self.pacing.answered(permit, &answer);
        answer.map(|answer| answer.value)
    }

    fn tell(&self, change: impl FnOnce(&mut Knowledge)) {
        self.tell.send_modify(|known| {
            let known = Arc::make_mut(known);
            known.edition += 1;
            change(known);
        });
    }

    /// Says once that something cannot be read, and once that it can again.
    fn note(&mut self, gap: Option<&ApiError>) {
        let known = self.telemetry.checks_known.with_label_values(&[self.target.as_str()]);
        known.set(i64::from(gap.is_none()));
        match gap {
            Some(error) if self.readable => tracing::warn!(
                target_name = self.target,
                %error,
                remedy = remedy(error),
                "what LaunchDarkly has cannot be read, so nothing is refused for not counting; \
                 records are delivered all the same"
            ),
            None if !self.readable => {
                tracing::info!(target_name = self.target, "what LaunchDarkly has is known again");
            }
            Some(_) | None => {}
        }
        self.readable = gap.is_none();
    }
}

/// Tells what LaunchDarkly refuses, which is a gap in a reading, from what may be otherwise the next
/// time, which is the end of one.
fn passing<T>(part: Result<T, ApiError>) -> Result<Result<T, ApiError>, ApiError> {
    match part {
        Err(error) if matches!(error.class, ErrorClass::Refused | ErrorClass::Misconfigured) => {
            Ok(Err(error))
        }
        Err(error) => Err(error),
        Ok(part) => Ok(Ok(part)),
    }
}

fn remedy(error: &ApiError) -> &'static str {
    match error.status {
        Some(401 | 403) => {
            "allow `viewProject` for the token's role, or set `checks.enabled: false`"
        }
        Some(404) => "check `project` and `environment`, and `instance` or `api_url`",
        _ => "nothing to do; it is tried again",
    }
}
