//! Holds the partitions of halted routes back, and lets a record in when a probe is due.
//!
//! A partition that is held back is paused. What Kafka's client hands out before it hears of that is
//! kept here, in order, and taken first when the partition goes on.
//!
//! # Invariants
//! - U1: of a partition that is held back no record is taken but probes, in order.
//! - U2: a partition whose batches are cut again is not held back: they end with their last record.
//! - U3: what is kept is no more than a turn's records for each partition, and is in no ledger.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::Path;
use super::books::Books;
use super::partition::PartitionPath;
use crate::model::outcome::Stage;
use crate::model::progress::Epoch;
use crate::model::record::{OwnedRecord, Partition, Record};
use crate::pipeline::check::Patience;
use crate::pipeline::guard::{Breaker, Change, Guard};
use crate::pipeline::route::RouteId;

/// What the path knows of halted routes.
#[derive(Debug)]
pub(super) struct Guarding {
    guard: Arc<Guard>,
    /// Of mapping, by route.
    breakers: Vec<Breaker>,
    /// How many of these are halted.
    halted: usize,
    /// The guard's version that the partitions know of.
    seen: u64,
    /// A breaker of mapping has changed since.
    changed: bool,
    /// By route whose delivery is halted: whence a record was let in that is on its way to a lane.
    let_in: HashMap<usize, LetIn>,
}

/// A record on its way to be judged.
#[derive(Debug)]
struct LetIn {
    partition: Partition,
    epoch: Epoch,
    /// How many judgements there had been on the route.
    judgements: u64,
}

/// What a partition keeps while it is held back.
#[derive(Debug, Default)]
pub(super) struct Held {
    kept: VecDeque<OwnedRecord>,
    bytes: usize,
    /// Probes are due, so it is read.
    pub(super) flows: bool,
}

impl Guarding {
    pub(super) fn new(guard: Arc<Guard>) -> Self {
        let (breakers, seen) = (guard.breakers(), guard.version());
        let let_in = HashMap::new();
        Self { guard, breakers, halted: 0, seen, changed: false, let_in }
    }

    /// Whether any route is halted.
    pub(super) fn is_active(&self) -> bool {
        self.halted > 0 || self.guard.is_any_halted()
    }

    fn is_halted(&self, route: usize) -> bool {
        self.breakers.get(route).is_some_and(Breaker::is_halted)
            || self.guard.is_route_halted(route)
    }

    fn halts(&self, partition: &PartitionPath) -> bool {
        self.is_active() && partition.routes().iter().any(|id| self.is_halted(id.0))
    }

    /// Whether a record of a partition may be taken: no route of it is halted, or all that are want a
    /// probe.
    fn lets_in(&self, partition: &PartitionPath, now: Instant) -> bool {
        let wants = |route: usize| {
            let mapping = self.breakers.get(route).filter(|breaker| breaker.is_halted());
            let mapping = mapping.is_none_or(|breaker| breaker.is_ready(now));
            let delivery = !self.guard.is_route_halted(route)
                || (!self.let_in.contains_key(&route) && self.guard.wants_record(route, now));
            mapping && delivery
        };
        partition.routes().iter().all(|id| wants(id.0))
    }

    /// Routes made something of a record. Gives whether that is a probe of delivery.
    pub(super) fn mapped(
        &mut self,
        made: &[RouteId],
        partition: &PartitionPath,
        now: Instant,
    ) -> bool {
        let mut is_probe = false;
        for RouteId(route) in made {
            let change = self.breakers.get_mut(*route).and_then(|breaker| breaker.passed(1, now));
            self.note(*route, change);
            if self.guard.is_route_halted(*route) {
                let judgements = self.guard.judgements(*route);
                let (partition, epoch) = (partition.id().clone(), partition.epoch());
                self.let_in.insert(*route, LetIn { partition, epoch, judgements });
                is_probe = true;
            }
        }
        is_probe
    }

    /// Routes refuse a record.
    pub(super) fn refused(&mut self, routes: impl Iterator<Item = usize>, now: Instant) {
        for route in routes {
            let change = self.breakers.get_mut(route).and_then(|breaker| breaker.refused(now));
            self.note(route, change);
        }
    }

    fn note(&mut self, route: usize, change: Option<Change>) {
        let Some(change) = change else { return };
        match change {
            Change::Halted(_) => self.halted += 1,
            Change::Opened => self.halted = self.halted.saturating_sub(1),
        }
        self.changed = true;
        self.guard.tell(route, Stage::Route, change);
    }

