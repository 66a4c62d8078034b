//! What a lane shows of its batches and requests.

use std::time::Duration;

use tokio::time::Instant;

use crate::launchdarkly::answer::{ApiError, ErrorClass};
use crate::model::batch::EventBatch;
use crate::model::operation::MetricBatch;
use crate::model::outcome::Outcome;
use crate::model::progress::Slot;
use crate::telemetry::clock;
use crate::telemetry::metrics::{LevelGauge, Metrics};

/// The `result` label of a request that was accepted; the others are the error classes.
const ACCEPTED: &str = "accepted";
/// The `status` label of what was accepted.
const SUCCESS: &str = "2xx";
/// The same where there was no answer.
const NO_ANSWER: &str = "none";
/// The `cause` label of a halted lane.
const CREDENTIALS: &str = "credentials";
const ADDRESS: &str = "address";

/// One lane's metrics.
#[derive(Debug, Clone)]
pub(super) struct LaneSight {
    metrics: Metrics,
    target: String,
    operation: &'static str,
}

/// A request that was sent and not answered; gone when dropped.
#[derive(Debug)]
pub(super) struct InFlight(LevelGauge);

impl LaneSight {
    /// Begins every series at zero: one that begins at its first event hides that event from
    /// `increase()`.
    pub(super) fn of_lane(metrics: &Metrics, target: &str, operation: &'static str) -> Self {
        let sight = Self::of_requests(metrics, target, operation);
        let lane = [target, operation];
        for class in ErrorClass::ALL.map(ErrorClass::as_str) {
            metrics.retries.with_label_values(&[target, operation, class]);
        }
        for (outcome, status) in [
            (Outcome::Delivered, SUCCESS),
            (Outcome::DeadLettered, "4xx"),
            (Outcome::DeadLettered, "5xx"),
            (Outcome::DeadLettered, NO_ANSWER),
        ] {
            let labels = [target, operation, outcome.as_str(), status];
            metrics.operations_ended.with_label_values(&labels);
        }
        metrics.splits.with_label_values(&[target]);
        metrics.unchanged.with_label_values(&[target]);
        metrics.batch_operations.with_label_values(&lane);
        metrics.batch_bytes.with_label_values(&lane);
        metrics.batch_wait.with_label_values(&lane);
        metrics.delivery_latency.with_label_values(&lane);
        sight.resumed();
        sight
    }

    /// For what only makes requests.
    pub(super) fn of_requests(metrics: &Metrics, target: &str, operation: &'static str) -> Self {
        for (result, status) in ANSWERS {
            metrics.requests.with_label_values(&[target, operation, result, status]);
        }
        metrics.request_seconds.with_label_values(&[target, operation]);
        metrics.requests_in_flight.with_label_values(&[target, operation]);
        Self { metrics: metrics.clone(), target: target.to_owned(), operation }
    }

    fn lane(&self) -> [&str; 2] {
        [&self.target, self.operation]
    }

    // === requests ===

    pub(super) fn request_begins(&self) -> InFlight {
        let gauge = self.metrics.requests_in_flight.with_label_values(&self.lane());
        gauge.inc();
        InFlight(gauge)
    }

    pub(super) fn request_ends<T>(&self, answer: &Result<T, ApiError>, took: Duration) {
        let (result, status) = match answer {
            Ok(_) => (ACCEPTED, SUCCESS),
            Err(error) => (error.class.as_str(), status_class(error.status)),
        };
        let labels = [&self.target, self.operation, result, status];
        self.metrics.requests.with_label_values(&labels).inc();
        let seconds = self.metrics.request_seconds.with_label_values(&self.lane());
        seconds.observe(took.as_secs_f64());
    }

    pub(super) fn request_repeats(&self, class: ErrorClass) {
        let labels = [&self.target, self.operation, class.as_str()];
        self.metrics.retries.with_label_values(&labels).inc();
    }

    // === the lane ===

    pub(super) fn halted(&self, status: u16) {
        let refused = matches!(status, 401 | 403);
        for (cause, is_it) in [(CREDENTIALS, refused), (ADDRESS, !refused)] {
            self.halted_by(cause).set(i64::from(is_it));
        }
    }

    pub(super) fn resumed(&self) {
        for cause in [CREDENTIALS, ADDRESS] {
            self.halted_by(cause).set(0);
        }
    }

    fn halted_by(&self, cause: &str) -> LevelGauge {
        self.metrics.lane_halted.with_label_values(&[&self.target, self.operation, cause])
    }

