//! Words one accepted change to a segment for its history.
//!
//! A change tells what was asked for, in full, whether or not it made a difference: a test wants to
//! see the request that was sent twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::members::{List, Move, Verb};
use super::segment::Segment;

/// One accepted change.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct SegmentChange {
    effect: Effect,
    changed: bool,
    version: u64,
    membership_version: u64,
    /// Shared, so that a page of a history costs no copy of its keys.
    moves: Arc<[Move]>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Effect {
    Created,
    Updated,
    Deleted,
}

/// The keys that came onto and off one list, in the order of the request.
#[derive(Debug, Default, Serialize)]
struct Traffic<'a> {
    add: Vec<&'a str>,
    remove: Vec<&'a str>,
}

// === impl SegmentChange ===

impl SegmentChange {
    pub(super) fn created(segment: &Segment, moves: Vec<Move>) -> Self {
        Self::of(segment, Effect::Created, true, moves)
    }

    pub(super) fn updated(segment: &Segment, changed: bool, moves: Vec<Move>) -> Self {
        Self::of(segment, Effect::Updated, changed, moves)
    }

    pub(super) fn deleted(segment: &Segment) -> Self {
        Self::of(segment, Effect::Deleted, true, Vec::new())
    }

    fn of(segment: &Segment, effect: Effect, changed: bool, moves: Vec<Move>) -> Self {
        let Segment { version, membership_version, .. } = *segment;
        Self { effect, changed, version, membership_version, moves: moves.into() }
    }

    fn traffic(&self, list: List) -> BTreeMap<&str, Traffic<'_>> {
        let mut by_kind: BTreeMap<_, Traffic<'_>> = BTreeMap::new();
        for step in self.moves.iter().filter(|step| step.list == list) {
            let traffic = by_kind.entry(&*step.context_kind).or_default();
            match step.verb {
                Verb::Add => traffic.add.push(&step.key),
                Verb::Remove => traffic.remove.push(&step.key),
            }
        }
        by_kind
    }
}

impl Serialize for SegmentChange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("SegmentChange", 6)?;
        fields.serialize_field("effect", &self.effect)?;
        fields.serialize_field("changed", &self.changed)?;
        fields.serialize_field("version", &self.version)?;
        fields.serialize_field("membership_version", &self.membership_version)?;
        fields.serialize_field("included", &self.traffic(List::Included))?;
        fields.serialize_field("excluded", &self.traffic(List::Excluded))?;
        fields.end()
    }
}
