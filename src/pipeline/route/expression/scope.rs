//! The parts of a change as an expression's variables.
//!
//! Only the fields that the expression names are decoded, from the places where the projection has
//! found them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, Value};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::language::with_standard;
use super::reads::Wanted;
use crate::model::change::{BeforeExtent, Change, Op, Placeholder};
use crate::pipeline::route::path::{FieldPath, Root, Step};
use crate::pipeline::route::projection::{PickId, Picks, Projection, document};

/// A variable of an expression, and where its value is found.
#[derive(Debug)]
pub(super) struct Variable {
    /// What it is called.
    name: Root,
    /// What it is made of: another part than its name says when the row as it was stands for the row.
    root: Root,
    fields: Option<Vec<Wish>>,
}

/// A field that is asked for.
#[derive(Debug)]
struct Wish {
    name: String,
    id: PickId,
    /// The same field of the row as it is, when this one is of the row as it was.
    now: Option<PickId>,
}

/// Reads a CEL value from JSON text without a tree in between.
#[derive(Clone, Copy)]
struct CelJson<'p> {
    /// Members with this value are left out, so that `has()` says no.
    unavailable: Option<&'p Placeholder>,
}

// === impl Variable ===

impl Variable {
    pub(super) fn bind(
        name: Root,
        root: Root,
        wanted: &Wanted,
        projection: &mut Projection,
    ) -> Self {
        let is_stand_in = root == Root::Before && name != Root::Before;
        let fields = match wanted {
            Wanted::Fields(fields) if root.is_document() => {
                let mut pick = |root, field: &String| {
                    projection.add(&FieldPath { root, steps: vec![Step::Member(field.clone())] })
                };
                let wish = |field: &String| Wish {
                    name: field.clone(),
                    id: pick(root, field),
                    now: is_stand_in.then(|| pick(Root::After, field)),
                };
                Some(fields.iter().map(wish).collect())
            }
            Wanted::Fields(_) | Wanted::Whole => None,
        };
        Self { name, root, fields }
    }

    fn value(&self, change: &Change<'_>, picks: &Picks) -> Result<Value, String> {
        let record = &change.record;
        Ok(match self.root {
            Root::Op => Value::from(change.op.as_str()),
            Root::Topic => Value::from(record.topic),
            Root::Partition => Value::Int(record.partition.into()),
            Root::Offset => Value::Int(record.offset),
            Root::Timestamp => record.timestamp_ms.map_or(Value::Null, Value::Int),
            Root::Headers => headers_of(change),
            Root::Row | Root::Before | Root::After | Root::Key | Root::Source => {
                match (document(self.root, change), &self.fields) {
                    (None, _) => Value::Null,
                    (Some(text), Some(fields)) if text.starts_with('{') => {
                        self.picked(fields, change, picks)?
                    }
                    (Some(text), _) => self.whole(text, change)?,
                }
            }
        })
    }

    /// A field that it asks for and that nothing is known of: the row is no more, and only its key is
    /// told or believed.
    pub(super) fn untold(&self, change: &Change<'_>, picks: &Picks) -> Option<String> {
        let is_gone = self.root == Root::Row && change.op == Op::Delete;
        let is_key = (is_gone && change.before.is_none())
            || ((is_gone || self.root == Root::Before)
                && change.before_extent == BeforeExtent::Key);
        if !is_key {
            return None;
        }
        let name = self.name.as_str();
        let Some(fields) = &self.fields else { return Some(format!("all of {name}")) };
        let absent = fields.iter().find(|field| !picks.has(field.id));
        absent.map(|field| format!("{name}.{}", field.name))
    }

