//! The `{schema, payload}` that Kafka Connect's JSON converter puts around a document.
//!
//! With `schemas.enable=true` the document is the `payload` beside a `schema` that is often three
//! times as long. Other documents may have members of these names too, an outbox table for example,
//! so only an object of exactly these two, with a schema that can be one, is taken for a wrapper.
//!
//! Rule: `JsonConverter` itself demands these two members and no others, see
//! <https://cwiki.apache.org/confluence/spaces/KAFKA/pages/80453670/KIP-301+Schema+Inferencing+for+JsonConverter>.

use super::members::{Members, members};

/// The document within, when an object of `count` members with these two is a wrapper.
pub(super) fn payload<'a>(
    schema: Option<&str>,
    payload: Option<&'a str>,
    count: usize,
) -> Option<&'a str> {
    let schema = schema.filter(|schema| schema.starts_with('{') || *schema == "null");
    payload.filter(|_| schema.is_some() && count == 2)
}

/// The fields of a key that may be wrapped like the value.
pub(super) fn key_payload(key: &str) -> &str {
    match members(key, &["schema", "payload"]) {
        Ok(Members { found: [schema, inner], count }) => {
            payload(schema, inner, count).unwrap_or(key)
        }
        // A key may be any JSON; only an object can be a wrapper.
        Err(_) => key,
    }
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
            assert_eq!(key_payload(key), fields);
        }
        for key in [
            r#"{"id":1,"schema":{},"payload":{}}"#,
            r#"{"schema":"public","payload":{"id":9}}"#,
            r#"{"payload":{"id":9}}"#,
            "7",
            "[]",
        ] {
            assert_eq!(key_payload(key), key);
        }
    }
}
