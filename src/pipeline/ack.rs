//! Tracks which records of a partition are settled, and how far Kafka may forget.
//!
//! Batches finish out of order and a record may owe several of them, so the highest settled offset
//! says nothing; only the lowest *un*settled one does.
//!
//! # Invariants
//! - L1: the watermark never exceeds an unsettled record's offset (P2).
//! - L2: the watermark never moves back.
//! - L3: every record leaves with exactly one outcome, the gravest of its parts (P1).
//! - L4: offsets may have gaps (compaction, transaction markers); only records that were taken count.
//!
//! Not here: when progress is written (`commit`), which assignment an answer belongs to (`path`).

use std::collections::VecDeque;

use crate::model::batch::Mark;
use crate::model::outcome::Outcome;
use crate::model::progress::NextOffset;
use crate::model::routes::RouteSet;

/// Bytes one waiting record takes here; counted against the in-flight budget, so that a partition
/// of filtered records behind a stuck one is bounded, too.
pub const SLOT_BYTES: usize = size_of::<Slot>();

/// How many times the room that is needed may be kept, and the records for which there always is room.
const SPARE: usize = 8;
const LEAST: usize = 16;

/// The records of one partition between being taken and being forgotten.
#[derive(Debug, Default)]
pub struct Ledger {
    slots: VecDeque<Slot>,
    /// One past the last record that left from the front.
    watermark: Option<NextOffset>,
    /// The first and the last record taken.
    taken: Option<(i64, i64)>,
    /// Obligations not yet met, of all records.
    owed: usize,
    /// The last record's timestamp.
    newest_ms: Option<i64>,
    closed: Closed,
    closed_on: Vec<ClosedOn>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: i64,
    /// Obligations not yet met.
    open: u16,
    outcome: Outcome,
    /// The routes on which it was delivered, and those on which it became a dead letter.
    delivered: RouteSet,
    dead: RouteSet,
    time_ms: Option<i64>,
}

/// How many records ended each way since last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Closed {
    pub delivered: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

/// How many records ended alike on the same routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedOn {
    pub delivered: RouteSet,
    pub dead: RouteSet,
    pub records: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Whether the record was taken before; Kafka's client may hand out a record again after a
    /// pause or a seek.
    pub fn has_taken(&self, offset: i64) -> bool {
        self.taken.is_some_and(|(_, last)| offset <= last)
    }

    /// Takes a record that owes `obligations` settlements; none means it is filtered.
    ///
    /// Offsets must grow from call to call.
    pub fn take(&mut self, offset: i64, obligations: u16, time_ms: Option<i64>) {
        debug_assert!(!self.has_taken(offset));
        self.newest_ms = time_ms.or(self.newest_ms);
        let first = self.taken.map_or(offset, |(first, _)| first);
        self.taken = Some((first, offset));
        self.owed += usize::from(obligations);
        if obligations == 0 && self.slots.is_empty() {
            self.watermark = Some(NextOffset(offset + 1));
            self.closed.count(Outcome::Filtered);
            return;
        }
        if obligations == 0 {
            self.closed.count(Outcome::Filtered);
        }
        self.slots.push_back(Slot {
            offset,
            open: obligations,
            outcome: Outcome::Filtered,
            delivered: RouteSet::NONE,
            dead: RouteSet::NONE,
            time_ms,
        });
    }

    /// Meets one obligation of each marked record. Marks must be in offset order.
    pub fn settle(&mut self, marks: &[Mark], outcome: Outcome) {
        let Some(first) = marks.first() else { return };
        let mut at = self.slots.partition_point(|slot| slot.offset < first.offset);
        for mark in marks {
            while self.slots.get(at).is_some_and(|slot| slot.offset < mark.offset) {
                at += 1;
            }
            if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.offset == mark.offset) {
                let met = slot.meet(outcome, mark.routes, &mut self.closed);
                self.owed -= usize::from(met);
                if met && slot.open == 0 {
                    note(&mut self.closed_on, slot.ended_on());
                }
            }
        }
        self.forget();
    }

    /// Meets one obligation of one record.
    pub fn settle_one(&mut self, offset: i64, outcome: Outcome, routes: RouteSet) {
        let (end, events, time_ms) = (0, 0, None);
        self.settle(&[Mark { offset, end, events, routes, time_ms }], outcome);
    }

    /// Notes on which routes a record became a dead letter whose obligation is met with others'.
    pub fn note_dead(&mut self, offset: i64, routes: RouteSet) {
        let at = self.slots.partition_point(|slot| slot.offset < offset);
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.offset == offset) {
            slot.dead = slot.dead.and(routes);
        }
    }

    fn forget(&mut self) {
        while let Some(slot) = self.slots.front().filter(|slot| slot.open == 0) {
            self.watermark = Some(NextOffset(slot.offset + 1));
            self.slots.pop_front();
        }
        // There are many partitions, and few of them lag at a time.
        if self.slots.capacity() > SPARE * self.slots.len().max(LEAST) {
            self.slots.shrink_to(2 * self.slots.len());
        }
    }

    /// What Kafka may be told: everything below it is settled. `None` until something is.
    pub fn watermark(&self) -> Option<NextOffset> {
        self.watermark
    }

    /// Where reading would have to begin again: the watermark, or the first record when nothing is
    /// settled yet. `None` until a record is taken.
    pub fn position(&self) -> Option<NextOffset> {
        self.watermark.or(self.taken.map(|(first, _)| NextOffset(first)))
    }

    /// Records taken and not yet forgotten, settled ones behind an unsettled one included.
    pub fn waiting(&self) -> usize {
        self.slots.len()
    }

    /// Obligations not yet met.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// Takes the counts since the last call.
    pub fn take_closed(&mut self) -> Closed {
        std::mem::take(&mut self.closed)
    }

    /// The same by route. Filtered records are not here: nobody owes anything for them.
    pub fn take_closed_on(&mut self) -> Vec<ClosedOn> {
        std::mem::take(&mut self.closed_on)
    }

    /// The timestamp of the first record that is not settled.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.slots.front().and_then(|slot| slot.time_ms)
    }

    /// The timestamp of the last record that was taken with one.
    pub fn newest_ms(&self) -> Option<i64> {
        self.newest_ms
    }
}

