//! The rule: does LaunchDarkly have what an operation takes for granted?
//!
//! Several metrics may listen to one event key. An event is mistaken only when none of them counts
//! it: whether it should have counted for the others too, only a person knows.

use std::borrow::Cow;

use crate::model::knowledge::{Knowledge, MetricFacts, SegmentFacts};
use crate::model::operation::{SegmentChange, SegmentKind, SegmentShape};
use crate::model::outcome::RefusalReason;

/// LaunchDarkly states no limit; its own Terraform provider allows no more for any key.
const LONGEST_KEY: usize = 256;

/// What is to be said of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Counts,
    /// What would decide it is not known.
    Unknown,
    /// It would have no effect.
    Mistaken(RefusalReason),
}

/// A metric event as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    pub key: &'a str,
    pub context_kinds: &'a [String],
    pub has_value: bool,
}

/// Whether any metric would count the event.
pub fn of_event(event: Event<'_>, knowledge: &Knowledge) -> Verdict {
    let Some(metrics) = &knowledge.metrics else { return Verdict::Unknown };
    let listening = metrics.get(event.key).map(Vec::as_slice).unwrap_or_default();
    // The nearest miss of all metrics says best what to mend.
    let mut nearest = RefusalReason::MetricMissing;
    for metric in listening {
        match of_metric(event, metric) {
            None => return Verdict::Counts,
            Some(miss) if nearness(miss) > nearness(nearest) => nearest = miss,
            Some(_) => {}
        }
    }
    Verdict::Mistaken(nearest)
}

/// Why a metric that listens to the event's key does not count it.
pub fn of_metric(event: Event<'_>, metric: &MetricFacts) -> Option<RefusalReason> {
    if metric.archived {
        return Some(RefusalReason::MetricMissing);
    }
    if let Some(units) = &metric.units
        && !units.is_empty()
        && !event.context_kinds.iter().any(|kind| units.contains(kind))
    {
        return Some(RefusalReason::AnalysisUnitMissing);
    }
    (metric.is_numeric && !event.has_value).then_some(RefusalReason::ValueMissing)
}

fn nearness(miss: RefusalReason) -> usize {
    let order = [RefusalReason::AnalysisUnitMissing, RefusalReason::ValueMissing];
    order.iter().position(|reason| *reason == miss).map_or(0, |position| position + 1)
}

/// Whether a change of a member has the effect that it should have. Nobody has to leave a segment that
/// is not there, unless the configuration says that it should be.
pub fn of_change(change: &SegmentChange, knowledge: &Knowledge) -> Verdict {
    let SegmentChange { segment, shape, membership, .. } = change;
    let verdict = of_segment(segment, shape, knowledge);
    let is_missing = verdict == Verdict::Mistaken(RefusalReason::SegmentMissing);
    let has_left = is_missing && !membership.is_in() && !shape.fixed;
    if has_left { Verdict::Counts } else { verdict }
}

/// Whether a segment is there in the shape that its members are written in.
pub fn of_segment(key: &str, shape: &SegmentShape, knowledge: &Knowledge) -> Verdict {
    // What a cohort's ID may be is not documented.
    if !is_key(key) && !matches!(shape.kind, SegmentKind::Synced { .. }) {
        return Verdict::Mistaken(RefusalReason::InvalidKey);
    }
    match (knowledge.segments.get(&*segment_key(key, shape)), &shape.kind) {
        (None, _) => Verdict::Unknown,
        // Its first request makes it.
        (Some(None), SegmentKind::Synced { .. }) => Verdict::Counts,
        (Some(None), _) if shape.create.is_some() => Verdict::Counts,
        (Some(None), _) => Verdict::Mistaken(RefusalReason::SegmentMissing),
        (Some(Some(found)), _) => of_shape(shape, found),
    }
}

/// The key under which LaunchDarkly keeps a segment. For synced ones it is what LaunchDarkly's
/// integration framework makes; where the real one is another, nothing is found and nothing is said.
pub fn segment_key<'k>(key: &'k str, shape: &SegmentShape) -> Cow<'k, str> {
    match &shape.kind {
        SegmentKind::Big | SegmentKind::Standard => Cow::Borrowed(key),
        SegmentKind::Synced { integration_key, cohort_id, .. } => {
            format!("{integration_key}-{}", cohort_id.as_deref().unwrap_or(key)).into()
        }
    }
}

fn of_shape(shape: &SegmentShape, found: &SegmentFacts) -> Verdict {
    let of_kind = |context_kind: &str| {
        if context_kind == shape.context_kind {
            Verdict::Counts
        } else {
            Verdict::Mistaken(RefusalReason::ContextKindDiffers)
        }
    };
    match (&shape.kind, found) {
        (SegmentKind::Standard, SegmentFacts::Standard) => Verdict::Counts,
        (SegmentKind::Big, SegmentFacts::Big { context_kind }) => of_kind(context_kind),
        (
            SegmentKind::Synced { integration_key, .. },
            SegmentFacts::Synced { context_kind, integration },
        ) if integration == integration_key => of_kind(context_kind),
        _ => Verdict::Mistaken(RefusalReason::SegmentKindDiffers),
    }
}

/// Whether a text can be the key of a metric or a segment.
pub fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric();
    key.len() <= LONGEST_KEY
        && key.starts_with(plain)
        && key.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'))
}
