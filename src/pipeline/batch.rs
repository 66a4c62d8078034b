//! Collects one partition's metric events for one target and says when they make a batch.
//!
//! A batch never mixes partitions, so its edges are two offsets and its payload ID can be derived
//! again by whoever owns the partition next (P3).
//!
//! # Invariants
//! - A1: a batch is cut between records, never within one.
//! - A2: a cut batch is within `max_bytes` and `max_events`, unless a single record exceeds the
//!   latter alone; a record that exceeds the former alone is told apart before it is sealed.
//! - A3: every sealed record is in exactly one batch.
//!
//! Not here: what is in flight (`path`), when edges are written to Kafka (`commit`).

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::settings::BatchSettings;
use crate::model::batch::{EventBatch, MappingFingerprint, Mark, TargetId};
use crate::model::fence::Fence;
use crate::model::progress::Epoch;
use crate::model::record::{Partition, Record};
use crate::model::routes::RouteSet;
use crate::model::trace::{TraceParent, Traces};

/// Events that are not cut yet.
#[derive(Debug)]
pub struct OpenBatch {
    settings: BatchSettings,
    target: TargetId,
    fingerprint: MappingFingerprint,
    body: Vec<u8>,
    marks: Vec<Mark>,
    events: u32,
    /// Events of the record that is being written.
    unsealed_events: u32,
    unsealed_routes: RouteSet,
    /// When the first event came; `None` while empty.
    opened: Option<Instant>,
    /// Set while a batch that was cut before is collected again: its last offset.
    held: Option<i64>,
    /// Of which traces what is sealed is.
    traces: Traces,
    /// How many bytes and records the last batch had: the next one will be about as large.
    usual: (usize, usize),
}

/// The JSON array's: the opening one replaces the first comma, the closing one is a byte more.
const OPENING: u8 = b'[';
const CLOSING: u8 = b']';
const CLOSING_BYTES: usize = 1;
/// The most room, in bytes, that a batch begins with: of many partitions few may fill theirs.
const AT_FIRST: usize = 32 * 1024;
/// How long a batch that is collected again waits for its last record. All its records were in
/// Kafka before, so only one that has left the log since makes it wait in vain.
const HOLD: Duration = Duration::from_secs(30);

// === impl OpenBatch ===

impl OpenBatch {
    pub fn new(settings: BatchSettings, target: TargetId, fingerprint: MappingFingerprint) -> Self {
        Self {
            settings,
            target,
            fingerprint,
            body: Vec::new(),
            marks: Vec::new(),
            events: 0,
            unsealed_events: 0,
            unsealed_routes: RouteSet::NONE,
            opened: None,
            held: None,
            traces: Traces::new(settings.links),
            usual: (0, 0),
        }
    }

    pub fn target(&self) -> TargetId {
        self.target
    }

    /// Where a record's events are written: appended, each preceded by a comma and followed by
    /// [`Self::count_event`], then all [`Self::seal`]ed or [`Self::discard`]ed.
    pub fn body(&mut self) -> &mut Vec<u8> {
        if self.body.capacity() == 0 {
            let (bytes, records) = self.usual;
            self.body.reserve_exact(bytes.min(AT_FIRST));
            self.marks.reserve_exact(records.min(AT_FIRST / size_of::<Mark>()));
        }
        &mut self.body
    }

    /// Counts the event of the route at `place` among its topic's.
    pub fn count_event(&mut self, place: usize) {
        self.unsealed_events += 1;
        self.unsealed_routes = self.unsealed_routes.and(RouteSet::of(place));
    }

    /// Whether the record being written yields events here.
    pub fn has_unsealed(&self) -> bool {
        self.unsealed_events > 0
    }

    /// The routes whose events are being written.
    pub fn unsealed_routes(&self) -> RouteSet {
        self.unsealed_routes
    }

    /// Bytes of the record that is being written.
    fn unsealed(&self) -> usize {
        self.body.len() - self.sealed_bytes()
    }

    pub fn sealed_bytes(&self) -> usize {
        self.marks.last().map_or(0, |mark| mark.end)
    }

