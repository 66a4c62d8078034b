//! What we ask of LaunchDarkly when order matters: segment membership and metric definitions.
//!
//! Metric events are not here: they need no order and are written straight into their batch's body.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::batch::TargetId;
use super::intent::{Intent, Slots, Succession};

/// LaunchDarkly's field for a metric that is out of use.
const ARCHIVED: &str = "archived";

/// What must happen in order, one at a time: all changes to one segment's members, or to one metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LaneKey {
    Segment { target: TargetId, key: Arc<str>, realm: MemberRealm },
    Metric { target: TargetId, key: Arc<str> },
}

/// What tells members with equal keys apart within a segment's name: a kind of context, and the kind
/// of segment, since a synced segment is another one than the big one of the same name.
#[derive(Clone)]
pub struct MemberRealm(Arc<SegmentShape>);

/// An operation on its way to its lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    Segment(SegmentChange),
    Metric(MetricChange),
}

/// One member's place in one segment.
#[derive(Clone, PartialEq, Eq)]
pub struct SegmentChange {
    pub target: TargetId,
    pub segment: Arc<str>,
    pub shape: Arc<SegmentShape>,
    /// The segment's name, for when it has to be created.
    pub name: Option<String>,
    /// The member's context key.
    pub member: String,
    pub membership: Membership,
}

/// Where a member is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Membership {
    In(MemberList),
    OutOf(MemberList),
    /// Out of both lists: what several changes may come to.
    Nowhere,
}

/// A segment's two lists of individual members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberList {
    Included,
    Excluded,
}

/// What kind of segment a route writes to, and how one is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentShape {
    pub kind: SegmentKind,
    pub context_kind: String,
    /// Whether the configuration names the segment, rather than the record.
    pub fixed: bool,
    /// How to create a segment that does not exist; `None` leaves that to a person.
    pub create: Option<SegmentCreation>,
}

/// LaunchDarkly's kinds of segment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// Larger list-based: no limit on members, no rules.
    Big,
    /// At most 15,000 individual targets.
    Standard,
    /// Fed through a partner integration's endpoint; its segments are made by their first use.
    Synced { integration_key: String, client_side_id: String, cohort_id: Option<String> },
}

/// What a created segment carries besides its key and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentCreation {
    pub description: Option<String>,
    pub tags: Vec<String>,
}

/// What a metric is meant to be.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricChange {
    pub target: TargetId,
    pub key: Arc<str>,
    pub intent: MetricIntent,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MetricIntent {
    /// The managed fields, by LaunchDarkly's names, the key left out.
    Upsert(Map<String, Value>),
    Archive,
}

/// Membership changes of one segment, each member once.
#[derive(Debug, Clone)]
pub struct SegmentBatch {
    pub target: TargetId,
    pub segment: Arc<str>,
    pub shape: Arc<SegmentShape>,
    pub name: Option<String>,
    pub intents: Vec<Intent<Member, Membership>>,
    /// When the first of them came.
    pub since: Instant,
}

/// A member's context key. Shown as its length only: it may identify a person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Member(pub String);

/// The newest definition of one metric.
#[derive(Debug, Clone)]
pub struct MetricBatch {
    pub target: TargetId,
    pub metric: Arc<str>,
    pub intent: MetricIntent,
    pub slots: Slots,
    /// When the first of them came.
    pub since: Instant,
}

/// A batch of a lane, on its way to LaunchDarkly.
#[derive(Debug, Clone)]
pub enum KeyedBatch {
    Segment(SegmentBatch),
    Metric(MetricBatch),
}

// === impl KeyedBatch ===

impl KeyedBatch {
    pub fn target(&self) -> TargetId {
        match self {
            Self::Segment(batch) => batch.target,
            Self::Metric(batch) => batch.target,
        }
    }

    pub fn lane(&self) -> LaneKey {
        match self {
            Self::Segment(batch) => batch.lane(),
            Self::Metric(batch) => {
                LaneKey::Metric { target: batch.target, key: Arc::clone(&batch.metric) }
            }
        }
    }
}

// === impl SegmentBatch ===

impl SegmentBatch {
    pub fn lane(&self) -> LaneKey {
        let (target, key) = (self.target, Arc::clone(&self.segment));
        LaneKey::Segment { target, key, realm: MemberRealm(Arc::clone(&self.shape)) }
    }
}

// === impl MemberRealm ===

impl MemberRealm {
    /// How a segment is created and who names it makes no difference to its members.
    fn parts(&self) -> (&SegmentKind, &str) {
        (&self.0.kind, &self.0.context_kind)
    }
}

impl PartialEq for MemberRealm {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.parts() == other.parts()
    }
}

impl Eq for MemberRealm {}

impl Hash for MemberRealm {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl fmt::Debug for MemberRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.0.kind, self.0.context_kind)
    }
}

// === impl Operation ===

impl Operation {
    /// The lane in whose order it goes.
    pub fn lane(&self) -> LaneKey {
        match self {
            Self::Segment(change) => {
                let (target, key) = (change.target, Arc::clone(&change.segment));
                LaneKey::Segment { target, key, realm: MemberRealm(Arc::clone(&change.shape)) }
            }
            Self::Metric(change) => {
                LaneKey::Metric { target: change.target, key: Arc::clone(&change.key) }
            }
        }
    }

    /// About how many bytes it keeps in memory, for the in-flight budget.
    pub fn size(&self) -> usize {
        /// What the maps and lists around an intent take.
        const AROUND: usize = 192;
        match self {
            Self::Segment(change) => {
                let name = change.name.as_ref().map_or(0, String::len);
                AROUND + change.segment.len() + name + change.member.len() * 2
            }
            Self::Metric(change) => match &change.intent {
                MetricIntent::Archive => AROUND,
                MetricIntent::Upsert(fields) => {
                    AROUND
                        + fields.iter().map(|(name, value)| name.len() + size(value)).sum::<usize>()
                }
            },
        }
    }
}

