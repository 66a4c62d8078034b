//! Reads JSON patches and JSON merge patches on a segment.
//!
//! Both work on the segment as it is answered: targets of kind `user` in `included` and `excluded`,
//! all others in `includedContexts` and `excludedContexts`. Whether the limit of 1,500 operations
//! binds these forms is undocumented; here it does not.
//!
//! Not here: semantic patches (`semantic_patch`), whether the result is allowed (`amendment`).

use serde_json::{Map, Value, json};

use super::amendment::Amendment;
use super::segment::{Details, Kind, Segment, members_of};
use crate::sandbox::identifiers::object_id;
use crate::sandbox::json_patch::{self, Action, PatchOperation};
use crate::sandbox::refusal::Refusal;

/// Fields that a patch may write, on any segment and on a standard one.
const EDITABLE: &[&str] = &["name", "description", "tags"];
const EDITABLE_IF_STANDARD: &[&str] =
    &["included", "excluded", "includedContexts", "excludedContexts", "rules"];

/// Reads a patch: a bare array, `{"patch": [...]}`, `{"merge": {...}}`, or a bare merge patch.
///
/// # Errors
/// 400 for what cannot be applied, and for a semantic patch without its header; 409 for a failed
/// test.
pub(in crate::sandbox) fn read(body: Value, segment: &Segment) -> Result<Amendment, Refusal> {
    let mut document = Value::Object(segment.document());
    if let Value::Object(mut fields) = body {
        if fields.contains_key("instructions") {
            return Err(Refusal::bad_request(
                "a semantic patch needs `Content-Type: application/json; \
                 domain-model=launchdarkly.semanticpatch`",
            ));
        }
        if let Some(patch) = fields.remove("patch") {
            apply(&mut document, patch, segment)?;
        } else {
            merge(&mut document, fields, segment)?;
        }
    } else {
        apply(&mut document, body, segment)?;
    }
    let Value::Object(document) = document else {
        return Err(Refusal::bad_request("a segment is an object"));
    };
    amendment(&document, segment).map_err(Refusal::bad_request)
}

fn apply(document: &mut Value, patch: Value, segment: &Segment) -> Result<(), Refusal> {
    let patch = json_patch::read(patch)?;
    let writes = patch.iter().filter(|operation| operation.action != Action::Test);
    ensure_editable(writes.map(PatchOperation::field), segment)?;
    Ok(json_patch::apply(document, &patch)?)
}

fn merge(
    document: &mut Value,
    mut fields: Map<String, Value>,
    segment: &Segment,
) -> Result<(), Refusal> {
    let patch = fields.remove("merge").unwrap_or(Value::Object(fields));
    let Value::Object(written) = &patch else {
        return Err(Refusal::bad_request("a merge patch is an object"));
    };
    ensure_editable(written.keys().map(String::as_str), segment)?;
    json_patch::merge(document, patch);
    Ok(())
}

fn ensure_editable<'a>(
    mut fields: impl Iterator<Item = &'a str>,
    segment: &Segment,
) -> Result<(), Refusal> {
    let standard = segment.kind == Kind::Standard;
    let editable = |field: &str| {
        EDITABLE.contains(&field) || (standard && EDITABLE_IF_STANDARD.contains(&field))
    };
    match fields.find(|field| !editable(field)) {
        Some(field) => Err(Refusal::bad_request(format!(
            "/{field} of segment {} cannot be changed",
            segment.key
        ))),
        None => Ok(()),
    }
}

fn amendment(document: &Map<String, Value>, segment: &Segment) -> Result<Amendment, String> {
    let text = |name: &str| match document.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` must be a string")),
    };
    let tags = document.get("tags").cloned().unwrap_or_else(|| json!([]));
    let details = Details {
        name: text("name")?.unwrap_or_default(),
        description: text("description")?,
        tags: serde_json::from_value(tags).map_err(|error| format!("`tags`: {error}"))?,
        rules: rules(document.get("rules"), segment)?,
    };
    let moves = if segment.kind == Kind::Standard {
        segment.members.moves_to(&members_of(document)?)
    } else {
        Vec::new()
    };
    Ok(Amendment { details: Some(details), moves })
}

/// Gives every rule and clause an identifier. What they say is LaunchDarkly's affair.
fn rules(rules: Option<&Value>, segment: &Segment) -> Result<Vec<Value>, String> {
    let malformed = || "`rules` must be an array of objects with `clauses`".to_owned();
    let rules = rules.cloned().unwrap_or_else(|| json!([]));
    let Value::Array(mut rules) = rules else { return Err(malformed()) };
    for (index, rule) in rules.iter_mut().enumerate() {
        let place = format!("{}/{index}", segment.version);
        let fields = rule.as_object_mut().ok_or_else(malformed)?;
        let clauses = fields.get_mut("clauses").and_then(Value::as_array_mut);
        for (number, clause) in clauses.ok_or_else(malformed)?.iter_mut().enumerate() {
            let id = object_id(&["clause", &segment.key, &place, &number.to_string()]);
            clause.as_object_mut().ok_or_else(malformed)?.entry("_id").or_insert(json!(id));
        }
        let id = object_id(&["rule", &segment.key, &place]);
        fields.entry("_id").or_insert(json!(id));
    }
    Ok(rules)
}
