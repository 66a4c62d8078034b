//! Debezium's flattened records: the row itself, as the transformation `ExtractNewRecordState`
//! leaves it, with or without the embedded schema block.
//!
//! What happened stands among the columns, if the connector adds it (`add.fields: op,...`):
//! `__op` is the envelope's `op`; without it the record is an upsert. How a delete looks is the
//! connector's `delete.tombstone.handling.mode`, and all of them are understood:
//! - `tombstone` (the default): nothing but the key and no value. Connect's JSON converter also
//!   writes that as the text `null` or as a `null` payload.
//! - `rewrite`: the row as it was, with `__deleted` true. Like an envelope's `before` it is true as
//!   far as the database told (see `before`); the connector is known when `add.fields` has `connector`.
//! - `rewrite-with-tombstone`: both; nothing in the tombstone tells that the delete was told
//!   already, so it deletes once more, by the key.
//!
//! The added fields are columns of the row to a mapping: `$.row.__source_ts_ms`.
//!
//! Not here: another `add.fields.prefix` than `__`. Heartbeats, messages, transactions and schema
//! changes, which the transformation leaves as they are: their topics are not the tables'.
//!
//! Format: <https://debezium.io/documentation/reference/stable/transformations/event-flattening.html>.

use super::before::Belief;
use super::connect::{LastWrapper, document, unwrapped};
use super::debezium::{UNAVAILABLE, op_of};
use super::{DecodeError, Decoded, delete_by_key, excerpt, invalid_envelope, json_key, reads_key};
use crate::model::change::{Change, Op, Wanted};
use crate::model::outcome::FilterReason;
use crate::model::record::Record;

pub(super) fn decode<'a>(
    record: &Record<'a>,
    wanted: Wanted,
    belief: Belief<'a>,
    last: &mut LastWrapper,
) -> Result<Decoded<'a>, DecodeError> {
    let key = || json_key(record).map(unwrapped);
    let Some(row) = record.value.map(|value| row_of(value, last)).transpose()?.flatten() else {
        return Ok(delete_by_key(record, key()));
    };
    let op = row.op()?;
    let key = if reads_key(op, wanted) { key() } else { None };
    let change = Change { key, unavailable: Some(&UNAVAILABLE), ..Change::new(*record, op) };
    Ok(match op {
        Op::Truncate | Op::Message => Decoded::Filtered(FilterReason::NoRow),
        Op::Delete => {
            let change = Change { before: Some(row.text), ..change };
            Decoded::Change(belief.of(change, || row.connector, is_added))
        }
        Op::Create | Op::Update | Op::Snapshot | Op::Upsert => {
            Decoded::Change(Change { after: Some(row.text), ..change })
        }
    })
}

/// What is looked for among the columns.
const MEMBERS: [&str; 4] = ["__op", "__deleted", "__connector", "__source_connector"];

/// What `add.fields` may add besides `op`: the envelope's own members, and what all connectors and
/// PostgreSQL's tell of the source. A table's column cannot have such a name beside them.
const ADDED: [&str; 17] = [
    "op",
    "deleted",
    "ts_ms",
    "ts_us",
    "ts_ns",
    "version",
    "connector",
    "name",
    "snapshot",
    "db",
    "sequence",
    "schema",
    "table",
    "txId",
    "lsn",
    "xmin",
    "transaction_id",
];

/// A row, and what stands among its columns about the change.
struct Row<'a> {
    text: &'a str,
    op: Option<&'a str>,
    deleted: Option<&'a str>,
    connector: Option<&'a str>,
}

/// Finds the row in a value; `None` when the value is null.
fn row_of<'a>(value: &'a [u8], last: &mut LastWrapper) -> Result<Option<Row<'a>>, DecodeError> {
    Ok(document(value, &MEMBERS, last)?.map(|row| {
        let [op, deleted, connector, of_source] = row.members.found;
        Row { text: row.text, op, deleted, connector: connector.or(of_source) }
    }))
}

/// Whether a member is one that the transformation adds: `__lsn`, or `__source_lsn`.
fn is_added(name: &str) -> bool {
    let bare = name.strip_prefix("__").map(|name| name.strip_prefix("source_").unwrap_or(name));
    bare.is_some_and(|bare| ADDED.contains(&bare))
}

// === impl Row ===

