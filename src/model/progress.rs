//! How far a partition has come, and the messages that move it on.
//!
//! Kafka wants to hear the offset *after* the last settled record; mixing the two up loses or
//! repeats a record, so they are two types.

use super::batch::{EventBatch, Mark, TargetId};
use super::fence::Fence;
use super::operation::LaneKey;
use super::record::Partition;
use super::routes::RouteSet;
use super::trace::TraceParent;

/// What Kafka should read next in a partition: one past the last settled record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

/// Counts the assignments of a partition, so that an answer to an earlier one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Assignments that one generation of the configuration can count.
const GENERATION_SHIFT: u32 = 40;

/// One obligation of one record: what a settlement refers to.
#[derive(Debug, Clone)]
pub struct Slot {
    pub partition: Partition,
    pub epoch: Epoch,
    pub offset: i64,
    /// Bytes to give back to the in-flight budget.
    pub bytes: usize,
    pub fence: Fence,
    /// Set when the obligation is to deliver the record's metric events to this target: it is met
    /// together with the rest of their batch.
    pub events_of: Option<TargetId>,
    /// The routes that it is for.
    pub routes: RouteSet,
    /// The record's timestamp, in milliseconds since the Unix epoch.
    pub time_ms: Option<i64>,
    /// The trace that the record is of.
    pub trace: Option<TraceParent>,
}

/// Tells the ledger that obligations have been met.
#[derive(Debug)]
pub enum Settlement {
    /// All records of a batch of metric events, or of a part of it, were accepted by LaunchDarkly.
    Batch { target: TargetId, partition: Partition, epoch: Epoch, marks: Vec<Mark>, bytes: usize },
    /// Parts of a batch of metric events wait, because a guard has halted their route. Nothing of them
    /// was accepted. `letters` are those of its records, each by itself, that were refused.
    Withheld { parts: Vec<EventBatch>, letters: Vec<EventBatch> },
    /// Operations of a batch of an ordered lane that goes on were accepted.
    Accepted { slots: Vec<Slot> },
    /// One record's dead letter was acknowledged by Kafka.
    DeadLetter { slot: Slot },
    /// A batch of an ordered lane waits, and all that comes behind it, because a guard has halted its
    /// route.
    Halted { lane: LaneKey },
    /// A batch of an ordered lane has ended: these of its slots were accepted, the others are on
    /// their way to the dead-letter topic.
    Keyed { lane: LaneKey, accepted: Vec<Slot> },
}

/// What is to be written to Kafka for one partition.
#[derive(Debug, Clone)]
pub struct CommitEntry {
    pub partition: Partition,
    pub epoch: Epoch,
    /// Once it has fallen, writing this would put an old journal over a newer one.
    pub fence: Fence,
    pub next: NextOffset,
    /// The batches that may have been sent from `next` on, as text.
    pub journal: String,
    /// How many of the partition's cuts the journal covers.
    pub cuts: u64,
}

/// What Kafka has for a partition that was assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub partition: Partition,
    /// `None` when nothing was ever committed.
    pub next: Option<NextOffset>,
    /// What an earlier owner wrote beside it; not necessarily an `ldsink`.
    pub journal: String,
}

/// How far a partition has come, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub partition: Partition,
    /// Below it everything is settled.
    pub position: Option<NextOffset>,
    /// Whether anything that was taken is not settled.
    pub waits: bool,
    /// The timestamp of the first record that is not settled, in milliseconds since the Unix epoch.
    pub oldest_ms: Option<i64>,
    /// The timestamp of the last record taken.
    pub newest_ms: Option<i64>,
}

// === impl Epoch ===

impl Epoch {
    /// Before the first assignment of a generation of the configuration: no two generations share an
    /// epoch.
    pub fn before(generation: u64) -> Self {
        Self(generation << GENERATION_SHIFT)
    }

    pub fn generation(self) -> u64 {
        self.0 >> GENERATION_SHIFT
    }
}

// === impl CommitEntry ===

impl PartialEq for CommitEntry {
    /// The fence follows from partition and epoch.
    fn eq(&self, other: &Self) -> bool {
        let progress = |entry: &Self| (entry.epoch, entry.next, entry.cuts);
        self.partition == other.partition
            && progress(self) == progress(other)
            && self.journal == other.journal
    }
}

impl Eq for CommitEntry {}

// === impl Slot ===

impl PartialEq for Slot {
    /// The fence follows from partition and epoch.
    fn eq(&self, other: &Self) -> bool {
        let place = |slot: &Self| (slot.epoch, slot.offset, slot.bytes, slot.events_of);
        self.partition == other.partition && place(self) == place(other)
    }
}

impl Eq for Slot {}
