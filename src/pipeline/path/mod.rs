//! The path of a record: decode, route, batch, and the books that are kept about it.
//!
//! Runs on the consumer thread, on the record's borrowed bytes. What leaves this file is a full
//! batch or a dead letter; what comes back is a settlement.
//!
//! # Invariants
//! - W1: every record taken is opened in its partition's ledger once, with as many obligations as
//!   it has batches and dead letters.
//! - W2: a record is mapped as a whole: when one of its routes refuses it, none of its operations
//!   is sent, so that a replay after mending counts each of them once.
//! - W3: a settlement of an earlier assignment changes nothing.
//! - W4: what is in flight stays within its limits, but for the records of one turn.
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
use super::settings::{LimitSettings, PipelineSettings};
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
    /// Reused from record to record.
    picks: Picks,
    /// Reused from turn to turn; empty in between.
    cut: Vec<EventBatch>,
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
            cut: Vec::new(),
            cut_due: None,
            settings,
            outlets,
            settlements,
        }
    }

    fn send_cut(&mut self) {
        for batch in self.cut.drain(..) {
            let lane = self.outlets.lanes.get(batch.target.0);
            if lane.is_none_or(|lane| lane.send(batch).is_err()) {
                // The lanes outlive this thread unless they panicked, which ends the process; the
                // batch is not settled, so its records are read again.
                tracing::error!("a lane is gone");
            }
        }
    }

    fn apply(&mut self, settlement: &Settlement) {
        let (partition, epoch) = settlement.place();
        let Some(state) = self.books.find(partition, epoch) else {
            tracing::debug!(%partition, "settlement of an earlier assignment");
            return;
        };
        state.subtract_in_flight(settlement.bytes());
        let outcome = settlement.outcome();
        match settlement {
            Settlement::Batch { marks, .. } => state.ledger.settle(marks, outcome),
            Settlement::DeadLetter { slot } => state.ledger.settle_one(slot.offset, outcome),
        }
        self.counters.closed(state.ledger.take_closed());
    }

    fn apply_settlements(&mut self) {
        while let Ok(settlement) = self.settlements.try_recv() {
            self.apply(&settlement);
        }
    }

    fn cut_due_batches(&mut self, now: Instant) {
        if self.cut_due.is_none_or(|due| due > now) {
            return;
        }
        for partition in self.books.all_mut() {
            partition.cut_due(now, &mut self.cut);
        }
        self.cut_due = self.books.all().filter_map(PartitionPath::cut_deadline).min();
    }

    /// Pauses what is over its limit and resumes what is well below it.
    fn balance(&mut self, now: Instant, turn: &mut Turn) {
        let LimitSettings { in_flight_bytes, partition_in_flight_bytes } = self.settings.limits;
        let total = self.books.bytes();
        let (all_full, all_low) = (total > in_flight_bytes, total <= in_flight_bytes / 2);
        for partition in self.books.all_mut() {
            let bytes = partition.bytes();
            let full = all_full || bytes > partition_in_flight_bytes;
            let low = all_low && bytes <= partition_in_flight_bytes / 2;
            if full && partition.pause(now) {
                // What waits to fill up would wait in vain while nothing comes in.
                partition.cut_all(&mut self.cut);
                turn.pause.push(partition.id().clone());
            } else if low && partition.resume(now, LEAST_PAUSE) {
                turn.resume.push(partition.id().clone());
            }
        }
    }

    fn note_progress(&mut self, now: Instant) {
        for partition in self.books.all_mut() {
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
        let Some(partition) = self.books.of_record(record.topic, record.partition) else {
            tracing::debug!(?record, "record of a partition that is not ours");
            return;
        };
        if partition.ledger.has_taken(record.offset) {
            return;
        }
        match partition.map(record, &mut self.picks, &self.counters, self.settings.unmatched) {
            Ok(Mapped::Operations) => {
                partition.seal(record, now, &mut self.cut);
                self.cut_due = self.cut_due.into_iter().chain(partition.cut_deadline()).min();
                if !self.cut.is_empty() {
                    self.send_cut();
                }
            }
            Ok(Mapped::Filtered) => {
                partition.ledger.take(record.offset, 0);
                self.counters.closed(partition.ledger.take_closed());
            }
            Err(refusal) => {
                let letter = dead_letter(partition, record, refusal);
                if self.outlets.dead_letters.send(letter).is_err() {
                    tracing::error!("the dead-letter stage is gone");
                }
            }
        }
    }

    fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn::default();
        self.apply_settlements();
        self.cut_due_batches(now);
        self.balance(now, &mut turn);
        self.send_cut();
        self.note_progress(now);
        self.counters.in_flight(self.books.bytes(), self.books.waiting());
        turn.commit = self.commits.take_due(now);
        turn.next = self.cut_due.into_iter().chain(self.commits.deadline()).min();
        turn
    }

    fn flush(&mut self, partitions: &[Partition]) {
        for partition in self.books.all_mut().filter(|p| partitions.contains(p.id())) {
            partition.cut_all(&mut self.cut);
        }
        self.send_cut();
    }

    fn is_drained(&self, partitions: &[Partition]) -> bool {
        self.books.some(partitions).all(|partition| partition.ledger.is_settled())
    }

    fn await_settlement(&mut self, timeout: Duration) {
        if let Ok(settlement) = self.settlements.recv_timeout(timeout) {
            self.apply(&settlement);
            self.apply_settlements();
        }
    }

    fn progress(&self, partitions: &[Partition]) -> Vec<CommitEntry> {
        self.books
            .some(partitions)
            .filter_map(PartitionPath::progress)
            .filter(|entry| self.commits.is_news(entry))
            .collect()
    }

    fn committed(&mut self, mut entries: Vec<CommitEntry>, succeeded: bool, now: Instant) {
        // What was committed for an earlier assignment says nothing about the present one.
        entries.retain(|entry| self.books.find(&entry.partition, entry.epoch).is_some());
        self.commits.finish(entries, succeeded, now);
    }

    fn revoked(&mut self, partitions: &[Partition]) {
        for id in partitions {
            self.books.close(id);
            self.commits.forget(id);
        }
        self.counters.in_flight(self.books.bytes(), self.books.waiting());
    }
}

fn dead_letter(partition: &mut PartitionPath, record: &Record<'_>, refusal: Refusal) -> DeadLetter {
    let record = record.to_owned();
    let slot = Slot {
        partition: partition.id().clone(),
        epoch: partition.epoch(),
        offset: record.offset,
        bytes: record.size(),
    };
    partition.ledger.take(record.offset, 1);
    partition.add_in_flight(slot.bytes);
    DeadLetter { origin: DeadLetterOrigin::Copied(record), refusal, slot }
}

#[cfg(test)]
mod tests;
