//! The configuration as written: YAML values with their places and their variables replaced.
//!
//! Nothing is interpreted here but the shape, so one mistake in a value leaves the rest readable.
//!
//! Not here: which keys exist (`keys`), what values mean (`section` and the files of the sections).

use std::borrow::Cow;

use marked_yaml::types::MarkedScalarNode;
use marked_yaml::{LoadError, LoaderOptions, Marker, Node};

use super::interpolate::{Environment, Interpolated, VariableErrorKind, interpolate};
use super::mistakes::{At, Review};

/// Longer values are cut when a mistake shows them: a line should stay a line.
const LONGEST_SHOWN: usize = 60;

/// A value as written.
pub(super) enum Value {
    /// Nothing stands behind the key.
    Nothing(At),
    /// Its mistake is already noted; nothing more is to be said about it.
    Broken(At),
    Scalar(Scalar),
    List(At, Vec<Value>),
    Section(At, Vec<Entry>),
}

/// A key of a section and its value.
pub(super) struct Entry {
    pub(super) name: String,
    /// The place of the key itself.
    pub(super) at: At,
    pub(super) value: Value,
}

/// A single value. Shown in a mistake only through `shown` (C1), hence no `Debug`.
pub(super) struct Scalar {
    pub(super) at: At,
    pub(super) text: String,
    pub(super) style: Style,
    secrecy: Secrecy,
}

/// How a scalar is written: only plain ones can be numbers and booleans.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Quoted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    /// From the environment, or the value of a secret key.
    Secret,
}

/// Where the values of variables come from.
#[derive(Clone, Copy)]
pub(super) struct Variables<'a> {
    pub(super) environment: Environment<'a>,
    /// What stands at a key, the first argument, for a variable that is missing.
    pub(super) stand_in: &'a dyn Fn(&str, &str) -> Option<String>,
}

/// Turns YAML nodes into values.
struct Reader<'a> {
    /// `None` where `${` means nothing.
    variables: Option<Variables<'a>>,
    review: &'a Review<'a>,
}

/// Reads YAML; `None` when it is none. Only the first syntax mistake is found: what follows it has
/// no reliable shape.
pub(super) fn read(
    text: &str,
    variables: Option<Variables<'_>>,
    review: &Review<'_>,
) -> Option<Value> {
    let root = At { key: String::new(), line: 1, column: 1 };
    refuse_second_document(review);
    match load(text, review) {
        Ok(node) => Some(Reader { variables, review }.value(&node, root)),
        Err(error) => {
            note_syntax(&error, review);
            None
        }
    }
}

/// Loads the document; a duplicate key is noted and does not hide other mistakes.
fn load(text: &str, review: &Review<'_>) -> Result<Node, LoadError> {
    let options =
        |unique| LoaderOptions::default().prevent_coercion(true).error_on_duplicate_keys(unique);
    match marked_yaml::parse_yaml_with_options(0, text, options(true)) {
        Err(LoadError::DuplicateKey(duplicate)) => {
            let first = duplicate.prev_key.span().start().map_or(0, Marker::line);
            let at = place(duplicate.key.span().start(), duplicate.key.as_str().to_owned());
            review.mistake(
                &at,
                format!("stands here a second time, after line {first}"),
                "keep one of the two",
            );
            marked_yaml::parse_yaml_with_options(0, text, options(false))
        }
        other => other,
    }
}

/// The loader stops after the first document; what follows would be ignored in silence.
fn refuse_second_document(review: &Review<'_>) {
    let is_marker = |line: &str| line == "---" || line.starts_with("--- ") || line == "...";
    let is_content = |line: &str| {
        !line.trim().is_empty() && !line.trim_start().starts_with(['#', '%']) && !is_marker(line)
    };
    let lines = review.lines();
    let start = lines.iter().position(|line| is_content(line)).unwrap_or(lines.len());
    let second = lines.iter().enumerate().skip(start).find(|(_, line)| is_marker(line));
    if let Some((index, _)) = second {
        review.mistake(
            &At { key: String::new(), line: index + 1, column: 1 },
            "a second YAML document begins here",
            "keep everything in one document",
        );
    }
}

