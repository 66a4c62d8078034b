//! Draws plausible changes of a shop's orders, and says what should become of each.
//!
//! The dice are seeded: two runs draw the same changes, only their times differ.
//!
//! # Invariants
//! - H1: a delete is followed at once by its tombstone.
//! - H2: updates and deletes name orders that exist.
//!
//! Not here: how a change is written (`envelope`), when (`generator`).

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::envelope::{Damage, Op, Order, write};
use super::manifest::{Fate, Filter, OrderId};
use crate::model::outcome::RefusalReason;

/// Where the dice start.
const SEED: u64 = 20;
/// The first order's ID: a shop that has been open for a while.
pub(super) const FIRST_ORDER: OrderId = 1_000_001;
/// Orders that can still change.
const OPEN_ORDERS: usize = 5_000;
/// The rows a connector reads first, as snapshot records, before changes stream.
const SNAPSHOT: OrderId = FIRST_ORDER + 200;

/// In 10,000 changes: updates, then deletes, then test orders, then malformed ones; the rest is new
/// orders.
const UPDATES: u32 = 2_200;
const DELETES: u32 = UPDATES + 400;
const TESTS: u32 = DELETES + 500;
const MALFORMED: u32 = TESTS + 8;

/// What may be wrong with a change, and how the pipeline should name it.
const DAMAGES: [(Damage, RefusalReason); 6] = [
    (Damage::TotalNull, RefusalReason::MissingField),
    (Damage::NoCustomer, RefusalReason::EmptyContextKey),
    (Damage::CutOff, RefusalReason::InvalidJson),
    (Damage::TotalMissing, RefusalReason::MissingField),
    (Damage::TotalIsText, RefusalReason::WrongType),
    (Damage::NeverCreated, RefusalReason::ImplausibleTime),
];

/// The shop and its open orders.
#[derive(Debug)]
pub(super) struct Shop {
    dice: StdRng,
    next_order: OrderId,
    open: Vec<Order>,
    /// A delete whose tombstone comes next.
    deleted: Option<OrderId>,
    damaged: usize,
    changes: u64,
}

/// A change whose document has been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    pub(super) order: OrderId,
    pub(super) fate: Fate,
}

impl Shop {
    pub(super) fn open() -> Self {
        Self {
            dice: StdRng::seed_from_u64(SEED),
            next_order: FIRST_ORDER,
            open: Vec::new(),
            deleted: None,
            damaged: 0,
            changes: 0,
        }
    }

    /// Draws the next change and writes its document into `value`, which stays empty for a
    /// tombstone.
    pub(super) fn next(&mut self, now_ms: i64, value: &mut String) -> Drawn {
        value.clear();
        self.changes += 1;
        if let Some(order) = self.deleted.take() {
            return Drawn { order, fate: Fate::Filtered(Filter::Tombstone) };
        }
        let draw = self.dice.random_range(0..10_000_u32);
        let (op, order, damage, fate) = match draw {
            ..UPDATES if !self.open.is_empty() => self.update(),
            UPDATES..DELETES if !self.open.is_empty() => self.delete(),
            DELETES..TESTS => self.test(now_ms),
            TESTS..MALFORMED => self.malformed(now_ms),
            _ => self.insert(now_ms),
        };
        write(op, &order, damage, now_ms, self.changes, value);
        Drawn { order: order.id, fate }
    }

    fn insert(&mut self, now_ms: i64) -> (Op, Order, Damage, Fate) {
        let order = self.place_order(now_ms, "paid");
        let op = if order.id < SNAPSHOT { Op::Snapshot } else { Op::Create };
        if self.open.len() < OPEN_ORDERS {
            self.open.push(order);
        } else {
            let closed = self.dice.random_range(0..self.open.len());
            if let Some(slot) = self.open.get_mut(closed) {
                *slot = order;
            }
        }
        (op, order, Damage::None, Fate::Delivered)
    }

    fn test(&mut self, now_ms: i64) -> (Op, Order, Damage, Fate) {
        let order = self.place_order(now_ms, "test");
        (Op::Create, order, Damage::None, Fate::Filtered(Filter::TestOrder))
    }

    fn malformed(&mut self, now_ms: i64) -> (Op, Order, Damage, Fate) {
        let order = self.place_order(now_ms, "paid");
        let drawn = DAMAGES.get(self.damaged % DAMAGES.len());
        self.damaged += 1;
        let (damage, reason) =
            drawn.copied().unwrap_or((Damage::CutOff, RefusalReason::InvalidJson));
        (Op::Create, order, damage, Fate::DeadLettered(reason))
    }

