//! What was found outside the pipeline: events that count, and dead letters.

use std::collections::HashMap;

use super::manifest::{OrderId, Place};

/// Everything found so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Evidence {
    /// By order; an event that was accepted and does not count is not among them.
    pub(super) counted: HashMap<OrderId, Arrival>,
    /// Events that count and name no order.
    pub(super) nameless: u64,
    pub(super) letters: Vec<Letter>,
}

/// How an order arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    /// How many events that count it has.
    pub(super) times: u32,
    /// When the first of them was received.
    pub(super) first_at_ms: i64,
}

/// A record of the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    /// Where its headers say the original is; `None` when they name no place in the orders' topic.
    pub(super) place: Option<Place>,
    pub(super) reason: String,
}

// === impl Evidence ===

impl Evidence {
    /// Notes an event that counts.
    pub(super) fn note_event(&mut self, order: OrderId, received_at_ms: i64) {
        self.counted
            .entry(order)
            .and_modify(|arrival| {
                arrival.times += 1;
                arrival.first_at_ms = arrival.first_at_ms.min(received_at_ms);
            })
            .or_insert(Arrival { times: 1, first_at_ms: received_at_ms });
    }
}
