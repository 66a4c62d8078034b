//! Gets one request through, however long it takes, and keeps the state of its lane.
//!
//! # Invariants
//! - I1: a request is given up only when it was refused for its content, when nobody waits for it any
//!   more, or when the route's `retry_for` is over.
//! - I2: a pause is never shorter than the server's hint.
//! - I3: while the lane is halted, at most one probe is under way, and nothing is refused (P7).
//!
//! Not here: what is asked for (`events`, `ordered`), when a request may go (`pacing`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pacing::{FAILURES, Pacing};
use super::patience::Patience;
use super::refused::Refused;
use super::remedy::remedy;
use super::sight::LaneSight;
use super::spans::{self, Cause, RequestSpans};
use crate::launchdarkly::answer::{Answered as Answer, ApiError, ErrorClass};
use crate::launchdarkly::endpoint::{Endpoint, Server};
use crate::model::fence::Fence;
use crate::model::outcome::{DeadLetter, DeadLetterOrigin, RefusalReason};
use crate::model::progress::{Settlement, Slot};
use crate::model::record::Partition;
use crate::model::trace::TraceParent;
use crate::pipeline::guard::Guard;
use crate::pipeline::settings::DeliverySettings;
use crate::resilience::budget::Permit;
use crate::resilience::fair::LaneNumber;
use crate::resilience::gate::{Gate, Pass};
use crate::resilience::retry::RetryPauses;
use crate::telemetry::board::{Board, RequestView};
use crate::telemetry::clock;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Span, Tracer};

/// Between two looks at whether the process stands still.
const STANDSTILL_STEP: Duration = Duration::from_millis(100);
/// How often a lane that waits for an outage to end looks whether it is worth waiting.
const GLANCE: Duration = Duration::from_secs(1);

/// What a lane reports to.
#[derive(Debug, Clone)]
pub struct LaneReports {
    pub settlements: Sender<Settlement>,
    pub dead_letters: UnboundedSender<DeadLetter>,
    pub guard: Arc<Guard>,
    pub health: Arc<Health>,
    pub metrics: Metrics,
    pub board: Board,
    pub tracer: Tracer,
}

/// Carries the requests of one operation to one target.
#[derive(Debug)]
pub struct Courier {
    /// The target's name.
    pub(super) target: String,
    /// The operation's name; a label of metrics.
    pub(super) operation: &'static str,
    pub(super) settings: DeliverySettings,
    pacing: Arc<Pacing>,
    lane: LaneNumber,
    gate: Gate,
    /// Requests in a row without an answer that settles anything.
    failures: AtomicU32,
    pub(super) sight: LaneSight,
    pub(super) spans: RequestSpans,
    pub(super) reports: LaneReports,
    /// Cancelled when nobody waits for settlements any more.
    abandoned: CancellationToken,
}

/// On whose behalf requests are made, and how long they are worth repeating.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errand<'f> {
    pub(super) fences: &'f [Fence],
    pub(super) patience: Patience,
    pub(super) burden: Burden<'f>,
    pub(super) cause: &'f Cause,
}

/// What an errand is about, for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burden<'f> {
    /// The segment or the metric.
    pub(super) lane: Option<&'f str>,
    /// The oldest record.
    pub(super) oldest: Option<(&'f Partition, i64)>,
    pub(super) records: usize,
}

/// Nobody waits for the answer any more.
#[derive(Debug)]
pub(super) struct Abandoned;

/// The right to send one request.
struct Leave<'c> {
    /// Held until the answer is judged: a probe must halt or resume before the next one starts.
    _pass: Pass<'c>,
    permit: Permit<'c>,
}

/// The last word on a request.
#[derive(Debug)]
pub(super) enum Answered<T> {
    Accepted(T),
    Refused(Refused),
}

impl Courier {
    pub fn new(
        target: String,
        operation: &'static str,
        settings: DeliverySettings,
        pacing: Arc<Pacing>,
        reports: LaneReports,
        abandoned: CancellationToken,
    ) -> Self {
        let sight = LaneSight::of_lane(&reports.metrics, &target, operation);
        let spans = RequestSpans::new(reports.tracer.clone(), &target, operation);
        let gate = Gate::new(settings.probe_interval);
        let failures = AtomicU32::new(0);
        let lane = pacing.lane(settings.priority);
        Self {
            target,
            operation,
            settings,
            pacing,
            lane,
            gate,
            failures,
            sight,
            spans,
            reports,
            abandoned,
        }
    }

