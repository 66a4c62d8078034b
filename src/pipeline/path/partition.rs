//! One assigned partition: its routes, what is being collected of it, and its ledger.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::checks::Parked;
use super::counters::PathCounters;
use super::guarding::Held;
use super::recovery::Recovered;
use crate::model::batch::{EventBatch, Mark, TargetId};
use crate::model::fence::Fence;
use crate::model::outcome::Outcome;
use crate::model::progress::{Epoch, NextOffset, Slot, Standing};
use crate::model::record::{Partition, Record};
use crate::model::routes::RouteSet;
use crate::model::trace::TraceParent;
use crate::pipeline::ack::{Ledger, SLOT_BYTES};
use crate::pipeline::batch::{Cut, OpenBatch};
use crate::pipeline::journal::{Check, Edges, Ended, Journal, Piece, Release};
use crate::pipeline::route::{RouteId, TopicRoutes};
use crate::pipeline::settings::PipelineSettings;
use crate::telemetry::metrics::Counter;

/// A partition on the path.
#[derive(Debug)]
pub(super) struct PartitionPath {
    id: Partition,
    epoch: Epoch,
    pub(super) fence: Fence,
    pub(super) routes: Arc<TopicRoutes>,
    /// One per target that the topic feeds.
    pub(super) open: Vec<OpenBatch>,
    pub(super) ledger: Ledger,
    /// Records that are not taken yet.
    pub(super) parked: Parked,
    pub(super) journal: Journal,
    /// Batches whose edges are not in Kafka yet, with the cut that a confirmation has to cover.
    pub(super) waiting: VecDeque<(u64, EventBatch)>,
    /// What Kafka has.
    pub(super) confirmed: Option<(NextOffset, String)>,
    /// Where an earlier owner stood; the first record cannot be below it.
    pub(super) start: Option<NextOffset>,
    pub(super) recovered: Recovered,
    /// Bytes of batches and dead letters on their way.
    in_flight: usize,
    paused: Option<Instant>,
    /// While one of its routes is halted.
    held: Option<Held>,
    read: Counter,
}

impl PartitionPath {
    pub(super) fn new(
        id: Partition,
        epoch: Epoch,
        routes: Arc<TopicRoutes>,
        settings: &PipelineSettings,
        read: Counter,
    ) -> Self {
        let batch = settings.batch;
        let open = routes.targets().map(|(target, of)| OpenBatch::new(batch, target, of)).collect();
        let name = |target: TargetId| settings.targets.get(target.0).map_or("", String::as_str);
        let journal = Journal::new(routes.targets().map(|(target, of)| (target, name(target), of)));
        Self {
            id,
            epoch,
            fence: Fence::default(),
            routes,
            open,
            ledger: Ledger::default(),
            parked: Parked::default(),
            journal,
            waiting: VecDeque::new(),
            confirmed: None,
            start: None,
            recovered: Recovered::default(),
            in_flight: 0,
            paused: None,
            held: None,
            read,
        }
    }

