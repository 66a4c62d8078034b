//! Finds out per record which of the formats it is in, from the names of its members.
//!
//! | the value has | it is |
//! |---|---|
//! | an `op` of Debezium's with `before`, `after` or `source` | `debezium` |
//! | `__op` or `__deleted` | `debezium_flat` |
//! | a `type` of Maxwell's with `database`, and `data` where a row is meant | `maxwell` |
//! | nothing but `schema` and `payload` | `debezium` or `debezium_flat`, by the payload |
//! | anything else | `json` |
//!
//! It costs one more look over the value. A topic of one format is better served by naming it: a
//! guess cannot tell heartbeats and schema changes from rows, and not what a record without a value
//! means. Here it is a delete by its key. Where it only follows a Debezium or Maxwell delete it
//! repeats that delete: without effect on a set, and metric events leave tombstones out anyway.

use super::before::Belief;
use super::connect::{LastWrapper, document, unwrapped};
use super::debezium::op_of;
use super::maxwell::{Kind, kind_of};
use super::members::Members;
use super::{
    DecodeError, Decoded, debezium, debezium_flat, delete_by_key, json, json_key, maxwell,
};
use crate::model::change::{Format, Wanted};
use crate::model::record::Record;

/// What formats are told by.
const SIGNS: [&str; 9] =
    ["op", "before", "after", "source", "__op", "__deleted", "type", "data", "database"];

pub(super) fn decode<'a>(
    record: &Record<'a>,
    wanted: Wanted,
    belief: Belief<'a>,
    last: &mut LastWrapper,
) -> Result<Decoded<'a>, DecodeError> {
    let Some(value) = record.value else {
        return Ok(delete_by_key(record, json_key(record).map(unwrapped)));
    };
    match format_of(value, last) {
        Format::Debezium => debezium::decode(record, wanted, belief, last),
        Format::DebeziumFlat => debezium_flat::decode(record, wanted, belief, last),
        Format::Maxwell => maxwell::decode(record, wanted),
        Format::Json | Format::Auto => json::decode(record, wanted),
    }
}

fn is_wrapped(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| unwrapped(text) != text)
}

/// The format of a value. What is not even JSON is left to the decoders to refuse.
fn format_of(value: &[u8], last: &mut LastWrapper) -> Format {
    match document(value, &SIGNS, last) {
        // How Connect's JSON converter writes the tombstone of a flattened delete.
        Ok(None) => Format::DebeziumFlat,
        Ok(Some(signs)) => match told_by(&signs.members) {
            // Only Connect wraps, and Maxwell does not run in it.
            Some(Format::Debezium) if signs.is_wrapped => Format::Debezium,
            _ if signs.is_wrapped => Format::DebeziumFlat,
            told => told.unwrap_or(Format::Json),
        },
        // A wrapper around something else than a row.
        Err(_) if is_wrapped(value) => Format::DebeziumFlat,
        Err(_) => Format::Json,
    }
}

fn told_by(signs: &Members<'_, { SIGNS.len() }>) -> Option<Format> {
    let [op, before, after, source, flat_op, deleted, kind, data, database] = signs.found;
    if op.and_then(op_of).is_some() && before.or(after).or(source).is_some() {
        return Some(Format::Debezium);
    }
    if flat_op.or(deleted).is_some() {
        return Some(Format::DebeziumFlat);
    }
    let is_maxwell = match kind.and_then(kind_of) {
        Some(Kind::Row(_)) => database.is_some() && data.is_some(),
        Some(Kind::Housekeeping) => database.is_some(),
        None => false,
    };
    is_maxwell.then_some(Format::Maxwell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::change::Op;
    use crate::model::outcome::FilterReason;
    use crate::model::record::NoHeaders;

    #[test]
    fn formats_are_told_by_their_members() {
        for (value, format) in [
            (r#"{"op":"c","after":{"id":1}}"#, Format::Debezium),
            (r#"{"op":"d","before":null,"after":null,"source":{}}"#, Format::Debezium),
            (r#"{"schema":{},"payload":{"op":"u","after":{}}}"#, Format::Debezium),
            (r#"{"id":1,"__op":"c"}"#, Format::DebeziumFlat),
            (r#"{"id":1,"__deleted":"false"}"#, Format::DebeziumFlat),
            (r#"{"schema":{},"payload":{"id":1,"__op":"c"}}"#, Format::DebeziumFlat),
            (r#"{"schema":{},"payload":{"id":1}}"#, Format::DebeziumFlat),
            (r#"{"schema":{},"payload":null}"#, Format::DebeziumFlat),
            (r#"{"schema":{},"payload":7}"#, Format::DebeziumFlat),
            (
                r#"{"schema":{},"payload":{"database":"d","type":"table-drop"}}"#,
                Format::DebeziumFlat,
            ),
            (" null ", Format::DebeziumFlat),
            (r#"{"database":"d","table":"t","type":"insert","data":{}}"#, Format::Maxwell),
            (r#"{"database":"d","type":"table-create","sql":""}"#, Format::Maxwell),
            // Rows that resemble one of them.
            (r#"{"op":"login","source":"web"}"#, Format::Json),
            (r#"{"op":"c","id":1}"#, Format::Json),
            (r#"{"type":"insert","data":{}}"#, Format::Json),
            (r#"{"type":"sale","data":{},"database":"x"}"#, Format::Json),
            (r#"{"type":"insert","database":"x"}"#, Format::Json),
            (r#"{"schema":"a","payload":{}}"#, Format::Json),
            (r#"{"nested":{"__op":"c"}}"#, Format::Json),
            ("{}", Format::Json),
            ("[]", Format::Json),
            ("{", Format::Json),
        ] {
            assert_eq!(format_of(value.as_bytes(), &mut LastWrapper::default()), format, "{value}");
        }
    }

    #[test]
    fn a_record_without_a_value_deletes_by_its_key() {
        let wrapped = br#"{"schema":{"type":"struct"},"payload":{"id":9}}"#;
        for (key, row) in [(&wrapped[..], Some("{\"id\":9}")), (b"{\"id\":9}", Some("{\"id\":9}"))]
        {
            let record = Record {
                topic: "t",
                partition: 0,
                offset: 0,
                timestamp_ms: None,
                key: Some(key),
                value: None,
                headers: &NoHeaders,
            };
            let Decoded::Change(change) =
                decode(&record, Wanted::ALL, Belief::full(), &mut LastWrapper::default()).unwrap()
            else {
                panic!("filtered")
            };
            assert_eq!((change.op, change.tombstone, change.row()), (Op::Delete, true, row));
            let keyless = decode(
                &Record { key: None, ..record },
                Wanted::ALL,
                Belief::full(),
                &mut LastWrapper::default(),
            )
            .unwrap();
            assert!(matches!(keyless, Decoded::Filtered(FilterReason::Tombstone)));
        }
    }
}
