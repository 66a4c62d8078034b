//! Puts environment variables into values: `${NAME}`, `${NAME:-default}`; `$${` stays `${`.
//!
//! Works on values that YAML has already been parsed into, so a variable can never add a key or
//! change the shape of the file. References to fields (`$.row.id`) have no brace and stay as they
//! are.
//!
//! # Invariants
//! - pure: the environment is an argument.
//! - what is no variable name is not repeated in an error: it may be a misplaced secret.

/// A lookup of environment variables.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A value with its variables replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interpolated {
    pub(super) text: String,
    /// Whether any variable, or its default, is part of the text.
    pub(super) has_variables: bool,
}

/// A variable that cannot be replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VariableError {
    /// Of the `$`, counted in characters from 1.
    pub(super) column: usize,
    pub(super) kind: VariableErrorKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum VariableErrorKind {
    /// No variable of this name, and no default.
    Unset(String),
    Unclosed,
    InvalidName,
}

/// Replaces all variables, or names all that cannot be replaced. `stand_in` is asked last, for what is
/// not set and has no default.
pub(super) fn interpolate(
    text: &str,
    environment: Environment<'_>,
    stand_in: Environment<'_>,
) -> Result<Interpolated, Vec<VariableError>> {
    let mut whole = String::with_capacity(text.len());
    let mut has_variables = false;
    let mut errors = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            whole.push_str(before);
            whole.push_str("${");
            rest = after;
            continue;
        }
        whole.push_str(before);
        let consumed = text.strip_suffix(after).unwrap_or_default();
        let column = consumed.chars().count().saturating_sub(1);
        let Some((inner, tail)) = after.split_once('}') else {
            errors.push(VariableError { column, kind: VariableErrorKind::Unclosed });
            return Err(errors);
        };
        match replacement(inner, environment, stand_in) {
            Ok(value) => whole.push_str(&value),
            Err(kind) => errors.push(VariableError { column, kind }),
        }
        has_variables = true;
        rest = tail;
    }
    whole.push_str(rest);
    if errors.is_empty() { Ok(Interpolated { text: whole, has_variables }) } else { Err(errors) }
}

/// The text for what stands between the braces. As in a shell, `:-` also replaces an empty value.
fn replacement(
    inner: &str,
    environment: Environment<'_>,
    stand_in: Environment<'_>,
) -> Result<String, VariableErrorKind> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_name(name) {
        return Err(VariableErrorKind::InvalidName);
    }
    match (environment(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => stand_in(name).ok_or_else(|| VariableErrorKind::Unset(name.to_owned())),
    }
}

fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "YAML" => Some("x: ${A}".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn variables_defaults_and_escapes() {
        for (text, expected) in [
            ("${A}", "one"),
            ("<${A}-${A}>", "<one-one>"),
            ("${B:-two}", "two"),
            ("${EMPTY:-two}", "two"),
            ("${EMPTY}", ""),
            ("${B:-}", ""),
            ("${B:-a:-b}", "a:-b"),
            ("$${A}", "${A}"),
            ("$.row.x and $A", "$.row.x and $A"),
            ("${YAML}", "x: ${A}"),
        ] {
            assert_eq!(interpolate(text, &lookup, &|_| None).unwrap().text, expected, "{text}");
        }
        let stood_in =
            interpolate("${A} ${EMPTY} ${B} ${B:-two}", &lookup, &|name| Some(format!("<{name}>")));
        assert_eq!(stood_in.unwrap().text, "one  <B> two");
        assert!(!interpolate("$${A}", &lookup, &|_| None).unwrap().has_variables);
        assert!(interpolate("${B:-two}", &lookup, &|_| None).unwrap().has_variables);
    }

    #[test]
    fn every_missing_variable_is_named_with_its_column() {
        let errors = interpolate("é${B} ${C}${", &lookup, &|_| None).unwrap_err();
        let unset = |name: &str| VariableErrorKind::Unset(name.to_owned());
        assert_eq!(
            errors,
            [
                VariableError { column: 2, kind: unset("B") },
                VariableError { column: 7, kind: unset("C") },
                VariableError { column: 11, kind: VariableErrorKind::Unclosed },
            ]
        );
        for text in ["${}", "${1A}", "${A B}", "${api-1}"] {
            let errors = interpolate(text, &lookup, &|_| None).unwrap_err();
            assert_eq!(errors, [VariableError { column: 1, kind: VariableErrorKind::InvalidName }]);
        }
    }

    proptest! {
        #[test]
        fn text_without_a_brace_stays(text in any::<String>()) {
            let text = text.replace('{', "");
            prop_assert_eq!(interpolate(&text, &lookup, &|_| None).unwrap().text, text);
        }
    }
}
