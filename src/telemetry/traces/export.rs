//! Carries spans from the queue to the collector, in batches, until the service ends.
//!
//! # Invariants
//! - O4: at the end what is left is sent once, and never waited for beyond the drain deadline.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::Span as Message;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Outlet;
use super::collector::{Collector, Failure};

/// The most spans of one request.
const BATCH: usize = 512;
/// The pauses between attempts to export a batch; a collector that is replaced is back by then.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
/// A collector that asks for a longer pause does not get the batch.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Takes spans out of the queue.
#[derive(Debug)]
pub struct Exporter {
    spans: Receiver<Message>,
    collector: Collector,
    outlet: Arc<Outlet>,
    linger: Duration,
    /// Spans of the batch that is being exported.
    under_way: usize,
    /// Whether the last batch was not taken.
    is_failing: bool,
}

/// How a service ends.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Cancelled when it is to drain.
    pub requested: CancellationToken,
    /// Cancelled when there will be no span any more.
    pub drained: CancellationToken,
    /// Cancelled when it is to end without waiting for anything.
    pub immediate: CancellationToken,
    /// How long it may take from the request on.
    pub deadline: Duration,
}

impl Exporter {
    pub(super) fn new(
        spans: Receiver<Message>,
        collector: Collector,
        outlet: Arc<Outlet>,
        linger: Duration,
    ) -> Self {
        Self { spans, collector, outlet, linger, under_way: 0, is_failing: false }
    }

    /// Exports spans until the service has ended.
    pub async fn run(mut self, ending: Ending) {
        tokio::select! {
            () = self.export_all(&ending.drained) => {}
            () = ending.over() => {}
        }
        self.spans.close();
        let mut left = self.under_way;
        while self.spans.try_recv().is_ok() {
            left += 1;
        }
        if left > 0 {
            self.outlet.counters.failed.inc_by(count(left));
            tracing::warn!(spans = left, "spans could not be exported before the end");
        }
    }

    async fn export_all(&mut self, ended: &CancellationToken) {
        loop {
            let batch = self.gather(ended).await;
            if batch.is_empty() {
                return;
            }
            self.under_way = batch.len();
            let body = self.collector.body(batch);
            let result = self.carry(&body, ended).await;
            if ended.is_cancelled() && result.is_err() {
                // What is left would meet the same.
                return;
            }
            self.note(result);
            self.under_way = 0;
        }
    }

    /// The next spans; none when there will be no more.
    async fn gather(&mut self, ended: &CancellationToken) -> Vec<Message> {
        let mut batch = Vec::new();
        tokio::select! {
            () = ended.cancelled() => {}
            Some(first) = self.spans.recv() => batch.push(first),
        }
        let linger = sleep(self.linger);
        tokio::pin!(linger);
        while batch.len() < BATCH {
            let next = tokio::select! {
                biased;
                () = ended.cancelled() => {
                    self.spans.close();
                    self.spans.recv().await
                }
                () = &mut linger => return batch,
                next = self.spans.recv() => next,
            };
            let Some(next) = next else { break };
            batch.push(next);
        }
        batch
    }

    /// Sends a batch until it is taken, or not worth trying any more. Gives how many of its spans are
    /// rejected.
    async fn carry(&self, body: &Bytes, ended: &CancellationToken) -> Result<u64, Failure> {
        let mut pauses = PAUSES.iter();
        loop {
            let is_last = ended.is_cancelled();
            let failure = match self.collector.export(body).await {
                Ok(rejected) => return Ok(rejected),
                Err(failure) => failure,
            };
            let is_worth_it = !is_last && failure.is_passing && failure.hint <= LONGEST_PAUSE;
            let Some(pause) = pauses.next().filter(|_| is_worth_it) else { return Err(failure) };
            // Not all replicas at once.
            let pause = pause.mul_f64(rand::random_range(0.5..1.5)).max(failure.hint);
            tokio::select! {
                () = sleep(pause) => {}
                () = ended.cancelled() => {}
            }
        }
    }

    /// Counts what became of a batch, and says so once.
    fn note(&mut self, result: Result<u64, Failure>) {
        let counters = &self.outlet.counters;
        let spans = count(self.under_way);
        match result {
            Ok(rejected) => {
                let rejected = rejected.min(spans);
                counters.exported.inc_by(spans - rejected);
                counters.rejected.inc_by(rejected);
                self.outlet.is_full.store(false, Ordering::Relaxed);
                if rejected > 0 {
                    tracing::warn!(
                        spans = rejected,
                        "the collector rejects spans; its log tells why"
                    );
                }
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("spans are exported again");
                }
            }
            Err(Failure { reason, .. }) => {
                counters.failed.inc_by(spans);
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(
                        reason,
                        remedy = "check `traces.endpoint` and `traces.headers`, and the collector",
                        "spans are dropped: they cannot be exported; records go on"
                    );
                }
            }
        }
    }
}

impl Ending {
    /// Waits until there is no time left.
    async fn over(&self) {
        tokio::select! {
            () = self.requested.cancelled() => {}
            () = self.drained.cancelled() => {}
        }
        tokio::select! {
            () = sleep(self.deadline) => {}
            () = self.immediate.cancelled() => {}
        }
    }
}

fn count(spans: usize) -> u64 {
    u64::try_from(spans).unwrap_or(u64::MAX)
}
