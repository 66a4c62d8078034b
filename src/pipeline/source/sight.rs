//! What the source shows of itself: partitions, commits, rebalances, drains and how late it is.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use tokio::time::Instant;

use super::lateness::{Late, Lateness};
use super::{Intake, Source, Stopped, statistics};
use crate::model::record::Partition;
use crate::telemetry::clock;
use crate::telemetry::metrics::Metrics;

/// Between two looks: no scrape comes more often, and a look costs as much as there are partitions.
const INTERVAL: Duration = Duration::from_secs(1);

/// The `kind` label of rebalances.
pub(super) const ASSIGNED: &str = "assigned";
pub(super) const REVOKED: &str = "revoked";
pub(super) const LOST: &str = "lost";

/// What is kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Sight {
    lateness: Lateness,
    next: Option<Instant>,
}

impl<I: Intake> Source<I> {
    /// Shows what changes with time alone, now and then.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        if self.sight.next.is_some_and(|next| now < next) {
            return;
        }
        self.sight.next = Some(now + INTERVAL);
        let metrics = &self.reports.metrics;
        metrics.last_turn_seconds.set(clock::now_seconds());
        metrics.ready.set(i64::from(self.reports.health.ready().ok));
        let now_ms = clock::now_ms();
        for standing in self.intake.standings() {
            let Partition { topic, number } = &standing.partition;
            let unread = self.consumer.context().is_unread(&standing.partition);
            let Late { oldest, stands_still } =
                self.sight.lateness.of(&standing, unread, now_ms, now);
            let labels = [&**topic, &number.to_string()];
            metrics.consumer_lag_seconds.with_label_values(&labels).set(oldest.as_secs_f64());
            metrics.watermark_age.with_label_values(&labels).set(stands_still.as_secs_f64());
        }
    }

    /// Whoever owns these partitions now shows them.
    pub(super) fn forget(&mut self, partitions: &[Partition]) {
        let metrics = &self.reports.metrics;
        for partition in partitions {
            self.sight.lateness.forget(partition);
            let labels = [&*partition.topic, &partition.number.to_string()];
            // There is none to remove before the first look.
            drop(metrics.consumer_lag.remove_label_values(&labels));
            drop(metrics.consumer_lag_seconds.remove_label_values(&labels));
            drop(metrics.watermark_age.remove_label_values(&labels));
        }
    }

    pub(super) fn show_counts(&self) {
        let count = |list: &[Partition]| i64::try_from(list.len()).unwrap_or(i64::MAX);
        self.reports.metrics.assigned_partitions.set(count(&self.assigned));
        self.reports.metrics.paused_partitions.set(count(&self.paused));
    }

    pub(super) fn show_drain(&self, ended: Stopped, took: Duration) {
        let metrics = &self.reports.metrics;
        metrics.drains.with_label_values(&[drain_label(ended)]).inc();
        metrics.drain_seconds.observe(took.as_secs_f64());
    }
}

/// The `result` label of a commit.
pub(super) fn commit_label(is_confirmed: bool) -> &'static str {
    if is_confirmed { "confirmed" } else { "failed" }
}

/// The `result` label of a drain.
fn drain_label(ended: Stopped) -> &'static str {
    match ended {
        Stopped::Clean => "finished",
        Stopped::Unfinished => "timed_out",
    }
}

/// Begins every series, so that there is none that hides its first event.
pub(super) fn declare_series(metrics: &Metrics) {
    // As if at start: a service whose commits never succeed must look stale, not new.
    metrics.last_commit_seconds.set(clock::now_seconds());
    for is_confirmed in [true, false] {
        metrics.commits.with_label_values(&[commit_label(is_confirmed)]);
    }
    for ended in [Stopped::Clean, Stopped::Unfinished] {
        metrics.drains.with_label_values(&[drain_label(ended)]);
    }
    for kind in [ASSIGNED, REVOKED, LOST] {
        metrics.rebalances.with_label_values(&[kind]);
    }
    statistics::declare_series(metrics);
}
