//! Sends batches and decides what each answer means for their records.
//!
//! | answer | consequence |
//! |---|---|
//! | accepted | the batch is settled |
//! | no answer, 408, 409, 429, 5xx | the same request again, for ever, not before the server's hint |
//! | 400, 413, 422 with several records | split; the halves are tried on their own |
//! | the same with one record | that record is dead-lettered |
//! | 401, 403, 404, 405, 406 | the lane halts; its records wait in Kafka |
//!
//! # Invariants
//! - V1: every batch is settled or dead-lettered exactly once, record by record, unless the lane is
//!   abandoned; then nothing of it is settled and Kafka hands it out again.
//! - V2: a repeat is the same bytes under the same payload ID (P3).
//!
//! Not here: when a batch is cut (`batch`), what settling moves (`ack`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::settings::DeliverySettings;
use crate::launchdarkly::answer::{ApiError, ErrorClass};
use crate::launchdarkly::events::EventsClient;
use crate::model::batch::{EventBatch, Split};
use crate::model::outcome::{DeadLetter, DeadLetterOrigin, Refusal, RefusalReason, Stage};
use crate::model::progress::{Settlement, Slot};
use crate::resilience::gate::Gate;
use crate::resilience::quota::RequestQuota;
use crate::resilience::retry::RetryPauses;
use crate::runtime::tasks::TaskSet;
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;

/// The `operation` label of this lane.
const OPERATION: &str = "metric_event";
/// The `result` label of a request that was accepted; the others are the error classes.
const ACCEPTED: &str = "accepted";
/// Failures in a row after which readiness shows them; fewer are everyday noise.
const UNREADY_AFTER: u32 = 5;

/// What a lane reports to.
#[derive(Debug, Clone)]
pub struct LaneReports {
    pub settlements: Sender<Settlement>,
    pub dead_letters: UnboundedSender<DeadLetter>,
    pub health: Arc<Health>,
    pub metrics: Metrics,
}

/// The metric-event lane of one target.
#[derive(Debug)]
pub struct EventLane {
    /// The target's name; part of every payload ID.
    target: String,
    client: EventsClient,
    settings: DeliverySettings,
    quota: RequestQuota,
    gate: Gate,
    /// Requests in a row without an answer that settles anything.
    failures: AtomicU32,
    reports: LaneReports,
    /// Cancelled when nobody waits for settlements any more.
    abandoned: CancellationToken,
}

/// The lane was abandoned before the batch was settled.
#[derive(Debug)]
struct Abandoned;

/// The last word on a batch.
enum Verdict {
    Accepted,
    Refused { status: Option<u16>, detail: String, attempts: u32 },
}

impl EventLane {
    pub fn new(
        target: String,
        client: EventsClient,
        settings: DeliverySettings,
        reports: LaneReports,
        abandoned: CancellationToken,
    ) -> Self {
        declare_series(&reports.metrics, &target);
        let quota = RequestQuota::new(settings.requests_per_second);
        let gate = Gate::new(settings.probe_interval);
        let failures = AtomicU32::new(0);
        Self { target, client, settings, quota, gate, failures, reports, abandoned }
    }

