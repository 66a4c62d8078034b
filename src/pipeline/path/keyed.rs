//! The lanes whose order matters: one per segment and per metric, made when needed and forgotten
//! when idle, so that their number costs nothing.
//!
//! # Invariants
//! - Q1: a lane has at most one batch under way (see `coalesce`).
//! - Q2: what a lane costs does not depend on how many others there are: lanes that are due are found
//!   through a heap, and a turn looks at no others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use tokio::time::Instant;

use crate::model::batch::TargetId;
use crate::model::operation::{
    KeyedBatch, LaneKey, Member, Membership, MetricBatch, MetricIntent, Operation, SegmentBatch,
    SegmentShape,
};
use crate::model::progress::Slot;
use crate::model::record::Partition;
use crate::pipeline::coalesce::Coalescer;
use crate::pipeline::settings::CoalesceSettings;

/// All lanes with something to do.
#[derive(Debug)]
pub(super) struct KeyedLanes {
    settings: CoalesceSettings,
    lanes: HashMap<LaneKey, Lane>,
    /// When lanes want to be looked at. May name lanes that have nothing to do any more.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    due_lanes: HashMap<u64, LaneKey>,
    next_ticket: u64,
}

#[derive(Debug)]
enum Lane {
    Segment(Box<SegmentLane>),
    Metric(Coalescer<(), MetricIntent>),
}

#[derive(Debug)]
struct SegmentLane {
    members: Coalescer<Member, Membership>,
    shape: Arc<SegmentShape>,
    name: Option<String>,
}

impl KeyedLanes {
    pub(super) fn new(settings: CoalesceSettings) -> Self {
        Self {
            settings,
            lanes: HashMap::new(),
            due: BinaryHeap::new(),
            due_lanes: HashMap::new(),
            next_ticket: 0,
        }
    }

    /// Takes an operation into its lane. Gives whether it replaced an older intent.
    pub(super) fn offer(&mut self, operation: Operation, slot: Slot, now: Instant) -> bool {
        let key = operation.lane();
        let settings = self.settings;
        let lane = self.lanes.entry(key.clone()).or_insert_with(|| match &operation {
            Operation::Segment(change) => Lane::Segment(Box::new(SegmentLane {
                members: Coalescer::new(settings),
                shape: Arc::clone(&change.shape),
                name: None,
            })),
            Operation::Metric(_) => Lane::Metric(Coalescer::new(settings)),
        });
        let before = lane.deadline();
        let replaced = match (&mut *lane, operation) {
            (Lane::Segment(lane), Operation::Segment(change)) => {
                // The newest name and shape count, as with everything else; but if any of the routes
                // may create the segment, it need not be there for the others.
                lane.name = change.name.or(lane.name.take());
                if change.shape.create.is_some() || lane.shape.create.is_none() {
                    lane.shape = change.shape;
                }
                lane.members.offer(Member(change.member), change.membership, slot, now)
            }
            (Lane::Metric(lane), Operation::Metric(change)) => {
                lane.offer((), change.intent, slot, now)
            }
            // The key tells the kinds apart.
            (Lane::Segment(_), Operation::Metric(_)) | (Lane::Metric(_), Operation::Segment(_)) => {
                false
            }
        };
        let after = lane.deadline();
        if after != before {
            self.note(after, key);
        }
        replaced
    }

    /// When the first lane wants to be cut.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Cuts the lanes that are due.
    pub(super) fn cut_due(&mut self, now: Instant, cut: &mut Vec<KeyedBatch>) {
        while let Some(Reverse((at, ticket))) = self.due.peek().copied() {
            if at > now {
                break;
            }
            self.due.pop();
            let Some(key) = self.due_lanes.remove(&ticket) else { continue };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            match lane.deadline() {
                Some(deadline) if deadline <= now => cut.extend(lane.cut(&key)),
                later => self.note(later, key),
            }
        }
    }

