//! Turns a record's bytes into a change: which operation, and where its documents lie.
//!
//! A decoder finds the documents and leaves them as text; only the mapping knows which of their
//! fields matter. One file per format, so that a new format touches no route.
//!
//! # Invariants
//! - D1: pure; no clock, no I/O, no state between records.
//! - D2: never panics, whatever the bytes are.
//!
//! Not here: which fields are read (`route`), what becomes of a refused record (`dead_letter`).

mod debezium;
mod json;

use serde_json::value::RawValue;

use crate::model::change::{Change, Format};
use crate::model::outcome::{FilterReason, RefusalReason};
use crate::model::record::Record;

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

/// Decodes a record in place: the change borrows from the record's bytes.
pub fn decode<'a>(format: Format, record: &Record<'a>) -> Result<Decoded<'a>, DecodeError> {
    match format {
        Format::Json => json::decode(record),
        Format::Debezium => debezium::decode(record),
    }
}

/// The record's key, when it is a JSON document.
fn json_key<'a>(record: &Record<'a>) -> Option<&'a str> {
    let key = record.key?;
    // A key only matters when a mapping asks for it, so one that is not JSON is simply absent.
    serde_json::from_slice::<&RawValue>(key).ok().map(RawValue::get)
}

fn invalid_json(error: &serde_json::Error) -> DecodeError {
    // serde_json quotes at most a short piece of the offending token, not the document.
    DecodeError {
        reason: RefusalReason::InvalidJson,
        detail: format!("the value is not the JSON this format expects: {error}"),
    }
}
