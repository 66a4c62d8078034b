//! How far a partition has come, and the messages that move it on.
//!
//! Kafka wants to hear the offset *after* the last settled record; mixing the two up loses or
//! repeats a record, so they are two types.

use tokio_util::sync::CancellationToken;

use super::batch::Mark;
use super::operation::LaneKey;
use super::record::Partition;

/// What Kafka should read next in a partition: one past the last settled record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub i64);

/// Counts the assignments of a partition, so that an answer to an earlier one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// Falls when an assignment ends: from then on nothing may be sent on its behalf, because somebody
/// else now reads the same records.
#[derive(Debug, Clone, Default)]
pub struct Fence(CancellationToken);

/// One obligation of one record: what a settlement refers to.
#[derive(Debug, Clone)]
pub struct Slot {
    pub partition: Partition,
    pub epoch: Epoch,
    pub offset: i64,
    /// Bytes to give back to the in-flight budget.
    pub bytes: usize,
    pub fence: Fence,
}

/// Tells the ledger that obligations have been met.
#[derive(Debug)]
pub enum Settlement {
    /// All records of a batch were accepted by LaunchDarkly.
    Batch { partition: Partition, epoch: Epoch, marks: Vec<Mark>, bytes: usize },
    /// One record's dead letter was acknowledged by Kafka.
    DeadLetter { slot: Slot },
    /// A batch of an ordered lane has ended: these of its slots were accepted, the others are on
    /// their way to the dead-letter topic.
    Keyed { lane: LaneKey, accepted: Vec<Slot> },
}

/// Progress to be written to Kafka for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitEntry {
    pub partition: Partition,
    pub epoch: Epoch,
    pub next: NextOffset,
}

// === impl Fence ===

impl Fence {
    pub fn fall(&self) {
        self.0.cancel();
    }

    pub fn has_fallen(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it falls.
    pub async fn fallen(&self) {
        self.0.cancelled().await;
    }
}

// === impl Slot ===

impl PartialEq for Slot {
    /// The fence follows from partition and epoch.
    fn eq(&self, other: &Self) -> bool {
        let place = |slot: &Self| (slot.epoch, slot.offset, slot.bytes);
        self.partition == other.partition && place(self) == place(other)
    }
}

impl Eq for Slot {}
