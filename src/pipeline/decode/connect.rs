//! The `{schema, payload}` that Kafka Connect's JSON converter puts around a document.
//!
//! With `schemas.enable=true` the document is the `payload` beside a `schema` that is often three
//! times as long. Other documents may have members of these names too, an outbox table for example,
//! so only an object of exactly these two, with a schema that can be one, is taken for a wrapper.
//!
//! Rule: `JsonConverter` itself demands these two members and no others, see
//! <https://cwiki.apache.org/confluence/spaces/KAFKA/pages/80453670/KIP-301+Schema+Inferencing+for+JsonConverter>.

use super::members::{Members, members};

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

/// What is in a wrapper, or the text itself: a key may be wrapped like the value, and be any JSON.
pub(super) fn unwrapped(key: &str) -> &str {
    members(key, &[]).ok().and_then(|members| wrapped(&members)).unwrap_or(key)
}

/// The document within, when an object with these members is a wrapper.
fn wrapped<'a, const N: usize>(members: &Members<'a, N>) -> Option<&'a str> {
    let [schema, payload] = members.wrapper;
    let schema = schema.filter(|schema| schema.starts_with('{') || *schema == "null");
    payload.filter(|_| schema.is_some() && members.count == 2)
}

#[cfg(test)]
mod tests {
    use super::*;

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