impl Row<'_> {
    fn op(&self) -> Result<Op, DecodeError> {
        let invalid = |name: &str, found: &str| {
            let what = format!("its `{name}` is {}", excerpt(found));
            Err(invalid_envelope("a flattened Debezium record", &what))
        };
        // Debezium writes a string; a boolean is what a later transformation may have cast it to.
        match self.deleted {
            Some("\"true\"" | "true") => return Ok(Op::Delete),
            None | Some("\"false\"" | "false" | "null") => {}
            Some(other) => return invalid("__deleted", other),
        }
        match self.op {
            None | Some("null") => Ok(Op::Upsert),
            Some(letter) => op_of(letter).map_or_else(|| invalid("__op", letter), Ok),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::NoHeaders;

    fn record<'a>(key: &'a str, value: Option<&'a str>) -> Record<'a> {
        Record {
            topic: "shop.public.orders",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(key.as_bytes()),
            value: value.map(str::as_bytes),
            headers: &NoHeaders,
        }
    }

    #[test]
    fn the_value_is_the_row_and_its_added_fields_say_what_happened() {
        for (fields, op) in [
            ("", Op::Upsert),
            (r#","__op":null,"__deleted":null"#, Op::Upsert),
            (r#","__table":"orders","__lsn":5,"__source_ts_ms":1"#, Op::Upsert),
            (r#","__deleted":"false""#, Op::Upsert),
            (r#","__deleted":false"#, Op::Upsert),
            (r#","__op":"c""#, Op::Create),
            (r#","__op":"u","__deleted":"false""#, Op::Update),
            (r#","__op":"r""#, Op::Snapshot),
            (r#","__op":"d""#, Op::Delete),
            (r#","__op":"d","__deleted":"true""#, Op::Delete),
            (r#","__deleted":"true""#, Op::Delete),
            (r#","__deleted":true"#, Op::Delete),
        ] {
            let row = format!(r#"{{"id":1{fields}}}"#);
            let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{row}}}"#);
            for value in [format!(" {row}\n"), wrapped] {
                let record = record("{\"id\":1}", Some(&value));
                let Decoded::Change(change) =
                    decode(&record, Wanted::ALL, Belief::full(), &mut LastWrapper::default())
                        .unwrap()
                else {
                    panic!("not a change: {value}");
                };
                assert_eq!((change.op, change.row()), (op, Some(&*row)), "{value}");
                let (before, after) =
                    if op == Op::Delete { (Some(&*row), None) } else { (None, Some(&*row)) };
                assert_eq!((change.before, change.after), (before, after), "{value}");
                assert!(!change.tombstone);
            }
        }
    }

    #[test]
    fn a_record_without_a_value_deletes_by_its_key() {
        for value in [
            None,
            Some("null"),
            Some(r#"{"schema":{"type":"struct"},"payload":null}"#),
            Some(r#"{"schema":null,"payload":null}"#),
        ] {
            for key in ["{\"id\":9}", r#"{"schema":{"type":"struct"},"payload":{"id":9}}"#] {
                let record = record(key, value);
                let Decoded::Change(change) =
                    decode(&record, Wanted::ALL, Belief::full(), &mut LastWrapper::default())
                        .unwrap()
                else {
                    panic!("not a change: {value:?}");
                };
                assert!(change.tombstone);
                assert_eq!((change.op, change.row()), (Op::Delete, Some("{\"id\":9}")));
            }
            for key in ["9", r#"{"schema":{"type":"int32"},"payload":9}"#, "order-9"] {
                let filtered = decode(
                    &record(key, value),
                    Wanted::ALL,
                    Belief::full(),
                    &mut LastWrapper::default(),
                )
                .unwrap();
                assert!(matches!(filtered, Decoded::Filtered(FilterReason::Tombstone)), "{key}");
            }
        }
    }

    #[test]
    fn a_table_may_have_columns_named_like_the_wrapper() {
        for value in
            [r#"{"id":1,"schema":{"v":1},"payload":{"id":2}}"#, r#"{"schema":"a","payload":{}}"#]
        {
            let record = record("{}", Some(value));
            let Decoded::Change(change) =
                decode(&record, Wanted::ALL, Belief::full(), &mut LastWrapper::default()).unwrap()
            else {
                panic!("not a change")
            };
            assert_eq!(change.row(), Some(value));
        }
    }

    #[test]
    fn operations_without_a_row_are_filtered() {
        for op in ["t", "m"] {
            let value = format!(r#"{{"__op":"{op}"}}"#);
            let filtered = decode(
                &record("{}", Some(&value)),
                Wanted::ALL,
                Belief::full(),
                &mut LastWrapper::default(),
            )
            .unwrap();
            assert!(matches!(filtered, Decoded::Filtered(FilterReason::NoRow)), "{op}");
        }
    }

    #[test]
    fn what_is_no_flattened_record_is_refused_in_words() {
        for (value, said) in [
            (r#"{"id":1,"__op":"x"}"#, "`__op` is \"x\""),
            (r#"{"id":1,"__deleted":"maybe"}"#, "`__deleted` is \"maybe\""),
            (r#"{"id":1,"__deleted":1}"#, "`__deleted` is 1"),
            ("[1]", "an object"),
            (r#"{"schema":{},"payload":7}"#, "an object"),
            ("{\"id\":", "EOF"),
            ("", "EOF"),
        ] {
            let error = decode(
                &record("{}", Some(value)),
                Wanted::ALL,
                Belief::full(),
                &mut LastWrapper::default(),
            )
            .unwrap_err();
            assert!(error.detail.contains(said), "{value}: {}", error.detail);
        }
    }
}