    /// Whether partitions have to be looked at.
    fn is_due(&mut self, books: &Books) -> bool {
        let version = self.guard.version();
        let is_news = std::mem::take(&mut self.changed) || version != self.seen;
        self.seen = version;
        is_news || self.is_active() || books.all().any(PartitionPath::is_held)
    }

    /// Forgets records that were judged or wait in a lane, or are somebody else's.
    fn forget_let_in(&mut self, books: &mut Books) {
        let guard = &self.guard;
        self.let_in.retain(|route, LetIn { partition, epoch, judgements }| {
            guard.judgements(*route) == *judgements
                && books.find(partition, *epoch).is_some_and(|it| !it.is_drained(0))
        });
    }

    /// Forgets halted routes of which no partition is ours: nobody here could find out that they are
    /// mended.
    pub(super) fn forget_routes(&mut self, books: &Books) {
        if !self.is_active() {
            return;
        }
        let ours: HashSet<usize> =
            books.all().flat_map(|it| it.routes().iter().map(|id| id.0)).collect();
        for route in (0..self.breakers.len()).filter(|route| !ours.contains(route)) {
            self.guard.forget(route);
            let breaker = self.breakers.get_mut(route).filter(|breaker| breaker.is_halted());
            if let Some(breaker) = breaker {
                breaker.reset();
                self.note(route, Some(Change::Opened));
            }
        }
    }
}

impl Held {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn last_kept(&self) -> Option<i64> {
        self.kept.back().map(|record| record.offset)
    }

    pub(super) fn first_kept(&self) -> Option<i64> {
        self.kept.front().map(|record| record.offset)
    }

    fn keep(&mut self, record: &Record<'_>) {
        let record = record.to_owned();
        self.bytes += record.size();
        self.kept.push_back(record);
    }

    fn take(&mut self) -> Option<OwnedRecord> {
        let record = self.kept.pop_front()?;
        self.bytes -= record.size();
        Some(record)
    }
}

impl Path {
    /// Keeps a record if its partition is held back. Gives whether it was kept (U1).
    pub(super) fn keep_if_held(&mut self, record: &Record<'_>, now: Instant) -> bool {
        let guarding = &self.guarding;
        let Some(partition) = self.books.of_record(record) else {
            return false;
        };
        if partition.is_recovering() || !(partition.is_held() || guarding.halts(partition)) {
            return false;
        }
        let is_first = partition.held().is_none_or(|held| held.kept.is_empty());
        if is_first && guarding.lets_in(partition, now) {
            return false;
        }
        partition.hold().keep(record);
        true
    }

    /// Holds back and lets go, and takes what was kept when its turn has come.
    pub(super) fn guard_turn(&mut self, now: Instant) {
        if !self.guarding.is_due(&self.books) {
            return;
        }
        self.guarding.forget_let_in(&mut self.books);
        let ids: Vec<_> = self.books.all().map(|it| (it.id().clone(), it.epoch())).collect();
        for (id, epoch) in ids {
            while let Some(record) = self.next_kept(&id, epoch, now) {
                self.take(&record.lend(), now, Patience::Some);
            }
        }
    }

    /// Sets whether a partition is held back and flows; gives a record that was kept and may go now.
    fn next_kept(&mut self, id: &Partition, epoch: Epoch, now: Instant) -> Option<OwnedRecord> {
        let guarding = &self.guarding;
        let partition = self.books.find(id, epoch)?;
        let is_halted = guarding.halts(partition);
        if !is_halted && !partition.is_held() {
            return None;
        }
        let may_go = !is_halted || partition.is_recovering() || guarding.lets_in(partition, now);
        // What was parked came before.
        let is_next = partition.parked.is_empty();
        let held = partition.hold();
        held.flows = may_go;
        let record = if may_go && is_next { held.take() } else { None };
        if held.kept.is_empty() && record.is_none() && !is_halted {
            partition.let_go();
        }
        record
    }

    /// Whether nothing of a partition may be taken now.
    pub(super) fn holds_back(&mut self, id: &Partition, now: Instant) -> bool {
        let guarding = &self.guarding;
        self.books.of_id(id).is_some_and(|partition| {
            guarding.halts(partition)
                && !partition.is_recovering()
                && !guarding.lets_in(partition, now)
        })
    }
}
