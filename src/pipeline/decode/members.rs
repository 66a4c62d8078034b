//! Finds members of a JSON object as raw text, in one pass that steps over everything else.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What Connect's JSON converter calls the two parts of a wrapper, see `connect`.
const WRAPPER: [&str; 2] = ["schema", "payload"];

/// What an object holds under the names that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Members<'a, const N: usize> {
    /// The JSON texts, in the order of the names. Of a repeated member the last one counts.
    pub(super) found: [Option<&'a str>; N],
    /// Its `schema` and its `payload`, which tell a wrapper.
    pub(super) wrapper: [Option<&'a str>; 2],
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
        let mut members = Members { found: [None; N], wrapper: [None; 2], count: 0 };
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            members.count += 1;
            let place = match name {
                Wanted::Own(at) => members.found.get_mut(at),
                Wanted::Wrapper(at) => members.wrapper.get_mut(at),
                Wanted::No => None,
            };
            match place {
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

/// Whose name it is, and which of them.
enum Wanted {
    Own(usize),
    Wrapper(usize),
    No,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Wanted;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Wanted, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Wanted;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Wanted, E> {
        let at = |names: &[&str]| names.iter().position(|wanted| *wanted == name);
        let own = at(self.0).map(Wanted::Own);
        Ok(own.or_else(|| at(&WRAPPER).map(Wanted::Wrapper)).unwrap_or(Wanted::No))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_at_the_top_only_and_the_last_counts() {
        let text = r#" {"b":{"a":0}, "a": [1, 2] ,"payload":"{", "\u0062":null} "#;
        let found = members(text, &["a", "b", "c"]).unwrap();
        let wrapper = [None, Some("\"{\"")];
        let found_too = [Some("[1, 2]"), Some("null"), None];
        assert_eq!(found, Members { found: found_too, wrapper, count: 4 });
    }

    #[test]
    fn what_is_not_one_object_is_an_error() {
        for text in ["", "null", "[]", "\"a\"", "{\"a\":}", "{} {}", "{\"a\":1,}"] {
            assert!(members(text, &["a"]).is_err(), "{text}");
        }
    }
}