/// There are about as many ways to end on routes as there are routes, and the last one is the likeliest.
fn note(all: &mut Vec<ClosedOn>, one: ClosedOn) {
    let same = |it: &&mut ClosedOn| (it.delivered, it.dead) == (one.delivered, one.dead);
    match all.iter_mut().rev().find(same) {
        Some(known) => known.records += one.records,
        None => all.push(one),
    }
}

// === impl Slot ===

impl Slot {
    /// Gives whether there was an obligation to meet.
    fn meet(&mut self, outcome: Outcome, routes: RouteSet, closed: &mut Closed) -> bool {
        if self.open == 0 {
            return false;
        }
        self.open -= 1;
        match outcome {
            Outcome::Delivered => self.delivered = self.delivered.and(routes),
            Outcome::DeadLettered => self.dead = self.dead.and(routes),
            Outcome::Filtered => {}
        }
        self.outcome = self.outcome.max(outcome);
        if self.open == 0 {
            closed.count(self.outcome);
        }
        true
    }

    /// On a route, too, the gravest counts.
    fn ended_on(&self) -> ClosedOn {
        ClosedOn { delivered: self.delivered.without(self.dead), dead: self.dead, records: 1 }
    }
}

// === impl Closed ===

impl Closed {
    fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Delivered => self.delivered += 1,
            Outcome::Filtered => self.filtered += 1,
            Outcome::DeadLettered => self.dead_lettered += 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn the_watermark_waits_for_the_slowest() {
        let mut ledger = Ledger::default();
        for (offset, obligations) in [(5, 1), (6, 0), (9, 2), (10, 1)] {
            ledger.take(offset, obligations, Some(offset * 10));
        }
        assert_eq!(ledger.watermark(), None);
        ledger.settle_one(10, Outcome::Delivered, RouteSet::of(0));
        ledger.settle_one(9, Outcome::Delivered, RouteSet::of(0));
        assert_eq!(ledger.watermark(), None);
        assert_eq!((ledger.oldest_ms(), ledger.newest_ms()), (Some(50), Some(100)));
        ledger.settle_one(5, Outcome::Delivered, RouteSet::of(0));
        assert_eq!(ledger.watermark(), Some(NextOffset(7)));
        ledger.settle_one(9, Outcome::DeadLettered, RouteSet::of(0));
        assert_eq!(ledger.watermark(), Some(NextOffset(11)));
        assert_eq!((ledger.owed(), ledger.waiting()), (0, 0));
        assert_eq!(ledger.take_closed(), Closed { delivered: 2, filtered: 1, dead_lettered: 1 });
        let delivered = ClosedOn { delivered: RouteSet::of(0), dead: RouteSet::NONE, records: 2 };
        let dead = ClosedOn { delivered: RouteSet::NONE, dead: RouteSet::of(0), records: 1 };
        assert_eq!(ledger.take_closed_on(), [delivered, dead], "of two parts, the gravest counts");
        assert!(ledger.take_closed().is_empty());
        assert_eq!(ledger.oldest_ms(), None);
    }

