//! The metric-event lane of a target: batches in parallel, refused ones split to find the record at
//! fault.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::courier::{Abandoned, Answered, Burden, Courier, Errand};
use super::patience::Patience;
use super::refused::Refused;
use super::seat::Seat;
use super::spans::Cause;
use crate::launchdarkly::endpoint::Endpoint;
use crate::launchdarkly::events::EventsClient;
use crate::model::batch::{EventBatch, Split};
use crate::model::fence::Fence;
use crate::model::progress::{Settlement, Slot};
use crate::pipeline::guard::Probe;
use crate::runtime::failpoint::{self, Failpoint};
use crate::runtime::tasks::TaskSet;
use crate::telemetry::clock;

/// The name of this lane's operation.
pub const OPERATION: &str = "metric_event";

/// Delivers the metric events of one target.
#[derive(Debug)]
pub struct EventLane {
    client: EventsClient,
    courier: Courier,
}

impl EventLane {
    pub fn new(client: EventsClient, courier: Courier) -> Self {
        let courier = courier.sending_to(client.server());
        Self { client, courier }
    }

    /// Delivers batches until the channel closes. They go out in parallel: metric events need no
    /// order.
    pub async fn run(self: Arc<Self>, mut batches: UnboundedReceiver<EventBatch>, tasks: TaskSet) {
        let seats = Arc::new(Semaphore::new(self.courier.settings.concurrency));
        while let Some(mut seat) = Seat::take(&seats).await {
            let Some(batch) = batches.recv().await else { break };
            let lane = Arc::clone(&self);
            tasks.spawn("deliver", async move {
                let batch_shown = format!("{batch:?}");
                if lane.deliver(batch, &mut seat).await.is_err() {
                    tracing::debug!(batch = batch_shown, "batch abandoned; it is read again");
                }
                drop(seat);
            });
        }
    }

    async fn deliver(&self, batch: EventBatch, seat: &mut Seat) -> Result<(), Abandoned> {
        failpoint::reach(Failpoint::JournaledNotSent);
        self.courier.sight.batch(batch.events(), batch.bytes(), batch.since);
        // Depth first, head before tail: the parts are settled about in offset order.
        let mut patience = self.courier.patience();
        let (mut open, mut letters) = (vec![batch], Vec::new());
        // Of a halted route, until something is judged.
        let mut probe = None;
        while let Some(part) = open.last() {
            let routes = self.routes_of(part);
            if probe.is_none() && self.courier.guard().is_halted(&routes) {
                probe = Some(self.wait(&open, &letters, &routes, seat).await?);
                patience = self.courier.patience();
            }
            let Some(part) = open.pop() else { break };
            match self.send(&part, patience).await? {
                Answered::Accepted(()) => {
                    let (topic, now) = (&part.partition.topic, Instant::now());
                    self.courier.guard().passed_marks(topic, &part.marks, now);
                    self.settle(part);
                    probe = None;
                }
                Answered::Refused(refused) if refused.gave_up => {
                    letters.extend(self.give_up(part, &refused));
                    probe = None;
                }
                Answered::Refused(refused) => match part.split() {
                    Split::Halves(head, tail) => {
                        self.courier.sight.splits();
                        open.extend([tail, head]);
                    }
                    Split::Single(single) => {
                        self.courier.guard().refused(&routes, Instant::now());
                        self.refuse(&single, &refused);
                        letters.push(single);
                        probe = None;
                    }
                },
            }
        }
        Ok(())
    }

    /// Waits until what is open of a batch may be sent.
    async fn wait(
        &self,
        open: &[EventBatch],
        letters: &[EventBatch],
        routes: &[usize],
        seat: &mut Seat,
    ) -> Result<Probe<'_>, Abandoned> {
        let (parts, letters) = (open.to_vec(), letters.to_vec());
        self.courier.settle(Settlement::Withheld { parts, letters });
        let fences: Vec<Fence> = open.first().map(|part| part.fence.clone()).into_iter().collect();
        let records = open.iter().map(EventBatch::records).sum();
        let withheld = fences.iter().map(|fence| fence.withhold(records)).collect();
        self.courier.wait_at_guard(routes, &fences, withheld, seat).await
    }

    fn routes_of(&self, part: &EventBatch) -> Vec<usize> {
        self.courier.guard().routes(&part.partition.topic, part.routes())
    }

    async fn send(
        &self,
        batch: &EventBatch,
        patience: Patience,
    ) -> Result<Answered<()>, Abandoned> {
        let payload_id = batch.payload_id(&self.courier.target);
        let body = &self.client.body(batch.body.clone());
        let request = |trace| async move {
            self.client.import(&body.of_trace(trace), payload_id, clock::now_ms).await
        };
        let oldest = Some((&batch.partition, batch.first_offset()));
        let burden = Burden { lane: None, oldest, records: batch.records() };
        let (fences, cause) = (std::slice::from_ref(&batch.fence), &Cause::of_batch(batch));
        let errand = Errand { fences, patience, burden, cause };
        self.courier.carry(Endpoint::MetricImport, request, errand).await
    }

    /// Dead-letters every record of a batch. Gives them, each by itself.
    fn give_up(&self, batch: EventBatch, refused: &Refused) -> Vec<EventBatch> {
        let (mut rest, mut singles) = (vec![batch], Vec::new());
        while let Some(part) = rest.pop() {
            match part.split() {
                Split::Halves(head, tail) => rest.extend([tail, head]),
                Split::Single(single) => {
                    self.refuse(&single, refused);
                    singles.push(single);
                }
            }
        }
        singles
    }

    fn settle(&self, batch: EventBatch) {
        failpoint::reach(Failpoint::AnsweredNotSettled);
        self.courier.sight.delivered_batch(&batch);
        tracing::debug!(?batch, "batch accepted");
        let bytes = batch.bytes();
        let EventBatch { target, partition, epoch, marks, .. } = batch;
        let settled = Settlement::Batch { target, partition, epoch, marks, bytes };
        self.courier.settle(settled);
    }

    fn refuse(&self, single: &EventBatch, refused: &Refused) {
        let slot = Slot {
            partition: single.partition.clone(),
            epoch: single.epoch,
            offset: single.first_offset(),
            bytes: single.bytes(),
            fence: single.fence.clone(),
            events_of: Some(single.target),
            routes: single.routes(),
            time_ms: single.oldest_ms(),
            trace: single.traces.parent(),
        };
        self.courier.sight.refused(refused.status, single.events());
        self.courier.dead_letter(slot, refused.reason(), refused, single.body.clone());
    }
}