    pub(super) fn id(&self) -> &Partition {
        &self.id
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A record's place in this assignment of the partition, without bytes.
    pub(super) fn slot(&self, record: &Record<'_>) -> Slot {
        Slot {
            partition: self.id.clone(),
            epoch: self.epoch,
            offset: record.offset,
            bytes: 0,
            fence: self.fence.clone(),
            events_of: None,
            routes: RouteSet::NONE,
            time_ms: record.timestamp_ms,
            trace: TraceParent::find(record.headers),
        }
    }

    /// How far it has come, and since when what waits does.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            partition: self.id.clone(),
            position: self.ledger.position(),
            waits: self.ledger.waiting() > 0 || !self.parked.is_empty() || self.is_held(),
            oldest_ms: self.ledger.oldest_ms(),
            newest_ms: self.ledger.newest_ms(),
        }
    }

    /// What another assignment of the same partition begins with.
    pub(super) fn remains(&self) -> (Arc<TopicRoutes>, Counter, Option<Instant>) {
        (Arc::clone(&self.routes), self.read.clone(), self.paused)
    }

    /// Ends the assignment for everything still on its way: what cannot be taken back is at most
    /// the request under way.
    pub(super) fn give_up(&self) {
        self.fence.fall();
    }

    /// Leaves what waits for a person to the next owner, because the assignment is about to end.
    pub(super) fn close(&self) {
        self.fence.close();
    }

    /// Counts the records that have ended.
    pub(super) fn count(&mut self, counters: &PathCounters) {
        counters.closed(self.ledger.take_closed());
        counters.closed_on(self.routes.ids(), &self.ledger.take_closed_on());
    }

    /// Counts a record as read.
    pub(super) fn note_read(&self) {
        self.read.inc();
    }

    /// Makes what was written for a record part of its batches, takes it into the ledger together
    /// with the `others` it owes, and hands over the batches that are full.
    pub(super) fn seal(
        &mut self,
        record: &Record<'_>,
        others: usize,
        now: Instant,
        released: &mut Vec<EventBatch>,
    ) {
        let recovering = self.journal.is_recovering();
        if recovering {
            self.follow_plan(record.offset, released);
        }
        let mut obligations = u16::try_from(others).unwrap_or(u16::MAX);
        let mut cuts = Vec::new(); // Allocates nothing unless a batch is full.
        for open in self.open.iter_mut().filter(|open| open.has_unsealed()) {
            obligations = obligations.saturating_add(1);
            cuts.extend(open.seal(record, now));
            if open.is_full() {
                cuts.extend(open.cut());
            }
        }
        self.ledger.take(record.offset, obligations, record.timestamp_ms);
        for cut in cuts {
            self.hand_over(cut, false, released);
        }
        if recovering {
            self.end_plan(record.offset, released);
        }
    }

    // === batches on their way ===

    /// Notes the edges of a batch and releases it, or lets it wait until they are in Kafka.
    pub(super) fn hand_over(&mut self, cut: Cut, recut: bool, released: &mut Vec<EventBatch>) {
        let batch = cut.of(self.id.clone(), self.epoch, self.fence.clone());
        self.in_flight += batch.bytes();
        let edges = Edges { first: batch.first_offset(), last: batch.last_offset() };
        let check = Check::of(&batch.body);
        let release = self.journal.cut(batch.target, edges, batch.records(), check);
        if recut {
            self.note_recut(batch.records(), release);
        }
        match release {
            Release::Now => released.push(batch),
            Release::AfterCommit(cut) => self.waiting.push_back((cut, batch)),
        }
    }

    /// Cuts the batches that are due by `soon`, unless their target is busy. What is collected again
    /// does not fill up, and nothing but its last record ends it before its time.
    pub(super) fn cut_due(
        &mut self,
        now: Instant,
        soon: Instant,
        is_busy: impl Fn(TargetId) -> bool,
        released: &mut Vec<EventBatch>,
    ) {
        self.cut_where(released, |open| {
            let is_due = |by: Instant| open.deadline().is_some_and(|due| due <= by);
            if open.held().is_some() {
                is_due(now)
            } else {
                is_due(soon) && !is_busy(open.target())
            }
        });
    }

    /// Whether batches of it wait for a person.
    pub(super) fn is_withheld(&self) -> bool {
        self.fence.withheld() > 0
    }

    /// Cuts whatever there is. What is being collected again is left: cut in the middle it would be
    /// another request.
    pub(super) fn cut_all(&mut self, released: &mut Vec<EventBatch>) {
        self.cut_where(released, |open| open.held().is_none());
    }

    fn cut_where(&mut self, released: &mut Vec<EventBatch>, wanted: impl Fn(&OpenBatch) -> bool) {
        for at in 0..self.open.len() {
            let Some(open) = self.open.get_mut(at).filter(|open| wanted(open)) else { continue };
            let recut = open.held().is_some();
            if let Some(cut) = open.cut() {
                self.hand_over(cut, recut, released);
            }
        }
    }

    /// Whether batches wait for their edges to be written.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Meets an obligation of a batch's records.
    pub(super) fn end_batch(&mut self, ended: Option<Ended>) {
        let Some(Ended { accepted, dead }) = ended else { return };
        for marks in &accepted {
            self.ledger.settle(marks, Outcome::Delivered);
        }
        for offset in dead {
            // Which routes it was for was told when its letter was written.
            self.ledger.settle_one(offset, Outcome::DeadLettered, RouteSet::NONE);
        }
    }

    /// Whether everything taken is settled, but for batches that are being collected again and for
    /// what waits until its route is mended, `halted` of them behind others: whoever owns the partition
    /// next sees to them, too.
    pub(super) fn is_drained(&self, halted: usize) -> bool {
        self.ledger.owed() == self.held_records() + self.fence.withheld() + halted
    }

    /// Whether it must be read on, whatever its size: a batch that is collected again ends with its
    /// last record.
    pub(super) fn is_recovering(&self) -> bool {
        self.journal.is_recovering()
    }

    /// When open batches are to be cut.
    pub(super) fn cut_deadlines(&self) -> impl Iterator<Item = Instant> {
        self.open.iter().filter_map(OpenBatch::deadline)
    }

    pub(super) fn add_in_flight(&mut self, bytes: usize) {
        self.in_flight += bytes;
    }

    pub(super) fn subtract_in_flight(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.in_flight, "more came back than went out");
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// Everything the partition holds in memory between Kafka and LaunchDarkly.
    pub(super) fn bytes(&self) -> usize {
        let open: usize = self.open.iter().map(OpenBatch::sealed_bytes).sum();
        let kept = self.parked.bytes() + self.held.as_ref().map_or(0, Held::bytes);
        self.in_flight + open + kept + self.ledger.waiting() * (SLOT_BYTES + size_of::<Mark>())
    }

    // === held back ===

    pub(super) fn routes(&self) -> &[RouteId] {
        self.routes.ids()
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether it must not be read because a route of it is halted.
    pub(super) fn is_shut(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.flows) && !self.is_recovering()
    }

    pub(super) fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    pub(super) fn hold(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    pub(super) fn let_go(&mut self) {
        self.held = None;
    }

    /// Whether a record at `offset`, or one behind it, is kept.
    pub(super) fn has_kept(&self, offset: i64) -> bool {
        let kept = self.held.as_ref().and_then(Held::last_kept);
        kept.is_some_and(|last| offset <= last)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    // === parts of batches ===

    /// Makes parts of a batch that wait batches of their own, in the journal.
    pub(super) fn divide(&mut self, parts: &[EventBatch], letters: &[EventBatch]) {
        let piece = |batch: &EventBatch| Piece {
            edges: Edges { first: batch.first_offset(), last: batch.last_offset() },
            records: batch.records(),
            check: Check::of(&batch.body),
        };
        let Some(target) = parts.first().map(|part| part.target) else { return };
        let mut parts: Vec<Piece> = parts.iter().map(piece).collect();
        parts.sort_by_key(|part| part.edges.first);
        let letters: Vec<Piece> = letters.iter().map(piece).collect();
        let ended = self.journal.divide(target, &parts, &letters);
        self.end_batch(ended);
    }

    // === pausing ===

    /// Gives whether it was not paused before.
    pub(super) fn pause(&mut self, now: Instant) -> bool {
        let fresh = self.paused.is_none();
        self.paused.get_or_insert(now);
        fresh
    }

    /// Resumes if it has been paused for at least `least`. Gives whether it did.
    pub(super) fn resume(&mut self, now: Instant, least: Duration) -> bool {
        let may = self.paused.is_some_and(|since| now.duration_since(since) >= least);
        if may {
            self.paused = None;
        }
        may
    }
}
