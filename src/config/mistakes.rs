//! What is wrong with a configuration: every mistake with its place, its key and its remedy.
//!
//! A person mends a file in one go, so one mistake never hides another.
//!
//! # Invariants
//! - C1: no mistake shows a value that came from the environment or belongs to a secret key.
//!   Validation never sees such a value as printable: `raw::Scalar::shown` decides.
//!
//! Not here: what counts as a mistake (the files of the sections).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// From this edit distance on, two words are no longer a likely typing mistake.
const TOO_FAR: usize = 3;

/// A place in a file; line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

/// One thing that is wrong, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub place: Place,
    /// The path to the key, `routes[0].metric_event.value`; empty when the file is no YAML.
    pub key: String,
    pub problem: String,
    pub remedy: String,
}

/// Everything that is wrong with a file, in the order of its lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    file: Arc<str>,
    list: Vec<Mistake>,
}

/// Where a value stands: the path of its key, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The reading of one file: knows its text and collects its mistakes.
///
/// Shared by reference, so that the readers of all sections can note mistakes and go on.
pub(super) struct Review<'a> {
    file: Arc<str>,
    lines: Vec<&'a str>,
    found: RefCell<Vec<Mistake>>,
    secrets: Secrets,
    /// Every key with its value, as it can be shown.
    effective: RefCell<BTreeMap<String, String>>,
}

/// Whether a configuration without its secrets is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    Required,
    Optional,
}

// === impl Mistakes ===

impl Mistakes {
    pub fn iter(&self) -> std::slice::Iter<'_, Mistake> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Mistakes {
    type Item = &'a Mistake;
    type IntoIter = std::slice::Iter<'a, Mistake>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.list {
            writeln!(f, "{mistake}")?;
        }
        let noun = if self.list.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {noun} in {}", self.list.len(), self.file)
    }
}

impl std::error::Error for Mistakes {}

// === impl Mistake ===

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.remedy)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

// === impl At ===

impl At {
    /// A member of this section that is not there: its key, at the section's place.
    pub(super) fn child(&self, name: &str) -> Self {
        let key =
            if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) };
        Self { key, ..self.clone() }
    }
}

// === impl Review ===

impl<'a> Review<'a> {
    pub(super) fn new(file: &str, text: &'a str, secrets: Secrets) -> Self {
        Self {
            file: Arc::from(file),
            lines: text.lines().collect(),
            found: RefCell::new(Vec::new()),
            secrets,
            effective: RefCell::default(),
        }
    }

    /// Notes a value that the file gives, as it can be shown.
    pub(super) fn note_value(&self, key: &str, shown: String) {
        self.effective.borrow_mut().insert(key.to_owned(), shown);
    }

    /// Notes what holds where the file gives nothing.
    pub(super) fn note_default(&self, key: &str, value: impl fmt::Display) {
        let mut effective = self.effective.borrow_mut();
        effective.entry(key.to_owned()).or_insert_with(|| value.to_string());
    }

    /// Every key with its value, as it can be shown.
    pub(super) fn effective(&self) -> BTreeMap<String, String> {
        self.effective.borrow().clone()
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    pub(super) fn secrets(&self) -> Secrets {
        self.secrets
    }

    /// Notes a mistake.
    pub(super) fn mistake(&self, at: &At, problem: impl Into<String>, remedy: impl Into<String>) {
        let place = Place { file: Arc::clone(&self.file), line: at.line, column: at.column };
        self.found.borrow_mut().push(Mistake {
            place,
            key: at.key.clone(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }

    /// Whether nothing is wrong with a key so far; comparing two values makes sense only then.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        !self.found.borrow().iter().any(|mistake| mistake.key == key)
    }

    /// The directory that relative paths in the file start from.
    pub(super) fn directory(&self) -> &Path {
        Path::new(&*self.file).parent().unwrap_or(Path::new(""))
    }

    pub(super) fn lines(&self) -> &[&'a str] {
        &self.lines
    }

    /// Finds the place of a character within a value, given the value's text and the character's
    /// column in it. `None` when the file spells the value differently: escapes, several lines,
    /// or variables.
    pub(super) fn inside(&self, at: &At, text: &str, column: usize) -> Option<At> {
        let line = self.lines.get(at.line.checked_sub(1)?)?;
        let mut chars = line.chars();
        for _ in 1..at.column {
            chars.next()?;
        }
        let rest = chars.as_str();
        let quote = match rest.strip_prefix(['"', '\'']) {
            Some(unquoted) if unquoted.starts_with(text) => 1,
            _ if rest.starts_with(text) => 0,
            _ => return None,
        };
        Some(At { column: at.column + quote + column.saturating_sub(1), ..at.clone() })
    }

    /// Gives the result when there was no mistake, and otherwise all mistakes.
    pub(super) fn conclude<T>(self, result: Option<T>) -> Result<T, Mistakes> {
        let mut list = self.found.into_inner();
        list.sort_by_key(|mistake| (mistake.place.line, mistake.place.column));
        match result {
            Some(result) if list.is_empty() => Ok(result),
            _ => Err(Mistakes { file: self.file, list }),
        }
    }
}

/// Says which words are known: the likely one when there is one, and otherwise all.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance < TOO_FAR.min(candidate.len()))
        .min_by_key(|(distance, _)| *distance);
    match (nearest, known) {
        (Some((_, candidate)), _) => format!("did you mean `{candidate}`?"),
        (None, [only]) => format!("the only one is `{only}`"),
        (None, _) => format!("one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_is_near_or_the_whole_list() {
        let known = ["topics", "format", "when"];
        assert_eq!(suggestion("topic", &known), "did you mean `topics`?");
        assert_eq!(suggestion("fromat", &known), "did you mean `format`?");
        assert_eq!(suggestion("colour", &known), "one of topics, format, when");
        assert_eq!(suggestion("x", &["on"]), "the only one is `on`");
    }

    #[test]
    fn a_place_inside_a_value_is_found_only_where_the_file_spells_it() {
        let text = "a: ä $.row\nb: \"$.row\"\nc: '$.it''s'";
        let review = Review::new("f", text, Secrets::Required);
        let at = |line, column| At { key: String::new(), line, column };
        let column = |at: &At, text| review.inside(at, text, 3).map(|at| at.column);
        assert_eq!(column(&at(1, 6), "$.row"), Some(8));
        assert_eq!(column(&at(2, 4), "$.row"), Some(7));
        assert_eq!(column(&at(3, 4), "$.it's"), None);
        assert_eq!(column(&at(9, 1), "x"), None);
    }
}
