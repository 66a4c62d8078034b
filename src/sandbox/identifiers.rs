//! Derives the identifiers LaunchDarkly would draw.
//!
//! Everything is derived from what it names, so that a run can be repeated and a person can tell that
//! two answers speak of the same thing.

use uuid::Uuid;

/// Length of LaunchDarkly's object identifiers.
const OBJECT_ID_LENGTH: usize = 24;

/// Returns 24 hexadecimal digits for the named parts.
pub(super) fn object_id(parts: &[&str]) -> String {
    uuid_of(parts).simple().to_string().chars().take(OBJECT_ID_LENGTH).collect()
}

/// Returns a UUID for the named parts.
pub(super) fn unique_id(parts: &[&str]) -> String {
    uuid_of(parts).to_string()
}

fn uuid_of(parts: &[&str]) -> Uuid {
    // No part of a path or a key holds a NUL, so parts cannot run into each other.
    Uuid::new_v5(&Uuid::NAMESPACE_URL, parts.join("\0").as_bytes())
}

/// Says why a text cannot be the key of a metric or a segment.
///
/// The rule is the one LaunchDarkly's own Terraform provider checks before it sends; the reference
/// does not state it.
pub(super) fn key_problem(key: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    if !key.starts_with(plain) {
        return Some("`key` must begin with a letter or a digit");
    }
    let fits = key.chars().all(|c| plain(c) || matches!(c, '.' | '_' | '-'));
    (!fits).then_some("`key` may hold letters, digits, `.`, `_` and `-` only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_the_usual_form_and_tell_their_parts_apart() {
        let id = object_id(&["environment", "shop", "test"]);
        assert!(id.len() == 24 && id.chars().all(|c| c.is_ascii_hexdigit()), "{id}");
        assert_eq!(id, object_id(&["environment", "shop", "test"]));
        assert_ne!(id, object_id(&["environment", "shopt", "est"]));
    }

    #[test]
    fn keys_are_plain() {
        for good in ["a", "checkout-total", "9.x_Y"] {
            assert_eq!(key_problem(good), None, "{good}");
        }
        for bad in ["", "-a", "a b", "a/b", "é", "Ünder"] {
            assert!(key_problem(bad).is_some(), "{bad}");
        }
    }
}
