//! Prints letters, for people and for programs.
//!
//! Keys and values may be personal, so only their sizes are shown unless they are asked for (D1).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::letter::Letter;
use super::select::Place;
use crate::model::letter;

/// The longest detail in a table.
const DETAIL_CHARS: usize = 80;

/// Whether keys and values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contents {
    Hidden,
    Shown,
}

/// Counts letters by reason.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    reasons: BTreeMap<String, u64>,
    replayed: u64,
}

/// The table's head.
pub fn head() -> String {
    row(["LETTER", "FAILED AT", "REASON", "ROUTE", "FROM", "REPLAYED", "DETAIL"])
}

/// A letter as a line of the table.
pub fn line(letter: &Letter, is_replayed: bool) -> String {
    let from = letter.origin().map_or("?".to_owned(), |(it, offset)| format!("{it}@{offset}"));
    let detail: String =
        letter.get(letter::DETAIL).unwrap_or_default().chars().take(DETAIL_CHARS).collect();
    row([
        &place(letter),
        &seconds(letter),
        &letter.reason(),
        &letter.routes().join(","),
        &from,
        &replayed(letter, is_replayed),
        &detail,
    ])
}

/// A letter with everything that it says.
pub fn text(letter: &Letter, is_replayed: bool, contents: Contents) -> String {
    let (topic, _) = letter.place();
    let mut lines = vec![format!("{} of {}", place(letter), topic.topic)];
    let mut add = |name: &str, value: &str| lines.push(format!("  {name}: {value}"));
    let remedy = letter.remedy().unwrap_or_default();
    for (name, value) in letter.told() {
        add(name, if name == letter::REMEDY { &remedy } else { &value });
    }
    add("replayed", if is_replayed { "yes" } else { "no" });
    for (name, value) in letter.own_headers() {
        add(&format!("header {name}"), &shown(value.as_deref()));
    }
    if let Some(time) = letter.timestamp_ms() {
        add("timestamp", &time.to_string());
    }
    for (name, bytes) in [("key", letter.key()), ("value", letter.value())] {
        let text = match (contents, bytes) {
            (Contents::Shown, bytes) => shown(bytes),
            (Contents::Hidden, None) => "none".to_owned(),
            (Contents::Hidden, Some(bytes)) => {
                format!("{} bytes (--value shows them)", bytes.len())
            }
        };
        add(name, &text);
    }
    lines.join("\n")
}

/// A letter as a JSON object.
pub fn json(letter: &Letter, is_replayed: bool, contents: Contents) -> String {
    let (partition, offset) = letter.place();
    let told: Map<String, Value> =
        letter.told().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let own: Vec<Value> = letter
        .own_headers()
        .iter()
        .map(|(name, value)| json!([name, value.as_deref().map(|it| shown(Some(it)))]))
        .collect();
    let mut object = json!({
        "letter": place(letter),
        "partition": partition.number,
        "offset": offset,
        "replayed": is_replayed,
        "remedy": letter.remedy(),
        "told": told,
        "headers": own,
        "timestamp": letter.timestamp_ms(),
        "key_bytes": letter.key().map(<[u8]>::len),
        "value_bytes": letter.value().map(<[u8]>::len),
    });
    if let (Contents::Shown, Some(object)) = (contents, object.as_object_mut()) {
        for (name, bytes) in [("key", letter.key()), ("value", letter.value())] {
            object.insert(name.to_owned(), bytes.map(|bytes| shown(Some(bytes))).into());
        }
    }
    object.to_string()
}

/// The place of a letter, as commands take it.
pub fn place(letter: &Letter) -> String {
    let (partition, offset) = letter.place();
    Place { partition: partition.number, offset }.to_string()
}

fn row(cells: [&str; 7]) -> String {
    let [letter, time, reason, route, from, replayed, detail] = cells;
    let row = format!(
        "{letter:<10} {time:<20} {reason:<23} {route:<16} {from:<32} {replayed:<8} {detail}"
    );
    row.trim_end().to_owned()
}

fn seconds(letter: &Letter) -> String {
    let time = letter.failed_at_ms().map(|ms| jiff::Timestamp::from_second(ms.div_euclid(1_000)));
    time.and_then(Result::ok).map_or("?".to_owned(), |time| time.to_string())
}

/// How often its record was replayed before, and whether this letter was.
fn replayed(letter: &Letter, is_replayed: bool) -> String {
    let before = letter.replays();
    match (is_replayed, before) {
        (true, before) => format!("yes ({})", before + 1),
        (false, 0) => "no".to_owned(),
        (false, before) => format!("no ({before})"),
    }
}

/// Bytes as they can be printed: text where they are, else hexadecimal.
fn shown(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "none".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) => text.chars().map(printable).collect(),
        Err(_) => bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}

/// A control character could write over the terminal.
fn printable(c: char) -> char {
    if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }
}

// === impl Tally ===

impl Tally {
    pub fn count(&mut self, letter: &Letter, is_replayed: bool) {
        *self.reasons.entry(letter.reason()).or_default() += 1;
        self.replayed += u64::from(is_replayed);
    }

    pub fn text(&self) -> String {
        let all: u64 = self.reasons.values().sum();
        if all == 0 {
            return "no dead letters".to_owned();
        }
        let by = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}"));
        let by = by.collect::<Vec<_>>().join(", ");
        format!("{all} dead letters ({by}), {} of them replayed", self.replayed)
    }
}
