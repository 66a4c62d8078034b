//! Reads the body of a metric import: is it taken at all, and which of its events will count.
//!
//! LaunchDarkly looks at two things before it answers: that the body is a JSON array and that every
//! `kind` is `custom`. Anything else that is wrong with an event is found later, when nobody is
//! left to tell: the answer was 202 and the event is missing from every analysis. This is where the
//! sandbox makes that silence visible.
//!
//! # Invariants
//! - C1: a body is taken whole or not at all.
//! - C2: a mark's range is exactly the text of one array element.
//! - C3: an event counts if and only if its mark carries no malformation.
//!
//! Not here: size limits and compression (`import_body`), repeats (`journal::payload_ids`).

mod event;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use self::event::EventFields;

pub(super) use self::event::Malformation;

/// Why a whole body was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("the body is not a JSON array of events: {0}")]
    NotEvents(serde_json::Error),
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
        let key = fields.key();
        let malformation = fields.malformation(key.as_deref());
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"kind":"custom","key":"paid","creationDate":1767225600000,"metricValue":4.5,"contextKeys":{"user":"u-1"},"data":{"a":[1]}}"#;

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
    fn a_malformed_event_is_marked_and_its_neighbours_count_c3() {
        let body = format!(r#"[{GOOD},{{"kind":"custom","key":"paid"}},{GOOD}]"#);
        let checked = check(body.as_bytes()).expect("taken");
        let faults: Vec<_> = checked.marks.iter().map(|mark| mark.malformation).collect();
        assert_eq!(faults, [None, Some(Malformation::CreationDateMissing), None]);
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
}
