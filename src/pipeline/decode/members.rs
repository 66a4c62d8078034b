//! Finds members of a JSON object as raw text, in one pass that steps over everything else.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What an object holds under the names that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Members<'a, const N: usize> {
    /// The JSON texts, in the order of the names. Of a repeated member the last one counts.
    pub(super) found: [Option<&'a str>; N],
    /// How many members the object has altogether.
    pub(super) count: usize,
}

/// Reads an object. Its values are checked to be JSON, but not looked into.
///
/// # Errors
/// The text is not one JSON object.
pub(super) fn members<'a, const N: usize>(
    text: &'a str,
    names: &[&str; N],
) -> Result<Members<'a, N>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Scan(names))?;
    json.end()?;
    Ok(members)
}

struct Scan<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> Visitor<'de> for Scan<'_, N> {
    type Value = Members<'de, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { found: [None; N], count: 0 };
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            members.count += 1;
            match name.and_then(|at| members.found.get_mut(at)) {
                Some(found) => *found = Some(map.next_value::<&RawValue>()?.get()),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(members)
    }
}

/// Finds which of the names a member has, without copying it.
struct Name<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|wanted| *wanted == name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_at_the_top_only_and_the_last_counts() {
        let text = r#" {"b":{"a":0}, "a": [1, 2] ,"x":"{", "\u0062":null} "#;
        let found = members(text, &["a", "b", "c"]).unwrap();
        assert_eq!(found, Members { found: [Some("[1, 2]"), Some("null"), None], count: 4 });
    }

    #[test]
    fn what_is_not_one_object_is_an_error() {
        for text in ["", "null", "[]", "\"a\"", "{\"a\":}", "{} {}", "{\"a\":1,}"] {
            assert!(members(text, &["a"]).is_err(), "{text}");
        }
    }
}