    /// Delivers batches until the channel closes. Batches go out in parallel: metric events need no
    /// order.
    pub async fn run(self: Arc<Self>, mut batches: UnboundedReceiver<EventBatch>, tasks: TaskSet) {
        let slots = Arc::new(Semaphore::new(self.settings.concurrency));
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            let Some(batch) = batches.recv().await else { break };
            let lane = Arc::clone(&self);
            tasks.spawn("deliver", async move {
                let batch_shown = format!("{batch:?}");
                if lane.deliver(batch).await.is_err() {
                    tracing::debug!(batch = batch_shown, "batch abandoned; it is read again");
                }
                drop(slot);
            });
        }
    }

    async fn deliver(&self, batch: EventBatch) -> Result<(), Abandoned> {
        let labels = [self.target.as_str()];
        #[expect(clippy::cast_precision_loss, reason = "sizes for a histogram")]
        {
            let metrics = &self.reports.metrics;
            metrics.batch_events.with_label_values(&labels).observe(batch.events() as f64);
            metrics.batch_bytes.with_label_values(&labels).observe(batch.body.len() as f64);
        }
        // Depth first, head before tail: the parts are settled about in offset order.
        let mut open = vec![batch];
        while let Some(part) = open.pop() {
            match self.send(&part).await? {
                Verdict::Accepted => self.settle(part),
                Verdict::Refused { status, detail, attempts } => match part.split() {
                    Split::Halves(head, tail) => {
                        self.reports.metrics.splits.with_label_values(&labels).inc();
                        open.extend([tail, head]);
                    }
                    Split::Single(single) => self.refuse(single, status, &detail, attempts),
                },
            }
        }
        Ok(())
    }

    /// Sends a batch until there is an answer that settles it.
    async fn send(&self, batch: &EventBatch) -> Result<Verdict, Abandoned> {
        let payload_id = batch.payload_id(&self.target);
        let body = self.client.body(batch.to_json());
        let mut pauses = RetryPauses::new(self.settings.retry_initial, self.settings.retry_max);
        let mut attempts = 0;
        loop {
            let attempt = async {
                let pass = self.gate.pass().await;
                self.quota.admit().await;
                let started = Instant::now();
                let answer = self.client.import(&body, payload_id, clock::now_ms).await;
                self.count(&answer, started.elapsed());
                // Judged while the pass is held: a probe must halt or resume before the next one.
                let judged = answer.map_err(|error| self.judge(error));
                drop(pass);
                judged
            };
            let answer = tokio::select! {
                answer = attempt => answer,
                () = self.abandoned.cancelled() => return Err(Abandoned),
            };
            attempts += 1;
            let error = match answer {
                Ok(()) => {
                    self.note_success();
                    return Ok(Verdict::Accepted);
                }
                Err(error) => error,
            };
            let pause = match error.class {
                ErrorClass::Refused => {
                    let (status, detail) = (error.status, error.detail);
                    return Ok(Verdict::Refused { status, detail, attempts });
                }
                // The gate is the pause.
                ErrorClass::Misconfigured => Duration::ZERO,
                ErrorClass::Network
                | ErrorClass::Throttled
                | ErrorClass::Unavailable
                | ErrorClass::Conflict => pauses.next(error.hint),
            };
            let labels = [self.target.as_str(), OPERATION, error.class.as_str()];
            self.reports.metrics.retries.with_label_values(&labels).inc();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.abandoned.cancelled() => return Err(Abandoned),
            }
        }
    }

    fn count(&self, answer: &Result<(), ApiError>, took: Duration) {
        let result = answer.as_ref().err().map_or(ACCEPTED, |error| error.class.as_str());
        let metrics = &self.reports.metrics;
        metrics.requests.with_label_values(&[self.target.as_str(), OPERATION, result]).inc();
        metrics
            .request_seconds
            .with_label_values(&[self.target.as_str(), OPERATION])
            .observe(took.as_secs_f64());
    }

    /// Moves the lane's state by an error, and logs it once.
    fn judge(&self, error: ApiError) -> ApiError {
        match error.class {
            ErrorClass::Misconfigured => self.halt(&error),
            // The content was looked at, so token, project and environment are right.
            ErrorClass::Refused => self.note_success(),
            ErrorClass::Network
            | ErrorClass::Throttled
            | ErrorClass::Unavailable
            | ErrorClass::Conflict => {
                self.note_failure(&error);
                if self.gate.is_halted() {
                    self.gate.halt();
                }
            }
        }
        error
    }

    fn halt(&self, error: &ApiError) {
        let status = error.status.unwrap_or_default();
        let remedy = remedy(status);
        self.reports.health.fault(
            &format!("target {}", self.target),
            format!("LaunchDarkly answers {status} ({}); {remedy}", error.detail),
        );
        if self.gate.halt() {
            let labels = [self.target.as_str(), OPERATION];
            self.reports.metrics.lane_halted.with_label_values(&labels).set(1);
            tracing::error!(
                target_name = self.target,
                operation = OPERATION,
                status,
                answer = error.detail,
                remedy,
                probe_interval = ?self.settings.probe_interval,
                "lane halted by a fault of the configuration; its records wait in kafka"
            );
        }
    }

    fn note_failure(&self, error: &ApiError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures == 1 {
            tracing::warn!(
                target_name = self.target,
                status = error.status,
                error = %error,
                "request failed; it is repeated until it succeeds"
            );
        }
        if failures >= UNREADY_AFTER && !self.gate.is_halted() {
            let reason = format!("{failures} requests failed in a row; the last one: {error}");
            self.reports.health.fault(&format!("target {}", self.target), reason);
        }
    }

    fn note_success(&self) {
        let failures = self.failures.swap(0, Ordering::Relaxed);
        let was_halted = self.gate.resume();
        if was_halted {
            let labels = [self.target.as_str(), OPERATION];
            self.reports.metrics.lane_halted.with_label_values(&labels).set(0);
        }
        if failures > 0 || was_halted {
            self.reports.health.heal(&format!("target {}", self.target));
            tracing::info!(
                target_name = self.target,
                failures,
                was_halted,
                "requests succeed again"
            );
        }
    }

    fn settle(&self, batch: EventBatch) {
        if let Some(oldest) = batch.oldest_ms {
            let late = clock::now_ms().saturating_sub(oldest).max(0);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds fit a double")]
            self.reports
                .metrics
                .delivery_latency
                .with_label_values(&[self.target.as_str()])
                .observe(late as f64 / 1_000.0);
        }
        tracing::debug!(?batch, "batch accepted");
        let bytes = batch.body.len();
        let EventBatch { partition, epoch, marks, .. } = batch;
        let settled = Settlement::Batch { partition, epoch, marks, bytes };
        if self.reports.settlements.send(settled).is_err() {
            tracing::debug!("nobody waits for settlements any more");
        }
    }

    fn refuse(&self, single: EventBatch, status: Option<u16>, detail: &str, attempts: u32) {
        let slot = Slot {
            partition: single.partition.clone(),
            epoch: single.epoch,
            offset: single.first_offset(),
            bytes: single.body.len(),
        };
        let refusal = Refusal {
            reason: RefusalReason::RefusedByLaunchDarkly,
            stage: Stage::Deliver,
            route: None,
            detail: format!("target {}: {detail}", self.target),
            status,
            attempts,
        };
        let origin = DeadLetterOrigin::InKafka(single);
        let letter = DeadLetter { origin, refusal, slot };
        if self.reports.dead_letters.send(letter).is_err() {
            tracing::debug!("nobody writes dead letters any more");
        }
    }
}

/// Begins every series at zero: one that begins at its first event hides that event from
/// `increase()`.
fn declare_series(metrics: &Metrics, target: &str) {
    metrics.lane_halted.with_label_values(&[target, OPERATION]).set(0);
    metrics.splits.with_label_values(&[target]);
    metrics.requests.with_label_values(&[target, OPERATION, ACCEPTED]);
    for class in ErrorClass::ALL.map(ErrorClass::as_str) {
        metrics.requests.with_label_values(&[target, OPERATION, class]);
        metrics.retries.with_label_values(&[target, OPERATION, class]);
    }
}

/// What a person can do about a status that no record causes.
fn remedy(status: u16) -> &'static str {
    match status {
        401 => {
            "check `access_token`: it must be an access token whose role allows `importEventData`, \
             in an account that has the metric import API"
        }
        403 => "allow `importEventData` for the token's role on this project and environment",
        404 => "check `project` and `environment`, and `instance` or `events_url`",
        300..=399 => "`events_url` answers with a redirect; set it to the final address",
        _ => "check `events_url`; if it is LaunchDarkly's, report this as a fault of ldsink",
    }
}
