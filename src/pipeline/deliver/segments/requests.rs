//! What a batch of membership changes asks of LaunchDarkly.
//!
//! Pure; `preview` shows the same requests.

use crate::launchdarkly::members::{MemberChanges, MemberIntent};
use crate::launchdarkly::segments::{MemberWrite, SegmentForm, SegmentSpec, SegmentsClient};
use crate::launchdarkly::synced::{SyncedSegment, SyncedSpec};
use crate::model::operation::{MemberList, Membership, SegmentBatch, SegmentKind};

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

/// What is asked of each member.
pub fn changes_of<'m>(wanted: impl IntoIterator<Item = (&'m str, Membership)>) -> MemberChanges {
    MemberChanges::from_intents(wanted.into_iter().map(|(member, membership)| {
        let intent = match membership {
            Membership::In(MemberList::Included) => MemberIntent::Include,
            Membership::In(MemberList::Excluded) => MemberIntent::Exclude,
            Membership::OutOf(MemberList::Included) => MemberIntent::DropIncluded,
            Membership::OutOf(MemberList::Excluded) => MemberIntent::DropExcluded,
            Membership::Nowhere => MemberIntent::Drop,
        };
        (member.to_owned(), intent)
    }))
}

pub(super) fn halves(changes: &MemberChanges) -> Option<(MemberChanges, MemberChanges)> {
    let members = changes.members();
    let middle = members.len() / 2;
    if middle == 0 {
        return None;
    }
    let (head, tail) = members.split_at(middle);
    let of = |part: &[(String, MemberIntent)]| MemberChanges::from_intents(part.iter().cloned());
    Some((of(head), of(tail)))
}

pub(super) fn is_synced(batch: &SegmentBatch) -> bool {
    matches!(batch.shape.kind, SegmentKind::Synced { .. })
}

fn name_of(batch: &SegmentBatch) -> String {
    // A row without a name must not keep its members from their segment.
    let named = batch.name.as_deref().filter(|name| !name.trim().is_empty());
    named.unwrap_or(&batch.segment).to_owned()
}
