//! Reads semantic patches: lists of instructions that say what is meant.
//!
//! # Invariants
//! - X1: a patch has at most 1,500 operations on targets, over all its instructions.
//!
//! Not here: whether the result is allowed (`amendment`).

use serde::Deserialize;
use serde_json::{Map, Value};

use super::amendment::Amendment;
use super::members::{List, Move, Verb};
use super::name::Name;
use super::segment::{Kind, Segment, USER};
use crate::sandbox::refusal::Refusal;

/// LaunchDarkly states the limit for each instruction on targets; read as their sum (X1).
const MAX_TARGET_OPERATIONS: usize = 1_500;

/// Documented, and about things that this sandbox does not keep.
const NOT_PLAYED: &[&str] = &[
    "processBigSegmentImport",
    "addRule",
    "removeRule",
    "reorderRules",
    "updateRuleDescription",
    "updateRuleRolloutAndContextKind",
    "addClauses",
    "removeClauses",
    "updateClause",
    "addValuesToClause",
    "removeValuesFromClause",
    "addExpiringTarget",
    "updateExpiringTarget",
    "removeExpiringTarget",
    "addExpireUserTargetDate",
    "updateExpireUserTargetDate",
    "removeExpireUserTargetDate",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SemanticPatch {
    environment_key: Option<String>,
    instructions: Vec<Map<String, Value>>,
}

/// Which segments an instruction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Realm {
    Standard,
    Big,
}

/// Reads a patch for a segment of an environment.
///
/// # Errors
/// 400 for what is not a semantic patch or does not suit the segment, 501 for what is documented
/// and not played.
pub(in crate::sandbox) fn read(
    patch: Value,
    segment: &Segment,
    environment: &str,
) -> Result<Amendment, Refusal> {
    if !patch.is_object() {
        return Err(Refusal::bad_request("a semantic patch is an object with `instructions`"));
    }
    let patch: SemanticPatch = serde_json::from_value(patch).map_err(|error| {
        Refusal::bad_request(format!("a semantic patch has `instructions`: {error}"))
    })?;
    match patch.environment_key {
        Some(key) if key == environment => {}
        Some(key) => {
            let message = format!("`environmentKey` is {key}, and the path names {environment}");
            return Err(Refusal::bad_request(message));
        }
        None => return Err(Refusal::bad_request("`environmentKey` is required")),
    }
    if patch.instructions.is_empty() {
        return Err(Refusal::bad_request("`instructions` must not be empty"));
    }
    let mut amendment = Amendment::default();
    for instruction in &patch.instructions {
        follow(instruction, segment, &mut amendment)?;
    }
    Ok(amendment)
}

fn follow(
    instruction: &Map<String, Value>,
    segment: &Segment,
    amendment: &mut Amendment,
) -> Result<(), Refusal> {
    let kind = text(instruction, "kind")?;
    if let Some((verb, list, realm, context_kind)) = targeting(kind) {
        ensure_realm(kind, realm, segment)?;
        let context_kind = match (context_kind, segment.kind.context_kind(), realm) {
            (Some(fixed), _, Realm::Standard) => Name::from(fixed),
            (_, Some(own), Realm::Big) => own.clone(),
            _ => Name::from(text(instruction, "contextKind")?),
        };
        let moves = texts(instruction, "values")?.into_iter().map(|key| Move {
            verb,
            list,
            context_kind: context_kind.clone(),
            key: key.into(),
        });
        amendment.moves.extend(moves);
        // The instructions for big segments state no limit.
        if realm == Realm::Standard && amendment.moves.len() > MAX_TARGET_OPERATIONS {
            return Err(Refusal::bad_request(format!(
                "more than {MAX_TARGET_OPERATIONS} operations on targets in one patch"
            )));
        }
        return Ok(());
    }
    let details = amendment.details.get_or_insert_with(|| segment.details.clone());
    match kind {
        "updateName" => text(instruction, "value")?.clone_into(&mut details.name),
        "addTags" => {
            for tag in texts(instruction, "values")? {
                if !details.tags.iter().any(|own| own == tag) {
                    details.tags.push(tag.to_owned());
                }
            }
        }
        "removeTags" => {
            let gone = texts(instruction, "values")?;
            details.tags.retain(|tag| !gone.contains(&tag.as_str()));
        }
        _ if NOT_PLAYED.contains(&kind) => {
            return Err(Refusal::not_played(format!("the sandbox does not play `{kind}`")));
        }
        _ => return Err(Refusal::bad_request(format!("`{kind}` is not an instruction"))),
    }
    Ok(())
}

/// Reads the name of an instruction on targets, with the context kind that it implies.
fn targeting(kind: &str) -> Option<(Verb, List, Realm, Option<&'static str>)> {
    let (verb, rest) = match kind.strip_prefix("add") {
        Some(rest) => (Verb::Add, rest),
        None => (Verb::Remove, kind.strip_prefix("remove")?),
    };
    let (realm, rest) = match rest.strip_prefix("BigSegment") {
        Some(rest) => (Realm::Big, rest),
        None => (Realm::Standard, rest),
    };
    let (list, rest) = match rest.strip_prefix("Included") {
        Some(rest) => (List::Included, rest),
        None => (List::Excluded, rest.strip_prefix("Excluded")?),
    };
    match (rest, realm) {
        ("Targets", _) => Some((verb, list, realm, None)),
        ("Users", Realm::Standard) => Some((verb, list, realm, Some(USER))),
        _ => None,
    }
}

fn ensure_realm(instruction: &str, realm: Realm, segment: &Segment) -> Result<(), Refusal> {
    let problem = match (realm, &segment.kind) {
        (Realm::Standard, Kind::Standard) | (Realm::Big, Kind::Big { .. }) => return Ok(()),
        (Realm::Standard, Kind::Big { .. } | Kind::Synced { .. }) => "is for standard segments",
        (Realm::Big, Kind::Standard | Kind::Synced { .. }) => {
            "is for larger list-based segments only"
        }
    };
    Err(Refusal::bad_request(format!("`{instruction}` {problem}; {} is none", segment.key)))
}

fn text<'a>(instruction: &'a Map<String, Value>, name: &str) -> Result<&'a str, Refusal> {
    let found = instruction.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| {
        Refusal::bad_request(format!("an instruction needs `{name}`, a string that is not empty"))
    })
}

fn texts<'a>(instruction: &'a Map<String, Value>, name: &str) -> Result<Vec<&'a str>, Refusal> {
    let found = instruction.get(name).and_then(Value::as_array);
    let texts = found.and_then(|items| items.iter().map(Value::as_str).collect());
    texts.ok_or_else(|| {
        Refusal::bad_request(format!("an instruction needs `{name}`, an array of strings"))
    })
}
