//! The path of a record: decode, route, batch, and the books that are kept about it.
//!
//! Runs on the consumer thread, on the record's borrowed bytes. What leaves this file is a full
//! batch or a dead letter; what comes back is a settlement.
//!
//! # Invariants
//! - P1: every record taken is opened in its partition's ledger once, with as many obligations as
//!   it has batches and dead letters.
//! - P2: a record is mapped as a whole: when one of its routes refuses it, none of its operations
//!   is sent, so that a replay after mending counts each of them once.
//! - P3: a settlement of an earlier assignment changes nothing.
//! - P4: what is in flight stays within its limits, but for the records of one turn and for one
//!   batch per partition.
//!
//! Not here: Kafka (`source`), LaunchDarkly (`deliver`).

mod books;
mod counters;
mod partition;

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::books::Books;
use self::counters::PathCounters;
use self::partition::{Mapped, PartitionPath};
use super::commit::CommitSchedule;
use super::route::Router;
use super::route::projection::Picks;
use super::settings::{LimitSettings, PipelineSettings, Unmatched};
use super::source::{Intake, Turn};
use crate::model::batch::EventBatch;
use crate::model::outcome::{DeadLetter, DeadLetterOrigin, Refusal};
use crate::model::progress::{CommitEntry, Settlement, Slot};
use crate::model::record::{Partition, Record};
use crate::telemetry::metrics::Metrics;

/// A paused partition stays paused at least this long: pausing throws prefetched records away, so
/// doing it often costs more than it saves.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// Where batches and dead letters go.
#[derive(Debug)]
pub struct Outlets {
    /// By target.
    pub lanes: Vec<UnboundedSender<EventBatch>>,
    pub dead_letters: UnboundedSender<DeadLetter>,
}

/// The path, and the state of every partition on it.
#[derive(Debug)]
pub struct Path {
    router: Router,
    settings: PipelineSettings,
    outlets: Outlets,
    settlements: Receiver<Settlement>,
    books: Books,
    commits: CommitSchedule,
    counters: PathCounters,
    picks: Picks,
    /// When the first open batch is to be cut.
    cut_due: Option<Instant>,
}

