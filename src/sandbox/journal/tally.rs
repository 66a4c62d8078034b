//! Adds up what happened: the numbers of `GET /sandbox/journal`.
//!
//! # Invariants
//! - T1: accepted events = counted events + malformed events.
//! - T2: events of dropped repeats appear as `events_repeated` and nowhere else.

use std::collections::BTreeMap;

use serde::Serialize;

use super::payload_ids::Novelty;
use super::{Batch, Note, RequestEntry};
use crate::sandbox::event_check::{CheckedEvents, Malformation};
use crate::sandbox::operation::Operation;

/// The sums since the last reset.
#[derive(Debug, Clone, Default, Serialize)]
pub(in crate::sandbox) struct Tally {
    pub(super) requests: u64,
    /// `none` holds requests that were never answered.
    requests_by_status: BTreeMap<String, u64>,
    requests_by_operation: BTreeMap<Operation, u64>,
    requests_faulted: u64,
    notes: BTreeMap<Note, u64>,
    repeats_dropped: u64,
    payload_id_conflicts: u64,
    /// Requests that were taken without a payload ID: a retry of them would count twice.
    taken_without_payload_id: u64,
    events_accepted: u64,
    events_counted: u64,
    events_repeated: u64,
    malformed_by_reason: BTreeMap<Malformation, u64>,
    by_event_key: BTreeMap<String, KeyTally>,
    bytes_wire: u64,
    bytes_uncompressed: u64,
    first_accepted_at_ms: Option<u64>,
    last_accepted_at_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct KeyTally {
    accepted: u64,
    counted: u64,
}

// === impl Tally ===

impl Tally {
    pub(super) fn add_request(&mut self, entry: &RequestEntry) {
        let status = entry.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.requests += 1;
        *self.requests_by_status.entry(status).or_default() += 1;
        if let Some(operation) = entry.operation {
            *self.requests_by_operation.entry(operation).or_default() += 1;
        }
        for note in &entry.notes {
            *self.notes.entry(*note).or_default() += 1;
        }
        self.requests_faulted += u64::from(!entry.faults.is_empty());
        self.bytes_wire += entry.bytes_wire;
        self.bytes_uncompressed += entry.bytes_uncompressed.unwrap_or(0);
    }

    pub(super) fn add_batch(&mut self, batch: &Batch, novelty: Novelty, received_at_ms: u64) {
        match novelty {
            Novelty::Repeat => {
                self.repeats_dropped += 1;
                self.events_repeated += batch.len();
                return;
            }
            Novelty::Conflict => self.payload_id_conflicts += 1,
            Novelty::New => {}
        }
        self.taken_without_payload_id += u64::from(batch.payload_id.is_none());
        self.first_accepted_at_ms.get_or_insert(received_at_ms);
        self.last_accepted_at_ms = Some(received_at_ms);
        self.events_accepted += batch.len();
        self.add_events(&batch.events);
    }

    fn add_events(&mut self, events: &CheckedEvents) {
        let mut keys = vec![KeyTally::default(); events.keys.len()];
        for mark in &events.marks {
            let counts = u64::from(mark.malformation.is_none());
            self.events_counted += counts;
            if let Some(malformation) = mark.malformation {
                *self.malformed_by_reason.entry(malformation).or_default() += 1;
            }
            let place = mark.key.and_then(|place| keys.get_mut(usize::try_from(place).ok()?));
            if let Some(key) = place {
                key.accepted += 1;
                key.counted += counts;
            }
        }
        for (key, sums) in events.keys.iter().zip(keys) {
            if let Some(known) = self.by_event_key.get_mut(key) {
                known.accepted += sums.accepted;
                known.counted += sums.counted;
            } else {
                self.by_event_key.insert(key.clone(), sums);
            }
        }
    }
}