/// About how many bytes a value keeps in memory.
fn size(value: &Value) -> usize {
    /// What a value and its place in a list or a map take.
    const ITSELF: usize = 64;
    ITSELF
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(size).sum(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| name.len() + size(value)).sum()
            }
        }
}

// === impl MemberList ===

impl MemberList {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Included => "included",
            Self::Excluded => "excluded",
        }
    }
}

// === impl Membership ===

impl Membership {
    pub fn is_in(self) -> bool {
        matches!(self, Self::In(_))
    }
}

impl Succession for Membership {
    fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            // Being on one list is not being on the other.
            (Self::In(_) | Self::Nowhere, _) => true,
            (Self::OutOf(list), Self::In(older) | Self::OutOf(older)) => list == older,
            (Self::OutOf(_), Self::Nowhere) => false,
        }
    }

    fn after(self, older: &Self) -> Self {
        match (self, older) {
            (Self::In(_) | Self::Nowhere, _) => self,
            (Self::OutOf(list), Self::In(older)) if list != *older => Self::In(*older),
            (Self::OutOf(list), Self::OutOf(older)) if list == *older => self,
            (Self::OutOf(_), _) => Self::Nowhere,
        }
    }
}

// === impl MetricIntent ===

impl Succession for MetricIntent {
    /// A definition says everything that its route manages; another route may manage other fields. A
    /// route that archives says of each definition whether it is archived.
    fn replaces(&self, older: &Self) -> bool {
        match (self, older) {
            (Self::Upsert(new), Self::Upsert(old)) => old.keys().all(|key| new.contains_key(key)),
            (Self::Archive, Self::Upsert(other)) | (Self::Upsert(other), Self::Archive) => {
                other.contains_key(ARCHIVED)
            }
            (Self::Archive, Self::Archive) => true,
        }
    }

    fn after(self, older: &Self) -> Self {
        let archived = || Map::from_iter([(ARCHIVED.to_owned(), Value::Bool(true))]);
        let (mut fields, newest) = match (self, older) {
            (Self::Upsert(new), Self::Upsert(old)) => (old.clone(), new),
            // Another route's definition stands beside it.
            (Self::Upsert(new), Self::Archive) => (archived(), new),
            (Self::Archive, Self::Upsert(old)) if !old.contains_key(ARCHIVED) => {
                (old.clone(), archived())
            }
            (Self::Archive, _) => return Self::Archive,
        };
        fields.extend(newest);
        Self::Upsert(fields)
    }
}

impl fmt::Debug for SegmentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentChange")
            .field("segment", &self.segment)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Member({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upsert(fields: &Value) -> MetricIntent {
        MetricIntent::Upsert(fields.as_object().unwrap().clone())
    }

    #[test]
    fn what_an_operation_holds_counts_against_the_budget_p5() {
        let large = "x".repeat(100_000);
        let metric = |fields: &Value| {
            let (target, key) = (TargetId(0), Arc::from("m"));
            Operation::Metric(MetricChange { target, key, intent: upsert(fields) }).size()
        };
        assert!(metric(&json!({ "description": large })) > 100_000);
        assert!(metric(&json!({ "urls": [{ "kind": "exact", "url": large }] })) > 100_000);
        assert!(metric(&json!({ "filters": { large.as_str(): 1 } })) > 100_000);
        let shape = SegmentShape {
            kind: SegmentKind::Big,
            context_kind: "user".to_owned(),
            fixed: false,
            create: None,
        };
        let segment = |segment: &str, name: &str, member: &str| {
            let change = SegmentChange {
                target: TargetId(0),
                segment: Arc::from(segment),
                shape: Arc::new(shape.clone()),
                name: Some(name.to_owned()),
                member: member.to_owned(),
                membership: Membership::In(MemberList::Included),
            };
            Operation::Segment(change).size()
        };
        let small = segment("s", "n", "m");
        assert!(small < 1_000, "{small}");
        for size in
            [segment(&large, "n", "m"), segment("s", &large, "m"), segment("s", "n", &large)]
        {
            assert!(size > 100_000, "{size}");
        }
    }

    #[test]
    fn definitions_of_one_route_replace_and_those_of_several_add_up() {
        let old = upsert(&json!({ "name": "a", "tags": [] }));
        let same_route = upsert(&json!({ "name": "b", "tags": ["x"] }));
        assert!(same_route.replaces(&old));
        let other_route = upsert(&json!({ "name": "c", "description": "d" }));
        assert!(!other_route.replaces(&old));
        let both = upsert(&json!({ "name": "c", "tags": [], "description": "d" }));
        assert_eq!(other_route.after(&old), both);
    }

    #[test]
    fn a_route_that_archives_loses_nothing_of_another_one() {
        // Its own rows come and go.
        let own = upsert(&json!({ "name": "a", "archived": false }));
        assert!(MetricIntent::Archive.replaces(&own) && own.replaces(&MetricIntent::Archive));
        assert_eq!(own.clone().after(&MetricIntent::Archive), own);
        assert_eq!(MetricIntent::Archive.after(&own), MetricIntent::Archive);
        // Another route does not say whether the metric is archived.
        let other = upsert(&json!({ "name": "b" }));
        assert!(!MetricIntent::Archive.replaces(&other) && !other.replaces(&MetricIntent::Archive));
        let both = upsert(&json!({ "name": "b", "archived": true }));
        assert_eq!(other.clone().after(&MetricIntent::Archive), both);
        assert_eq!(MetricIntent::Archive.after(&other), both);
    }
}
