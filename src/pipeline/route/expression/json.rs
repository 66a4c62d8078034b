//! Writes what an expression gave as JSON.
//!
//! # Invariants
//! - X1: equal values give equal bytes: members are sorted, since the language's objects have no
//!   order and a request must be the same whenever it is made.

use cel::Value;
use serde_json::{Map, Number, Value as Json};

/// The JSON of a value.
///
/// # Errors
/// What it is that JSON cannot hold.
pub(super) fn json(value: &Value) -> Result<Json, String> {
    match value {
        Value::Null => Ok(Json::Null),
        Value::Bool(value) => Ok(Json::Bool(*value)),
        Value::Int(value) => Ok(Json::from(*value)),
        Value::UInt(value) => Ok(Json::from(*value)),
        Value::Float(value) => Number::from_f64(*value)
            .map(Json::Number)
            .ok_or_else(|| "gives a number that is not finite".to_owned()),
        Value::String(text) => Ok(Json::from(text.as_str())),
        Value::List(items) => items.iter().map(json).collect::<Result<_, _>>().map(Json::Array),
        Value::Map(map) => {
            let mut members: Vec<(String, &Value)> =
                map.map.iter().map(|(name, value)| (name.to_string(), value)).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            let members =
                members.into_iter().map(|(name, value)| Ok::<_, String>((name, json(value)?)));
            members.collect::<Result<Map<_, _>, _>>().map(Json::Object)
        }
        Value::Bytes(_) => Err("gives bytes, which a request cannot hold".to_owned()),
        Value::Function(..) | Value::Opaque(_) | Value::Struct(_) => {
            Err(format!("gives a {}, which a request cannot hold", value.type_of()))
        }
    }
}
