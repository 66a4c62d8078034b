//! The segment lanes of a target: one batch at a time per segment, several segments at once.
//!
//! A segment that the configuration names and that is missing or of another kind is a fault of the
//! configuration: its lane waits and says so (P7). One that a record names is a fault of the record.
//!
//! # Invariants
//! - V3: a segment's requests are made one after another, each repeated until it is answered, so no
//!   repeat comes after a newer change (P4).
//! - V4: when a request is refused, the member at fault is found by halving; the others are applied.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::courier::{Abandoned, Answered, Courier};
use super::refused::Refused;
use crate::launchdarkly::answer::{Creation, Written};
use crate::launchdarkly::members::{MemberChanges, MemberIntent};
use crate::launchdarkly::segments::{
    MemberWrite, SegmentForm, SegmentKind as Found, SegmentSpec, SegmentsClient,
};
use crate::launchdarkly::synced::{SyncedSegment, SyncedSpec};
use crate::model::operation::{
    Intent, LaneKey, Member, MemberList, Membership, SegmentBatch, SegmentKind,
};
use crate::model::progress::{Fence, Settlement, Slot};

/// The name of these lanes' operation.
pub const OPERATION: &str = "segment_member";

/// Delivers the membership changes of one target.
#[derive(Debug)]
pub struct SegmentLanes {
    client: SegmentsClient,
    courier: Courier,
}

/// A batch on its way.
struct Work {
    batch: SegmentBatch,
    /// The slots of each member until they are settled.
    open: HashMap<String, Vec<Slot>>,
    accepted: Vec<Slot>,
    /// What is still to be written, the next one last.
    writes: Vec<MemberWrite>,
    /// Of the assignments it is on behalf of.
    fences: Vec<Fence>,
}

/// What stands in the way of a segment, found after a refusal or an absence.
enum Obstacle {
    /// Nothing of the segment itself: the members are at fault.
    None,
    Missing,
    OtherKind(String),
}

impl SegmentLanes {
    pub fn new(client: SegmentsClient, courier: Courier) -> Self {
        Self { client, courier }
    }

    /// Applies a batch and reports its end.
    pub(super) async fn deliver(&self, batch: SegmentBatch) -> Result<(), Abandoned> {
        let lane = LaneKey::Segment { target: batch.target, key: Arc::clone(&batch.segment) };
        let mut work = Work::new(batch);
        loop {
            self.prepare_all(&mut work);
            let ended = self.write_all(&mut work).await;
            // When a fence fell, what was on its behalf is somebody else's now; the rest goes on.
            if ended.is_ok() || !work.drop_fallen() {
                // Every member that LaunchDarkly took is in `accepted`; of an abandoned batch the
                // others stay open, so their records are read again.
                let accepted = std::mem::take(&mut work.accepted);
                if ended.is_err() {
                    // Whoever has the records now tells what stands in their way.
                    self.courier.forget(&work.fault_name());
                }
                self.courier.settle(Settlement::Keyed { lane, accepted });
                return ended;
            }
        }
    }

    async fn write_all(&self, work: &mut Work) -> Result<(), Abandoned> {
        while let Some(write) = work.writes.pop() {
            let answer = self.courier.carry(|| self.client.write(&write), &work.fences).await?;
            match answer {
                Answered::Accepted(answer) if answer.value == Written::Done => {
                    self.courier.heal(&work.fault_name());
                    work.accept(&write);
                }
                Answered::Accepted(_absent) => {
                    let there = self.create(work).await? || self.wait_if_fixed(work).await?;
                    let missing = "the segment does not exist".to_owned();
                    let refused = Refused { status: Some(404), detail: missing, attempts: 1 };
                    if there {
                        work.writes.push(write);
                    } else {
                        self.refuse(work, &write, &refused);
                    }
                }
                Answered::Refused(refused) => self.isolate(work, write, &refused).await?,
            }
        }
        Ok(())
    }

    /// Finds out what a refusal is about: the segment as a whole, or one of the members.
    async fn isolate(
        &self,
        work: &mut Work,
        write: MemberWrite,
        refused: &Refused,
    ) -> Result<(), Abandoned> {
        let obstacle = self.obstacle(work).await?;
        match (obstacle, halves(write.changes())) {
            (Obstacle::None, Some((head, tail))) => {
                for half in [tail, head] {
                    let parts = self.prepare(&work.batch, &half);
                    work.writes.extend(parts.into_iter().rev());
                }
            }
            (Obstacle::None, None) => self.refuse(work, &write, refused),
            (Obstacle::Missing | Obstacle::OtherKind(_), _) => {
                if self.wait_if_fixed(work).await? {
                    work.writes.push(write);
                } else {
                    self.refuse(work, &write, refused);
                }
            }
        }
        Ok(())
    }

