//! How much of a Debezium record's `before` is true.
//!
//! A connector can only tell what its database logs. PostgreSQL logs of a deleted row, and of an
//! updated one whose key changes, the columns of the table's replica identity: by default the primary
//! key. Debezium fills the other columns with null, zero, false, an empty text, 1970 or the column's
//! default, and nothing in the record tells such a row from a true one. Acting on it would remove
//! somebody else from a segment, or count nothing as something. So unless the whole row is known to be
//! there, what is not in the record's key is taken out, and counts as absent to a mapping.
//!
//! The whole row is there when the route says so (`before: full`, for tables with
//! `REPLICA IDENTITY FULL`), or when the record names a connector that demands it of its database.
//!
//! # Invariants
//! - K1: what is left of `before` is named by the key, which every connector takes from what was
//!   logged; nothing else of the row is handed on.
//! - K2: a delete stays a change even when nothing of its row is known, so that it is refused by the
//!   fields that need it and never lost in silence.
//!
//! Not here: a key of columns that are no part of the replica identity (`message.key.columns`, a
//! transformation that makes keys of rows, `REPLICA IDENTITY USING INDEX` beside a primary key). These
//! are invented as well, and a record cannot show it.
//!
//! Source: <https://debezium.io/documentation/reference/stable/connectors/postgresql.html#postgresql-replica-identity>.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::change::{BeforeExtent, BeforePolicy, Change, Op};

/// Connectors that write a row as it was with all its columns, as JSON texts. Those for MySQL and
/// MariaDB do not start unless `binlog_row_image` is FULL; SQL Server's capture tables hold whole rows.
/// Oracle's depends on its supplemental logging, MongoDB's and Spanner's on their capture mode.
const WHOLE_ROWS: [&str; 3] = ["\"mysql\"", "\"mariadb\"", "\"sqlserver\""];

/// The members of an object, as they are written.
type Columns<'a> = BTreeMap<String, &'a RawValue>;

/// What a route makes of `before`, with the room for what is left of it.
pub(super) struct Belief<'a> {
    pub(super) policy: BeforePolicy,
    pub(super) room: &'a mut String,
}

impl<'a> Belief<'a> {
    /// Leaves of `before` what is true. `connector` is its name as JSON text, and `is_told` says of
    /// a member that it is Debezium's own and no column.
    pub(super) fn of(
        self,
        change: Change<'a>,
        connector: impl FnOnce() -> Option<&'a str>,
        is_told: impl Fn(&str) -> bool,
    ) -> Change<'a> {
        let Some(before) = change.before else { return change };
        let is_whole = match self.policy {
            BeforePolicy::Full => true,
            BeforePolicy::KeyOnly => false,
            BeforePolicy::Auto => connector().is_some_and(|name| WHOLE_ROWS.contains(&name)),
        };
        if is_whole {
            return change;
        }
        let key = change.key.and_then(|key| serde_json::from_str(key).ok());
        let key: Columns<'_> = key.unwrap_or_default();
        let is_known = |name: &str| key.contains_key(name) || is_told(name);
        let left = copy(before, is_known, self.room);
        // A document of another kind than a row (MongoDB's is a text) leaves its key alone.
        let before = left.then_some(self.room.as_str());
        let before = before.or_else(|| (change.op == Op::Delete && key.is_empty()).then_some("{}"));
        Change { before, before_extent: BeforeExtent::Key, ..change }
    }
}

/// Copies members of an object as they are written. Gives whether there was an object.
fn copy(object: &str, is_known: impl Fn(&str) -> bool, room: &mut String) -> bool {
    let Ok(members) = serde_json::from_str::<Columns<'_>>(object) else {
        return false;
    };
    room.clear();
    let mut separator = '{';
    for (name, value) in members.into_iter().filter(|(name, _)| is_known(name)) {
        room.push(separator);
        separator = ',';
        room.push_str(&Value::String(name).to_string());
        room.push(':');
        room.push_str(value.get());
    }
    if separator == '{' {
        room.push(separator);
    }
    room.push('}');
    true
}

#[cfg(test)]
impl Belief<'static> {
    /// Believes everything.
    pub(super) fn full() -> Self {
        Self { policy: BeforePolicy::Full, room: Box::leak(Box::default()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::record::{NoHeaders, Record};

    fn believed(op: Op, key: Option<&str>, before: Option<&str>, policy: BeforePolicy) -> String {
        let record = Record {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            value: None,
            headers: &NoHeaders,
        };
        let mut room = "left over".to_owned();
        let change = Change { before, key, ..Change::new(record, op) };
        let belief = Belief { policy, room: &mut room };
        let change = belief.of(change, || Some("\"postgresql\""), |name| name == "__op");
        format!("{:?} {}", change.before_extent, change.before.unwrap_or("none"))
    }

    #[test]
    fn what_the_key_does_not_name_is_taken_out() {
        let before = r#" {"id":7, "b\"c":[1, 2],"name":"","__op":"d","total":0} "#;
        for (op, key, before, left) in [
            (Op::Delete, Some(r#"{"id":7}"#), Some(before), r#"Key {"__op":"d","id":7}"#),
            (Op::Update, Some(r#"{"id":7}"#), Some(before), r#"Key {"__op":"d","id":7}"#),
            // The value of the row, whatever a key's converter made of it.
            (
                Op::Delete,
                Some(r#"{"b\u0022c":"AQI=","id":"7"}"#),
                Some(before),
                r#"Key {"__op":"d","b\"c":[1, 2],"id":7}"#,
            ),
            // A key that names nothing of the row says nothing of it.
            (Op::Delete, Some(r#"{"no":7}"#), Some(r#"{"id":0}"#), "Key {}"),
            (Op::Delete, Some("7"), Some(r#"{"id":0}"#), "Key {}"),
            (Op::Delete, None, Some(r#"{"id":0}"#), "Key {}"),
            // What is no row is not looked into; the key is all there is, or nothing.
            (Op::Delete, Some(r#"{"id":7}"#), Some("\"{}\""), "Key none"),
            (Op::Delete, None, Some("\"{}\""), "Key {}"),
            (Op::Update, None, Some("\"{}\""), "Key none"),
            (Op::Update, Some(r#"{"id":7}"#), None, "Whole none"),
        ] {
            for policy in [BeforePolicy::Auto, BeforePolicy::KeyOnly] {
                assert_eq!(believed(op, key, before, policy), left, "{op:?} {key:?} {before:?}");
            }
        }
        let whole = believed(Op::Delete, None, Some("{\"id\":0}"), BeforePolicy::Full);
        assert_eq!(whole, "Whole {\"id\":0}");
    }
}
