//! Reads one event: the fields that matter, and what is wrong with them.
//!
//! The documentation's table of fields is the measure. Where it is silent (is `1e999` a number, is
//! `null` a value?) the sandbox is strict: a client that stays clear of the question is safe.
//!
//! Values are looked at as raw JSON, because most need no reading to be judged.
//!
//! Not here: whether the body is taken (the module above).

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// 2000-01-01 in epoch milliseconds. Anything earlier is a time in seconds, not an old event.
const EARLIEST_CREATION_MS: i64 = 946_684_800_000;
/// 2100-01-01 in epoch milliseconds. Anything later is a time in micro- or nanoseconds.
const LATEST_CREATION_MS: i64 = 4_102_444_800_000;

/// Why an event that was accepted does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::sandbox) enum Malformation {
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

/// The fields of an event that matter here, unread. Written by hand because a derived reader
/// refuses a repeated field, which JSON allows.
#[derive(Default)]
pub(super) struct EventFields<'a> {
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

// === impl EventFields ===

impl<'a> EventFields<'a> {
    pub(super) fn is_custom(&self) -> bool {
        self.kind.and_then(text).is_some_and(|kind| kind == "custom")
    }

    /// Returns the event key, if there is a usable one.
    pub(super) fn key(&self) -> Option<Cow<'a, str>> {
        self.key.and_then(text).filter(|key| !key.is_empty())
    }

    /// Finds the first fault, in the order of the documentation's table. Takes the key because the
    /// caller has read it already.
    pub(super) fn malformation(&self, key: Option<&str>) -> Option<Malformation> {
        if key.is_none() {
            return Some(Malformation::Key);
        }
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
        let fields: EventFields<'_> = serde_json::from_str(event).expect("an object");
        assert!(fields.is_custom());
        fields.malformation(fields.key().as_deref())
    }

    fn changed(from: &str, to: &str) -> Option<Malformation> {
        assert!(GOOD.contains(from), "{from}");
        malformation_of(&GOOD.replace(from, to))
    }

    #[test]
    fn a_well_formed_event_has_no_fault() {
        assert_eq!(malformation_of(GOOD), None);
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