    fn prepare_all(&self, work: &mut Work) {
        let changes = changes_of(&work.batch.intents);
        if !changes.is_empty() {
            work.writes = self.prepare(&work.batch, &changes).into_iter().rev().collect();
        }
    }

    fn prepare(&self, batch: &SegmentBatch, changes: &MemberChanges) -> Vec<MemberWrite> {
        writes_of(&self.client, batch, changes)
    }

    /// Creates the segment, if that is wanted. Gives whether it is there now.
    async fn create(&self, work: &Work) -> Result<bool, Abandoned> {
        let batch = &work.batch;
        let Some(spec) = creation_of(batch) else { return Ok(false) };
        match self.courier.carry(|| self.client.create(&spec), &work.fences).await? {
            Answered::Accepted(answer) => {
                if matches!(answer.value, Creation::Created(_)) {
                    tracing::info!(segment = &*batch.segment, "segment created");
                }
                Ok(true)
            }
            Answered::Refused(refused) => {
                tracing::warn!(segment = &*batch.segment, ?refused, "segment cannot be created");
                Ok(false)
            }
        }
    }

    async fn obstacle(&self, work: &Work) -> Result<Obstacle, Abandoned> {
        let batch = &work.batch;
        if is_synced(batch) {
            return Ok(Obstacle::None);
        }
        let found =
            match self.courier.carry(|| self.client.get(&batch.segment), &work.fences).await? {
                Answered::Accepted(answer) => answer.value,
                Answered::Refused(_) => return Ok(Obstacle::None),
            };
        let Some(view) = found else { return Ok(Obstacle::Missing) };
        Ok(match (&batch.shape.kind, view.kind) {
            (SegmentKind::Big, Found::Big { context_kind })
                if context_kind == batch.shape.context_kind =>
            {
                Obstacle::None
            }
            (SegmentKind::Standard, Found::Standard) => Obstacle::None,
            (_, other) => Obstacle::OtherKind(format!("{other:?}")),
        })
    }

    /// Waits a while when the configuration names the segment. Gives whether it did.
    async fn wait_if_fixed(&self, work: &Work) -> Result<bool, Abandoned> {
        let batch = &work.batch;
        if !batch.shape.fixed {
            return Ok(false);
        }
        let what = match self.obstacle(work).await? {
            Obstacle::OtherKind(found) => format!("is of another kind ({found})"),
            Obstacle::Missing | Obstacle::None => "does not exist".to_owned(),
        };
        let reason = format!(
            "segment `{}` {what}; mend `kind` and `context_kind`, create it, or set `create: true`",
            batch.segment
        );
        self.courier.wait_for_a_person(&work.fault_name(), &reason, &work.fences).await?;
        Ok(true)
    }

    /// Dead-letters the members of a write. Of a member's records only the newest is: it replaced
    /// the others, so replaying it alone gives the right end.
    fn refuse(&self, work: &mut Work, write: &MemberWrite, refused: &Refused) {
        let reason = refused.reason_of_member();
        for (member, intent) in write.changes().members() {
            let Some(mut slots) = work.open.remove(member) else { continue };
            let Some(newest) = slots.pop() else { continue };
            work.accepted.append(&mut slots);
            let segment = &*work.batch.segment;
            let intent = format!("{intent:?}");
            let sent = json!({ "segment": segment, "member": member, "intent": intent });
            let sent = Bytes::from(sent.to_string());
            self.courier.dead_letter(newest, reason, refused, sent);
        }
    }
}

// === impl Work ===

impl Work {
    fn new(batch: SegmentBatch) -> Self {
        let open = batch.intents.iter().map(|i| (i.part.0.clone(), i.slots.clone())).collect();
        let mut work =
            Self { batch, open, accepted: Vec::new(), writes: Vec::new(), fences: Vec::new() };
        work.fences = work.fences_of_open();
        work
    }

    fn accept(&mut self, write: &MemberWrite) {
        for (member, _) in write.changes().members() {
            self.accepted.extend(self.open.remove(member).into_iter().flatten());
        }
    }