    /// Whether the record being written could not be sent even alone.
    pub fn is_oversized(&self) -> bool {
        self.unsealed() + CLOSING_BYTES > self.settings.max_bytes
    }

    /// Forgets what was written since the last seal.
    pub fn discard(&mut self) {
        let sealed = self.sealed_bytes();
        self.body.truncate(sealed);
        self.unsealed_events = 0;
        self.unsealed_routes = RouteSet::NONE;
    }

    /// Makes what was written since the last seal the events of `record`, and gives the batch that
    /// had to be cut to make room, if any.
    pub fn seal(&mut self, record: &Record<'_>, now: Instant) -> Option<Cut> {
        let events = std::mem::take(&mut self.unsealed_events);
        let routes = std::mem::take(&mut self.unsealed_routes);
        let overflows = self.held.is_none()
            && !self.marks.is_empty()
            && (self.body.len() + CLOSING_BYTES > self.settings.max_bytes
                || self.events.saturating_add(events) > self.settings.max_events);
        let cut = if overflows { self.cut_sealed() } else { None };
        self.events = self.events.saturating_add(events);
        let (offset, time_ms) = (record.offset, record.timestamp_ms);
        self.marks.push(Mark { offset, end: self.body.len(), events, routes, time_ms });
        self.opened.get_or_insert(now);
        self.traces.note(TraceParent::find(record.headers));
        cut
    }

    /// Makes the next batch one that was cut before: nothing but its last record ends it.
    pub fn hold(&mut self, last: i64) {
        self.held = Some(last);
    }

    /// The last record of the batch that is collected again, if one is.
    pub fn held(&self) -> Option<i64> {
        self.held
    }

    pub fn records(&self) -> usize {
        self.marks.len()
    }

    /// When the batch is to be cut even if it does not fill up.
    pub fn deadline(&self) -> Option<Instant> {
        let patience = if self.held.is_some() { HOLD } else { self.settings.linger };
        self.opened.map(|opened| opened + patience)
    }

    pub fn is_full(&self) -> bool {
        self.held.is_none() && self.events >= self.settings.max_events
    }

    /// Cuts what is sealed and keeps what was written since.
    pub fn cut_sealed(&mut self) -> Option<Cut> {
        let unsealed = self.body.split_off(self.sealed_bytes());
        let cut = self.cut();
        self.body = unsealed;
        cut
    }

    /// Takes everything sealed as a batch, or `None` when there is nothing.
    pub fn cut(&mut self) -> Option<Cut> {
        if self.marks.is_empty() {
            return None;
        }
        let since = self.opened.take()?; // Since the first seal.
        self.events = 0;
        self.held = None;
        let mut body = std::mem::take(&mut self.body);
        if let Some(comma) = body.first_mut() {
            *comma = OPENING;
        }
        body.push(CLOSING);
        self.usual = (body.len(), self.marks.len());
        Some(Cut {
            since,
            target: self.target,
            fingerprint: self.fingerprint,
            marks: std::mem::take(&mut self.marks),
            body: Bytes::from(body),
            traces: self.traces.take(),
        })
    }
}

/// A cut batch that does not know its partition yet.
#[derive(Debug)]
pub struct Cut {
    target: TargetId,
    fingerprint: MappingFingerprint,
    marks: Vec<Mark>,
    body: Bytes,
    traces: Traces,
    since: Instant,
}

