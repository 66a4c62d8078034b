//! What a record says happened to a row, with its documents still as raw JSON text.
//!
//! Nothing is parsed into a tree here: a mapping that picks three fields should pay for three
//! fields.

use super::record::Record;

/// What happened. A record that carries no operation counts as [`Op::Upsert`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    Create,
    Update,
    Delete,
    /// A row read by an initial or incremental snapshot.
    Snapshot,
    Truncate,
    /// A logical-decoding message, without a row.
    Message,
    Upsert,
}

/// How a topic's records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Any JSON object; the object is the row.
    Json,
    /// Debezium's change event envelope as JSON, with or without the embedded schema.
    Debezium,
    /// The row itself, as Debezium's ExtractNewRecordState leaves it, with the same options.
    DebeziumFlat,
    /// Maxwell's daemon's JSON.
    Maxwell,
    /// Whichever of the others a record looks like.
    Auto,
}

/// A decoded record. The documents are JSON texts of complete values.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub record: Record<'a>,
    pub op: Op,
    /// The record carried no value; only the key is known.
    pub tombstone: bool,
    /// The row as it was: all of it, or what the source tells of it. Maxwell tells of an update only
    /// the columns that changed, Debezium of a delete perhaps only the key.
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
    /// The record's key, when it is JSON.
    pub key: Option<&'a str>,
    /// Where the change came from, as the capturing system tells it.
    pub source: Option<&'a str>,
}

// === impl Op ===

impl Op {
    pub const ALL: [Self; 7] = [
        Self::Create,
        Self::Update,
        Self::Delete,
        Self::Snapshot,
        Self::Truncate,
        Self::Message,
        Self::Upsert,
    ];

    /// The word used for it in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Snapshot => "snapshot",
            Self::Truncate => "truncate",
            Self::Message => "message",
            Self::Upsert => "upsert",
        }
    }
}

// === impl Format ===

impl Format {
    pub const ALL: [Self; 5] =
        [Self::Json, Self::Debezium, Self::DebeziumFlat, Self::Maxwell, Self::Auto];

    /// The word used for it in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Debezium => "debezium",
            Self::DebeziumFlat => "debezium_flat",
            Self::Maxwell => "maxwell",
            Self::Auto => "auto",
        }
    }
}

// === impl Change ===

impl<'a> Change<'a> {
    /// A change of which only the operation is known yet.
    pub fn new(record: Record<'a>, op: Op) -> Self {
        Self { record, op, tombstone: false, before: None, after: None, key: None, source: None }
    }

    /// The row the change is about: as it is now, or as it was when it has been deleted, or the
    /// key's fields when nothing else is known of it.
    pub fn row(&self) -> Option<&'a str> {
        match self.op {
            Op::Delete => self.before.or(self.key),
            Op::Truncate | Op::Message => None,
            Op::Create | Op::Update | Op::Snapshot | Op::Upsert => self.after,
        }
    }
}
