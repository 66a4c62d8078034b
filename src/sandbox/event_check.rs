//! Reads the body of a metric import: is it taken at all, and which of its events will count.
//!
//! LaunchDarkly looks at two things before it answers: that the body is a JSON array and that every
//! `kind` is `custom`. Anything else that is wrong with an event is found later, when nobody is
//! left to tell: the answer was 202 and the event is missing from every analysis. This file is where
//! the sandbox makes that silence visible.
//!
//! # Invariants
//! - C1: a body is taken whole or not at all.
//! - C2: a mark's range is exactly the text of one array element.
//! - C3: an event counts if and only if its mark carries no malformation.
//!
//! Not here: size limits and compression (`import_body`), repeats (`journal::payload_ids`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// 2000-01-01 in epoch milliseconds. Anything earlier is a time in seconds, not an old event.
const EARLIEST_CREATION_MS: i64 = 946_684_800_000;
/// 2100-01-01 in epoch milliseconds. Anything later is a time in micro- or nanoseconds.
const LATEST_CREATION_MS: i64 = 4_102_444_800_000;

/// Why an event that was accepted does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Malformation {
    /// `key` is missing, not a string, or empty.
    Key,
    /// `creationDate` is missing.
    CreationDateMissing,
    /// `creationDate` is not written as an integer.
    CreationDateNotInteger,
    /// `creationDate` is no time between 2000 and 2100 in milliseconds; seconds, most often.
    CreationDateImplausible,
    /// `contextKeys` is missing or not an object.
    ContextKeys,
    /// `contextKeys` has no pair.
    ContextKeysEmpty,
    /// `contextKeys` has a pair whose kind or key is not a non-empty string.
    ContextKeyNotText,
    /// `metricValue` is there and is not a finite number.
    MetricValue,
    /// `data` is there and is not an object.
    Data,
}

/// Why a whole body was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("the body is not a JSON array of events: {0}")]
    NotEvents(#[source] serde_json::Error),
    #[error("event {index} of the array: `kind` must be \"custom\"; nothing was imported")]
    WrongKind { index: usize },
}

/// Where one event lies in its body, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventMark {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Index into `CheckedEvents::keys`; `None` if the event has no usable key.
    pub(super) key: Option<u32>,
    pub(super) malformation: Option<Malformation>,
}

/// The events of one body.
#[derive(Debug, Default)]
pub(super) struct CheckedEvents {
    pub(super) marks: Vec<EventMark>,
    /// Each event key of the body once, in order of appearance.
    pub(super) keys: Vec<String>,
}

/// Checks a body.
///
/// # Errors
/// Says why nothing of the body may be taken (C1).
pub(super) fn check(body: &[u8]) -> Result<CheckedEvents, NotTaken> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let findings = reader
        .deserialize_seq(Inspection::of(body))
        .and_then(|findings| reader.end().map(|()| findings))
        .map_err(NotTaken::NotEvents)?;
    match findings.wrong_kind {
        Some(index) => Err(NotTaken::WrongKind { index }),
        None => Ok(findings.events),
    }
}

// === impl Inspection ===

/// Walks the array, looking at one event at a time.
struct Inspection<'a> {
    body: &'a [u8],
    events: CheckedEvents,
    key_places: HashMap<Cow<'a, str>, u32>,
    /// The key of the event before: batches tend to repeat one, which saves the look-up.
    last_key: Option<(Cow<'a, str>, u32)>,
    wrong_kind: Option<usize>,
}

impl<'a> Inspection<'a> {
    fn of(body: &'a [u8]) -> Self {
        Self {
            body,
            events: CheckedEvents::default(),
            key_places: HashMap::new(),
            last_key: None,
            wrong_kind: None,
        }
    }

    fn look_at(&mut self, element: &'a RawValue) {
        let fields: EventFields<'a> = serde_json::from_str(element.get()).unwrap_or_default();
        if !fields.is_custom() && self.wrong_kind.is_none() {
            self.wrong_kind = Some(self.events.marks.len());
        }
        let key = fields.key.and_then(text).filter(|key| !key.is_empty());
        let malformation = match key {
            None => Some(Malformation::Key),
            Some(_) => fields.malformation(),
        };
        let (start, end) = self.range_of(element);
        let key = key.map(|key| self.place_of(key));
        self.events.marks.push(EventMark { start, end, key, malformation });
    }

    /// Bodies are capped below 4 GiB (`Settings::max_body_bytes`), so the offsets fit.
    fn range_of(&self, element: &RawValue) -> (u32, u32) {
        let text = element.get().as_bytes();
        let start = text.as_ptr().addr().saturating_sub(self.body.as_ptr().addr());
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        (offset(start), offset(start.saturating_add(text.len())))
    }

    fn place_of(&mut self, key: Cow<'a, str>) -> u32 {
        if let Some((last, place)) = &self.last_key
            && *last == key
        {
            return *place;
        }
        let next = u32::try_from(self.events.keys.len()).unwrap_or(u32::MAX);
        let place = *self.key_places.entry(key.clone()).or_insert(next);
        if place == next {
            self.events.keys.push(key.clone().into_owned());
        }
        self.last_key = Some((key, place));
        place
    }
}

