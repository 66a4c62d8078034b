//! Plain JSON objects: the object is the row, and every record is an upsert.
//!
//! In a compacted topic a record without a value deletes what its key names, see
//! <https://kafka.apache.org/documentation/#compaction>.

use serde_json::value::RawValue;

use super::{DecodeError, Decoded, JSON_SPACE, delete_by_key, invalid_json, json_key};
use crate::model::change::{Change, Op, Wanted};
use crate::model::outcome::RefusalReason;
use crate::model::record::Record;

pub(super) fn decode<'a>(record: &Record<'a>, wanted: Wanted) -> Result<Decoded<'a>, DecodeError> {
    let Some(value) = record.value else {
        return Ok(delete_by_key(record, json_key(record)));
    };
    // Picking its fields reads all of an object, so it is not read twice.
    let text = std::str::from_utf8(value).unwrap_or_default();
    let text = text.trim_matches(JSON_SPACE);
    if text.as_bytes().first() == Some(&b'{') {
        let key = if wanted.key { json_key(record) } else { None };
        let change = Change::new(*record, Op::Upsert);
        return Ok(Decoded::Change(Change { after: Some(text), is_unread: true, key, ..change }));
    }
    check(value)?;
    // Kafka Connect's converter writes a tombstone as these four letters when it knows a schema.
    if text == "null" {
        return Ok(delete_by_key(record, json_key(record)));
    }
    Err(DecodeError {
        reason: RefusalReason::InvalidJson,
        detail: format!("the value is a JSON {}, not an object", kind_of(text)),
    })
}

/// Whether a value is one JSON document and nothing else.
pub(super) fn check(value: &[u8]) -> Result<(), DecodeError> {
    serde_json::from_slice::<&RawValue>(value).map(|_| ()).map_err(|e| invalid_json(&e))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        _ => "number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::outcome::FilterReason;
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

    /// What it is, and whether it is JSON to its end.
    fn read<'a>(record: &Record<'a>) -> Result<Decoded<'a>, DecodeError> {
        let decoded = decode(record, Wanted::ALL)?;
        if let Decoded::Change(change) = &decoded {
            super::super::check(change)?;
        }
        Ok(decoded)
    }

    #[test]
    fn an_object_is_the_row() {
        let Decoded::Change(change) = decode(&record(Some(b" {\"a\":1} ")), Wanted::ALL).unwrap()
        else {
            panic!("not a change");
        };
        assert_eq!(change.row(), Some("{\"a\":1}"));
        assert_eq!(change.key, Some("{\"id\":7}"));
        assert_eq!(change.op, Op::Upsert);
    }

    #[test]
    fn a_record_without_a_value_deletes_by_its_key() {
        let Decoded::Change(change) = decode(&record(None), Wanted::ALL).unwrap() else {
            panic!("not a change");
        };
        assert!(change.tombstone);
        assert_eq!((change.op, change.row()), (Op::Delete, Some("{\"id\":7}")));
        assert_eq!((change.before, change.after), (None, None));
        for key in [None, Some("7"), Some("order-7"), Some("[7]"), Some("")] {
            let keyed = Record { key: key.map(str::as_bytes), ..record(None) };
            assert!(
                matches!(
                    decode(&keyed, Wanted::ALL).unwrap(),
                    Decoded::Filtered(FilterReason::Tombstone)
                ),
                "{key:?}"
            );
        }
    }

    #[test]
    fn the_word_null_is_a_tombstone() {
        let Decoded::Change(change) = decode(&record(Some(b"null")), Wanted::ALL).unwrap() else {
            panic!("not a change");
        };
        assert!(change.tombstone);
        assert_eq!(change.row(), Some("{\"id\":7}"));
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
            let error = read(&record(Some(value.as_bytes()))).unwrap_err();
            assert!(error.detail.contains(said), "{value}: {}", error.detail);
        }
        assert!(read(&record(Some(b"{\"a\":\"\xff\"}"))).is_err());
    }
}
