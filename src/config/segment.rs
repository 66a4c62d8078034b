//! `segment_member`: which rows are members of which segment.
//!
//! Not here: how a single value is mapped (`fields`).

use std::sync::Arc;

use super::fields::Role;
use super::keys;
use super::operation::{KEY, check_key, condition, mapped, target};
use super::section::{CONTEXT_KIND, Section, is_context_kind, items, scalar};
use crate::launchdarkly::synced::{SyncedError, SyncedSegment, SyncedSpec};
use crate::model::operation::{MemberList, SegmentCreation, SegmentKind, SegmentShape};
use crate::pipeline::check::verdict::is_key;
use crate::pipeline::route::settings::{Field, FieldSource, SegmentMemberSettings};

/// How the kinds of segment are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Big,
    Standard,
    Synced,
}

pub(super) fn member(section: &Section<'_>, targets: &[String]) -> Option<SegmentMemberSettings> {
    let target = target(section, targets);
    let segment = mapped(section, "segment", Role::SegmentKey);
    if section.get("segment").is_none() {
        section.missing("segment", "give the segment's key, or a field that holds it");
    }
    let context_key = mapped(section, "context_key", Role::ContextKey);
    if section.get("context_key").is_none() {
        section.missing("context_key", "say who the member is: context_key: $.row.user_id");
    }
    let name = mapped(section, "name", Role::Attribute);
    let fixed = segment.as_ref().is_some_and(|s| matches!(s.from, FieldSource::Literal(_)));
    let shape = shape(section, fixed);
    let condition = section.text("member").map(|text| condition(section.review, text));
    let list = section
        .choice("list", &[("included", MemberList::Included), ("excluded", MemberList::Excluded)])
        .unwrap_or(MemberList::Included);
    let exclusive = texts(section, "exclusive");
    check_keys(section, shape.as_ref(), segment.as_ref(), &exclusive);
    check_synced(section, shape.as_ref(), list);
    let (target, target_name) = target?;
    Some(SegmentMemberSettings {
        target,
        target_name,
        segment: segment?,
        name,
        shape: Arc::new(shape?),
        context_key: context_key?,
        member: condition.flatten(),
        list,
        exclusive,
    })
}

fn shape(section: &Section<'_>, fixed: bool) -> Option<SegmentShape> {
    let kinds = [("big", Kind::Big), ("standard", Kind::Standard), ("synced", Kind::Synced)];
    let written = section.choice("kind", &kinds).unwrap_or(Kind::Big);
    let context_kind = section.text("context_kind").map_or_else(
        || "user".to_owned(),
        |kind| {
            if !is_context_kind(&kind.text) {
                let problem = "cannot name a context kind";
                section.review.mistake(&kind.at, problem, CONTEXT_KIND);
            }
            kind.text.clone()
        },
    );
    let create = section.flag("create", false);
    for name in ["description", "tags"] {
        if section.get(name).is_some() && !create {
            let problem = "has no meaning without `create: true`";
            section.review.mistake(&section.at(name), problem, "add it, or remove this");
        }
    }
    let creation = SegmentCreation {
        description: section.text("description").map(|text| text.text.clone()),
        tags: texts(section, "tags"),
    };
    let kind = match written {
        Kind::Big => SegmentKind::Big,
        Kind::Standard => SegmentKind::Standard,
        Kind::Synced => synced(section)?,
    };
    if written != Kind::Synced && section.get("synced").is_some() {
        let problem = "has no meaning for this kind of segment";
        section.review.mistake(&section.at("synced"), problem, "add kind: synced, or remove this");
    }
    Some(SegmentShape { kind, context_kind, fixed, create: create.then_some(creation) })
}

fn synced(section: &Section<'_>) -> Option<SegmentKind> {
    if section.get("synced").is_none() {
        let remedy = "say through which integration: synced: { integration_key: \
                      segment-audiences, client_side_id: ... }";
        section.missing("synced", remedy);
        return None;
    }
    let synced = section.section("synced", keys::SYNCED);
    let integration = synced.required("integration_key", "name the integration's key");
    let environment = synced.required("client_side_id", "give the environment's client-side ID");
    Some(SegmentKind::Synced {
        integration_key: integration?.text.clone(),
        client_side_id: environment?.text.clone(),
        cohort_id: synced.text("cohort_id").map(|text| text.text.clone()),
    })
}

/// Refuses keys that no segment can have. A cohort is known by its ID, which may be any text.
fn check_keys(
    section: &Section<'_>,
    shape: Option<&SegmentShape>,
    segment: Option<&Field>,
    exclusive: &[String],
) {
    if shape.is_none_or(|shape| matches!(shape.kind, SegmentKind::Synced { .. })) {
        return;
    }
    if let Some(segment) = segment {
        check_key(section, "segment", segment);
    }
    if exclusive.iter().any(|other| !is_key(other)) {
        let problem = "has what cannot be the key of a segment";
        section.review.mistake(&section.at("exclusive"), problem, KEY);
    }
}

/// Tries a synced segment with an example: what is wrong with it here is wrong with every record.
fn check_synced(section: &Section<'_>, shape: Option<&SegmentShape>, list: MemberList) {
    let Some(SegmentShape { kind, context_kind, fixed, .. }) = shape else { return };
    let SegmentKind::Synced { integration_key, client_side_id, cohort_id } = kind else { return };
    if cohort_id.is_some() && !fixed {
        let problem = "names one cohort for all the segments that the records name";
        let remedy = "remove it: each segment's key is its cohort's ID then";
        section.review.mistake(&section.at("synced"), problem, remedy);
    }
    let example = SyncedSpec {
        integration_key: integration_key.clone(),
        client_side_id: client_side_id.clone(),
        cohort_id: cohort_id.clone().unwrap_or_else(|| "example".to_owned()),
        cohort_name: "example".to_owned(),
        context_kind: context_kind.clone(),
    };
    let problem = match (SyncedSegment::try_new(example), list) {
        (Err(error), _) => error.to_string(),
        (Ok(_), MemberList::Excluded) => SyncedError::Exclusion.to_string(),
        (Ok(_), MemberList::Included) => return,
    };
    section.review.mistake(&section.at("synced"), problem, "mend it, or use kind: big");
}

fn texts(section: &Section<'_>, name: &str) -> Vec<String> {
    let Some(value) = section.get(name) else { return Vec::new() };
    let items = items(section.review, value).iter();
    items.filter_map(|item| scalar(section.review, item)).map(|text| text.text.clone()).collect()
}
