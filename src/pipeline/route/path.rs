//! References to fields of a change: `$.row.user_id`, `$.row.items[0]`, `$.headers["trace-id"]`.
//!
//! A subset of JSONPath that always names one place, so that it can be compiled into a projection
//! over the raw document.

use std::fmt;

/// A checked reference to one place in a change.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FieldPath {
    pub root: Root,
    pub steps: Vec<Step>,
}

/// What a path may start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Root {
    /// The row as it is now, or as it was when it has been deleted.
    Row,
    Before,
    After,
    /// The record's key, when it is JSON.
    Key,
    /// The capturing system's position and names.
    Source,
    Headers,
    Topic,
    Partition,
    Offset,
    /// The record's timestamp, in milliseconds since the Unix epoch.
    Timestamp,
    Op,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    Member(String),
    Index(usize),
}

/// Why a text is not a field reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct PathError {
    /// Where in the text, counted in characters from 1.
    pub column: usize,
    pub message: String,
}

// === impl Root ===

impl Root {
    pub const ALL: [Self; 11] = [
        Self::Row,
        Self::Before,
        Self::After,
        Self::Key,
        Self::Source,
        Self::Headers,
        Self::Topic,
        Self::Partition,
        Self::Offset,
        Self::Timestamp,
        Self::Op,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Before => "before",
            Self::After => "after",
            Self::Key => "key",
            Self::Source => "source",
            Self::Headers => "headers",
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
            Self::Op => "op",
        }
    }

    /// Whether the root is a JSON document with fields of its own.
    pub fn is_document(self) -> bool {
        matches!(self, Self::Row | Self::Before | Self::After | Self::Key | Self::Source)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.as_str() == word)
    }
}

// === impl FieldPath ===

impl FieldPath {
    /// Whether a text is meant as a reference rather than as a literal.
    pub fn looks_like_one(text: &str) -> bool {
        text.starts_with("$.") || text.starts_with("$[") || text == "$"
    }

    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut cursor = Cursor { chars: text.chars().collect(), at: 0 };
        cursor.expect('$')?;
        let mut steps = Vec::new();
        while !cursor.is_done() {
            steps.push(cursor.step()?);
        }
        let mut steps = steps.into_iter();
        let root = match steps.next() {
            Some(Step::Member(word)) => Root::parse(&word).ok_or_else(|| unknown_root(&word))?,
            _ => return Err(PathError { column: 2, message: unknown_root("").message }),
        };
        let path = Self { root, steps: steps.collect() };
        path.check_depth()?;
        Ok(path)
    }

    fn check_depth(&self) -> Result<(), PathError> {
        let after_root = 3 + self.root.as_str().len();
        let error = |message: String| Err(PathError { column: after_root, message });
        match (self.root, self.steps.as_slice()) {
            (Root::Headers, [Step::Member(_)]) => Ok(()),
            (Root::Headers, _) => {
                error("name one header, for example $.headers[\"trace-id\"]".to_owned())
            }
            (root, []) if !root.is_document() => Ok(()),
            (root, []) => error(format!("name a field of it, for example $.{}.id", root.as_str())),
            (root, _) if root.is_document() => Ok(()),
            (root, _) => error(format!("`{}` is a single value without fields", root.as_str())),
        }
    }
}

fn unknown_root(word: &str) -> PathError {
    let known: Vec<&str> = Root::ALL.iter().map(|root| root.as_str()).collect();
    PathError {
        column: 3,
        message: format!("`{word}` is not a part of a change; one of {}", known.join(", ")),
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$.{}", self.root.as_str())?;
        for step in &self.steps {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Member(name) if is_plain(name) => write!(f, ".{name}")?,
                Step::Member(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

// === impl Cursor ===

/// Reads a path from left to right and knows its column.
struct Cursor {
    chars: Vec<char>,
    at: usize,
}

impl Cursor {
    fn is_done(&self) -> bool {
        self.at >= self.chars.len()
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn error<T>(&self, message: &str) -> Result<T, PathError> {
        Err(PathError { column: self.at + 1, message: message.to_owned() })
    }

    fn expect(&mut self, wanted: char) -> Result<(), PathError> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            return Ok(());
        }
        self.error(&format!("expected `{wanted}`"))
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.peek().filter(|c| keep(*c)) {
            taken.push(c);
            self.at += 1;
        }
        taken
    }

    fn step(&mut self) -> Result<Step, PathError> {
        match self.peek() {
            Some('.') => {
                self.at += 1;
                let name = self.take_while(is_word);
                if name.is_empty() {
                    return self
                        .error("expected a field name; quote unusual ones: [\"like this\"]");
                }
                Ok(Step::Member(name))
            }
            Some('[') => {
                self.at += 1;
                let step = self.bracketed()?;
                self.expect(']')?;
                Ok(step)
            }
            _ => self.error("expected `.` or `[`"),
        }
    }

    fn bracketed(&mut self) -> Result<Step, PathError> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.at += 1;
                let name = self.take_while(|c| c != quote);
                self.expect(quote)?;
                Ok(Step::Member(name))
            }
            _ => match self.take_while(|c| c.is_ascii_digit()).parse() {
                Ok(index) => Ok(Step::Index(index)),
                Err(_) => self.error("expected an index or a quoted name"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn plain_quoted_and_indexed_steps() {
        let path = FieldPath::parse("$.row.items[2]['odd name'].x-y").unwrap();
        assert_eq!(path.root, Root::Row);
        assert_eq!(
            path.steps,
            [
                Step::Member("items".into()),
                Step::Index(2),
                Step::Member("odd name".into()),
                Step::Member("x-y".into())
            ]
        );
        assert_eq!(path.to_string(), "$.row.items[2][\"odd name\"].x-y");
        assert_eq!(FieldPath::parse("$.timestamp").unwrap().root, Root::Timestamp);
    }

    #[test]
    fn mistakes_name_their_column() {
        for (text, column, said) in [
            ("$.rwo.id", 3, "`rwo` is not a part"),
            ("$.row", 6, "name a field"),
            ("$.row..id", 7, "expected a field name"),
            ("$.row[x]", 7, "index or a quoted"),
            ("$.row[\"x]", 10, "expected `\"`"),
            ("$.topic.name", 8, "single value"),
            ("$.headers", 10, "name one header"),
            ("$", 2, "not a part"),
            ("row.id", 1, "expected `$`"),
        ] {
            let error = FieldPath::parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.message.contains(said), "{text}: {error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn parsing_never_panics_and_what_parses_prints_back(text in any::<String>()) {
            for text in [text.clone(), format!("$.row{text}")] {
                let parsed = FieldPath::parse(&text).ok();
                if let Some(path) = parsed.filter(|path| !path.to_string().contains('\\')) {
                    prop_assert_eq!(FieldPath::parse(&path.to_string()).unwrap(), path);
                }
            }
        }
    }
}
