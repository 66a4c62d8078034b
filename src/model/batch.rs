//! Metric events of one partition for one target, ready to be one request.
//!
//! The body is written once and is the request as it is; a batch remembers where each record's part of
//! it ends, so a refused batch is split without writing anything anew.
//!
//! # Invariants
//! - B1: all events come from one partition, in offset order, and a record's events are never
//!   spread over two batches of one target.
//! - B2: the same marks over the same records give the same body and the same payload ID.

use bytes::Bytes;
use tokio::time::Instant;
use uuid::Uuid;

use super::fence::Fence;
use super::progress::Epoch;
use super::record::Partition;
use super::routes::RouteSet;
use super::trace::Traces;

/// The namespace of payload IDs. Changing it makes a repeat after an upgrade count twice.
const PAYLOAD_ID_NAMESPACE: Uuid = Uuid::from_u128(0x5f0b_3ed8_66c1_4d5c_9a6e_1d0f_7a3c_21b4);

/// Which of the configured targets; the index into the target table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub usize);

/// Identifies a mapping: batches cut under different mappings never share a payload ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MappingFingerprint(pub Uuid);

/// What splitting a batch gives.
#[derive(Debug)]
pub enum Split {
    /// The parts in offset order.
    Halves(EventBatch, EventBatch),
    /// There is only one record, and this is it.
    Single(EventBatch),
}

/// Where one record's events end in the body of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub offset: i64,
    /// End of the record's last event, in bytes from the start of the body.
    pub end: usize,
    pub events: u32,
    /// The routes that made them.
    pub routes: RouteSet,
    /// The record's timestamp, in milliseconds since the Unix epoch.
    pub time_ms: Option<i64>,
}

/// A cut batch.
#[derive(Clone)]
pub struct EventBatch {
    pub target: TargetId,
    pub partition: Partition,
    pub epoch: Epoch,
    pub fence: Fence,
    pub fingerprint: MappingFingerprint,
    pub marks: Vec<Mark>,
    /// `[event,event…]`: one character before every event and one behind the last, so a part of it
    /// needs no more than other brackets.
    pub body: Bytes,
    /// Offset of `body` within the body that the marks were made for.
    pub base: usize,
    pub traces: Traces,
    /// When its first event came.
    pub since: Instant,
}

// === impl EventBatch ===

impl EventBatch {
    pub fn first_offset(&self) -> i64 {
        self.marks.first().map_or(-1, |m| m.offset)
    }

    pub fn last_offset(&self) -> i64 {
        self.marks.last().map_or(-1, |m| m.offset)
    }

    pub fn records(&self) -> usize {
        self.marks.len()
    }

    pub fn events(&self) -> u64 {
        self.marks.iter().map(|m| u64::from(m.events)).sum()
    }

    /// The oldest record timestamp within, in milliseconds since the Unix epoch.
    pub fn oldest_ms(&self) -> Option<i64> {
        self.marks.iter().filter_map(|m| m.time_ms).min()
    }

    /// The routes whose events it holds.
    pub fn routes(&self) -> RouteSet {
        self.marks.iter().fold(RouteSet::NONE, |routes, mark| routes.and(mark.routes))
    }

    /// What its records take: as much as those of its parts together.
    pub fn bytes(&self) -> usize {
        self.body.len().saturating_sub(1)
    }

    /// Derives the payload ID from what the batch holds: the same cut has the same ID in every
    /// process, today and after a crash (P3).
    pub fn payload_id(&self, target: &str) -> Uuid {
        let name = format!(
            "{target}\n{}\n{}\n{}\n{}\n{}\n{:?}\n{}",
            self.partition.topic,
            self.partition.number,
            self.first_offset(),
            self.last_offset(),
            // What `checks` keep out depends on what LaunchDarkly has at the time.
            self.offsets_hash(),
            // Offsets begin again when a topic is made anew; its records are younger.
            self.oldest_ms(),
            self.fingerprint.0,
        );
        Uuid::new_v5(&PAYLOAD_ID_NAMESPACE, name.as_bytes())
    }

    /// Tells batches apart that have the same edges and hold other records between them: under one ID,
    /// LaunchDarkly might take the second one for a repeat of the first.
    fn offsets_hash(&self) -> u32 {
        let mut hash = crc32fast::Hasher::new();
        self.marks.iter().for_each(|mark| hash.update(&mark.offset.to_be_bytes()));
        hash.finalize()
    }

