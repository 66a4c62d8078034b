//! Plain JSON objects: the object is the row, and every record is an upsert.

use serde_json::value::RawValue;

use super::{DecodeError, Decoded, invalid_json, json_key};
use crate::model::change::{Change, Op};
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::record::Record;

pub(super) fn decode<'a>(record: &Record<'a>) -> Result<Decoded<'a>, DecodeError> {
    let Some(value) = record.value else {
        return Ok(Decoded::Filtered(FilterReason::Tombstone));
    };
    let document: &RawValue = serde_json::from_slice(value).map_err(|e| invalid_json(&e))?;
    let text = document.get();
    if !text.starts_with('{') {
        return Err(DecodeError {
            reason: RefusalReason::InvalidJson,
            detail: format!("the value is a JSON {}, not an object", kind_of(text)),
        });
    }
    Ok(Decoded::Change(Change {
        after: Some(text),
        key: json_key(record),
        ..Change::new(*record, Op::Upsert)
    }))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::NoHeaders;

    fn record(value: Option<&[u8]>) -> Record<'_> {
        Record {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(b"{\"id\":7}"),
            value,
            headers: &NoHeaders,
        }
    }

    #[test]
    fn an_object_is_the_row() {
        let Decoded::Change(change) = decode(&record(Some(b" {\"a\":1} "))).unwrap() else {
            panic!("not a change");
        };
        assert_eq!(change.row(), Some("{\"a\":1}"));
        assert_eq!(change.key, Some("{\"id\":7}"));
        assert_eq!(change.op, Op::Upsert);
    }

    #[test]
    fn a_tombstone_is_filtered() {
        assert!(matches!(
            decode(&record(None)).unwrap(),
            Decoded::Filtered(FilterReason::Tombstone)
        ));
    }

    #[test]
    fn anything_but_an_object_is_refused_with_its_kind() {
        for (value, said) in [
            ("[1]", "a JSON array"),
            ("7", "a JSON number"),
            ("{\"a\":", "EOF"),
            ("", "EOF"),
            ("{\"a\":1} x", "trailing"),
        ] {
            let error = decode(&record(Some(value.as_bytes()))).unwrap_err();
            assert!(error.detail.contains(said), "{value}: {}", error.detail);
        }
        assert!(decode(&record(Some(b"{\"a\":\"\xff\"}"))).is_err());
    }
}
