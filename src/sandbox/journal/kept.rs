//! Keeps accepted events in the order of their acceptance and hands them out page by page.
//!
//! A batch is kept as the body it came in, with a small mark per event, so an event costs little
//! more than its own text and is handed out exactly as it was written.
//!
//! # Invariants
//! - K1: sequence numbers start at 1, rise by 1 and follow the order of acceptance.
//! - K2: following `next` from 1 shows every matching event once.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::Batch;
use crate::sandbox::event_check::{EventMark, Malformation};

/// Which events a reader wants.
#[derive(Debug, Clone, Default)]
pub(in crate::sandbox) struct EventFilter {
    pub(in crate::sandbox) event_key: Option<String>,
    pub(in crate::sandbox) project: Option<String>,
    pub(in crate::sandbox) environment: Option<String>,
}

/// All kept batches.
#[derive(Debug, Default)]
pub(super) struct KeptEvents {
    batches: Vec<Arc<KeptBatch>>,
    len: u64,
}

#[derive(Debug)]
struct KeptBatch {
    first_seq: u64,
    request: u64,
    received_at_ms: u64,
    batch: Batch,
}

/// One page of `GET /sandbox/events`.
#[derive(Debug, Serialize)]
pub(in crate::sandbox) struct EventPage {
    events: Vec<KeptEvent>,
    /// The `from` of the next page.
    next: u64,
    /// Whether events past this page were there when it was cut.
    more: bool,
}

/// One event on a page; its text is read only when the page is written out.
#[derive(Debug)]
struct KeptEvent {
    seq: u64,
    mark: EventMark,
    home: Arc<KeptBatch>,
}

/// An event as a reader sees it.
#[derive(Serialize)]
struct EventRow<'a> {
    seq: u64,
    request: u64,
    project: &'a str,
    environment: &'a str,
    received_at_ms: u64,
    counts: bool,
    reason: Option<Malformation>,
    event: Option<&'a RawValue>,
}

// === impl KeptEvents ===

impl KeptEvents {
    pub(super) fn keep(&mut self, request: u64, received_at_ms: u64, batch: Batch) {
        let first_seq = self.len + 1;
        self.len += batch.len();
        self.batches.push(Arc::new(KeptBatch { first_seq, request, received_at_ms, batch }));
    }

    /// Cuts a page of at most `limit` events, starting at sequence number `from`.
    pub(super) fn page(&self, filter: &EventFilter, from: u64, limit: usize) -> EventPage {
        let mut page = EventPage { events: Vec::new(), next: from.max(1), more: false };
        let start = self.batches.partition_point(|kept| kept.end_seq() <= from);
        for home in self.batches.iter().skip(start).filter(|kept| kept.belongs_to(filter)) {
            let Some(key) = home.key_filter(filter) else { continue };
            for (seq, mark) in home.events().filter(|(seq, _)| *seq >= from) {
                if key.is_some_and(|key| mark.key != Some(key)) {
                    continue;
                }
                if page.events.len() == limit {
                    page.more = true;
                    return page;
                }
                page.events.push(KeptEvent { seq, mark: *mark, home: Arc::clone(home) });
                page.next = seq + 1;
            }
        }
        // Nothing that matches is left: a reader who comes back need not walk this way again.
        page.next = page.next.max(self.len + 1);
        page
    }
}

// === impl KeptBatch ===

impl KeptBatch {
    fn end_seq(&self) -> u64 {
        self.first_seq + self.batch.len()
    }

    fn belongs_to(&self, filter: &EventFilter) -> bool {
        let target = &self.batch.target;
        filter.project.as_ref().is_none_or(|project| *project == target.project)
            && filter.environment.as_ref().is_none_or(|name| *name == target.environment)
    }

    /// Translates the filter's event key into this batch's numbering. The outer `None` says that
    /// the batch holds no such key, the inner that every key will do.
    #[expect(clippy::option_option, reason = "the doc comment names both")]
    fn key_filter(&self, filter: &EventFilter) -> Option<Option<u32>> {
        let Some(wanted) = &filter.event_key else { return Some(None) };
        let place = self.batch.events.keys.iter().position(|key| key == wanted)?;
        u32::try_from(place).ok().map(Some)
    }

    fn events(&self) -> impl Iterator<Item = (u64, &EventMark)> {
        (self.first_seq..).zip(&self.batch.events.marks)
    }

    fn text_of(&self, mark: &EventMark) -> Option<&RawValue> {
        let range = usize::try_from(mark.start).ok()?..usize::try_from(mark.end).ok()?;
        serde_json::from_slice(self.batch.body.get(range)?).ok()
    }
}

// === impl KeptEvent ===

impl Serialize for KeptEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let target = &self.home.batch.target;
        let row = EventRow {
            seq: self.seq,
            request: self.home.request,
            project: &target.project,
            environment: &target.environment,
            received_at_ms: self.home.received_at_ms,
            counts: self.mark.malformation.is_none(),
            reason: self.mark.malformation,
            event: self.home.text_of(&self.mark),
        };
        row.serialize(serializer)
    }
}
