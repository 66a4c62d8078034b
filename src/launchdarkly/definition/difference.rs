//! Compares a metric as it is with the definition it should have.
//!
//! Only what the definition holds is compared: people may manage the rest by hand. A field that is
//! not there is as good as an empty one, since LaunchDarkly leaves some of them out of its answers;
//! otherwise the same patch would be sent again with every repeat.
//!
//! # Invariants
//! - D1: applying the patch makes the difference equal.
//! - D2: a patch is never empty, and every operation of it changes something.
//! - D3: neither the key nor the kind is ever patched.

use serde_json::{Map, Value, json};

use super::{FIELDS, Field, Life, Shape};

/// What must be done to a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Difference {
    Equal,
    /// The kind of a metric cannot be changed: one of the two must get another key.
    KindDiffers {
        current: String,
        desired: String,
    },
    Patch(Vec<PatchOp>),
}

/// An operation of a JSON patch (RFC 6902).
#[derive(Debug, Clone, PartialEq)]
pub struct PatchOp {
    pub op: PatchKind,
    /// A JSON pointer.
    pub path: String,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Add,
    /// Also clears a field, with `null`.
    Replace,
}

// === impl PatchOp ===

impl PatchOp {
    pub fn to_json(&self) -> Value {
        let op = match self.op {
            PatchKind::Add => "add",
            PatchKind::Replace => "replace",
        };
        json!({ "op": op, "path": self.path, "value": self.value })
    }

    /// `replace` needs something to replace, `add` would do for both but reads like a surprise.
    fn set(object: &Map<String, Value>, prefix: &str, name: &str, value: &Value) -> Self {
        let op = if object.contains_key(name) { PatchKind::Replace } else { PatchKind::Add };
        Self { op, path: format!("{prefix}/{name}"), value: value.clone() }
    }
}

/// Gives what makes `current`, as LaunchDarkly gave it, equal to a valid definition.
pub fn difference(current: &Map<String, Value>, desired: &Map<String, Value>) -> Difference {
    let kind = |of: &Map<String, Value>| of.get("kind").and_then(Value::as_str).map(str::to_owned);
    if let (Some(current), Some(desired)) = (kind(current), kind(desired))
        && current != desired
    {
        return Difference::KindDiffers { current, desired };
    }
    let mut patch = Vec::new();
    for field in FIELDS.iter().filter(|field| field.life != Life::Fixed) {
        if let Some(wanted) = desired.get(field.wire) {
            compare(field, current, wanted, &mut patch);
        }
    }
    if patch.is_empty() { Difference::Equal } else { Difference::Patch(patch) }
}

fn compare(field: &Field, current: &Map<String, Value>, wanted: &Value, patch: &mut Vec<PatchOp>) {
    let now = seen(field, current);
    if let (Shape::EventDefault, Some(Value::Object(now)), Value::Object(wanted)) =
        (field.shape, now, wanted)
    {
        for (name, wanted) in wanted {
            let now_here = now.get(name);
            if !covers(now_here, wanted) && (now_here.is_some() || !is_zero(wanted)) {
                patch.push(PatchOp::set(now, "/eventDefault", name, wanted));
            }
        }
        return;
    }
    let equal = match (field.shape, now, wanted) {
        (Shape::Names | Shape::Urls, Some(Value::Array(now)), Value::Array(wanted)) => {
            same_members(now, wanted)
        }
        (Shape::EventDefault, _, Value::Object(wanted)) => {
            wanted.values().all(|wanted| is_blank(wanted) || is_zero(wanted))
        }
        _ => covers(now, wanted),
    };
    if !equal {
        patch.push(PatchOp::set(current, "", field.wire, wanted));
    }
}

/// The field as it is. Units of analysis may still go by their former name only.
fn seen<'a>(field: &Field, current: &'a Map<String, Value>) -> Option<&'a Value> {
    let former = (field.wire == "analysisUnits").then_some("randomizationUnits");
    current.get(field.wire).or_else(|| current.get(former?))
}

/// Whether what is there holds everything that is wanted. LaunchDarkly adds members of its own to
/// objects.
fn covers(now: Option<&Value>, wanted: &Value) -> bool {
    let now = now.unwrap_or(&Value::Null);
    match (now, wanted) {
        (Value::Object(now), Value::Object(wanted)) => {
            wanted.iter().all(|(name, wanted)| covers(now.get(name), wanted))
        }
        (Value::Array(now), Value::Array(wanted)) => {
            now.len() == wanted.len()
                && now.iter().zip(wanted).all(|(now, wanted)| covers(Some(now), wanted))
        }
        (Value::Number(now), Value::Number(wanted)) => same_number(now, wanted),
        _ => now == wanted || (is_blank(now) && is_blank(wanted)),
    }
}

/// Whether two lists hold the same, whatever the order and however often.
fn same_members(now: &[Value], wanted: &[Value]) -> bool {
    now.iter().all(|now| wanted.iter().any(|wanted| covers(Some(now), wanted)))
        && wanted.iter().all(|wanted| now.iter().any(|now| covers(Some(now), wanted)))
}

fn same_number(one: &serde_json::Number, other: &serde_json::Number) -> bool {
    // As integers first: doubles cannot tell large ones apart.
    one == other || (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
}

/// Whether LaunchDarkly may leave the value out as well as give it.
fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}
