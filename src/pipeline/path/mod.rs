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
//! - W4: what is in flight stays within its limits, but for the records of one turn, and for what
//!   an earlier owner had in flight.
//!
//! Not here: Kafka (`source`), LaunchDarkly (`deliver`).

mod books;
mod checks;
mod counters;
mod filling;
mod guarding;
mod handover;
mod intake;
mod keyed;
mod mapping;
mod partition;
mod progress;
mod recovery;
mod scratch;
mod taking;

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use self::books::Books;
use self::checks::Checks;
pub use self::checks::{KnowledgeLinks, wanted};
use self::counters::PathCounters;
use self::filling::Filling;
use self::guarding::Guarding;
pub use self::handover::{Handed, Load};
use self::keyed::KeyedLanes;
use self::partition::PartitionPath;
use self::scratch::Scratch;
use super::commit::CommitSchedule;
use super::guard::Guard;
use super::route::Router;
use super::settings::{LimitSettings, PipelineSettings};
use super::source::Turn;
use crate::model::batch::EventBatch;
use crate::model::operation::KeyedBatch;
use crate::model::outcome::{DeadLetter, Outcome};
use crate::model::progress::{CommitEntry, Settlement, Slot};
use crate::model::record::Partition;
use crate::model::routes::RouteSet;
use crate::runtime::failpoint::{self, Failpoint};
use crate::telemetry::board::Board;
use crate::telemetry::metrics::Metrics;

/// A paused partition stays paused at least this long: pausing throws prefetched records away, so
/// doing it often costs more than it saves.
const LEAST_PAUSE: Duration = Duration::from_millis(500);

/// How soon a confirmation is noticed that batches wait for.
const CONFIRMATION_STEP: Duration = Duration::from_millis(1);

/// Where batches and dead letters go.
#[derive(Debug)]
pub struct Outlets {
    /// By target.
    pub events: Vec<UnboundedSender<EventBatch>>,
    /// By target.
    pub keyed: Vec<UnboundedSender<KeyedBatch>>,
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
    checks: Checks,
    keyed: KeyedLanes,
    guarding: Guarding,
    /// Tells which routes a person has paused.
    board: Board,
    /// Reused from record to record.
    scratch: Scratch,
    /// Reused from turn to turn; empty in between.
    cut: Vec<EventBatch>,
    keyed_cut: Vec<KeyedBatch>,
    filling: Filling,
    /// Something was settled that the commit schedule does not know of.
    progressed: bool,
    /// Batches were cut whose edges are to be written.
    hurried: bool,
}

impl Path {
    pub fn new(
        settings: PipelineSettings,
        outlets: Outlets,
        settlements: Receiver<Settlement>,
        guard: Arc<Guard>,
        metrics: &Metrics,
    ) -> Self {
        let limit = i64::try_from(settings.limits.in_flight_bytes).unwrap_or(i64::MAX);
        metrics.in_flight_limit.set(limit);
        Self {
            router: Router::new(&settings.routes),
            books: Books::default(),
            commits: CommitSchedule::new(settings.commit_interval),
            counters: PathCounters::new(metrics, &settings.routes, &settings.targets),
            checks: Checks::default(),
            keyed: KeyedLanes::new(settings.coalesce),
            guarding: Guarding::new(guard),
            board: Board::default(),
            scratch: Scratch::default(),
            cut: Vec::new(),
            keyed_cut: Vec::new(),
            filling: Filling::default(),
            progressed: false,
            hurried: false,
            settings,
            outlets,
            settlements,
        }
    }

    fn send_cut(&mut self) {
        // The lanes outlive this thread unless they panicked, which ends the process; what cannot
        // be sent is not settled, so its records are read again.
        for batch in self.cut.drain(..) {
            let lane = self.outlets.events.get(batch.target.0);
            if lane.is_none_or(|lane| lane.send(batch).is_err()) {
                tracing::error!("a metric-event lane is gone");
            }
        }
        for batch in self.keyed_cut.drain(..) {
            let lane = self.outlets.keyed.get(batch.target().0);
            if lane.is_none_or(|lane| lane.send(batch).is_err()) {
                tracing::error!("an ordered lane is gone");
            }
        }
    }

    fn apply(&mut self, settlement: Settlement) {
        match settlement {
            Settlement::Batch { target, partition, epoch, marks, bytes } => {
                if let Some(state) = self.books.find(&partition, epoch) {
                    state.subtract_in_flight(bytes);
                    let ended = state.journal.accept(target, marks);
                    self.filling.has_room |= ended.is_some();
                    state.end_batch(ended);
                    state.count(&self.counters);
                    self.progressed = true;
                }
            }
            Settlement::Withheld { parts, letters } => {
                let Some(first) = parts.first() else { return };
                if let Some(state) = self.books.find(&first.partition, first.epoch) {
                    state.divide(&parts, &letters);
                    state.count(&self.counters);
                    // What was accepted of the batch is to be known as soon as can be.
                    (self.progressed, self.hurried) = (true, true);
                }
            }
            Settlement::Accepted { slots } => {
                for slot in &slots {
                    self.settle(slot, Outcome::Delivered);
                }
            }
            Settlement::DeadLetter { slot } => self.settle(&slot, Outcome::DeadLettered),
            Settlement::Halted { lane } => self.keyed.halt(&lane),
            Settlement::Keyed { lane, accepted } => {
                for slot in &accepted {
                    self.settle(slot, Outcome::Delivered);
                }
                self.keyed.finish(&lane);
            }
        }
    }

