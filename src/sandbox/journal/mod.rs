//! Writes down what the sandbox was asked and what became of it.
//!
//! The journal is the sandbox's reason to exist: a test compares it with what it produced. It is
//! written in one step per request, under one lock, so that whether a request is a repeat and what
//! it adds to the sums are decided together.
//!
//! # Invariants
//! - J1: each request is written once, when its fate is decided, and numbered from 1 in that order.
//! - J2: tokens are never written down.
//! - J3: in mode `counts` memory grows with distinct payload IDs and event keys only.
//!
//! Not here: the HTTP form of the journal (`routes::control`).

mod kept;
mod note;
mod payload_ids;
mod tally;

use serde::Serialize;
use uuid::Uuid;

use self::kept::KeptEvents;
use self::payload_ids::PayloadIds;
use super::event_check::CheckedEvents;
use super::operation::{Operation, Target};
use super::settings::JournalMode;

pub(super) use self::kept::{EventFilter, EventPage};
pub(super) use self::note::Note;
pub(super) use self::payload_ids::{Fingerprint, Novelty};
pub(super) use self::tally::Tally;

/// A request, as shown by `GET /sandbox/requests`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct RequestEntry {
    /// Given by the journal.
    pub(super) number: u64,
    pub(super) received_at_ms: u64,
    /// `None`: the request was for no operation the sandbox plays.
    pub(super) operation: Option<Operation>,
    pub(super) method: String,
    pub(super) path: String,
    /// `None`: never answered.
    pub(super) status: Option<u16>,
    pub(super) payload_id: Option<String>,
    pub(super) user_agent: Option<String>,
    /// As sent in `LD-API-Version`.
    pub(super) api_version: Option<String>,
    /// The trace that the request is of, by the client's word.
    pub(super) traceparent: Option<String>,
    pub(super) gzip: bool,
    pub(super) bytes_wire: u64,
    /// `None`: there was no readable body.
    pub(super) bytes_uncompressed: Option<u64>,
    /// Events in the body, if it was taken. Given by the journal, as are the next two.
    pub(super) events: u64,
    pub(super) repeated: bool,
    pub(super) payload_id_conflict: bool,
    /// The kinds of the fault rules that struck.
    pub(super) faults: Vec<&'static str>,
    /// What is odd about the request although LaunchDarkly may well take it.
    pub(super) notes: Vec<Note>,
}

/// The events of one request that was taken.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) target: Target,
    pub(super) payload_id: Option<Uuid>,
    pub(super) content: Fingerprint,
    pub(super) body: Vec<u8>,
    pub(super) events: CheckedEvents,
}

/// One page of `GET /sandbox/requests`.
#[derive(Debug, Serialize)]
pub(super) struct RequestPage {
    requests: Vec<RequestEntry>,
    /// The `from` of the next page.
    next: u64,
    /// Whether requests past this page were there when it was cut.
    more: bool,
}

/// The sums and what else `GET /sandbox/journal` shows.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    mode: JournalMode,
    #[serde(flatten)]
    tally: Tally,
    payload_ids_known: usize,
}

/// Everything written down since the last reset.
#[derive(Debug)]
pub(super) struct Journal {
    mode: JournalMode,
    tally: Tally,
    payload_ids: PayloadIds,
    requests: Vec<RequestEntry>,
    kept: KeptEvents,
}

// === impl Batch ===

impl Batch {
    fn len(&self) -> u64 {
        count(self.events.marks.len())
    }
}

// === impl Journal ===

impl Journal {
    pub(super) fn new(mode: JournalMode) -> Self {
        Self {
            mode,
            tally: Tally::default(),
            payload_ids: PayloadIds::default(),
            requests: Vec::new(),
            kept: KeptEvents::default(),
        }
    }

    /// Forgets everything, payload IDs included; numbers start at 1 again.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.mode);
    }

    /// Writes down a request and, if it was taken, its events. Returns the request's number.
    pub(super) fn record(&mut self, mut entry: RequestEntry, batch: Option<Batch>) -> u64 {
        entry.number = self.tally.requests + 1;
        if let Some(batch) = batch {
            self.take(&mut entry, batch);
        }
        let number = entry.number;
        self.tally.add_request(&entry);
        if self.mode == JournalMode::Full {
            self.requests.push(entry);
        }
        number
    }

    fn take(&mut self, entry: &mut RequestEntry, batch: Batch) {
        let novelty =
            batch.payload_id.map_or(Novelty::New, |id| self.payload_ids.meet(id, batch.content));
        entry.events = batch.len();
        entry.repeated = novelty == Novelty::Repeat;
        entry.payload_id_conflict = novelty == Novelty::Conflict;
        self.tally.add_batch(&batch, novelty, entry.received_at_ms);
        if novelty != Novelty::Repeat && self.mode == JournalMode::Full {
            self.kept.keep(entry.number, entry.received_at_ms, batch);
        }
    }

    pub(super) fn mode(&self) -> JournalMode {
        self.mode
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            mode: self.mode,
            tally: self.tally.clone(),
            payload_ids_known: self.payload_ids.len(),
        }
    }

    pub(super) fn events(&self, filter: &EventFilter, from: u64, limit: usize) -> EventPage {
        self.kept.page(filter, from, limit)
    }

    pub(super) fn requests(&self, from: u64, limit: usize) -> RequestPage {
        let from = from.max(1);
        let skipped = usize::try_from(from - 1).unwrap_or(usize::MAX);
        let requests: Vec<_> = self.requests.iter().skip(skipped).take(limit).cloned().collect();
        let next = from + count(requests.len());
        RequestPage { requests, next, more: next <= count(self.requests.len()) }
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
