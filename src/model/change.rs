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

/// How far a route believes what Debezium writes as the row it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BeforePolicy {
    /// All of it from connectors that demand whole rows of their database, else the key.
    #[default]
    Auto,
    /// All of it: somebody has seen to that.
    Full,
    /// The columns of the record's key.
    KeyOnly,
}

/// How a route reads a topic's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reading {
    pub format: Format,
    pub before: BeforePolicy,
}

/// The parts of a change besides its row that anybody reads: what nobody does need not be found. Of a
/// deleted row they are the row, and always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub before: bool,
    pub key: bool,
}

/// How much of the row as it was is in `before`. A column that is not there may have held anything,
/// unless it is told otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BeforeExtent {
    #[default]
    Whole,
    /// The columns that an update changed; the others were as they are.
    Changed,
    /// What the record's key names; the rest may have been invented and has been taken out.
    Key,
}

/// A decoded record. The documents are JSON texts of complete values.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub record: Record<'a>,
    pub op: Op,
    /// The record carried no value; only the key is known.
    pub tombstone: bool,
    /// The row as it was, as far as the source tells and the route believes.
    pub before: Option<&'a str>,
    pub before_extent: BeforeExtent,
    pub after: Option<&'a str>,
    /// `after` is the whole value, and nobody has looked at more of it than where it begins: whoever
    /// reads it first finds out whether it is JSON.
    pub is_unread: bool,
    /// The record's key, when it is JSON.
    pub key: Option<&'a str>,
    /// Where the change came from, as the capturing system tells it.
    pub source: Option<&'a str>,
    /// What the source writes into a column of the row that it did not send. To a mapping such a
    /// column is absent.
    pub unavailable: Option<&'a Placeholder>,
}

/// What stands for a value that the source did not send, in a column that can hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholder {
    pub text: &'static str,
    /// The same for a column of bytes, which JSON holds in base64.
    pub base64: &'static str,
    /// The same for an array of numbers: the codes of the text's characters, as JSON.
    pub codes: &'static str,
}

impl Wanted {
    pub const ALL: Self = Self { before: true, key: true };
    pub const ROW: Self = Self { before: false, key: false };

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { before: self.before || other.before, key: self.key || other.key }
    }
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

// === impl BeforePolicy ===

impl BeforePolicy {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Full, Self::KeyOnly];

    /// The word used for it in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Full => "full",
            Self::KeyOnly => "key_only",
        }
    }
}

// === impl Change ===

impl<'a> Change<'a> {
    /// A change of which only the operation is known yet.
    pub fn new(record: Record<'a>, op: Op) -> Self {
        Self {
            record,
            op,
            tombstone: false,
            before: None,
            before_extent: BeforeExtent::Whole,
            after: None,
            is_unread: false,
            key: None,
            source: None,
            unavailable: None,
        }
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

// === impl Placeholder ===

impl Placeholder {
    /// Whether a text is the placeholder. Costs a comparison of lengths where it is not.
    pub fn is(&self, text: &str) -> bool {
        text == self.text || text == self.base64
    }

    /// Whether a JSON text is the placeholder: a string, for an array its only element, or the codes.
    pub fn is_json(&self, json: &str) -> bool {
        if json == self.codes {
            return true;
        }
        let element = json.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let string = element.map_or(json, str::trim_ascii);
        let text = string.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        text.is_some_and(|text| self.is(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_a_whole_string_or_an_only_element() {
        let placeholder = Placeholder { text: "-no", base64: "LW5v", codes: "[45,110,111]" };
        for json in [r#""-no""#, r#""LW5v""#, r#"["-no"]"#, r#"[ "LW5v" ]"#, "[45,110,111]"] {
            assert!(placeholder.is_json(json), "{json}");
        }
        for json in
            ["-no", r#""-no_""#, r#"["-no","a"]"#, r#"[["-no"]]"#, "[45,110]", "[]", "\"", "", "7"]
        {
            assert!(!placeholder.is_json(json), "{json}");
        }
    }
}