    /// Takes back what is on behalf of assignments that have ended, and what is done already. Gives
    /// whether there was any such fence, so that going on makes sense.
    fn drop_fallen(&mut self) -> bool {
        let fallen = self.fences.iter().any(Fence::has_fallen);
        let accepted = &mut self.accepted;
        let open = &mut self.open;
        self.batch.intents.retain(|intent| {
            let Some(slots) = open.get(&intent.part.0) else { return false };
            let ours = slots.last().is_some_and(|slot| !slot.fence.has_fallen());
            if !ours {
                // Older intents of assignments we still have were replaced by one that is now sent
                // by somebody else.
                let slots = open.remove(&intent.part.0).into_iter().flatten();
                accepted.extend(slots.filter(|slot| !slot.fence.has_fallen()));
            }
            ours
        });
        self.writes.clear();
        self.fences = self.fences_of_open();
        fallen
    }

    /// One fence per assignment.
    fn fences_of_open(&self) -> Vec<Fence> {
        let newest = self.open.values().filter_map(|slots| slots.last());
        let by_epoch: HashMap<_, &Fence> =
            newest.map(|slot| ((&slot.partition, slot.epoch), &slot.fence)).collect();
        by_epoch.into_values().cloned().collect()
    }

    fn fault_name(&self) -> String {
        format!("segment {}", self.batch.segment)
    }
}

/// The requests for changes to a segment's members, in the order in which they are made.
pub fn writes_of(
    client: &SegmentsClient,
    batch: &SegmentBatch,
    changes: &MemberChanges,
) -> Vec<MemberWrite> {
    let shape = &batch.shape;
    match &shape.kind {
        SegmentKind::Big => vec![client.big_write(&batch.segment, changes)],
        SegmentKind::Standard => {
            client.standard_writes(&batch.segment, &shape.context_kind, changes)
        }
        SegmentKind::Synced { integration_key, client_side_id, cohort_id } => {
            let spec = SyncedSpec {
                integration_key: integration_key.clone(),
                client_side_id: client_side_id.clone(),
                cohort_id: cohort_id.clone().unwrap_or_else(|| batch.segment.to_string()),
                cohort_name: name_of(batch),
                context_kind: shape.context_kind.clone(),
            };
            // The configuration has tried the same with an example, and what a record adds, the
            // segment's key and name, is never empty; so this cannot fail here.
            SyncedSegment::try_new(spec)
                .and_then(|segment| SegmentsClient::synced_writes(&segment, changes))
                .unwrap_or_default()
        }
    }
}

/// How a batch's segment is created when it does not exist; `None` when that is left to a person.
pub fn creation_of(batch: &SegmentBatch) -> Option<SegmentSpec> {
    let creation = batch.shape.create.as_ref()?;
    let context_kind = batch.shape.context_kind.clone();
    let form = match batch.shape.kind {
        SegmentKind::Standard => SegmentForm::Standard,
        SegmentKind::Big => SegmentForm::Big { context_kind },
        // Its first request makes it.
        SegmentKind::Synced { .. } => return None,
    };
    Some(SegmentSpec {
        key: batch.segment.to_string(),
        name: name_of(batch),
        description: creation.description.clone(),
        tags: creation.tags.clone(),
        form,
    })
}

/// What a batch asks of each member.
pub fn changes_of(intents: &[Intent<Member, Membership>]) -> MemberChanges {
    MemberChanges::from_intents(intents.iter().map(|intent| {
        let wanted = match intent.intent {
            Membership::In(MemberList::Included) => MemberIntent::Include,
            Membership::In(MemberList::Excluded) => MemberIntent::Exclude,
            Membership::OutOf(MemberList::Included) => MemberIntent::DropIncluded,
            Membership::OutOf(MemberList::Excluded) => MemberIntent::DropExcluded,
        };
        (intent.part.0.clone(), wanted)
    }))
}

fn halves(changes: &MemberChanges) -> Option<(MemberChanges, MemberChanges)> {
    let members = changes.members();
    let middle = members.len() / 2;
    if middle == 0 {
        return None;
    }
    let (head, tail) = members.split_at(middle);
    let of = |part: &[(String, MemberIntent)]| MemberChanges::from_intents(part.iter().cloned());
    Some((of(head), of(tail)))
}

fn is_synced(batch: &SegmentBatch) -> bool {
    matches!(batch.shape.kind, SegmentKind::Synced { .. })
}

fn name_of(batch: &SegmentBatch) -> String {
    // A row without a name must not keep its members from their segment.
    let named = batch.name.as_deref().filter(|name| !name.trim().is_empty());
    named.unwrap_or(&batch.segment).to_owned()
}