impl<'de> Visitor<'de> for Inspection<'de> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Self, A::Error> {
        while let Some(element) = array.next_element::<&'de RawValue>()? {
            self.look_at(element);
        }
        Ok(self)
    }
}

// === impl EventFields ===

/// The fields of an event that matter here, unread. Written by hand because a derived reader
/// refuses a repeated field, which JSON allows.
#[derive(Default)]
struct EventFields<'a> {
    kind: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    creation_date: Option<&'a RawValue>,
    context_keys: Option<&'a RawValue>,
    metric_value: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum FieldName {
    Kind,
    Key,
    CreationDate,
    ContextKeys,
    MetricValue,
    Data,
    #[serde(other)]
    Other,
}

impl EventFields<'_> {
    fn is_custom(&self) -> bool {
        self.kind.and_then(text).is_some_and(|kind| kind == "custom")
    }

    /// Finds the first fault, in the order of the documentation's table; the key is checked before.
    fn malformation(&self) -> Option<Malformation> {
        wrong_creation_date(self.creation_date)
            .or_else(|| wrong_context_keys(self.context_keys))
            .or_else(|| self.metric_value.and_then(wrong_metric_value))
            .or_else(|| self.data.and_then(wrong_data))
    }
}

impl<'de> Deserialize<'de> for EventFields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = EventFields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = EventFields::default();
                while let Some(name) = map.next_key::<FieldName>()? {
                    let slot = match name {
                        FieldName::Kind => &mut fields.kind,
                        FieldName::Key => &mut fields.key,
                        FieldName::CreationDate => &mut fields.creation_date,
                        FieldName::ContextKeys => &mut fields.context_keys,
                        FieldName::MetricValue => &mut fields.metric_value,
                        FieldName::Data => &mut fields.data,
                        FieldName::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *slot = Some(map.next_value()?);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

// === the single checks ===

fn wrong_creation_date(value: Option<&RawValue>) -> Option<Malformation> {
    let Some(value) = value else { return Some(Malformation::CreationDateMissing) };
    match value.get().parse::<i64>() {
        Err(_) => Some(Malformation::CreationDateNotInteger),
        Ok(ms) if (EARLIEST_CREATION_MS..LATEST_CREATION_MS).contains(&ms) => None,
        Ok(_) => Some(Malformation::CreationDateImplausible),
    }
}

fn wrong_context_keys(value: Option<&RawValue>) -> Option<Malformation> {
    let pairs = value.and_then(|value| serde_json::from_str::<ContextPairs>(value.get()).ok());
    match pairs {
        None => Some(Malformation::ContextKeys),
        Some(ContextPairs { count: 0, .. }) => Some(Malformation::ContextKeysEmpty),
        Some(ContextPairs { all_text: false, .. }) => Some(Malformation::ContextKeyNotText),
        Some(_) => None,
    }
}

/// JSON can write a number that no `f64` holds, such as `1e999`.
fn wrong_metric_value(value: &RawValue) -> Option<Malformation> {
    let finite = value.get().parse::<f64>().is_ok_and(f64::is_finite);
    (!finite).then_some(Malformation::MetricValue)
}

fn wrong_data(value: &RawValue) -> Option<Malformation> {
    (!value.get().starts_with('{')).then_some(Malformation::Data)
}

/// Reads a JSON string; `None` if the value is something else.
fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    match serde_json::from_str::<&str>(json) {
        Ok(borrowed) => Some(Cow::Borrowed(borrowed)),
        // A string with escapes cannot be borrowed.
        Err(_) => serde_json::from_str::<String>(json).ok().map(Cow::Owned),
    }
}

/// What `contextKeys` holds, reduced to what is checked.
struct ContextPairs {
    count: usize,
    all_text: bool,
}

impl<'de> Deserialize<'de> for ContextPairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = ContextPairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of context kinds and keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = ContextPairs { count: 0, all_text: true };
                while let Some(kind) = map.next_key::<MaybeEmpty>()? {
                    let key: &'de RawValue = map.next_value()?;
                    // The only JSON spelling of the empty string is two quotes.
                    let is_text = key.get().starts_with('"') && key.get().len() > 2;
                    pairs.count += 1;
                    pairs.all_text &= is_text && !kind.is_empty;
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A string of which only the emptiness matters.
struct MaybeEmpty {
    is_empty: bool,
}

impl<'de> Deserialize<'de> for MaybeEmpty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = MaybeEmpty;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<MaybeEmpty, E> {
                Ok(MaybeEmpty { is_empty: text.is_empty() })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"kind":"custom","key":"paid","creationDate":1767225600000,"metricValue":4.5,"contextKeys":{"user":"u-1"},"data":{"a":[1]}}"#;

    fn malformation_of(event: &str) -> Option<Malformation> {
        let checked = check(format!("[{event}]").as_bytes()).expect("taken");
        assert_eq!(checked.marks.len(), 1);
        checked.marks[0].malformation
    }

    fn changed(from: &str, to: &str) -> Option<Malformation> {
        assert!(GOOD.contains(from), "{from}");
        malformation_of(&GOOD.replace(from, to))
    }

    #[test]
    fn a_well_formed_event_counts_c3() {
        assert_eq!(malformation_of(GOOD), None);
    }

    #[test]
    fn marks_are_the_exact_text_of_the_elements_c2() {
        let second = GOOD.replace("paid", "pa\\u0069d2");
        let body = format!(" [ {GOOD} ,\n{second}, {GOOD}]  ");
        let checked = check(body.as_bytes()).expect("taken");
        let texts: Vec<_> =
            checked.marks.iter().map(|m| body.get(m.start as usize..m.end as usize)).collect();
        assert_eq!(texts, [Some(GOOD), Some(second.as_str()), Some(GOOD)]);
        assert_eq!(checked.keys, ["paid", "paid2"]);
        assert_eq!(
            checked.marks.iter().map(|m| m.key).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(0)]
        );
    }

    #[test]
    fn an_empty_array_is_taken() {
        assert_eq!(check(b"[]").expect("taken").marks, []);
    }

    #[test]
    fn a_body_that_is_no_array_is_refused_whole_c1() {
        for body in ["", "{}", "null", "[1", "[] []", "[{\"kind\":\"custom\"},]", "not json"] {
            assert!(matches!(check(body.as_bytes()), Err(NotTaken::NotEvents(_))), "{body}");
        }
        assert!(matches!(check(b"[\"\xff\"]"), Err(NotTaken::NotEvents(_))));
    }

    #[test]
    fn one_wrong_kind_refuses_the_whole_body_c1() {
        for event in [r#"{"kind":"click"}"#, r#"{"key":"paid"}"#, r#"{"kind":1}"#, "7", "[]"] {
            let refused = check(format!("[{GOOD},{event},{GOOD}]").as_bytes());
            assert!(matches!(refused, Err(NotTaken::WrongKind { index: 1 })), "{event}");
        }
    }

    #[test]
    fn each_fault_has_its_reason() {
        let cases = [
            (r#""key":"paid","#, "", Malformation::Key),
            (r#""paid""#, r#""""#, Malformation::Key),
            (r#""paid""#, "7", Malformation::Key),
            (r#""creationDate":1767225600000,"#, "", Malformation::CreationDateMissing),
            ("1767225600000", "1767225600000.5", Malformation::CreationDateNotInteger),
            ("1767225600000", "\"1767225600000\"", Malformation::CreationDateNotInteger),
            ("1767225600000", "null", Malformation::CreationDateNotInteger),
            ("1767225600000", "1767225600", Malformation::CreationDateImplausible),
            ("1767225600000", "1767225600000000", Malformation::CreationDateImplausible),
            ("1767225600000", "-5", Malformation::CreationDateImplausible),
            (r#""contextKeys":{"user":"u-1"},"#, "", Malformation::ContextKeys),
            (r#"{"user":"u-1"}"#, r#"["u-1"]"#, Malformation::ContextKeys),
            (r#"{"user":"u-1"}"#, "{}", Malformation::ContextKeysEmpty),
            (r#""u-1""#, "1", Malformation::ContextKeyNotText),
            (r#""u-1""#, r#""""#, Malformation::ContextKeyNotText),
            (r#""user":"#, r#""org":"o","":"#, Malformation::ContextKeyNotText),
            ("4.5", "\"4.5\"", Malformation::MetricValue),
            ("4.5", "null", Malformation::MetricValue),
            ("4.5", "1e999", Malformation::MetricValue),
            (r#"{"a":[1]}"#, "3", Malformation::Data),
        ];
        for (from, to, expected) in cases {
            assert_eq!(changed(from, to), Some(expected), "{from} -> {to}");
        }
    }

    #[test]
    fn what_the_documentation_allows_counts() {
        assert_eq!(changed(r#""metricValue":4.5,"#, ""), None);
        assert_eq!(changed("4.5", "-3e2"), None);
        assert_eq!(changed(r#","data":{"a":[1]}"#, ""), None);
        assert_eq!(changed(r#"{"user":"u-1"}"#, r#"{"us\u0065r":"\n","org":"o"}"#), None);
        assert_eq!(changed(r#""key":"paid""#, r#""key":"first","key":"paid","other":[{}]"#), None);
    }

    #[test]
    fn the_edges_of_plausible_time() {
        for (ms, counts) in [
            (EARLIEST_CREATION_MS - 1, false),
            (EARLIEST_CREATION_MS, true),
            (LATEST_CREATION_MS - 1, true),
            (LATEST_CREATION_MS, false),
        ] {
            assert_eq!(changed("1767225600000", &ms.to_string()).is_none(), counts, "{ms}");
        }
    }
}