    /// Cuts every lane that has nothing under way.
    pub(super) fn cut_all(&mut self, cut: &mut Vec<KeyedBatch>) {
        cut.extend(self.lanes.iter_mut().filter_map(|(key, lane)| lane.cut(key)));
    }

    /// A lane's batch has ended.
    pub(super) fn finish(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.finish();
        if lane.is_idle() {
            self.lanes.remove(key);
        } else {
            let deadline = lane.deadline();
            self.note(deadline, key.clone());
        }
    }

    /// A lane's batch waits for a person.
    pub(super) fn halt(&mut self, key: &LaneKey) {
        match self.lanes.get_mut(key) {
            Some(Lane::Segment(lane)) => lane.members.halt(),
            Some(Lane::Metric(lane)) => lane.halt(),
            None => {}
        }
    }

    /// How many obligations of a partition wait behind such a batch. Looks at all lanes.
    pub(super) fn halted(&self, partition: &Partition) -> usize {
        let of = |lane: &Lane| match lane {
            Lane::Segment(lane) => of_partition(lane.members.halted(), partition),
            Lane::Metric(lane) => of_partition(lane.halted(), partition),
        };
        self.lanes.values().map(of).sum()
    }

    /// Forgets what is no longer ours, and gives the slots that are and have been superseded.
    pub(super) fn forget(&mut self, is_ours: impl Fn(&Slot) -> bool) -> Vec<Slot> {
        let mut superseded = Vec::new();
        self.lanes.retain(|_, lane| {
            superseded.extend(lane.forget(&is_ours));
            !lane.is_idle()
        });
        superseded
    }

    fn note(&mut self, deadline: Option<Instant>, key: LaneKey) {
        let Some(at) = deadline else { return };
        self.next_ticket += 1;
        self.due.push(Reverse((at, self.next_ticket)));
        self.due_lanes.insert(self.next_ticket, key);
    }
}

impl Lane {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Segment(lane) => lane.members.deadline(),
            Self::Metric(lane) => lane.deadline(),
        }
    }

    fn cut(&mut self, key: &LaneKey) -> Option<KeyedBatch> {
        match (self, key) {
            (Self::Segment(lane), LaneKey::Segment { target, key, .. }) => {
                lane.cut(*target, key).map(KeyedBatch::Segment)
            }
            (Self::Metric(lane), LaneKey::Metric { target, key }) => {
                let since = lane.since()?;
                let newest = lane.cut().into_iter().next()?;
                let (intent, slots) = (newest.wanted(), newest.into_slots());
                let (target, metric) = (*target, Arc::clone(key));
                Some(KeyedBatch::Metric(MetricBatch { target, metric, intent, slots, since }))
            }
            // The key tells the kinds apart.
            (Self::Segment(_), LaneKey::Metric { .. })
            | (Self::Metric(_), LaneKey::Segment { .. }) => None,
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Segment(lane) => lane.members.finish(),
            Self::Metric(lane) => lane.finish(),
        }
    }

    fn is_idle(&self) -> bool {
        match self {
            Self::Segment(lane) => lane.members.is_idle(),
            Self::Metric(lane) => lane.is_idle(),
        }
    }

    fn forget(&mut self, is_ours: impl Fn(&Slot) -> bool) -> Vec<Slot> {
        match self {
            Self::Segment(lane) => lane.members.forget(is_ours),
            Self::Metric(lane) => lane.forget(is_ours),
        }
    }
}

fn of_partition<'s>(slots: impl Iterator<Item = &'s Slot>, partition: &Partition) -> usize {
    slots.filter(|slot| slot.partition == *partition).count()
}

impl SegmentLane {
    fn cut(&mut self, target: TargetId, segment: &Arc<str>) -> Option<SegmentBatch> {
        let since = self.members.since()?;
        let intents = self.members.cut();
        (!intents.is_empty()).then(|| SegmentBatch {
            target,
            segment: Arc::clone(segment),
            shape: Arc::clone(&self.shape),
            name: self.name.clone(),
            intents,
            since,
        })
    }
}