    fn update(&mut self) -> (Op, Order, Damage, Fate) {
        let chosen = self.dice.random_range(0..self.open.len().max(1));
        let status = if self.dice.random_ratio(1, 3) { "delivered" } else { "shipped" };
        let fate = Fate::Filtered(Filter::Update);
        match self.open.get_mut(chosen) {
            Some(order) => {
                order.status = status;
                (Op::Update, *order, Damage::None, fate)
            }
            // Only called while there are open orders.
            None => (Op::Update, Order::default(), Damage::None, fate),
        }
    }

    fn delete(&mut self) -> (Op, Order, Damage, Fate) {
        let chosen = self.dice.random_range(0..self.open.len().max(1));
        let chosen = chosen.min(self.open.len().saturating_sub(1));
        let order = self.open.swap_remove(chosen);
        self.deleted = Some(order.id);
        (Op::Delete, order, Damage::None, Fate::Filtered(Filter::Delete))
    }

    fn place_order(&mut self, now_ms: i64, status: &'static str) -> Order {
        let id = self.next_order;
        self.next_order += 1;
        Order {
            id,
            user: self.dice.random_range(1..=40_000),
            organization: self.dice.random_range(1..=900),
            total_cents: self.dice.random_range(290..=48_000),
            items: self.dice.random_range(1..=9),
            status,
            // Microseconds, as Debezium's MicroTimestamp.
            created_at_us: now_ms * 1_000 + self.dice.random_range(0..1_000_i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const NOW: i64 = 1_767_225_600_000;

    fn draw(count: usize) -> Vec<(Drawn, String)> {
        let (mut shop, mut value) = (Shop::open(), String::new());
        (0..count).map(|_| (shop.next(NOW, &mut value), value.clone())).collect()
    }

    #[test]
    fn the_same_changes_are_drawn_every_time() {
        assert_eq!(draw(3_000), draw(3_000));
    }

    #[test]
    fn a_small_run_has_every_kind_of_change() {
        let drawn = draw(5_000);
        let of = |wanted: fn(&Fate) -> bool| drawn.iter().filter(|(d, _)| wanted(&d.fate)).count();
        assert!(of(|fate| *fate == Fate::Delivered) > 3_000);
        for filter in [Filter::Update, Filter::Delete, Filter::Tombstone, Filter::TestOrder] {
            let found = drawn.iter().any(|(d, _)| d.fate == Fate::Filtered(filter));
            assert!(found, "{filter:?}");
        }
        assert!(of(|fate| matches!(fate, Fate::DeadLettered(_))) > 0);
    }

    #[test]
    fn each_delete_has_its_tombstone_and_each_change_its_order_h1_h2() {
        let drawn = draw(20_000);
        let mut known = BTreeSet::new();
        for (at, (Drawn { order, fate }, value)) in drawn.iter().enumerate() {
            match fate {
                Fate::Filtered(Filter::Update) => assert!(known.contains(order)),
                Fate::Filtered(Filter::Delete) => {
                    assert!(known.remove(order));
                    if let Some((next, _)) = drawn.get(at + 1) {
                        assert_eq!(next.fate, Fate::Filtered(Filter::Tombstone));
                        assert_eq!(next.order, *order);
                    }
                }
                Fate::Filtered(Filter::Tombstone) => assert!(value.is_empty()),
                Fate::Delivered | Fate::DeadLettered(_) | Fate::Filtered(Filter::TestOrder) => {
                    assert!(known.insert(*order), "an order is introduced once");
                }
            }
        }
    }

    #[test]
    fn documents_are_of_the_size_and_shape_that_debezium_writes() {
        for (drawn, value) in draw(20_000) {
            if value.is_empty() || drawn.fate == Fate::DeadLettered(RefusalReason::InvalidJson) {
                assert!(serde_json::from_str::<Value>(&value).is_err());
                continue;
            }
            let document: Value = serde_json::from_str(&value).unwrap();
            assert!((700..1_300).contains(&value.len()), "{} bytes: {value}", value.len());
            let row = if document["op"] == "d" { &document["before"] } else { &document["after"] };
            assert_eq!(row["id"], drawn.order);
            assert_eq!(document["source"]["table"], "orders");
        }
    }
}