    #[test]
    fn a_record_ends_on_each_of_its_routes_by_itself() {
        let mut ledger = Ledger::default();
        ledger.take(3, 2, None);
        ledger.settle_one(3, Outcome::Delivered, RouteSet::of(0).and(RouteSet::of(1)));
        assert!(ledger.take_closed_on().is_empty(), "the second part is still open");
        ledger.note_dead(3, RouteSet::of(1));
        ledger.settle_one(3, Outcome::DeadLettered, RouteSet::NONE);
        let (delivered, dead) = (RouteSet::of(0), RouteSet::of(1));
        assert_eq!(ledger.take_closed_on(), [ClosedOn { delivered, dead, records: 1 }]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        /// L1 to L4 against a naive model that keeps every record for ever.
        #[test]
        fn equals_a_model_that_forgets_nothing(
            gaps in prop::collection::vec((1..4_i64, 0..3_u16), 1..40),
            order in prop::collection::vec((0..200_usize, 1..4_usize, 0..3_usize), 0..160),
        ) {
            let mut ledger = Ledger::default();
            let mut model: BTreeMap<i64, (u16, Outcome)> = BTreeMap::new();
            let mut total = Closed::default();
            let mut offset = 10;
            for (gap, obligations) in gaps {
                offset += gap;
                ledger.take(offset, obligations, Some(offset * 10));
                model.insert(offset, (obligations, Outcome::Filtered));
            }
            let mut highest = None;
            for (start, length, outcome) in order {
                let outcome = [Outcome::Filtered, Outcome::Delivered, Outcome::DeadLettered][outcome];
                // Any run of records that still owe something may be one batch.
                let owing: Vec<i64> =
                    model.iter().filter(|(_, (open, _))| *open > 0).map(|(o, _)| *o).collect();
                let marks: Vec<Mark> = owing
                    .iter()
                    .skip(start % owing.len().max(1))
                    .take(length)
                    .map(|offset| Mark {
                        offset: *offset,
                        end: 0,
                        events: 1,
                        routes: RouteSet::of(0),
                        time_ms: None,
                    })
                    .collect();
                for mark in &marks {
                    let entry = model.get_mut(&mark.offset).unwrap();
                    entry.0 -= 1;
                    entry.1 = entry.1.max(outcome);
                }
                ledger.settle(&marks, outcome);
                let unsettled = model.iter().find(|(_, (open, _))| *open > 0).map(|(o, _)| *o);
                let below = model.keys().take_while(|o| unsettled.is_none_or(|u| **o < u)).last();
                prop_assert_eq!(ledger.watermark(), below.map(|o| NextOffset(o + 1)));
                prop_assert!(ledger.watermark() >= highest, "L2");
                let owed: usize = model.values().map(|(open, _)| usize::from(*open)).sum();
                prop_assert_eq!(ledger.owed(), owed);
                highest = ledger.watermark();
                let closed = ledger.take_closed();
                total.delivered += closed.delivered;
                total.filtered += closed.filtered;
                total.dead_lettered += closed.dead_lettered;
            }
            let ended = |wanted| model.values().filter(|(open, o)| *open == 0 && *o == wanted).count() as u64;
            let rest = ledger.take_closed();
            prop_assert_eq!(total.delivered + rest.delivered, ended(Outcome::Delivered));
            prop_assert_eq!(total.filtered + rest.filtered, ended(Outcome::Filtered));
            prop_assert_eq!(total.dead_lettered + rest.dead_lettered, ended(Outcome::DeadLettered));
        }
    }
}
