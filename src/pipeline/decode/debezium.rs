//! Debezium's change event envelope as JSON, with or without the embedded schema block.
//!
//! With `schemas.enable=true` the envelope is the `payload` beside a `schema` that is often three
//! times as long; the schema is skipped, never parsed. A delete comes as two records, the `d`
//! envelope and a tombstone with the same key: only the first one acts. How much of `before` is true
//! depends on the database (`before`).
//!
//! Format: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html>.

use super::before::Belief;
use super::connect::{LastWrapper, document, unwrapped};
use super::members::members;
use super::{DecodeError, Decoded, excerpt, invalid_envelope, json_key, reads_key};
use crate::model::change::{Change, Op, Placeholder, Wanted};
use crate::model::outcome::FilterReason;
use crate::model::record::Record;

/// What Debezium writes into a column that the database did not send along, such as an unchanged
/// value out of line in PostgreSQL: the connector's `unavailable.value.placeholder`, here its default,
/// <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-toasted-values>.
pub(super) const UNAVAILABLE: Placeholder = Placeholder {
    text: "__debezium_unavailable_value",
    base64: "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
    codes: "[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,\
            97,108,117,101]",
};

/// The members of an envelope, and those that tell Debezium's own records from one.
const MEMBERS: [&str; 10] = [
    "op",
    "before",
    "after",
    "source",
    "ts_ms",
    // With `id`: a record of the transaction topic.
    "status",
    "id",
    "tableChanges",
    "ddl",
    // With `id`: a record of the notification topic.
    "aggregate_type",
];

/// The members that are there and not null.
struct Envelope<'a>([Option<&'a str>; MEMBERS.len()]);

pub(super) fn decode<'a>(
    record: &Record<'a>,
    wanted: Wanted,
    belief: Belief<'a>,
    last: &mut LastWrapper,
) -> Result<Decoded<'a>, DecodeError> {
    let found = record.value.map(|value| document(value, &MEMBERS, last)).transpose()?;
    let Some(envelope) = found.flatten() else {
        return Ok(Decoded::Filtered(FilterReason::Tombstone));
    };
    let members = envelope.members.found.map(|member| member.filter(|json| *json != "null"));
    let [op, before, after, source, ..] = members;
    let Some(op) = op else {
        return if Envelope(members).is_housekeeping() {
            Ok(Decoded::Filtered(FilterReason::Housekeeping))
        } else {
            Err(not_an_envelope("it has no `op`"))
        };
    };
    let op = op_of(op).ok_or_else(|| not_an_envelope(&format!("its `op` is {}", excerpt(op))))?;
    let is_row = wanted.before || op == Op::Delete;
    let key = if reads_key(op, wanted) { json_key(record).map(unwrapped) } else { None };
    let change = Change {
        before: before.filter(|_| is_row),
        after,
        key,
        source,
        unavailable: Some(&UNAVAILABLE),
        ..Change::new(*record, op)
    };
    match op {
        Op::Truncate | Op::Message => Ok(Decoded::Filtered(FilterReason::NoRow)),
        Op::Create | Op::Update | Op::Snapshot | Op::Upsert if change.after.is_none() => {
            Err(not_an_envelope(&format!("a {} without `after`", op.as_str())))
        }
        Op::Create | Op::Update | Op::Snapshot | Op::Upsert | Op::Delete => {
            Ok(Decoded::Change(belief.of(change, || connector(source?), |_| false)))
        }
    }
}

fn connector(source: &str) -> Option<&str> {
    members(source, &["connector"]).ok()?.found.into_iter().next().flatten()
}

/// The operation that a letter stands for, as JSON text. Also `__op` of flattened records.
pub(super) fn op_of(letter: &str) -> Option<Op> {
    match letter {
        "\"c\"" => Some(Op::Create),
        "\"u\"" => Some(Op::Update),
        "\"d\"" => Some(Op::Delete),
        "\"r\"" => Some(Op::Snapshot),
        "\"t\"" => Some(Op::Truncate),
        "\"m\"" => Some(Op::Message),
        _ => None,
    }
}

fn not_an_envelope(what: &str) -> DecodeError {
    invalid_envelope("a Debezium envelope", what)
}