    /// Splits into two batches of about as many records each.
    pub fn split(self) -> Split {
        let middle = self.marks.len() / 2;
        if middle == 0 {
            return Split::Single(self);
        }
        let mut head = self;
        let tail_marks = head.marks.split_off(middle);
        let cut = head.marks.last().map_or(0, |m| m.end) - head.base;
        let part = |events: &[u8], end: &[u8]| Bytes::from([b"[", events, end].concat());
        let tail = Self {
            marks: tail_marks,
            body: part(head.body.get(cut + 1..).unwrap_or_default(), b""),
            base: head.base + cut,
            partition: head.partition.clone(),
            fence: head.fence.clone(),
            traces: head.traces.clone(),
            ..head
        };
        head.body = part(head.body.get(1..cut).unwrap_or_default(), b"]");
        Split::Halves(head, tail)
    }
}

impl std::fmt::Debug for EventBatch {
    /// Shows the edges and sizes, never the events: payloads do not belong in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventBatch")
            .field("partition", &self.partition)
            .field("first", &self.first_offset())
            .field("last", &self.last_offset())
            .field("records", &self.records())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(events: &[(i64, &str)]) -> EventBatch {
        let mut body = Vec::new();
        let mut marks = Vec::new();
        for (offset, event) in events {
            body.push(if body.is_empty() { b'[' } else { b',' });
            body.extend_from_slice(event.as_bytes());
            let (routes, time_ms) = (RouteSet::of(0), Some(1_000 - offset));
            marks.push(Mark { offset: *offset, end: body.len(), events: 1, routes, time_ms });
        }
        body.push(b']');
        EventBatch {
            target: TargetId(0),
            partition: Partition::new("t", 0),
            epoch: Epoch(1),
            fence: Fence::default(),
            fingerprint: MappingFingerprint(Uuid::nil()),
            marks,
            body: Bytes::from(body),
            base: 0,
            traces: Traces::default(),
            since: Instant::now(),
        }
    }

    fn json(batch: &EventBatch) -> String {
        String::from_utf8(batch.body.to_vec()).unwrap()
    }

    #[test]
    fn splitting_down_to_single_records_keeps_every_event_once() {
        let whole = batch(&[(3, "1"), (5, "22"), (9, "333"), (10, "4"), (11, "55")]);
        let mut open = vec![whole];
        let mut singles = Vec::new();
        while let Some(next) = open.pop() {
            match next.split() {
                Split::Halves(head, tail) => open.extend([tail, head]),
                Split::Single(single) => singles.push((single.first_offset(), json(&single))),
            }
        }
        assert_eq!(
            singles,
            [(3, "[1]"), (5, "[22]"), (9, "[333]"), (10, "[4]"), (11, "[55]")]
                .map(|(o, s)| (o, s.to_owned()))
        );
    }

    #[test]
    fn a_split_half_equals_the_same_cut_made_directly() {
        let Split::Halves(head, tail) = batch(&[(3, "1"), (5, "22"), (9, "333")]).split() else {
            panic!("three records were not split");
        };
        let direct = batch(&[(5, "22"), (9, "333")]);
        assert_eq!(json(&head), "[1]");
        assert_eq!(json(&tail), json(&direct));
        assert_eq!(tail.payload_id("production"), direct.payload_id("production"));
        assert_ne!(head.payload_id("production"), tail.payload_id("production"));
    }

    #[test]
    fn the_payload_id_depends_on_target_partition_records_and_mapping() {
        let b = batch(&[(3, "1"), (5, "22")]);
        let mut other = b.clone();
        other.partition = Partition::new("t", 1);
        let mut remapped = b.clone();
        remapped.fingerprint = MappingFingerprint(Uuid::from_u128(1));
        let ids = [
            b.payload_id("a"),
            b.payload_id("b"),
            other.payload_id("a"),
            remapped.payload_id("a"),
            batch(&[(3, "1"), (6, "22")]).payload_id("a"),
            batch(&[(3, "1"), (4, "22"), (9, "3")]).payload_id("a"),
            batch(&[(3, "1"), (5, "22"), (9, "3")]).payload_id("a"),
        ];
        for (i, one) in ids.iter().enumerate() {
            for two in &ids[i + 1..] {
                assert_ne!(one, two);
            }
        }
    }
}
