//! Maxwell's daemon's JSON: `data` is the row, `type` says what happened to it.
//!
//! Of an update, `old` holds the columns that changed, as they were, and nothing else. It is
//! handed on as it is: `before` has only the columns that changed, and a condition asks with
//! `has(before.status)` whether one of them did. The other columns were what `after` says.
//!
//! `source` is the whole document: `$.source.xid`, `$.source.ts` (in seconds), `$.source.table`.
//!
//! A delete is a record with a value, so one without a value is its tombstone and does nothing.
//! Maxwell's keys name columns as `pk.id`; no row can be made of them.
//!
//! Format: <https://maxwells-daemon.io/dataformat/>, <https://maxwells-daemon.io/bootstrapping/>.
//!
//! Not here: rows that Maxwell has encrypted.

use super::members::{Members, members};
use super::{
    DecodeError, Decoded, excerpt, invalid_envelope, invalid_json, json_key, reads_key, text_of,
};
use crate::model::change::{BeforeExtent, Change, Op, Wanted};
use crate::model::outcome::FilterReason;
use crate::model::record::Record;

/// What a record of Maxwell's tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Row(Op),
    /// A table was created, altered or dropped, or a bootstrap began or ended.
    Housekeeping,
}

pub(super) fn decode<'a>(record: &Record<'a>, wanted: Wanted) -> Result<Decoded<'a>, DecodeError> {
    let Some(value) = record.value else {
        return Ok(Decoded::Filtered(FilterReason::Tombstone));
    };
    let text = text_of(value)?;
    let Members { found: [kind, data, old], .. } =
        members(text, &["type", "data", "old"]).map_err(|e| invalid_json(&e))?;
    let kind = kind.ok_or_else(|| not_maxwell("it has no `type`"))?;
    let op = match kind_of(kind) {
        Some(Kind::Row(op)) => op,
        Some(Kind::Housekeeping) => return Ok(Decoded::Filtered(FilterReason::Housekeeping)),
        None => return Err(not_maxwell(&format!("its `type` is {}", excerpt(kind)))),
    };
    let data = data
        .filter(|data| data.starts_with('{'))
        .ok_or_else(|| not_maxwell(&format!("its `type` is {kind} and it has no `data`")))?;
    let (before, after) = match op {
        Op::Delete => (Some(data), None),
        Op::Create | Op::Update | Op::Snapshot | Op::Truncate | Op::Message | Op::Upsert => {
            (old.filter(|old| old.starts_with('{')), Some(data))
        }
    };
    let before_extent = if op == Op::Update { BeforeExtent::Changed } else { BeforeExtent::Whole };
    Ok(Decoded::Change(Change {
        before,
        before_extent,
        after,
        key: if reads_key(op, wanted) { json_key(record) } else { None },
        source: Some(text.trim_ascii()),
        ..Change::new(*record, op)
    }))
}

/// What a `type` means, given as JSON text.
pub(super) fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "\"insert\"" => Some(Kind::Row(Op::Create)),
        "\"update\"" => Some(Kind::Row(Op::Update)),
        "\"delete\"" => Some(Kind::Row(Op::Delete)),
        "\"bootstrap-insert\"" => Some(Kind::Row(Op::Snapshot)),
        "\"bootstrap-start\""
        | "\"bootstrap-complete\""
        | "\"table-create\""
        | "\"table-alter\""
        | "\"table-drop\""
        | "\"database-create\""
        | "\"database-alter\""
        | "\"database-drop\"" => Some(Kind::Housekeeping),
        _ => None,
    }
}

fn not_maxwell(what: &str) -> DecodeError {
    invalid_envelope("a Maxwell record", what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::NoHeaders;

    fn record(value: Option<&str>) -> Record<'_> {
        Record {
            topic: "maxwell",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: Some(br#"{"database":"shop","table":"orders","pk.id":1}"#),
            value: value.map(str::as_bytes),
            headers: &NoHeaders,
        }
    }

    fn document(kind: &str, rest: &str) -> String {
        format!(r#"{{"database":"shop","table":"orders","type":"{kind}","ts":1,"xid":2{rest}}}"#)
    }

    #[test]
    fn each_type_has_its_operation_and_its_documents() {
        let (new, old) = ("{\"id\":1,\"n\":2}", "{\"n\":1}");
        for (kind, op, rest, before, after) in [
            ("insert", Op::Create, "", None, Some(new)),
            ("update", Op::Update, ",\"old\":{\"n\":1}", Some(old), Some(new)),
            ("update", Op::Update, ",\"old\":null", None, Some(new)),
            ("delete", Op::Delete, "", Some(new), None),
            ("bootstrap-insert", Op::Snapshot, "", None, Some(new)),
        ] {
            let value = document(kind, &format!(",\"commit\":true,\"data\":{new}{rest}"));
            let record = record(Some(&value));
            let Decoded::Change(change) = decode(&record, Wanted::ALL).unwrap() else {
                panic!("not a change: {kind}");
            };
            assert_eq!((change.op, change.before, change.after), (op, before, after), "{kind}");
            assert_eq!(change.row(), Some(new), "{kind}");
            assert_eq!(change.source, Some(&*value));
            assert!(change.key.is_some_and(|key| key.contains("pk.id")));
        }
    }

    #[test]
    fn records_without_a_row_are_filtered_with_their_reason() {
        for kind in [
            "bootstrap-start",
            "bootstrap-complete",
            "table-create",
            "table-alter",
            "table-drop",
            "database-create",
            "database-alter",
            "database-drop",
        ] {
            let value = document(kind, ",\"data\":{}");
            let filtered = decode(&record(Some(&value)), Wanted::ALL).unwrap();
            assert!(matches!(filtered, Decoded::Filtered(FilterReason::Housekeeping)), "{kind}");
        }
        let tombstone = decode(&record(None), Wanted::ALL).unwrap();
        assert!(matches!(tombstone, Decoded::Filtered(FilterReason::Tombstone)));
    }

    #[test]
    fn what_is_not_maxwells_is_refused_in_words() {
        let encrypted = document("insert", r#","encrypted":{"iv":"aa","bytes":"bb"}"#);
        for (value, said) in [
            (r#"{"id":1}"#, "no `type`"),
            (r#"{"type":"sale","data":{}}"#, "`type` is \"sale\""),
            (&encrypted, "`type` is \"insert\" and it has no `data`"),
            (r#"{"type":"delete","data":[1]}"#, "no `data`"),
            ("null", "an object"),
            ("{", "EOF"),
        ] {
            let error = decode(&record(Some(value)), Wanted::ALL).unwrap_err();
            assert!(error.detail.contains(said), "{value}: {}", error.detail);
        }
    }
}
