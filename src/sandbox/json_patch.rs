//! Applies a JSON patch (RFC 6902) or a JSON merge patch (RFC 7386) to a document.
//!
//! LaunchDarkly speaks of "a limited set of operations" and shows `add`, `replace`, `remove` and
//! `test`; `move` and `copy` are refused here rather than guessed at. Where the RFC is strict, so is
//! this: what does not exist can be added, not replaced.
//!
//! # Invariants
//! - P1: operations take effect in order; the document is to be thrown away if one fails.
//!
//! Not here: which paths may be written (`metrics`, `segments`).

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// One operation of a patch.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PatchOperation {
    pub(super) action: Action,
    /// The path's parts, unescaped.
    path: Vec<String>,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Add,
    Replace,
    Remove,
    Test,
}

#[derive(Deserialize)]
struct Written {
    op: String,
    path: String,
    #[serde(default, deserialize_with = "present")]
    value: Option<Value>,
}

/// Why a patch has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum PatchError {
    #[error("the JSON patch is not an array of operations with `op` and `path`: {0}")]
    Unreadable(String),
    #[error("operation {index}: `{op}` is not one of add, replace, remove, test")]
    UnknownOperation { index: usize, op: String },
    #[error("operation {index}: the path must begin with / and name a field")]
    Path { index: usize },
    #[error("operation {index}: a value is missing")]
    NoValue { index: usize },
    #[error("operation {index}: nothing is at {path}; `add` creates a field")]
    Nothing { index: usize, path: String },
    #[error("operation {index}: the test of {path} failed")]
    TestFailed { index: usize, path: String },
}

/// Tells `null` from a value that is not there.
fn present<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(source).map(Some)
}

// === impl PatchError ===

impl From<PatchError> for Refusal {
    fn from(error: PatchError) -> Self {
        let message = error.to_string();
        match error {
            PatchError::TestFailed { .. } => Self::outdated(message),
            PatchError::Unreadable(_)
            | PatchError::UnknownOperation { .. }
            | PatchError::Path { .. }
            | PatchError::NoValue { .. }
            | PatchError::Nothing { .. } => Self::bad_request(message),
        }
    }
}

// === impl PatchOperation ===

impl PatchOperation {
    /// Returns the field of the document's top level that this is about.
    pub(super) fn field(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }

    fn read(index: usize, written: Written) -> Result<Self, PatchError> {
        let Written { op, path, value } = written;
        let action = match op.as_str() {
            "add" => Action::Add,
            "replace" => Action::Replace,
            "remove" => Action::Remove,
            "test" => Action::Test,
            _ => return Err(PatchError::UnknownOperation { index, op }),
        };
        let value = match (action, value) {
            (_, Some(value)) => value,
            (Action::Remove, None) => Value::Null,
            (Action::Add | Action::Replace | Action::Test, None) => {
                return Err(PatchError::NoValue { index });
            }
        };
        let parts = path.strip_prefix('/').ok_or(PatchError::Path { index })?;
        let path: Vec<_> =
            parts.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
        if path.first().is_none_or(String::is_empty) {
            return Err(PatchError::Path { index });
        }
        Ok(Self { action, path, value })
    }

    fn apply(&self, index: usize, document: &mut Value) -> Result<(), PatchError> {
        let nothing = || PatchError::Nothing { index, path: self.shown_path() };
        let (last, parents) = self.path.split_last().ok_or(PatchError::Path { index })?;
        let parent = parents.iter().try_fold(document, |it, part| child(it, part));
        let parent = match (parent, self.action) {
            (Some(parent), _) => parent,
            (None, Action::Test) => return Err(self.failed(index)),
            (None, Action::Add | Action::Replace | Action::Remove) => return Err(nothing()),
        };
        match self.action {
            Action::Test => {
                let holds = child(parent, last).is_some_and(|found| equal(found, &self.value));
                if holds { Ok(()) } else { Err(self.failed(index)) }
            }
            Action::Add => add(parent, last, self.value.clone()).ok_or_else(nothing),
            Action::Replace => {
                *child(parent, last).ok_or_else(nothing)? = self.value.clone();
                Ok(())
            }
            Action::Remove => remove(parent, last).ok_or_else(nothing),
        }
    }

    fn failed(&self, index: usize) -> PatchError {
        PatchError::TestFailed { index, path: self.shown_path() }
    }

    fn shown_path(&self) -> String {
        format!("/{}", self.path.join("/"))
    }
}