// === impl Envelope ===

impl Envelope<'_> {
    /// Recognises heartbeat, transaction and schema-change records, which share the connector's
    /// topics when a route subscribes by pattern or by prefix.
    fn is_housekeeping(&self) -> bool {
        let [_, before, after, source, ts_ms, status, id, table_changes, ddl, aggregate] = self.0;
        let rowless = before.is_none() && after.is_none();
        let transaction = status.is_some() && id.is_some();
        let schema_change = table_changes.is_some() || ddl.is_some();
        let heartbeat = ts_ms.is_some() && source.is_none();
        let notification = aggregate.is_some() && id.is_some();
        rowless && (transaction || schema_change || heartbeat || notification)
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

    fn change<'a>(record: &Record<'a>) -> Change<'a> {
        match decode(record, Wanted::ALL, Belief::full(), &mut LastWrapper::default()).unwrap() {
            Decoded::Change(change) => change,
            Decoded::Filtered(reason) => panic!("filtered: {reason:?}"),
        }
    }

    #[test]
    fn each_operation_has_its_row() {
        for (op, before, after, row) in [
            ("c", "null", "{\"id\":1}", "{\"id\":1}"),
            ("r", "null", "{\"id\":1}", "{\"id\":1}"),
            ("u", "{\"id\":0}", "{\"id\":1}", "{\"id\":1}"),
            ("d", "{\"id\":0}", "null", "{\"id\":0}"),
        ] {
            let value = format!(
                r#"{{"before":{before},"after":{after},"source":{{"lsn":5}},"op":"{op}","ts_ms":1}}"#
            );
            let record = record("{\"id\":1}", Some(&value));
            let change = change(&record);
            assert_eq!(change.row(), Some(row), "{op}");
            assert_eq!(change.source, Some("{\"lsn\":5}"));
        }
    }

    #[test]
    fn the_schema_block_is_stepped_over_in_value_and_key() {
        let record = record(
            r#"{"schema":{"type":"struct"},"payload":{"id":9}}"#,
            Some(
                r#"{"schema":{"fields":[{"op":"x"}]},"payload":{"op":"d","before":null,"after":null}}"#,
            ),
        );
        let change = change(&record);
        assert_eq!(change.op, Op::Delete);
        assert_eq!(
            change.row(),
            Some("{\"id\":9}"),
            "a delete without before falls back on the key"
        );
    }

    #[test]
    fn records_without_a_row_are_filtered_with_their_reason() {
        for (value, reason) in [
            (None, FilterReason::Tombstone),
            (Some("null"), FilterReason::Tombstone),
            (Some(r#"{"schema":null,"payload":null}"#), FilterReason::Tombstone),
            (Some(r#"{"op":"t","source":{}}"#), FilterReason::NoRow),
            (Some(r#"{"op":"m","message":{}}"#), FilterReason::NoRow),
            (Some(r#"{"ts_ms":1}"#), FilterReason::Housekeeping),
            (Some(r#"{"schema":{},"payload":{"ts_ms":1}}"#), FilterReason::Housekeeping),
            (Some(r#"{"status":"BEGIN","id":"571:1"}"#), FilterReason::Housekeeping),
            (
                Some(r#"{"id":"a","type":"COMPLETED","aggregate_type":"Incremental Snapshot"}"#),
                FilterReason::Housekeeping,
            ),
            (
                Some(r#"{"source":{},"ts_ms":1,"ddl":"create","tableChanges":[]}"#),
                FilterReason::Housekeeping,
            ),
        ] {
            match decode(
                &record("{}", value),
                Wanted::ALL,
                Belief::full(),
                &mut LastWrapper::default(),
            ) {
                Ok(Decoded::Filtered(found)) => assert_eq!(found, reason, "{value:?}"),
                other => panic!("{value:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused_in_words() {
        for (value, said) in [
            (r#"{"id":1}"#, "no `op`"),
            (r#"{"op":"x","after":{}}"#, "`op` is \"x\""),
            (r#"{"op":"c","after":null}"#, "a create without `after`"),
            ("[]", "expects"),
            ("{", "EOF"),
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