fn note_syntax(error: &LoadError, review: &Review<'_>) {
    let (marker, problem, remedy) = match error {
        LoadError::TopLevelMustBeMapping(marker) | LoadError::TopLevelMustBeSequence(marker) => {
            (Some(marker), "the file holds no keys".to_owned(), "start with `kafka:`")
        }
        LoadError::UnexpectedAnchor(marker) => {
            (Some(marker), "anchors are not supported".to_owned(), "write the value out")
        }
        LoadError::UnexpectedTag(marker) => {
            (Some(marker), "tags are not supported".to_owned(), "remove the tag")
        }
        LoadError::MappingKeyMustBeScalar(marker) => {
            (Some(marker), "a key must be a single word".to_owned(), "quote it")
        }
        LoadError::ScanError(marker, error) => (
            Some(marker),
            format!("is not YAML: {}", error.info()),
            "check indents and quotes; within { } and [ ], quote \"${VARIABLES}\"",
        ),
        LoadError::DuplicateKey(duplicate) => (
            duplicate.key.span().start(),
            "a key stands here a second time".to_owned(),
            "keep one of the two",
        ),
    };
    review.mistake(&place(marker, String::new()), problem, remedy);
}

fn place(marker: Option<&Marker>, key: String) -> At {
    let (line, column) = marker.map_or((1, 1), |marker| (marker.line(), marker.column()));
    At { key, line, column }
}

/// The place of a list's item. The loader marks a section at its first colon, people look at its
/// first key.
fn item_place(item: &Node, key: String) -> At {
    let own = place(item.span().start(), key);
    let first = item.as_mapping().and_then(|members| members.keys().next());
    match first.map(|name| place(name.span().start(), own.key.clone())) {
        Some(first) if (first.line, first.column) < (own.line, own.column) => first,
        _ => own,
    }
}

// === impl Reader ===

impl Reader<'_> {
    /// `at` is where a section or a list is said to stand: the key that opens it.
    fn value(&self, node: &Node, at: At) -> Value {
        match node {
            Node::Scalar(scalar) => {
                let style = if scalar.may_coerce() { Style::Plain } else { Style::Quoted };
                self.scalar(scalar, style, at)
            }
            Node::Sequence(items) => {
                let read = |(index, item): (usize, &Node)| {
                    self.value(item, item_place(item, format!("{}[{index}]", at.key)))
                };
                let items = items.iter().enumerate().map(read).collect();
                Value::List(at, items)
            }
            Node::Mapping(members) => {
                let read = |(name, node): (&MarkedScalarNode, &Node)| {
                    let key = at.child(name.as_str()).key;
                    let at = place(name.span().start(), key);
                    let value = self.value(node, at.clone());
                    Entry { name: name.as_str().to_owned(), at, value }
                };
                let members = members.iter().map(read).collect();
                Value::Section(at, members)
            }
        }
    }

    fn scalar(&self, scalar: &MarkedScalarNode, style: Style, at: At) -> Value {
        let written = scalar.as_str();
        if style == Style::Plain && matches!(written, "" | "~" | "null" | "Null" | "NULL") {
            // The place of nothing is that of its key, not of what comes next.
            return Value::Nothing(at);
        }
        let at = place(scalar.span().start(), at.key);
        let interpolated = match self.variables {
            Some(Variables { environment, stand_in }) => {
                interpolate(written, environment, &|name| stand_in(&at.key, name))
            }
            None => Ok(Interpolated { text: written.to_owned(), has_variables: false }),
        };
        match interpolated {
            Ok(interpolated) => {
                let is_secret = interpolated.has_variables
                    || is_secret_key(&at.key)
                    || looks_like_credentials(&interpolated.text);
                let secrecy = if is_secret { Secrecy::Secret } else { Secrecy::Open };
                Value::Scalar(Scalar { at, text: interpolated.text, style, secrecy })
            }
            Err(errors) => {
                for error in errors {
                    let place = self.review.inside(&at, written, error.column);
                    let (problem, remedy) = in_words(&error.kind);
                    self.review.mistake(place.as_ref().unwrap_or(&at), problem, remedy);
                }
                Value::Broken(at)
            }
        }
    }
}