    /// Tells spans where the requests go.
    pub(super) fn sending_to(self, server: Server) -> Self {
        Self { spans: self.spans.to(server), ..self }
    }

    /// How long a batch that begins now is worth trying.
    pub(super) fn patience(&self) -> Patience {
        Patience::from_now(self.settings.retry_for, &self.gate)
    }

    /// Makes a request until there is an answer that settles it, or its time is over, or one of the
    /// fences falls on whose behalf it is made.
    pub(super) async fn carry<T, F, R>(
        &self,
        endpoint: Endpoint,
        request: F,
        errand: Errand<'_>,
    ) -> Result<Answered<T>, Abandoned>
    where
        F: Fn(Option<TraceParent>) -> R + Sync,
        R: Future<Output = Result<Answer<T>, ApiError>> + Send,
        T: Send,
    {
        let mut pauses = RetryPauses::new(self.settings.retry_initial, self.settings.retry_max);
        let ticket = self.reports.board.begin(self.request_view(errand.burden));
        let (mut attempts, mut last) = (0, None);
        loop {
            let leave = tokio::select! {
                // Looked at first: a request whose fence has fallen must not even begin.
                biased;
                () = self.ended(errand.fences) => return Err(Abandoned),
                leave = self.leave(endpoint) => leave,
                error = self.out_of_time(errand.patience, last.as_ref()) => {
                    return Ok(Answered::Refused(self.give_up(error, attempts)));
                }
            };
            let span = self.spans.begin(endpoint, errand.cause, attempts);
            let trace = errand.cause.context(span.as_ref());
            let answer = tokio::select! {
                () = self.ended(errand.fences) => return Err(Abandoned),
                answer = self.send(leave, span, request(trace)) => answer,
            };
            attempts += 1;
            let error = match answer {
                Ok(accepted) => return Ok(Answered::Accepted(accepted.value)),
                Err(error) => error,
            };
            let status = error.status.map_or(String::new(), |status| format!("{status} "));
            ticket.failed(&format!("{status}{error}"));
            let pause = match error.class {
                ErrorClass::Refused => {
                    return Ok(Answered::Refused(Refused::of(error, attempts)));
                }
                // The gate is the pause.
                ErrorClass::Misconfigured => Duration::ZERO,
                ErrorClass::Network
                | ErrorClass::Throttled
                | ErrorClass::Unavailable
                | ErrorClass::Conflict => {
                    if errand.patience.is_over(&self.gate) {
                        return Ok(Answered::Refused(self.give_up(error, attempts)));
                    }
                    // During an outage there are probes, each after a pause.
                    if self.pacing.is_down() { Duration::ZERO } else { pauses.next(error.hint) }
                }
            };
            self.sight.request_repeats(error.class);
            last = Some(error);
            self.pause(pause, errand.fences).await?;
        }
    }

    fn give_up(&self, error: ApiError, attempts: u32) -> Refused {
        Refused::given_up(error, attempts, self.settings.retry_for.unwrap_or_default())
    }

    /// Waits until a request that waits for its turn has no time left, and gives why it failed before.
    /// Having to wait is no failure: it is only given up when it, or its server, failed.
    async fn out_of_time(&self, patience: Patience, last: Option<&ApiError>) -> ApiError {
        loop {
            let left = patience.left(&self.gate);
            let Some(left) = left else { return std::future::pending().await };
            // A fault of the configuration consumes no records (P7).
            if left.is_zero() && !self.gate.is_halted() {
                let failure = match last {
                    Some(error) if error.class != ErrorClass::Misconfigured => Some(error.clone()),
                    _ if self.pacing.is_down() => self.pacing.last_failure(),
                    _ => None,
                };
                if let Some(error) = failure {
                    return error;
                }
            }
            tokio::time::sleep(left.max(GLANCE)).await;
        }
    }

    fn request_view(&self, burden: Burden<'_>) -> RequestView {
        let Burden { lane, oldest, records } = burden;
        let place = oldest.map(|(partition, _)| partition);
        let lane = lane.map(str::to_owned).or_else(|| place.map(Partition::to_string));
        RequestView {
            target: self.target.clone(),
            operation: self.operation,
            lane: lane.unwrap_or_default(),
            topic: place.map_or(String::new(), |partition| partition.topic.to_string()),
            partition: place.map_or(-1, |partition| partition.number),
            oldest_offset: oldest.map_or(-1, |(_, offset)| offset),
            records,
            since_ms: clock::now_ms(),
            attempts: 0,
            last_error: None,
        }
    }

