//! Reads records from text: one JSON object in a line, or one bare value in a line.
//!
//! ```text
//! {"topic":"shop.public.orders","key":{"id":1},"value":{"before":null,"after":{"id":1},"op":"c"}}
//! ```
//!
//! `key` and `value` are the record's bytes as a text, or JSON, which stays as it is spelled; `null`
//! is Kafka's null. `partition` is 0 and `offset` the record's number in the text where they are
//! absent. `headers` is an object of texts; `timestamp` counts milliseconds or is RFC 3339.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::words;
use crate::model::record::{OwnedRecord, Partition};

/// A record as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    topic: Option<String>,
    #[serde(default)]
    partition: i32,
    offset: Option<i64>,
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    headers: Option<BTreeMap<String, Option<String>>>,
    timestamp: Option<Value>,
}

/// Why a text is no record.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("is no record: {0}")]
    Json(serde_json::Error),
    #[error("the record names no topic; give it `\"topic\"`, or bare values together with --topic")]
    NoTopic,
    #[error("`timestamp` is neither milliseconds nor RFC 3339")]
    Timestamp,
}

/// Reads a JSON object. `number` is the record's offset unless it names one.
pub fn record(json: &str, number: i64) -> Result<OwnedRecord, InputError> {
    let written: Written<'_> = serde_json::from_str(json).map_err(InputError::Json)?;
    let topic = written.topic.ok_or(InputError::NoTopic)?;
    let headers = written.headers.unwrap_or_default().into_iter();
    Ok(OwnedRecord {
        partition: Partition::new(topic, written.partition),
        offset: written.offset.unwrap_or(number),
        timestamp_ms: written.timestamp.as_ref().map(millis).transpose()?,
        key: written.key.map(bytes).transpose().map_err(InputError::Json)?,
        value: written.value.map(bytes).transpose().map_err(InputError::Json)?,
        headers: headers.map(|(name, value)| (name, value.map(String::into_bytes))).collect(),
    })
}

/// Makes a record of a bare value; `null` is Kafka's null.
pub fn bare(topic: &str, value: &str, number: i64) -> OwnedRecord {
    OwnedRecord {
        partition: Partition::new(topic, 0),
        offset: number,
        timestamp_ms: None,
        key: None,
        value: (value != "null").then(|| value.as_bytes().to_vec()),
        headers: Vec::new(),
    }
}

/// A text stands for its bytes, other JSON for itself.
fn bytes(json: &RawValue) -> Result<Vec<u8>, serde_json::Error> {
    if json.get().starts_with('"') {
        return serde_json::from_str::<String>(json.get()).map(String::into_bytes);
    }
    Ok(json.get().as_bytes().to_vec())
}

fn millis(timestamp: &Value) -> Result<i64, InputError> {
    let moment = words::moment(timestamp).and_then(|text| text.parse::<jiff::Timestamp>().ok());
    moment.map(jiff::Timestamp::as_millisecond).ok_or(InputError::Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bytes_and_json_keeps_its_spelling() {
        let json = r#"{"topic":"t","partition":2,"offset":7,"key":"k","value":{"n": 19.90},
            "headers":{"h":"v","none":null},"timestamp":"2026-01-01T00:00:00Z"}"#;
        let read = record(json, 1).unwrap();
        assert_eq!((read.partition.to_string(), read.offset), ("t[2]".to_owned(), 7));
        assert_eq!(read.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(read.value.as_deref(), Some(&br#"{"n": 19.90}"#[..]));
        assert_eq!(read.timestamp_ms, Some(1_767_225_600_000));
        assert_eq!(read.headers.len(), 2);
        let text = record(r#"{"topic":"t","value":"{\"n\":1}","timestamp":5}"#, 3).unwrap();
        assert_eq!(text.value.as_deref(), Some(&br#"{"n":1}"#[..]));
        assert_eq!((text.offset, text.timestamp_ms, text.key), (3, Some(5), None));
    }

    #[test]
    fn null_is_a_tombstone_and_its_text_is_not() {
        assert_eq!(record(r#"{"topic":"t","value":null}"#, 0).unwrap().value, None);
        let text = record(r#"{"topic":"t","value":"null"}"#, 0).unwrap();
        assert_eq!(text.value.as_deref(), Some(&b"null"[..]));
        assert_eq!(bare("t", "null", 0).value, None);
        assert_eq!(bare("t", "{", 0).value.as_deref(), Some(&b"{"[..]));
    }

    #[test]
    fn what_is_no_record_is_told() {
        for (json, said) in [
            ("{", "is no record"),
            (r#"{"value":1}"#, "names no topic"),
            (r#"{"topic":"t","vaule":1}"#, "vaule"),
            (r#"{"topic":"t","timestamp":"soon"}"#, "timestamp"),
        ] {
            let error = record(json, 0).unwrap_err().to_string();
            assert!(error.contains(said), "{json}: {error}");
        }
    }
}