impl Cut {
    pub fn of(self, partition: Partition, epoch: Epoch, fence: Fence) -> EventBatch {
        EventBatch {
            target: self.target,
            partition,
            epoch,
            fence,
            fingerprint: self.fingerprint,
            marks: self.marks,
            body: self.body,
            base: 0,
            traces: self.traces,
            since: self.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
    use uuid::Uuid;

    use super::*;
    use crate::model::record::NoHeaders;

    fn open(max_events: u32, max_bytes: usize) -> OpenBatch {
        let linger = Duration::from_secs(1);
        let settings = BatchSettings { max_events, max_bytes, linger, links: true };
        OpenBatch::new(settings, TargetId(0), MappingFingerprint(Uuid::nil()))
    }

    fn record(offset: i64) -> Record<'static> {
        Record {
            topic: "t",
            partition: 0,
            offset,
            timestamp_ms: Some(1_000 - offset),
            key: None,
            value: None,
            headers: &NoHeaders,
        }
    }

    fn batch(cut: Cut) -> EventBatch {
        cut.of(Partition::new("t", 0), Epoch(0), Fence::default())
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_counts_from_the_first_event() {
        let mut open = open(10, 100);
        assert_eq!(open.deadline(), None);
        let start = Instant::now();
        open.body().extend_from_slice(b",1");
        open.count_event(0);
        open.seal(&record(1), start);
        tokio::time::advance(Duration::from_millis(300)).await;
        open.body().extend_from_slice(b",2");
        open.count_event(0);
        open.seal(&record(2), Instant::now());
        assert_eq!(open.deadline(), Some(start + Duration::from_secs(1)));
        let cut = batch(open.cut().unwrap());
        assert_eq!((cut.first_offset(), cut.last_offset(), cut.oldest_ms()), (1, 2, Some(998)));
        assert_eq!(open.deadline(), None);
        assert!(open.cut().is_none());
    }

    #[test]
    fn a_batch_is_of_its_own_records_trace() {
        struct Traced(&'static str);
        impl crate::model::record::Headers for Traced {
            fn count(&self) -> usize {
                1
            }
            fn at(&self, _: usize) -> Option<(&str, Option<&[u8]>)> {
                Some(("traceparent", Some(self.0.as_bytes())))
            }
        }
        let one = Traced("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let other = Traced("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let now = Instant::now();
        let mut open = open(2, 100);
        let mut batches = Vec::new();
        for (offset, of) in [(1, &one), (2, &one), (3, &other), (4, &one)] {
            open.body().extend_from_slice(b",1");
            open.count_event(0);
            batches.extend(open.seal(&Record { headers: of, ..record(offset) }, now).map(batch));
        }
        batches.extend(open.cut().map(batch));
        let parents: Vec<_> = batches.iter().map(|it| it.traces.parent().is_some()).collect();
        assert_eq!(parents, [true, false], "the second one is of two traces");
        let links: Vec<_> = batches.iter().map(|it| it.traces.links().len()).collect();
        assert_eq!(links, [1, 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        /// A1 to A3: whatever is written, sealed or discarded, the batches hold the sealed records
        /// once, in order, and within the limits.
        #[test]
        fn batches_hold_every_sealed_record_once(
            records in prop::collection::vec((1..4_u32, 1..12_usize, any::<bool>(), any::<bool>()), 0..60),
            max_events in 1..8_u32,
            max_bytes in 20..60_usize,
        ) {
            let now = Instant::now();
            let mut open = open(max_events, max_bytes);
            let mut batches = Vec::new();
            let mut expected = Vec::new();
            for (offset, (events, size, keep, flush)) in records.into_iter().enumerate() {
                let offset = i64::try_from(offset).unwrap();
                let text = format!(",{}", "7".repeat(size)).repeat(events as usize);
                open.body().extend_from_slice(text.as_bytes());
                (0..events).for_each(|_| open.count_event(0));
                prop_assert_eq!(open.is_oversized(), text.len() + 1 > max_bytes);
                if keep && !open.is_oversized() {
                    expected.push((offset, text));
                    batches.extend(open.seal(&record(offset), now));
                } else {
                    open.discard();
                }
                if flush || open.is_full() {
                    batches.extend(open.cut());
                }
            }
            batches.extend(open.cut());
            let mut found = Vec::new();
            for cut in batches {
                let batch = batch(cut);
                prop_assert!(serde_json::from_slice::<Vec<u64>>(&batch.body).is_ok());
                prop_assert!(batch.body.len() <= max_bytes);
                prop_assert!(batch.events() <= u64::from(max_events) || batch.records() == 1);
                let mut start = 0;
                for mark in &batch.marks {
                    let text = String::from_utf8(batch.body[start + 1..mark.end].to_vec()).unwrap();
                    found.push((mark.offset, format!(",{text}")));
                    start = mark.end;
                }
                prop_assert_eq!(start, batch.bytes());
            }
            prop_assert_eq!(found, expected);
        }
    }
}
