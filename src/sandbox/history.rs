//! Remembers every accepted change to a metric or a segment, in the order they took effect.
//!
//! A change is written while its owner is locked, so the order is the real one. The number of its
//! request is known only once the journal has it, and is stamped on afterwards, before the client is
//! answered: who looks after an answer sees the number.
//!
//! # Invariants
//! - H1: `seq` rises over all changes of one book and is never used twice, not even after a reset.
//! - H2: following `next` shows every change of an item once.
//!
//! Not here: what a change is (`metrics`, `segments`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::operation::{Occasion, Operation, Target};
use super::settings::JournalMode;

/// Where a change was written, for the one who will know its request's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Receipt {
    Metric { home: (String, String), seq: u64 },
    Segment { home: (Target, String), seq: u64 },
}

/// One change with its circumstances.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry<C> {
    seq: u64,
    /// `None` for the instant before the journal has the request.
    request: Option<u64>,
    at_ms: u64,
    operation: Operation,
    #[serde(flatten)]
    change: C,
}

/// One page of a history.
#[derive(Debug, Serialize)]
pub(super) struct HistoryPage<C> {
    changes: Vec<Entry<C>>,
    /// The `from` of the next page.
    next: u64,
    /// Whether changes past this page were there when it was cut.
    more: bool,
}

/// The histories of all items of one sort.
#[derive(Debug)]
pub(super) struct HistoryBook<K, C> {
    mode: JournalMode,
    written: u64,
    items: BTreeMap<K, Vec<Entry<C>>>,
}

// === impl HistoryBook ===

impl<K: Ord, C: Clone> HistoryBook<K, C> {
    pub(super) fn new(mode: JournalMode) -> Self {
        Self { mode, written: 0, items: BTreeMap::new() }
    }

    /// Writes a change and returns its `seq`; in mode `counts` nothing is kept.
    pub(super) fn write(&mut self, item: K, occasion: Occasion, change: C) -> u64 {
        self.written += 1;
        let Occasion { operation, at_ms } = occasion;
        if self.mode == JournalMode::Full {
            let entry = Entry { seq: self.written, request: None, at_ms, operation, change };
            self.items.entry(item).or_default().push(entry);
        }
        self.written
    }

    pub(super) fn stamp(&mut self, item: &K, seq: u64, request: u64) {
        let Some(entries) = self.items.get_mut(item) else { return };
        let place = entries.partition_point(|entry| entry.seq < seq);
        if let Some(entry) = entries.get_mut(place).filter(|entry| entry.seq == seq) {
            entry.request = Some(request);
        }
    }

    /// Cuts a page of at most `limit` changes, starting at `seq` number `from`.
    pub(super) fn page(&self, item: &K, from: u64, limit: usize) -> HistoryPage<C> {
        let entries = self.items.get(item).map_or(&[][..], Vec::as_slice);
        let mut rest = entries.iter().skip(entries.partition_point(|entry| entry.seq < from));
        let changes: Vec<_> = rest.by_ref().take(limit).cloned().collect();
        let next = changes.last().map_or(from.max(1), |entry| entry.seq + 1);
        HistoryPage { changes, next, more: rest.next().is_some() }
    }

    pub(super) fn forget(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book(mode: JournalMode) -> HistoryBook<&'static str, ()> {
        HistoryBook::new(mode)
    }

    const OCCASION: Occasion = Occasion { operation: Operation::MetricCreate, at_ms: 5 };

    #[test]
    fn pages_show_every_change_of_an_item_once_h2() {
        let mut book = book(JournalMode::Full);
        for item in ["a", "b", "a", "a", "b"] {
            book.write(item, OCCASION, ());
        }
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let page = book.page(&"a", from, 2);
            seen.extend(page.changes.iter().map(|entry| entry.seq));
            from = page.next;
            if !page.more {
                break;
            }
        }
        assert_eq!(seen, [1, 3, 4]);
        assert!(book.page(&"c", 0, 2).changes.is_empty());
    }

    #[test]
    fn a_stamp_finds_its_change_or_none_h1() {
        let mut book = book(JournalMode::Full);
        let first = book.write("a", OCCASION, ());
        book.forget();
        let second = book.write("a", OCCASION, ());
        book.stamp(&"a", first, 1);
        assert_eq!(book.page(&"a", 0, 9).changes[0].request, None);
        book.stamp(&"a", second, 7);
        assert_eq!(book.page(&"a", 0, 9).changes[0].request, Some(7));
    }

    #[test]
    fn counting_only_keeps_nothing() {
        let mut book = book(JournalMode::Counts);
        assert_eq!(book.write("a", OCCASION, ()), 1);
        assert!(book.page(&"a", 0, 9).changes.is_empty());
    }
}