impl Path {
    pub fn new(
        settings: PipelineSettings,
        outlets: Outlets,
        settlements: Receiver<Settlement>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            router: Router::compile(&settings.routes),
            books: Books::default(),
            commits: CommitSchedule::new(settings.commit_interval),
            counters: PathCounters::new(metrics, &settings.routes),
            picks: Picks::default(),
            cut_due: None,
            settings,
            outlets,
            settlements,
        }
    }

    fn send(outlets: &Outlets, batch: EventBatch) {
        let lane = outlets.lanes.get(batch.target.0);
        if lane.is_none_or(|lane| lane.send(batch).is_err()) {
            // The lanes outlive the consumer thread; without one the record stays unsettled, is not
            // committed, and is read again after the restart that this calls for.
            tracing::error!("a lane is gone");
        }
    }

    fn refuse(&mut self, at: usize, record: &Record<'_>, refusal: Refusal) {
        let Some(partition) = self.books.partition_mut(at) else { return };
        let record = record.to_owned();
        let slot = Slot {
            partition: partition.id().clone(),
            epoch: partition.epoch(),
            offset: record.offset,
            bytes: record.size(),
        };
        partition.ledger.take(record.offset, 1);
        self.books.add_bytes(at, slot.bytes);
        let letter = DeadLetter { origin: DeadLetterOrigin::Copied(record), refusal, slot };
        if self.outlets.dead_letters.send(letter).is_err() {
            tracing::error!("the dead-letter stage is gone");
        }
    }

    fn apply(&mut self, settlement: Settlement) {
        let (outcome, bytes) = (settlement.outcome(), settlement.bytes());
        let (partition, epoch) = settlement.place();
        let Some(at) = self.books.find(partition, epoch) else {
            tracing::debug!(%partition, "settlement of an earlier assignment");
            return;
        };
        self.books.subtract_bytes(at, bytes);
        let Some(state) = self.books.partition_mut(at) else { return };
        match &settlement {
            Settlement::Batch { marks, .. } => state.ledger.settle(marks, outcome),
            Settlement::DeadLetter { slot } => state.ledger.settle_one(slot.offset, outcome),
        }
        self.counters.closed(state.ledger.take_closed());
    }

    fn apply_settlements(&mut self) {
        while let Ok(settlement) = self.settlements.try_recv() {
            self.apply(settlement);
        }
    }

    fn cut_due_batches(&mut self, now: Instant) {
        if self.cut_due.is_none_or(|due| due > now) {
            return;
        }
        for partition in self.books.partitions_mut() {
            partition.cut_due(now, |batch| Self::send(&self.outlets, batch));
        }
        self.cut_due = self.books.partitions().filter_map(PartitionPath::cut_deadline).min();
    }

    /// Pauses what is over its limit and resumes what is well below it.
    fn balance(&mut self, now: Instant, turn: &mut Turn) {
        let LimitSettings { in_flight_bytes, partition_in_flight_bytes } = self.settings.limits;
        let total = self.books.total_bytes();
        let all_full = total > in_flight_bytes;
        let all_low = total <= in_flight_bytes / 2;
        let mut flush = false;
        for partition in self.books.partitions_mut() {
            let bytes = partition.bytes();
            let full = all_full || bytes > partition_in_flight_bytes;
            if full && partition.pause(now) {
                flush = true;
                turn.pause.push(partition.id().clone());
            }
            let low = all_low && bytes <= partition_in_flight_bytes / 2;
            if low && partition.resume(now, LEAST_PAUSE) {
                turn.resume.push(partition.id().clone());
            }
        }
        if flush {
            // What waits to fill up would wait in vain while nothing comes in.
            for partition in self.books.partitions_mut().filter(|p| p.is_paused()) {
                partition.cut_all(|batch| Self::send(&self.outlets, batch));
            }
        }
    }

    fn note_progress(&mut self, now: Instant) {
        for partition in self.books.partitions_mut() {
            if let Some(entry) = partition.new_progress() {
                self.commits.advance(entry, now);
            }
        }
    }
}

impl Intake for Path {
    fn assigned(&mut self, partitions: &[Partition]) {
        for id in partitions {
            // Topics are subscribed because routes name them.
            let Some(routes) = self.router.topic(&id.topic) else { continue };
            let read = self.counters.records_read(&id.topic);
            self.books.open(id.clone(), routes, self.settings.batch, read);
        }
    }

    fn record(&mut self, record: &Record<'_>, now: Instant) {
        let Some(at) = self.books.locate(record.topic, record.partition) else {
            tracing::debug!(?record, "record of a partition that is not ours");
            return;
        };
        let Some(partition) = self.books.partition_mut(at) else { return };
        if partition.ledger.has_taken(record.offset) {
            return;
        }
        partition.count_read();
        let mapped =
            partition.map(record, &mut self.picks, &self.counters, self.settings.unmatched);
        match mapped {
            Ok(Mapped::Operations) => {
                let before = partition.open_bytes();
                let mut cut = None;
                let obligations = partition.seal(record, now, |batch| {
                    Self::send(&self.outlets, batch);
                    cut = Some(());
                });
                partition.ledger.take(record.offset, obligations);
                let deadline = partition.cut_deadline();
                self.cut_due = [self.cut_due, deadline].into_iter().flatten().min();
                let _ = (before, cut);
            }
            Ok(Mapped::Filtered) => {
                partition.ledger.take(record.offset, 0);
                self.counters.closed(partition.ledger.take_closed());
            }
            Err(refusal) => self.refuse(at, record, refusal),
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        self.apply_settlements();
        self.cut_due_batches(now);
        self.balance(now, &mut turn);
        self.note_progress(now);
        self.counters.in_flight(self.books.total_bytes(), self.books.waiting());
        turn.commit = self.commits.take_due(now);
        turn.next = [self.cut_due, self.commits.deadline()].into_iter().flatten().min();
        turn
    }
}
