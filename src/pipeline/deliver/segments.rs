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

use super::courier::{Abandoned, Answered, Courier, Refused};
use crate::launchdarkly::answer::{Creation, Written};
use crate::launchdarkly::members::{MemberChanges, MemberIntent};
use crate::launchdarkly::segments::{
    MemberWrite, SegmentForm, SegmentKind as Found, SegmentSpec, SegmentsClient,
};
use crate::launchdarkly::synced::{SyncedSegment, SyncedSpec};
use crate::model::operation::{
    Intent, LaneKey, Member, MemberList, Membership, SegmentBatch, SegmentKind,
};
use crate::model::outcome::{DeadLetter, DeadLetterOrigin, Refusal, RefusalReason, Stage};
use crate::model::progress::{Settlement, Slot};

/// The name of these lanes' operation.
pub const OPERATION: &str = "segment_member";

/// Delivers the membership changes of one target.
#[derive(Debug)]
pub struct SegmentLanes {
    client: SegmentsClient,
    courier: Courier,
}

/// The slots of a batch's members, each until it is settled.
type Open = HashMap<String, Vec<Slot>>;

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
        let changes = changes_of(&batch.intents);
        let mut open: Open =
            batch.intents.iter().map(|i| (i.part.0.clone(), i.slots.clone())).collect();
        let mut accepted = Vec::new();
        let mut writes: Vec<MemberWrite> = self.prepare(&batch, &changes);
        writes.reverse();
        while let Some(write) = writes.pop() {
            match self.courier.carry(|| self.client.write(&write)).await? {
                Answered::Accepted(answer) if answer.value == Written::Done => {
                    self.courier.heal(&fault_name(&batch));
                    for (member, _) in write.changes().members() {
                        accepted.extend(open.remove(member).into_iter().flatten());
                    }
                }
                Answered::Accepted(_absent) => {
                    if self.create(&batch).await? || self.wait_if_fixed(&batch).await? {
                        writes.push(write);
                    } else {
                        let refused = Refused {
                            status: Some(404),
                            detail: "the segment does not exist".to_owned(),
                            attempts: 1,
                        };
                        self.refuse(&batch, &write, &mut open, &mut accepted, &refused);
                    }
                }
                Answered::Refused(refused) => {
                    match self.obstacle(&batch).await? {
                        Obstacle::None => {}
                        Obstacle::Missing | Obstacle::OtherKind(_)
                            if self.wait_if_fixed(&batch).await? =>
                        {
                            writes.push(write);
                            continue;
                        }
                        Obstacle::Missing | Obstacle::OtherKind(_) => {
                            self.refuse(&batch, &write, &mut open, &mut accepted, &refused);
                            continue;
                        }
                    }
                    match halves(write.changes()) {
                        Some((head, tail)) => {
                            for half in [tail, head] {
                                let mut parts = self.prepare(&batch, &half);
                                parts.reverse();
                                writes.extend(parts);
                            }
                        }
                        None => self.refuse(&batch, &write, &mut open, &mut accepted, &refused),
                    }
                }
            }
        }
        // A member whose key is on no list of the request form (none today) must not be forgotten.
        accepted.extend(open.into_values().flatten());
        let lane = LaneKey::Segment { target: batch.target, key: Arc::clone(&batch.segment) };
        self.courier.settle(Settlement::Keyed { lane, accepted });
        Ok(())
    }

    fn prepare(&self, batch: &SegmentBatch, changes: &MemberChanges) -> Vec<MemberWrite> {
        let shape = &batch.shape;
        match &shape.kind {
            SegmentKind::Big => vec![self.client.big_write(&batch.segment, changes)],
            SegmentKind::Standard => {
                self.client.standard_writes(&batch.segment, &shape.context_kind, changes)
            }
            SegmentKind::Synced { integration_key, client_side_id, cohort_id } => {
                let spec = SyncedSpec {
                    integration_key: integration_key.clone(),
                    client_side_id: client_side_id.clone(),
                    cohort_id: cohort_id.clone().unwrap_or_else(|| batch.segment.to_string()),
                    cohort_name: name_of(batch),
                    context_kind: shape.context_kind.clone(),
                };
                // The configuration tries the same with an example, so this cannot fail here.
                SyncedSegment::try_new(spec)
                    .and_then(|segment| SegmentsClient::synced_writes(&segment, changes))
                    .unwrap_or_default()
            }
        }
    }

    /// Creates the segment, if that is wanted. Gives whether it is there now.
    async fn create(&self, batch: &SegmentBatch) -> Result<bool, Abandoned> {
        let (Some(creation), false) = (&batch.shape.create, is_synced(batch)) else {
            return Ok(false);
        };
        let context_kind = batch.shape.context_kind.clone();
        let spec = SegmentSpec {
            key: batch.segment.to_string(),
            name: name_of(batch),
            description: creation.description.clone(),
            tags: creation.tags.clone(),
            form: match batch.shape.kind {
                SegmentKind::Standard => SegmentForm::Standard,
                SegmentKind::Big | SegmentKind::Synced { .. } => SegmentForm::Big { context_kind },
            },
        };
        match self.courier.carry(|| self.client.create(&spec)).await? {
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

    async fn obstacle(&self, batch: &SegmentBatch) -> Result<Obstacle, Abandoned> {
        if is_synced(batch) {
            return Ok(Obstacle::None);
        }
        let found = match self.courier.carry(|| self.client.get(&batch.segment)).await? {
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
    async fn wait_if_fixed(&self, batch: &SegmentBatch) -> Result<bool, Abandoned> {
        if !batch.shape.fixed {
            return Ok(false);
        }
        let what = match self.obstacle(batch).await? {
            Obstacle::OtherKind(found) => format!("is of another kind ({found})"),
            Obstacle::Missing | Obstacle::None => "does not exist".to_owned(),
        };
        let reason = format!(
            "segment `{}` {what}; mend `kind` and `context_kind`, create it, or set `create: true`",
            batch.segment
        );
        self.courier.wait_for_a_person(&fault_name(batch), &reason).await?;
        Ok(true)
    }

    /// Dead-letters the members of a write. Of a member's records only the newest is: it replaced
    /// the others, so replaying it alone gives the right end.
    fn refuse(
        &self,
        batch: &SegmentBatch,
        write: &MemberWrite,
        open: &mut Open,
        accepted: &mut Vec<Slot>,
        refused: &Refused,
    ) {
        let reason = match refused.status {
            Some(404) => RefusalReason::SegmentMissing,
            _ => RefusalReason::RefusedByLaunchDarkly,
        };
        for (member, intent) in write.changes().members() {
            let Some(mut slots) = open.remove(member) else { continue };
            let Some(newest) = slots.pop() else { continue };
            accepted.append(&mut slots);
            let sent = json!({ "segment": *batch.segment, "member": member, "intent": format!("{intent:?}") });
            self.courier.dead_letter(DeadLetter {
                origin: DeadLetterOrigin::InKafka { sent: Bytes::from(sent.to_string()) },
                refusal: Refusal {
                    reason,
                    stage: Stage::Deliver,
                    route: None,
                    detail: self.courier.detail(&refused.detail),
                    status: refused.status,
                    attempts: refused.attempts,
                },
                slot: newest,
            });
        }
    }
}

fn changes_of(intents: &[Intent<Member, Membership>]) -> MemberChanges {
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
    batch.name.clone().unwrap_or_else(|| batch.segment.to_string())
}

fn fault_name(batch: &SegmentBatch) -> String {
    format!("segment {}", batch.segment)
}