fn in_words(kind: &VariableErrorKind) -> (String, String) {
    match kind {
        VariableErrorKind::Unset(name) => (
            format!("the environment variable {name} is not set"),
            format!("set it, or give a default: ${{{name}:-...}}"),
        ),
        VariableErrorKind::Unclosed => {
            ("`${` has no `}`".to_owned(), "close it, or write `$${` for a plain `${`".to_owned())
        }
        VariableErrorKind::InvalidName => (
            "between `${` and `}` stands no variable name".to_owned(),
            "use letters, digits and `_`, or write `$${` for a plain `${`".to_owned(),
        ),
    }
}

fn is_secret_key(key: &str) -> bool {
    let is_below = ["kafka.properties.", "traces.headers."].iter().any(|it| key.starts_with(it));
    is_below || key.ends_with(".access_token") || key == "admin.token"
}

/// Catches a token that was pasted behind the wrong key.
fn looks_like_credentials(text: &str) -> bool {
    ["api-", "sdk-", "mob-", "Bearer "].iter().any(|prefix| text.starts_with(prefix))
        || text.split_once("://").is_some_and(|(_, rest)| rest.contains('@'))
}

// === impl Value ===

impl Value {
    /// The value as JSON; numbers keep their spelling.
    pub(super) fn to_json(&self) -> String {
        let joined = |parts: Vec<String>| parts.join(",");
        match self {
            Self::Nothing(_) | Self::Broken(_) => "null".to_owned(),
            Self::Scalar(scalar) if scalar.is_literal() => scalar.text.clone(),
            Self::Scalar(scalar) => serde_json::Value::from(scalar.text.as_str()).to_string(),
            Self::List(_, items) => {
                format!("[{}]", joined(items.iter().map(Self::to_json).collect()))
            }
            Self::Section(_, entries) => {
                let member = |entry: &Entry| {
                    let name = serde_json::Value::from(entry.name.as_str());
                    format!("{name}:{}", entry.value.to_json())
                };
                format!("{{{}}}", joined(entries.iter().map(member).collect()))
            }
        }
    }

    pub(super) fn at(&self) -> &At {
        match self {
            Self::Scalar(scalar) => &scalar.at,
            Self::Nothing(at) | Self::Broken(at) | Self::List(at, _) | Self::Section(at, _) => at,
        }
    }

    /// What it is, in words for a mistake.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nothing(_) | Self::Broken(_) => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(..) => "a list",
            Self::Section(..) => "a section",
        }
    }
}

/// Notes every value below as the effective configuration shows it.
pub(super) fn note_values(value: &Value, review: &Review<'_>) {
    match value {
        Value::Nothing(_) | Value::Broken(_) => {}
        Value::Scalar(scalar) => review.note_value(&scalar.at.key, scalar.effective()),
        Value::List(_, items) => {
            for item in items {
                note_values(item, review);
            }
        }
        Value::Section(_, entries) => {
            for entry in entries {
                note_values(&entry.value, review);
            }
        }
    }
}

// === impl Scalar ===

impl Scalar {
    /// The value as the effective configuration shows it.
    fn effective(&self) -> String {
        if self.is_secret() { "[redacted]".to_owned() } else { self.text.clone() }
    }

    /// The value as a mistake may show it.
    pub(super) fn shown(&self) -> Cow<'static, str> {
        if self.is_secret() {
            return Cow::Borrowed("the value (not shown)");
        }
        let mut chars = self.text.chars();
        let head: String = chars.by_ref().take(LONGEST_SHOWN).collect();
        let dots = if chars.next().is_some() { "..." } else { "" };
        Cow::Owned(format!("`{}{dots}`", head.escape_debug()))
    }

    /// Whether it is a number or a boolean, as JSON spells them.
    fn is_literal(&self) -> bool {
        self.style == Style::Plain
            && (matches!(self.text.as_str(), "true" | "false")
                || serde_json::from_str::<serde_json::Number>(&self.text).is_ok())
    }

    pub(super) fn is_secret(&self) -> bool {
        self.secrecy == Secrecy::Secret
    }
}
