//! Turns a record's bytes into a change: which operation, and where its documents lie.
//!
//! A decoder finds the documents and leaves them as text; only the mapping knows which of their
//! fields matter. One file per format, so that a new format touches no route.
//!
//! # Invariants
//! - D1: pure; no clock, no I/O, and what is kept from record to record changes no result.
//! - D2: never panics, whatever the bytes are.
//!
//! Not here: which fields are read (`route`), what becomes of a refused record (`dead_letter`).

mod auto;
mod before;
mod connect;
mod debezium;
mod debezium_flat;
mod json;
mod maxwell;
mod members;

use serde_json::value::RawValue;

use self::before::Belief;
use self::connect::LastWrapper;
use crate::model::change::{Change, Format, Op, Reading, Wanted};
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::record::Record;

/// What may stand around a JSON value.
const JSON_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// What a record turned out to be.
#[derive(Debug)]
pub enum Decoded<'a> {
    Change(Change<'a>),
    /// Nothing to deliver, and nothing wrong.
    Filtered(FilterReason),
}

/// Why a record cannot be read in the route's format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct DecodeError {
    pub reason: RefusalReason,
    pub detail: String,
}

/// What decoders use from record to record. It changes no result (D1).
#[derive(Debug, Default)]
pub struct Room {
    /// What is left of a document of which not everything is believed.
    left: String,
    wrapper: LastWrapper,
}

/// Decodes a record in place: the change borrows from the record's bytes, and holds no more than what
/// is `wanted` of it.
///
/// # Errors
/// Why the record cannot be read. Of a change that `is_unread` that is known only when it has been read,
/// see [`check`].
pub fn decode<'a>(
    reading: Reading,
    wanted: Wanted,
    record: &Record<'a>,
    room: &'a mut Room,
) -> Result<Decoded<'a>, DecodeError> {
    let Room { left, wrapper } = room;
    let belief = Belief { policy: reading.before, room: left };
    match reading.format {
        Format::Json => json::decode(record, wanted),
        Format::Debezium => debezium::decode(record, wanted, belief, wrapper),
        Format::DebeziumFlat => debezium_flat::decode(record, wanted, belief, wrapper),
        Format::Maxwell => maxwell::decode(record, wanted),
        Format::Auto => auto::decode(record, wanted, belief, wrapper),
    }
}

/// Reads a change that `is_unread`.
///
/// # Errors
/// What [`decode`] would have said of its record, had it looked.
pub fn check(change: &Change<'_>) -> Result<(), DecodeError> {
    if change.is_unread { json::check(change.record.value.unwrap_or_default()) } else { Ok(()) }
}

/// What a record without a value says in formats where it is the delete itself: the row of this key
/// is gone. A key without fields cannot tell which row that is.
fn delete_by_key<'a>(record: &Record<'a>, key: Option<&'a str>) -> Decoded<'a> {
    let Some(key) = key.filter(|key| key.starts_with('{')) else {
        return Decoded::Filtered(FilterReason::Tombstone);
    };
    let delete = Change::new(*record, Op::Delete);
    Decoded::Change(Change { tombstone: true, key: Some(key), ..delete })
}

fn text_of(value: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(value).map_err(|e| DecodeError {
        reason: RefusalReason::InvalidJson,
        detail: format!("the value is not UTF-8: {e}"),
    })
}

/// The record's key, when it is a JSON document.
fn json_key<'a>(record: &Record<'a>) -> Option<&'a str> {
    let key = record.key?;
    // Most other keys are told by how they begin, which spares the making of an error.
    let begin = key.iter().find(|byte| !JSON_SPACE.contains(&char::from(**byte)))?;
    if !matches!(begin, b'{' | b'[' | b'"' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9') {
        return None;
    }
    // A key only matters when a mapping asks for it, so one that is not JSON is simply absent.
    serde_json::from_slice::<&RawValue>(key).ok().map(RawValue::get)
}

/// Whether the key is read of a change of this kind: a deleted row may be no more than its key.
fn reads_key(op: Op, wanted: Wanted) -> bool {
    wanted.key || wanted.before || op == Op::Delete
}

fn invalid_json(error: &serde_json::Error) -> DecodeError {
    /// serde_json quotes the token it stumbled over, which may be a long text.
    const LONGEST: usize = 200;
    let error: String = error.to_string().chars().take(LONGEST).collect();
    DecodeError {
        reason: RefusalReason::InvalidJson,
        detail: format!("the value is not the JSON this format expects: {error}"),
    }
}

/// The value is an object, but not one of the format that the route names.
fn invalid_envelope(format: &str, what: &str) -> DecodeError {
    DecodeError {
        reason: RefusalReason::InvalidEnvelope,
        detail: format!("the value is JSON but not {format}: {what}"),
    }
}

/// A piece of a JSON text that is short enough for a message.
fn excerpt(json: &str) -> String {
    json.chars().take(16).collect()
}

#[cfg(test)]
mod tests;
