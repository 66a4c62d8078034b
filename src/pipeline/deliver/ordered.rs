//! The lanes whose order matters: each lane sends one batch at a time (the path sees to that),
//! several lanes go side by side, and no operation stands in another one's way.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::courier::Abandoned;
use super::definitions::DefinitionLanes;
use super::seat::Seat;
use super::segments::SegmentLanes;
use crate::model::operation::{KeyedBatch, MetricBatch, SegmentBatch};
use crate::runtime::tasks::TaskSet;

/// Lanes of one operation and target under way at once. The REST API is for people and tools as well;
/// its limits are not published, and its requests are small.
const CONCURRENCY: usize = 4;

/// Delivers the ordered operations of one target.
#[derive(Debug)]
pub struct OrderedLanes {
    pub segments: SegmentLanes,
    pub definitions: DefinitionLanes,
}

impl OrderedLanes {
    /// Delivers batches until the channel closes. Each operation has a queue of its own: however many
    /// definitions wait, a membership change does not wait behind them.
    pub async fn run(self: Arc<Self>, mut batches: UnboundedReceiver<KeyedBatch>, tasks: TaskSet) {
        let (segments, of_segments) = unbounded_channel();
        let (definitions, of_definitions) = unbounded_channel();
        tasks.spawn("segment_lanes", Arc::clone(&self).run_segments(of_segments, tasks.clone()));
        tasks.spawn("definition_lanes", self.run_definitions(of_definitions, tasks.clone()));
        while let Some(batch) = batches.recv().await {
            match batch {
                KeyedBatch::Segment(batch) => pass_on(&segments, batch),
                KeyedBatch::Metric(batch) => pass_on(&definitions, batch),
            }
        }
    }

    async fn run_segments(
        self: Arc<Self>,
        batches: UnboundedReceiver<SegmentBatch>,
        tasks: TaskSet,
    ) {
        let deliver = move |batch, mut seat| {
            let lanes = Arc::clone(&self);
            async move { lanes.segments.deliver(batch, &mut seat).await }
        };
        side_by_side(batches, deliver, &tasks).await;
    }

    async fn run_definitions(
        self: Arc<Self>,
        batches: UnboundedReceiver<MetricBatch>,
        tasks: TaskSet,
    ) {
        let deliver = move |batch, mut seat| {
            let lanes = Arc::clone(&self);
            async move { lanes.definitions.deliver(batch, &mut seat).await }
        };
        side_by_side(batches, deliver, &tasks).await;
    }
}

fn pass_on<B>(queue: &UnboundedSender<B>, batch: B) {
    if queue.send(batch).is_err() {
        tracing::debug!("the lanes have ended; a batch is read again");
    }
}

async fn side_by_side<B, D, F>(mut batches: UnboundedReceiver<B>, deliver: D, tasks: &TaskSet)
where
    D: Fn(B, Seat) -> F,
    F: Future<Output = Result<(), Abandoned>> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(CONCURRENCY));
    while let Some(seat) = Seat::take(&seats).await {
        let Some(batch) = batches.recv().await else { break };
        let delivery = deliver(batch, seat);
        tasks.spawn("deliver_ordered", async move {
            if delivery.await.is_err() {
                tracing::debug!("batch abandoned; it is read again");
            }
        });
    }
}
