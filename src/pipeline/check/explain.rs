//! A verdict in words: what is wrong, with the names that help to mend it.

use super::verdict::Event;
use crate::model::knowledge::{Knowledge, SegmentFacts};
use crate::model::operation::{SegmentKind, SegmentShape};
use crate::model::outcome::RefusalReason;

/// A key out of a record may be anything; a line should stay a line.
const LONGEST_SHOWN: usize = 80;
/// From this edit distance on, two keys are no longer a likely typing mistake.
const TOO_FAR: usize = 3;

/// Why an event would not count.
pub fn event(event: Event<'_>, reason: RefusalReason, knowledge: &Knowledge) -> String {
    let listening = knowledge.metrics.as_ref().and_then(|all| all.get(event.key));
    let listening = listening.map(Vec::as_slice).unwrap_or_default();
    let named = |wanted: fn(bool) -> bool| {
        let keys = listening.iter().filter(|metric| wanted(metric.archived));
        keys.map(|metric| format!("`{}`", metric.key)).collect::<Vec<_>>().join(", ")
    };
    let key = shown(event.key);
    if reason == RefusalReason::MetricMissing {
        if !listening.is_empty() {
            return format!("only archived metrics have the event key `{key}`: {}", named(|a| a));
        }
        let hint = nearest(event.key, knowledge);
        let hint = hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        return format!("no metric has the event key `{key}`{hint}");
    }
    if reason == RefusalReason::AnalysisUnitMissing {
        let units = listening.iter().filter_map(|metric| metric.units.as_ref()).flatten();
        let mut units: Vec<&str> = units.map(String::as_str).collect();
        units.sort_unstable();
        units.dedup();
        return format!(
            "the metrics of the event key `{key}` ({}) analyse {}, and the event is about {}",
            named(|archived| !archived),
            units.join(", "),
            event.context_kinds.join(", "),
        );
    }
    format!(
        "the metrics of the event key `{key}` ({}) measure a number, and the event brings none",
        named(|archived| !archived)
    )
}

/// Why a change of members would have no effect.
pub fn segment(
    key: &str,
    shape: &SegmentShape,
    reason: RefusalReason,
    found: Option<&SegmentFacts>,
) -> String {
    let shown = shown(key);
    if reason == RefusalReason::InvalidKey {
        return invalid_key("segment", key);
    }
    let Some(found) = found else { return format!("there is no segment `{shown}`") };
    let found = match found {
        SegmentFacts::Standard => "standard".to_owned(),
        SegmentFacts::Big { context_kind } => format!("big, of the context kind {context_kind}"),
        SegmentFacts::Synced { context_kind, integration } => {
            format!("synced by {integration}, of the context kind {context_kind}")
        }
    };
    let wanted = match &shape.kind {
        SegmentKind::Standard => "standard",
        SegmentKind::Big => "big",
        SegmentKind::Synced { .. } => "synced",
    };
    let kind = &shape.context_kind;
    format!("the segment `{shown}` is {found}; the route says {wanted}, of the context kind {kind}")
}

/// Why a text cannot be a key.
pub fn invalid_key(of: &str, key: &str) -> String {
    format!("`{}` cannot be the key of a {of}", shown(key))
}

fn nearest<'k>(key: &str, knowledge: &'k Knowledge) -> Option<&'k str> {
    let known = knowledge.metrics.iter().flat_map(|all| all.keys().map(String::as_str));
    let near = known.map(|known| (strsim::damerau_levenshtein(key, known), known));
    let near = near.filter(|(distance, known)| *distance < TOO_FAR.min(known.len()));
    near.min().map(|(_, known)| known)
}

fn shown(key: &str) -> String {
    key.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_SHOWN).collect()
}