    /// Waits, unless nobody waits for the answer any more.
    pub(super) async fn pause(&self, pause: Duration, fences: &[Fence]) -> Result<(), Abandoned> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.ended(fences) => Err(Abandoned),
        }
    }

    /// Waits until nobody waits for the answer any more.
    pub(super) async fn ended(&self, fences: &[Fence]) {
        // A batch is on behalf of few assignments: of one, or of those that feed a segment.
        let mut falls: FuturesUnordered<_> = fences.iter().map(Fence::fallen).collect();
        tokio::select! {
            () = self.abandoned.cancelled() => {}
            Some(()) = falls.next() => {}
        }
    }

    pub(super) fn settle(&self, settlement: Settlement) {
        if self.reports.settlements.send(settlement).is_err() {
            tracing::debug!("nobody waits for settlements any more");
        }
    }

    /// Sends a record to the dead-letter topic that LaunchDarkly, or we on its behalf, refused.
    /// `sent` is kept should Kafka no longer have the record.
    pub(super) fn dead_letter(
        &self,
        slot: Slot,
        reason: RefusalReason,
        refused: &Refused,
        sent: Bytes,
    ) {
        if slot.events_of.is_none() {
            self.sight.refused(refused.status, 1);
        }
        let letter = DeadLetter {
            origin: DeadLetterOrigin::InKafka { sent },
            refusal: refused.told(reason, &self.target),
            slot,
        };
        if self.reports.dead_letters.send(letter).is_err() {
            tracing::debug!("nobody writes dead letters any more");
        }
    }

    async fn leave(&self, endpoint: Endpoint) -> Leave<'_> {
        let (pass, permit) = loop {
            let pass = self.gate.pass().await;
            let permit = self.pacing.admit(self.lane, endpoint).await;
            // The lane may have been halted while this one waited for its turn (I3).
            if pass.is_valid(&self.gate) {
                break (pass, permit);
            }
            permit.give_back();
        };
        // Whoever has taken over meanwhile may have written what is newer; our fence falls then.
        while self.reports.health.has_stood_still() {
            tokio::time::sleep(STANDSTILL_STEP).await;
        }
        Leave { _pass: pass, permit }
    }

    async fn send<T: Send>(
        &self,
        leave: Leave<'_>,
        span: Option<Span>,
        request: impl Future<Output = Result<Answer<T>, ApiError>> + Send,
    ) -> Result<Answer<T>, ApiError> {
        let (started, in_flight) = (Instant::now(), self.sight.request_begins());
        let answer = request.await;
        drop(in_flight);
        spans::answered(span, &answer);
        self.sight.request_ends(&answer, started.elapsed());
        self.pacing.answered(leave.permit, &answer);
        match &answer {
            Ok(_) => self.note_success(),
            Err(error) => self.judge(error),
        }
        answer
    }

    /// Moves the lane's state by an error, and logs it once.
    fn judge(&self, error: &ApiError) {
        match error.class {
            ErrorClass::Misconfigured => self.halt(error),
            // The content was looked at, so token, project and environment are right.
            ErrorClass::Refused => self.note_success(),
            ErrorClass::Network
            | ErrorClass::Throttled
            | ErrorClass::Unavailable
            | ErrorClass::Conflict => {
                self.note_failure(error);
                if self.gate.is_halted() {
                    self.gate.halt();
                }
            }
        }
    }

    fn halt(&self, error: &ApiError) {
        let status = error.status.unwrap_or_default();
        let remedy = remedy(self.operation, status);
        self.reports.health.fault(
            &format!("target {}", self.target),
            format!("LaunchDarkly answers {status} ({}); {remedy}", error.detail),
        );
        self.sight.halted(status);
        if self.gate.halt() {
            tracing::error!(
                target_name = self.target,
                operation = self.operation,
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
        // A server that does not answer is the outage's to tell.
        let answered = matches!(error.class, ErrorClass::Throttled | ErrorClass::Conflict);
        if answered && failures >= FAILURES && !self.gate.is_halted() {
            let reason = format!("{failures} requests failed in a row; the last one: {error}");
            self.reports.health.fault(&format!("target {}", self.target), reason);
        }
    }

    fn note_success(&self) {
        let failures = self.failures.swap(0, Ordering::Relaxed);
        let was_halted = self.gate.resume();
        if was_halted {
            self.sight.resumed();
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
}