    // === batches ===

    /// A lane takes up a batch whose first operation came at `since`.
    #[expect(clippy::cast_precision_loss, reason = "sizes for a histogram")]
    pub(super) fn batch(&self, operations: u64, bytes: usize, since: Instant) {
        let (metrics, lane) = (&self.metrics, self.lane());
        metrics.batch_operations.with_label_values(&lane).observe(operations as f64);
        metrics.batch_bytes.with_label_values(&lane).observe(bytes as f64);
        let waited = since.elapsed().as_secs_f64();
        metrics.batch_wait.with_label_values(&lane).observe(waited);
    }

    /// The lane takes up a metric definition.
    pub(super) fn definition(&self, batch: &MetricBatch) {
        let bytes = batch.slots.standing.iter().map(|slot| slot.bytes).sum();
        self.batch(1, bytes, batch.since);
    }

    /// A refused batch is split to find the record at fault.
    pub(super) fn splits(&self) {
        self.metrics.splits.with_label_values(&[&self.target]).inc();
    }

    /// LaunchDarkly has accepted a batch of metric events.
    pub(super) fn delivered_batch(&self, batch: &EventBatch) {
        self.ended(Outcome::Delivered, SUCCESS, batch.events());
        self.late(batch.marks.iter().filter_map(|mark| mark.time_ms));
    }

    /// LaunchDarkly has accepted these operations, or what replaced them.
    pub(super) fn delivered<'s>(&self, slots: impl Iterator<Item = &'s Slot> + Clone) {
        let count = u64::try_from(slots.clone().count()).unwrap_or(u64::MAX);
        self.ended(Outcome::Delivered, SUCCESS, count);
        self.late(slots.filter_map(|slot| slot.time_ms));
    }

    /// A metric definition was already as wanted.
    pub(super) fn unchanged(&self) {
        self.metrics.unchanged.with_label_values(&[&self.target]).inc();
    }

    /// These operations become dead letters after an answer with this status.
    pub(super) fn refused(&self, status: Option<u16>, operations: u64) {
        self.ended(Outcome::DeadLettered, status_class(status), operations);
    }

    fn ended(&self, outcome: Outcome, status: &str, operations: u64) {
        let labels = [&self.target, self.operation, outcome.as_str(), status];
        self.metrics.operations_ended.with_label_values(&labels).inc_by(operations);
    }

    fn late(&self, times_ms: impl Iterator<Item = i64>) {
        // Gathered first: a batch has thousands of records, and each would be several atomic writes.
        let latency = self.metrics.delivery_latency.with_label_values(&self.lane()).local();
        let now_ms = clock::now_ms();
        for time_ms in times_ms {
            let late = now_ms.saturating_sub(time_ms).max(0);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds fit a double")]
            latency.observe(late as f64 / 1_000.0);
        }
        latency.flush();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The pairs of result and status class that LaunchDarkly gives; others begin when they come.
const ANSWERS: [(&str, &str); 7] = [
    (ACCEPTED, SUCCESS),
    ("network", NO_ANSWER),
    ("throttled", "4xx"),
    ("unavailable", "5xx"),
    ("conflict", "4xx"),
    ("refused", "4xx"),
    ("misconfigured", "4xx"),
];

fn status_class(status: Option<u16>) -> &'static str {
    match status {
        None => NO_ANSWER,
        Some(0..=199) => "1xx",
        Some(200..=299) => SUCCESS,
        Some(300..=399) => "3xx",
        Some(400..=499) => "4xx",
        Some(_) => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_error_begins_at_zero() {
        for class in ErrorClass::ALL.map(ErrorClass::as_str) {
            assert!(ANSWERS.iter().any(|(result, _)| *result == class), "{class}");
        }
    }

    #[test]
    fn a_halted_lane_names_its_cause_until_it_goes_on() {
        let metrics = Metrics::new().unwrap();
        let sight = LaneSight::of_lane(&metrics, "production", "metric_event");
        let shown = || {
            [CREDENTIALS, ADDRESS].map(|cause| {
                let labels = ["production", "metric_event", cause];
                metrics.lane_halted.with_label_values(&labels).get()
            })
        };
        assert_eq!(shown(), [0, 0]);
        sight.halted(401);
        assert_eq!(shown(), [1, 0]);
        sight.halted(404);
        assert_eq!(shown(), [0, 1], "another answer, another cause");
        sight.resumed();
        assert_eq!(shown(), [0, 0]);
    }
}
