//! The `{schema, payload}` that Kafka Connect's JSON converter puts around a document.
//!
//! With `schemas.enable=true` the document is the `payload` beside a `schema` that is often three
//! times as long. Other documents may have members of these names too, an outbox table for example,
//! so only an object of exactly these two, with a schema that can be one, is taken for a wrapper.
//!
//! Rule: `JsonConverter` itself demands these two members and no others, see
//! <https://cwiki.apache.org/confluence/spaces/KAFKA/pages/80453670/KIP-301+Schema+Inferencing+for+JsonConverter>.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::members::{Members, Name, SCHEMA, Scan, Wanted, members};

/// A document that was looked into, taken out of its wrapper if it had one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Document<'a, const N: usize> {
    pub(super) text: &'a str,
    pub(super) members: Members<'a, N>,
    pub(super) is_wrapped: bool,
}

/// Reads a document and finds members of it by their names. `None` when it is null, with or without
/// a wrapper: so the converter writes a tombstone when it is told of a schema.
///
/// # Errors
/// The text, or what it wraps, is not one JSON object.
pub(super) fn document<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Result<Option<Document<'a, N>>, serde_json::Error> {
    let text = text.trim_ascii();
    if text == "null" {
        return Ok(None);
    }
    let outer = members(text, names)?;
    match wrapped(&outer) {
        None => Ok(Some(Document { text, members: outer, is_wrapped: false })),
        Some("null") => Ok(None),
        Some(text) => {
            let members = members(text, names)?;
            Ok(Some(Document { text, members, is_wrapped: true }))
        }
    }
}

/// Reads the members of an object or, when it is a wrapper, of the object within, in one go. `None` when
/// that is null.
///
/// # Errors
/// The text, or what it wraps, is not one JSON object.
pub(super) fn opened<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Result<Option<[Option<&'a str>; N]>, serde_json::Error> {
    if text.trim_ascii() == "null" {
        return Ok(None);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let Outer { own, schema, payload, count } = json.deserialize_map(Open(names))?;
    json.end()?;
    match payload.filter(|_| count == 2 && schema.is_some_and(is_schema)) {
        None => Ok(Some(own)),
        Some(Payload::Object(members)) => Ok(Some(members)),
        Some(Payload::Null) => Ok(None),
        // For the error's sake.
        Some(Payload::Other) => {
            document(text, names).map(|document| document.map(|it| it.members.found))
        }
    }
}

/// What an object has, whether it is a wrapper or not.
struct Outer<'a, const N: usize> {
    own: [Option<&'a str>; N],
    schema: Option<&'a str>,
    payload: Option<Payload<'a, N>>,
    /// How many members altogether.
    count: usize,
}

enum Payload<'a, const N: usize> {
    Object([Option<&'a str>; N]),
    Null,
    Other,
}

struct Open<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Open<'_, N> {
    type Value = Outer<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut outer = Outer { own: [None; N], schema: None, payload: None, count: 0 };
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            outer.count += 1;
            let place = match name {
                Wanted::Own(at) => outer.own.get_mut(at),
                Wanted::Wrapper(SCHEMA) => Some(&mut outer.schema),
                Wanted::Wrapper(_) => {
                    outer.payload = Some(map.next_value_seed(Within(self.0))?);
                    continue;
                }
                Wanted::No => None,
            };
            match place {
                Some(found) => *found = Some(map.next_value::<&RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(outer)
    }
}

/// Reads what may be wrapped.
struct Within<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Within<'_, N> {
    type Value = Payload<'de, N>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Within<'_, N> {
    type Value = Payload<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Scan(self.0).visit_map(map).map(|members| Payload::Object(members.found))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Payload::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Payload::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Payload::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Payload::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Payload::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Payload::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Payload::Other)
    }
}

/// What is in a wrapper, or the text itself: a key may be wrapped like the value, and be any JSON.
pub(super) fn unwrapped(key: &str) -> &str {
    members(key, &[]).ok().and_then(|members| wrapped(&members)).unwrap_or(key)
}

/// The document within, when an object with these members is a wrapper.
fn wrapped<'a, const N: usize>(members: &Members<'a, N>) -> Option<&'a str> {
    let [schema, payload] = members.wrapper;
    payload.filter(|_| members.count == 2 && schema.is_some_and(is_schema))
}

fn is_schema(json: &str) -> bool {
    json.starts_with('{') || json == "null"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_one_go_or_in_two_the_same_is_found() {
        let inner = [r#"{"a":1,"b":[2]}"#, "null", "7", "-7.5", "\"x\"", "[1,{}]", "true", "{"];
        let outer = [r#"{"schema":{},"payload":@}"#, r#"{"payload":@,"schema":null}"#, "@", " @ "];
        let near = [r#"{"schema":1,"payload":@}"#, r#"{"schema":{},"payload":@,"a":3}"#];
        for (outer, inner) in outer.iter().chain(&near).flat_map(|o| inner.map(|i| (o, i))) {
            let text = outer.replace('@', inner);
            let in_two = document(&text, &["a", "b"]).map(|it| it.map(|it| it.members.found));
            let in_one = opened(&text, &["a", "b"]);
            match (in_one, in_two) {
                (Ok(one), Ok(two)) => assert_eq!(one, two, "{text}"),
                (one, two) => assert!(one.is_err() && two.is_err(), "{text}: {one:?} {two:?}"),
            }
        }
    }

    #[test]
    fn only_a_wrapper_is_opened() {
        for (key, fields) in [
            (r#"{"schema":{"type":"struct"},"payload":{"id":9}}"#, r#"{"id":9}"#),
            (r#"{"payload":7,"schema":{"type":"int32"}}"#, "7"),
            (r#"{"schema":null,"payload":{"id":9}}"#, r#"{"id":9}"#),
        ] {
            assert_eq!(unwrapped(key), fields);
        }
        for key in [
            r#"{"id":1,"schema":{},"payload":{}}"#,
            r#"{"schema":"public","payload":{"id":9}}"#,
            r#"{"payload":{"id":9}}"#,
            "7",
            "[]",
        ] {
            assert_eq!(unwrapped(key), key);
        }
    }
}