/// Reads a patch.
pub(super) fn read(patch: Value) -> Result<Vec<PatchOperation>, PatchError> {
    let written: Vec<Written> =
        serde_json::from_value(patch).map_err(|error| PatchError::Unreadable(error.to_string()))?;
    let read = |(index, written)| PatchOperation::read(index, written);
    written.into_iter().enumerate().map(read).collect()
}

/// Applies all operations in order (P1).
pub(super) fn apply(document: &mut Value, patch: &[PatchOperation]) -> Result<(), PatchError> {
    patch.iter().enumerate().try_for_each(|(index, operation)| operation.apply(index, document))
}

/// Merges a patch into a document: `null` removes, an object merges, anything else replaces.
pub(super) fn merge(document: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *document = patch;
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(fields) = document else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(&name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn child<'a>(parent: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match parent {
        Value::Object(fields) => fields.get_mut(part),
        Value::Array(items) => items.get_mut(place(part)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn add(parent: &mut Value, part: &str, value: Value) -> Option<()> {
    match parent {
        Value::Object(fields) => {
            fields.insert(part.to_owned(), value);
            Some(())
        }
        Value::Array(items) => {
            let place = if part == "-" { items.len() } else { place(part)? };
            (place <= items.len()).then(|| items.insert(place, value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn remove(parent: &mut Value, part: &str) -> Option<()> {
    match parent {
        Value::Object(fields) => fields.remove(part).map(drop),
        Value::Array(items) => {
            let place = place(part)?;
            (place < items.len()).then(|| drop(items.remove(place)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// Reads an array index; the RFC knows no signs and no leading zeros.
fn place(part: &str) -> Option<usize> {
    let plain = part == "0" || !part.starts_with(['0', '+', '-']);
    part.parse().ok().filter(|_| plain)
}

/// Compares as the RFC does: 12 and 12.0 are the same number.
fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(document: &Value, patch: Value) -> Result<Value, PatchError> {
        let mut document = document.clone();
        apply(&mut document, &read(patch)?)?;
        Ok(document)
    }

    #[test]
    fn operations_take_effect_in_order_p1() {
        let document = json!({"name": "a", "tags": ["x", "y"], "deep": {"flag": false}});
        let patch = json!([
            {"op": "test", "path": "/name", "value": "a"},
            {"op": "replace", "path": "/name", "value": "b"},
            {"op": "test", "path": "/name", "value": "b"},
            {"op": "add", "path": "/tags/0", "value": "w"},
            {"op": "add", "path": "/tags/-", "value": "z"},
            {"op": "remove", "path": "/tags/1"},
            {"op": "replace", "path": "/deep/flag", "value": null},
            {"op": "add", "path": "/a~1b~0", "value": 1},
        ]);
        let expected = json!(
            {"name": "b", "tags": ["w", "y", "z"], "deep": {"flag": null}, "a/b~": 1});
        assert_eq!(patched(&document, patch).expect("applies"), expected);
    }

    #[test]
    fn a_failed_test_is_told_from_a_wrong_patch() {
        let document = json!({"version": 3, "tags": []});
        for (value, holds) in [(json!(3), true), (json!(3.0), true), (json!(4), false)] {
            let patch = json!([{"op": "test", "path": "/version", "value": value}]);
            let result = patched(&document, patch);
            let failed = matches!(result, Err(PatchError::TestFailed { .. }));
            assert_eq!((result.is_ok(), failed), (holds, !holds), "{value}");
        }
        for wrong in [
            json!([{"op": "replace", "path": "/absent", "value": 1}]),
            json!([{"op": "remove", "path": "/absent"}]),
            json!([{"op": "add", "path": "/tags/1", "value": 1}]),
            json!([{"op": "add", "path": "/version/x", "value": 1}]),
            json!([{"op": "add", "path": "/name"}]),
            json!([{"op": "move", "from": "/tags", "path": "/name"}]),
            json!([{"op": "add", "path": "name", "value": 1}]),
            json!([{"op": "replace", "path": "", "value": {}}]),
            json!({"op": "add", "path": "/name", "value": 1}),
        ] {
            let error = patched(&document, wrong.clone()).expect_err("refused");
            assert!(!matches!(error, PatchError::TestFailed { .. }), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_merge_replaces_removes_and_descends() {
        let mut document = json!({"name": "a", "description": "d", "deep": {"x": 1, "y": 2}});
        merge(&mut document, json!({"name": "b", "description": null, "deep": {"y": 3}, "n": 1}));
        assert_eq!(document, json!({"name": "b", "deep": {"x": 1, "y": 3}, "n": 1}));
    }
}