    /// Offsets only go back when the log behind them is another one: the topic was made anew, or its
    /// end was cut off. What was taken says nothing about what comes now.
    fn begin_anew(&mut self, id: &Partition, offset: i64) {
        tracing::error!(
            partition = %id,
            offset,
            "the offsets of a partition began again; its records are taken as new ones"
        );
        self.counters.offset_reset();
        self.books.reopen(id, &self.settings);
        self.forget_fallen();
    }

    /// Takes back what waits in ordered lanes on behalf of assignments that have ended.
    fn forget_fallen(&mut self) {
        let superseded = self.keyed.forget(|slot| !slot.fence.has_fallen());
        for slot in superseded {
            self.settle(&slot, Outcome::Delivered);
        }
    }

    /// Meets one obligation, unless it is of an earlier assignment (W3).
    fn settle(&mut self, slot: &Slot, outcome: Outcome) {
        if let Some(state) = self.books.find(&slot.partition, slot.epoch) {
            state.subtract_in_flight(slot.bytes);
            if outcome == Outcome::DeadLettered {
                state.ledger.note_dead(slot.offset, slot.routes);
            }
            match slot.events_of {
                Some(target) => {
                    let ended = state.journal.bury(target, slot.offset);
                    self.filling.has_room |= ended.is_some();
                    state.end_batch(ended);
                }
                None => state.ledger.settle_one(slot.offset, outcome, slot.routes),
            }
            state.count(&self.counters);
            self.progressed = true;
        }
    }

    /// Hands the operations of the record just sealed to their lanes.
    fn offer_operations(&mut self, place: &Slot, now: Instant) {
        let places = self.scratch.places.drain(..).map(RouteSet::of);
        for (operation, routes) in self.scratch.operations.drain(..).zip(places) {
            let slot = Slot { bytes: operation.size(), routes, ..place.clone() };
            if let Some(state) = self.books.find(&slot.partition, slot.epoch) {
                state.add_in_flight(slot.bytes);
            }
            let lane = operation.lane();
            if self.keyed.offer(operation, slot, now) {
                self.counters.coalesced(&lane);
            }
        }
    }

    fn apply_settlements(&mut self) {
        while let Ok(settlement) = self.settlements.try_recv() {
            self.apply(settlement);
        }
    }

    /// Sends on what is being collected for some partitions.
    fn flush(&mut self, partitions: &[Partition]) {
        for partition in self.books.some_mut(partitions) {
            partition.cut_all(&mut self.cut);
            self.hurried |= partition.has_waiting();
        }
        self.keyed.cut_all(&mut self.keyed_cut);
        self.send_cut();
    }

    /// Pauses what is over its limit and resumes what is well below it.
    fn balance(&mut self, now: Instant, turn: &mut Turn) {
        let LimitSettings { in_flight_bytes, partition_in_flight_bytes } = self.settings.limits;
        let total = self.books.moving_bytes();
        let (all_full, all_low) = (total > in_flight_bytes, total <= in_flight_bytes / 2);
        let mut flush = false;
        let asked = self.paused_routes();
        for partition in self.books.all_mut() {
            let bytes = partition.bytes();
            let by_person = !asked.is_empty()
                && !partition.is_recovering()
                && partition.routes().iter().any(|id| asked.contains(&id.0));
            let holds = partition.is_shut() || !partition.parked.is_empty() || by_person;
            let large = all_full || bytes > partition_in_flight_bytes;
            let full = holds || large && !partition.is_recovering();
            let low = all_low && bytes <= partition_in_flight_bytes / 2 && !holds;
            if full && partition.pause(now) {
                // What waits to fill up would wait in vain while nothing comes in.
                partition.cut_all(&mut self.cut);
                self.hurried |= partition.has_waiting();
                flush = true;
                turn.pause.push(partition.id().clone());
            } else if low && partition.resume(now, LEAST_PAUSE) {
                turn.resume.push(partition.id().clone());
            }
        }
        if flush {
            self.keyed.cut_all(&mut self.keyed_cut);
        }
    }

    /// Tells the commit schedule what there is to write.
    fn note_progress(&mut self, now: Instant) {
        if std::mem::take(&mut self.progressed) {
            failpoint::reach(Failpoint::SettledNotCommitted);
            self.commits.progress(now);
            // What did not fit into the journal may fit now.
            self.hurried |= self.books.all().any(PartitionPath::has_waiting);
        }
        if std::mem::take(&mut self.hurried) {
            self.commits.urge(now);
        }
    }

    /// Takes what is to be committed, when it is due.
    fn due_commit(&mut self, now: Instant) -> Vec<CommitEntry> {
        if !self.commits.is_due(now) {
            return Vec::new();
        }
        let entries: Vec<_> = self.books.all_mut().filter_map(PartitionPath::news).collect();
        if entries.is_empty() {
            self.commits.skip();
        } else {
            self.commits.start();
        }
        entries
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod tests;
