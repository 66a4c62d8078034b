//! The lanes whose order matters: each lane sends one batch at a time (the path sees to that),
//! several lanes go side by side.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::definitions::DefinitionLanes;
use super::seat::Seat;
use super::segments::SegmentLanes;
use crate::model::operation::KeyedBatch;
use crate::runtime::tasks::TaskSet;

/// Lanes of one target under way at once. The REST API is for people and tools as well; its limits
/// are not published, and its requests are small.
const CONCURRENCY: usize = 4;

/// Delivers the ordered operations of one target.
#[derive(Debug)]
pub struct OrderedLanes {
    pub segments: SegmentLanes,
    pub definitions: DefinitionLanes,
}

impl OrderedLanes {
    /// Delivers batches until the channel closes.
    pub async fn run(self: Arc<Self>, mut batches: UnboundedReceiver<KeyedBatch>, tasks: TaskSet) {
        let seats = Arc::new(Semaphore::new(CONCURRENCY));
        while let Some(mut seat) = Seat::take(&seats).await {
            let Some(batch) = batches.recv().await else { break };
            let lanes = Arc::clone(&self);
            tasks.spawn("deliver_ordered", async move {
                let lane = batch.lane();
                let ended = match batch {
                    KeyedBatch::Segment(batch) => lanes.segments.deliver(batch, &mut seat).await,
                    KeyedBatch::Metric(batch) => lanes.definitions.deliver(batch, &mut seat).await,
                };
                if ended.is_err() {
                    tracing::debug!(?lane, "batch abandoned; it is read again");
                }
                drop(seat);
            });
        }
    }
}