    fn whole(&self, text: &str, change: &Change<'_>) -> Result<Value, String> {
        let malformed = |e| format!("{} is malformed: {e}", self.name.as_str());
        let value = decoded(text, change).map_err(malformed)?;
        let is_stand_in = self.root == Root::Before && self.name != Root::Before;
        if !is_stand_in || change.before_extent != BeforeExtent::Changed {
            return Ok(value);
        }
        // What an update left alone was as it is.
        let now = change.after.map_or(Ok(Value::Null), |after| decoded(after, change));
        Ok(match (now.map_err(malformed)?, value) {
            (Value::Map(now), Value::Map(before)) => {
                let mut members = HashMap::clone(&now.map);
                members.extend(before.map.iter().map(|(k, v)| (k.clone(), v.clone())));
                Value::Map(Map { map: Arc::new(members) })
            }
            (_, value) => value,
        })
    }

    fn picked(&self, fields: &[Wish], change: &Change<'_>, picks: &Picks) -> Result<Value, String> {
        let mut members = HashMap::with_capacity(fields.len());
        let is_partial = change.before_extent == BeforeExtent::Changed;
        for Wish { name: field, id, now } in fields {
            // What an update left alone was as it is.
            let left_alone = || picks.json((*now).filter(|_| is_partial)?, change);
            let Some(text) = picks.json(*id, change).or_else(left_alone) else { continue };
            let malformed = |e| format!("{}.{field} is malformed: {e}", self.name.as_str());
            let value = decoded(text, change).map_err(malformed)?;
            if !CelJson::of(change).is_unavailable(&value) {
                members.insert(Key::from(field.as_str()), value);
            }
        }
        Ok(Value::Map(Map { map: Arc::new(members) }))
    }
}

/// Lends a scope that holds the variables.
///
/// # Errors
/// A text for a person when a value of the change cannot be decoded.
pub(super) fn with_scope<T>(
    variables: &[Variable],
    change: &Change<'_>,
    picks: &Picks,
    take: impl FnOnce(&Context<'_, 'static>) -> T,
) -> Result<T, String> {
    with_standard(|standard| {
        let mut scope = standard.new_inner_scope();
        for variable in variables {
            let value = variable.value(change, picks)?;
            scope.add_variable_from_value(variable.name.as_str(), value);
        }
        Ok(take(&scope))
    })
}

fn decoded(text: &str, change: &Change<'_>) -> Result<Value, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = CelJson::of(change).deserialize(&mut json)?;
    json.end().map(|()| value)
}

fn headers_of(change: &Change<'_>) -> Value {
    let headers = change.record.headers;
    let named = (0..headers.count()).filter_map(|i| headers.at(i)).filter_map(|(name, value)| {
        let text = std::str::from_utf8(value?).ok()?;
        Some((Key::from(name), Value::from(text)))
    });
    Value::Map(Map { map: Arc::new(named.collect()) })
}

// === impl CelJson ===

impl<'p> CelJson<'p> {
    fn of(change: &Change<'p>) -> Self {
        Self { unavailable: change.unavailable }
    }

    fn is_unavailable(self, value: &Value) -> bool {
        let Some(placeholder) = self.unavailable else { return false };
        match value {
            Value::String(text) => placeholder.is(text),
            Value::List(list) => match list.as_slice() {
                [Value::String(text)] => placeholder.is(text),
                codes => {
                    let text = placeholder.text.bytes().map(|code| Value::Int(code.into()));
                    codes.len() == placeholder.text.len() && text.eq(codes.iter().cloned())
                }
            },
            Value::Map(_)
            | Value::Function(..)
            | Value::Int(_)
            | Value::UInt(_)
            | Value::Float(_)
            | Value::Bytes(_)
            | Value::Bool(_)
            | Value::Opaque(_)
            | Value::Struct(_)
            | Value::Null => false,
        }
    }
}

impl<'de> DeserializeSeed<'de> for CelJson<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CelJson<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(i64::try_from(v).map_or(Value::UInt(v), Value::Int))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(Arc::new(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = HashMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let name = Key::from(name);
            let value = map.next_value_seed(self)?;
            if self.is_unavailable(&value) {
                members.remove(&name);
            } else {
                members.insert(name, value);
            }
        }
        Ok(Value::Map(Map { map: Arc::new(members) }))
    }
}
