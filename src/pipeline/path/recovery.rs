//! Cutting again what an earlier owner of a partition may have sent: its batches have the edges that
//! the journal tells, whatever the present limits say, so that they are the same requests.
//!
//! # Invariants
//! - R1: a batch that was cut before holds the records between its edges and no others.
//! - R2: what was accepted before is not sent again.
//! - R3: whatever cannot be made the same again is sent all the same, and counted.

use super::partition::PartitionPath;
use crate::model::batch::EventBatch;
use crate::pipeline::batch::OpenBatch;
use crate::pipeline::journal::{Place, Release};

/// What became of records that an earlier owner may have sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recovered {
    /// Sent again as the same request.
    pub(super) resent: u64,
    /// Known to be accepted, and skipped.
    pub(super) skipped: u64,
    /// Sent in another request; LaunchDarkly counts them again if it had accepted the first one.
    pub(super) may_repeat: u64,
}

impl PartitionPath {
    /// Before the events of the record at `offset` become part of their batches: ends batches that it
    /// is no part of, begins those that were cut before, takes out what was accepted.
    pub(super) fn follow_plan(&mut self, offset: i64, released: &mut Vec<EventBatch>) {
        for at in 0..self.open.len() {
            self.end_held(at, |last| last < offset, released);
            let Some(open) = self.open.get_mut(at) else { continue };
            let target = open.target();
            self.journal.pass_below(target, offset);
            if !open.has_unsealed() {
                continue;
            }
            match self.journal.place(target, offset) {
                Place::Free => {}
                Place::Foreign => self.recovered.may_repeat += 1,
                Place::Done => {
                    open.discard();
                    self.recovered.skipped += 1;
                    // What another mapping cut before may be collected still; a batch that went on
                    // behind this would overlap it.
                    let cut = open.cut();
                    if let Some(cut) = cut {
                        self.hand_over(cut, false, released);
                    }
                }
                Place::Planned(edges) => {
                    if open.held().is_none() {
                        if let Some(cut) = open.cut_sealed() {
                            self.hand_over(cut, false, released);
                        }
                        if let Some(open) = self.open.get_mut(at) {
                            open.hold(edges.last);
                        }
                    }
                }
            }
        }
    }

    /// After the events of the record at `offset` have become part of their batches.
    pub(super) fn end_plan(&mut self, offset: i64, released: &mut Vec<EventBatch>) {
        for at in 0..self.open.len() {
            self.end_held(at, |last| last <= offset, released);
            if let Some(open) = self.open.get(at) {
                self.journal.pass_below(open.target(), offset + 1);
            }
        }
    }

    fn end_held(
        &mut self,
        at: usize,
        is_over: impl Fn(i64) -> bool,
        released: &mut Vec<EventBatch>,
    ) {
        let Some(open) = self.open.get_mut(at) else { return };
        if open.held().is_some_and(is_over)
            && let Some(cut) = open.cut_sealed()
        {
            self.hand_over(cut, true, released);
        }
    }

    /// Counts what became of a batch that was cut again.
    pub(super) fn note_recut(&mut self, records: usize, release: Release) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        match release {
            Release::Now => self.recovered.resent += records,
            Release::AfterCommit(_) => self.recovered.may_repeat += records,
        }
    }

    /// Records in batches that are being collected again. They stay in Kafka if the partition goes
    /// before the batch is whole.
    pub(super) fn held_records(&self) -> usize {
        self.open.iter().filter(|open| open.held().is_some()).map(OpenBatch::records).sum()
    }
}
