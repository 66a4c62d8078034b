//! A batch of membership changes between being cut and being settled.
//!
//! # Invariants
//! - A member's slots are given out once: with its acceptance, with its refusal, or when somebody
//!   else has taken over what was wanted of it.

use std::collections::HashMap;

use super::super::courier::{Burden, Errand};
use super::super::patience::Patience;
use super::super::spans::Cause;
use super::requests::changes_of;
use crate::launchdarkly::members::MemberChanges;
use crate::launchdarkly::segments::MemberWrite;
use crate::model::fence::Fence;
use crate::model::intent::{Intent, Left};
use crate::model::operation::{Member, Membership, SegmentBatch};
use crate::model::progress::Slot;
use crate::model::record::Partition;
use crate::resilience::retry::RetryPauses;

/// A batch on its way.
pub(super) struct Work {
    /// Without its intents: these are in `open`.
    pub(super) batch: SegmentBatch,
    /// What is wanted of each member until it is settled.
    pub(super) open: HashMap<String, Intent<Member, Membership>>,
    /// The members in the order in which they are written.
    pub(super) order: Vec<String>,
    pub(super) accepted: Vec<Slot>,
    /// What is still to be written, the next one last.
    pub(super) writes: Vec<MemberWrite>,
    /// Between attempts to make the segment, since it was last there.
    pub(super) absences: Option<RetryPauses>,
    /// Of the assignments it is on behalf of.
    pub(super) fences: Vec<Fence>,
    /// The records that the requests are made for.
    cause: Cause,
    /// The oldest record that it was made of.
    oldest: Option<(Partition, i64)>,
    /// How long it is worth trying.
    patience: Patience,
}

// === impl Work ===

impl Work {
    pub(super) fn new(mut batch: SegmentBatch, patience: Patience) -> Self {
        let intents = std::mem::take(&mut batch.intents);
        let order = intents.iter().map(|intent| intent.part.0.clone()).collect();
        let oldest = intents.iter().flat_map(Intent::slots).min_by_key(|slot| slot.offset);
        let oldest = oldest.map(|slot| (slot.partition.clone(), slot.offset));
        let open = intents.into_iter().map(|intent| (intent.part.0.clone(), intent)).collect();
        let (accepted, writes, fences, cause) = Default::default();
        let absences = None;
        let mut work = Self {
            batch,
            open,
            order,
            accepted,
            writes,
            absences,
            fences,
            cause,
            oldest,
            patience,
        };
        work.fences = work.fences_of_open();
        work
    }

    pub(super) fn errand(&self) -> Errand<'_> {
        let oldest = self.oldest.as_ref().map(|(partition, offset)| (partition, *offset));
        let burden = Burden { lane: Some(&self.batch.segment), oldest, records: self.open.len() };
        Errand { fences: &self.fences, patience: self.patience, burden, cause: &self.cause }
    }

    /// What is asked from now on is asked on behalf of a write's members.
    pub(super) fn is_for(&mut self, write: &MemberWrite, links: bool) {
        let members = write.changes().members().iter();
        let intents = members.filter_map(|(member, _)| self.open.get(member));
        self.cause = Cause::of_slots(intents.flat_map(Intent::standing), links);
    }

    /// It has waited for a person, and is worth trying for as long as if it began now.
    pub(super) fn renew(&mut self, patience: Patience) {
        self.patience = patience;
    }

    pub(super) fn changes(&self) -> MemberChanges {
        let open = self.order.iter().filter_map(|member| self.open.get(member));
        changes_of(open.map(|intent| (intent.part.0.as_str(), intent.wanted())))
    }

    pub(super) fn accept(&mut self, write: &MemberWrite) {
        for (member, _) in write.changes().members() {
            let intent = self.open.remove(member);
            self.accepted.extend(intent.into_iter().flat_map(|intent| intent.into_slots().all()));
        }
    }

    /// Takes back what is on behalf of assignments that have ended. Gives whether there was any, so
    /// that going on makes sense.
    pub(super) fn drop_fallen(&mut self) -> bool {
        let fallen = self.fences.iter().any(Fence::has_fallen);
        for (member, intent) in std::mem::take(&mut self.open) {
            match intent.keep(|slot| !slot.fence.has_fallen()) {
                Left::Intent(left) => drop(self.open.insert(member, left)),
                // Older wishes of assignments we still have were replaced by one that is now sent
                // by somebody else.
                Left::Nothing(done) => self.accepted.extend(done),
            }
        }
        self.writes.clear();
        self.fences = self.fences_of_open();
        fallen
    }

    /// One fence per assignment.
    fn fences_of_open(&self) -> Vec<Fence> {
        let standing = self.open.values().flat_map(Intent::standing);
        let by_epoch: HashMap<_, &Fence> =
            standing.map(|slot| ((&slot.partition, slot.epoch), &slot.fence)).collect();
        by_epoch.into_values().cloned().collect()
    }

    pub(super) fn fault_name(&self) -> String {
        format!("segment {}", self.batch.segment)
    }
}
