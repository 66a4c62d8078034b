//! How far a partition has come: what an earlier owner left in Kafka, what is new to Kafka, and what goes
//! on its way once Kafka has it.
//!
//! Not here: when it is written (`commit`), the journal's text (`journal`).

use super::guarding::Held;
use super::partition::PartitionPath;
use crate::model::batch::EventBatch;
use crate::model::progress::{CommitEntry, Committed, NextOffset};
use crate::pipeline::journal::{JournalError, Written};

impl PartitionPath {
    /// Takes over what an earlier owner committed.
    pub(super) fn take_over(&mut self, committed: &Committed) {
        let Some(next) = committed.next else { return };
        self.start = Some(next);
        self.confirmed = Some((next, committed.journal.clone()));
        match self.journal.recover(&committed.journal, next) {
            Ok(()) if self.journal.is_recovering() => {
                tracing::info!(
                    partition = %self.id(),
                    from = next.0,
                    "batches that may have been sent before are cut again"
                );
            }
            Ok(()) => {}
            Err(JournalError::Foreign) => {
                tracing::info!(partition = %self.id(), "the group's offset was set by another tool");
            }
            Err(error @ JournalError::Unreadable) => {
                tracing::error!(
                    partition = %self.id(),
                    %error,
                    "metric events that were under way when the last owner ended may be counted twice"
                );
            }
        }
    }

    /// Whether a record at `offset` cannot be of the log that the earlier owner read.
    pub(super) fn precedes_start(&self, offset: i64) -> bool {
        self.start.is_some_and(|start| offset < start.0)
    }

    /// What Kafka does not have yet.
    pub(super) fn news(&mut self) -> Option<CommitEntry> {
        let next = self.ledger.position()?;
        self.journal.forget_below(next);
        let Written { text: journal, cuts } = self.journal.write(next);
        let nothing = self.confirmed.is_none() && journal.is_empty();
        if nothing && self.ledger.watermark().is_none() {
            return None;
        }
        if self.confirmed.as_ref().is_some_and(|(n, j)| (*n, j) == (next, &journal)) {
            return None;
        }
        let (partition, epoch, fence) = (self.id().clone(), self.epoch(), self.fence.clone());
        Some(CommitEntry { partition, epoch, fence, next, journal, cuts })
    }

    /// Kafka has it; what waited for it goes.
    pub(super) fn confirm(&mut self, entry: CommitEntry, released: &mut Vec<EventBatch>) {
        while self.waiting.front().is_some_and(|(cut, _)| *cut <= entry.cuts) {
            released.extend(self.waiting.pop_front().map(|(_, batch)| batch));
        }
        self.confirmed = Some((entry.next, entry.journal));
    }

    /// Where a successor begins: what Kafka has, and whence to read again when not everything that was
    /// read is settled.
    pub(super) fn handed(&self) -> (Committed, Option<NextOffset>) {
        let (next, journal) = match &self.confirmed {
            Some((next, journal)) => (Some(*next), journal.clone()),
            None => (None, String::new()),
        };
        let kept = self.held().and_then(Held::first_kept);
        let untaken = self.parked.first().or(kept).map(NextOffset);
        let is_whole = self.ledger.waiting() == 0 && untaken.is_none();
        let again = next.or_else(|| self.ledger.position()).or(untaken);
        let committed = Committed { partition: self.id().clone(), next, journal };
        (committed, if is_whole { None } else { again })
    }
}
