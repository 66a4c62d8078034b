//! The `{schema, payload}` that Kafka Connect's JSON converter puts around a document.
//!
//! With `schemas.enable=true` the document is the `payload` beside a `schema` that is often three
//! times as long. Other documents may have members of these names too, an outbox table for example,
//! so only an object of exactly these two, with a schema that can be one, is taken for a wrapper.
//!
//! Rule: `JsonConverter` itself demands these two members and no others, see
//! <https://cwiki.apache.org/confluence/spaces/KAFKA/pages/80453670/KIP-301+Schema+Inferencing+for+JsonConverter>.

use super::members::{Members, members};
use super::{DecodeError, JSON_SPACE, invalid_json, text_of};

/// A document that was looked into, taken out of its wrapper if it had one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Document<'a, const N: usize> {
    pub(super) text: &'a str,
    pub(super) members: Members<'a, N>,
    pub(super) is_wrapped: bool,
}

/// What the last wrapper had before its payload. A topic's records have the same schema over and over: what
/// begins like the last one need not be read up to there. It changes no result.
#[derive(Debug, Default)]
pub(super) struct LastWrapper {
    before_payload: Vec<u8>,
}

/// Reads a document and finds members of it by their names. `None` when it is null, with or without
/// a wrapper: so the converter writes a tombstone when it is told of a schema.
///
/// # Errors
/// The value, or what it wraps, is not one JSON object.
pub(super) fn document<'a, const N: usize>(
    value: &'a [u8],
    names: &[&str; N],
    last: &mut LastWrapper,
) -> Result<Option<Document<'a, N>>, DecodeError> {
    if let Some(text) = last.payload_of(value) {
        if text == "null" {
            return Ok(None);
        }
        if let Ok(members) = members(text, names) {
            return Ok(Some(Document { text, members, is_wrapped: true }));
        }
    }
    let text = text_of(value)?.trim_matches(JSON_SPACE);
    if text == "null" {
        return Ok(None);
    }
    let outer = members(text, names).map_err(|e| invalid_json(&e))?;
    let Some(payload) = wrapped(&outer) else {
        return Ok(Some(Document { text, members: outer, is_wrapped: false }));
    };
    last.learn(text, payload);
    if payload == "null" {
        return Ok(None);
    }
    let members = members(payload, names).map_err(|e| invalid_json(&e))?;
    Ok(Some(Document { text: payload, members, is_wrapped: true }))
}

impl LastWrapper {
    /// What is wrapped, if the value begins like the last one. It may be anything, and still has to be read.
    fn payload_of<'a>(&self, value: &'a [u8]) -> Option<&'a str> {
        if self.before_payload.is_empty() {
            return None;
        }
        let rest = std::str::from_utf8(value.strip_prefix(self.before_payload.as_slice())?).ok()?;
        rest.trim_end_matches(JSON_SPACE).strip_suffix('}').map(|it| it.trim_matches(JSON_SPACE))
    }

    /// Keeps how a wrapper begins, if its payload is the last of its two members.
    fn learn(&mut self, wrapper: &str, payload: &str) {
        // `payload` was borrowed from `wrapper`, so its place is the distance between the two.
        let start = payload.as_ptr().addr() - wrapper.as_ptr().addr();
        self.before_payload.clear();
        if wrapper.get(start + payload.len()..).is_some_and(|end| end.trim_start() == "}") {
            self.before_payload
                .extend_from_slice(wrapper.as_bytes().get(..start).unwrap_or_default());
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
    payload.filter(|_| members.count == 2 && schema.is_some_and(is_schema))
}

fn is_schema(json: &str) -> bool {
    json.starts_with('{') || json == "null"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_changes_nothing() {
        let inner =
            [r#"{"a":1,"b":[2]}"#, "null", "7", "\"x\"", "[1,{}]", "{", "{}}", "{},\"c\":{}", ""];
        let outer = [
            r#"{"schema":{},"payload":@}"#,
            r#" {"schema" : null, "payload": @ } "#,
            r#"{"payload":@,"schema":null}"#,
            "@",
            r#"{"schema":1,"payload":@}"#,
            r#"{"schema":{},"payload":@,"a":3}"#,
            r#"{"schema":{},"payload":@}}"#,
        ];
        let all = outer.iter().flat_map(|outer| inner.map(|inner| outer.replace('@', inner)));
        let all: Vec<String> = all.collect();
        let mut learnt = 0;
        for (before, text) in
            all.iter().flat_map(|before| all.iter().map(move |text| (before, text)))
        {
            let mut last = LastWrapper::default();
            let _first = document(before.as_bytes(), &["a", "b"], &mut last);
            learnt += usize::from(last.payload_of(text.as_bytes()).is_some());
            let told = document(text.as_bytes(), &["a", "b"], &mut last);
            let alone = document(text.as_bytes(), &["a", "b"], &mut LastWrapper::default());
            assert_eq!(told, alone, "{before} {text}");
        }
        assert!(learnt > all.len(), "{learnt}");
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
