//! The generator's own record: what was produced, when, and what should become of it.
//!
//! Written before anything is read back, and never corrected afterwards: it is one side of the
//! comparison that the verdict makes.
//!
//! # Invariants
//! - M1: one entry per record sent; of the entries of an order exactly one introduces it.
//! - M2: a place is noted only when the broker acknowledged the record there.
//!
//! Not here: what was found (`evidence`), how the two compare (`verdict`).

use std::collections::HashMap;

use crate::model::outcome::RefusalReason;

/// An order's primary key: what `data.order_id` holds in its event.
pub(super) type OrderId = u64;

/// Where the broker put a record, in the topic of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) order: OrderId,
    pub(super) fate: Fate,
    pub(super) produced_at_ms: i64,
}

/// What should become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Delivered,
    Filtered(Filter),
    DeadLettered(RefusalReason),
}

/// Why nothing should come of a record, in the shop's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Filter {
    Update,
    Delete,
    Tombstone,
    TestOrder,
}

/// All entries, in the order they were sent.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    entries: Vec<Entry>,
    places: HashMap<Place, usize>,
}

// === impl Manifest ===

impl Manifest {
    /// Notes a record and gives its number.
    pub(super) fn note(&mut self, entry: Entry) -> usize {
        self.entries.push(entry);
        self.entries.len() - 1
    }

    /// Notes where the record of this number is.
    pub(super) fn place(&mut self, number: usize, place: Place) {
        self.places.insert(place, number);
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of the record at a place.
    pub(super) fn at(&self, place: Place) -> Option<usize> {
        self.places.get(&place).copied()
    }
}

// === impl Entry ===

impl Entry {
    /// Whether this is the record an order's one event may come from; the others are changes to an
    /// order that is there already.
    pub(super) fn introduces_order(&self) -> bool {
        !matches!(self.fate, Fate::Filtered(Filter::Update | Filter::Delete | Filter::Tombstone))
    }
}

// === impl Filter ===

impl Filter {
    /// The name in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Tombstone => "tombstone",
            Self::TestOrder => "test_order",
        }
    }

    /// What it is, for people.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Update => "updates of orders that were counted before",
            Self::Delete => "deletes",
            Self::Tombstone => "tombstones, the second record of each delete",
            Self::TestOrder => "orders with the status \"test\"",
        }
    }
}
