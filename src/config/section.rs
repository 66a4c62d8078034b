//! Reads typed values out of a section, notes what is wrong with them, and goes on.
//!
//! After a mistake a reader gives its default, so that the rest can be checked; the result is
//! thrown away in the end, because [`Review::conclude`] yields a configuration only without
//! mistakes. A range is one value: it is checked and shown from the same place.
//!
//! Not here: which values the sections have (their own files).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::keys::SectionKeys;
use super::mistakes::{At, Review, suggestion};
use super::raw::{Entry, Scalar, Value};

const COUNT: Notation = Notation { kind: "a whole number", remedy: "write digits only" };
const SIZE: Notation =
    Notation { kind: "a size", remedy: "write it like 8MB (decimal), 8MiB (binary) or 8000000" };
const SHARE: Notation = Notation { kind: "a share", remedy: "write it in percent, like 20%" };
const TIME: Notation =
    Notation { kind: "a duration", remedy: "write it with its unit, like 200ms, 30s or 5m" };

/// A section of the file whose keys are known.
pub(super) struct Section<'a> {
    pub(super) review: &'a Review<'a>,
    pub(super) at: At,
    known: SectionKeys,
    entries: &'a [Entry],
}

/// What a number is called, and how it is written.
struct Notation {
    kind: &'static str,
    remedy: &'static str,
}

/// A mistake at a character within a text.
pub(super) struct Inside<'a> {
    /// Counted from 1.
    pub(super) column: usize,
    pub(super) message: &'a str,
    /// What the text was meant to be.
    pub(super) kind: &'static str,
}

/// A size in bytes, shown as it would be written.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Size(usize);

/// A share, shown as it would be written.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Percent(u32);

/// A time, shown as it would be written.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Time(Duration);

// === impl Section ===

impl<'a> Section<'a> {
    /// Opens a value as a section and refuses keys that are not known. An absent section is an
    /// empty one: all its keys have their defaults, or are missing.
    pub(super) fn open(
        review: &'a Review<'a>,
        value: Option<&'a Value>,
        absent: At,
        known: SectionKeys,
    ) -> Self {
        let at = value.map_or(absent, |value| value.at().clone());
        let entries = value.map_or(&[][..], |value| entries(review, value));
        let section = Self { review, at, known, entries };
        for entry in entries {
            if !known.keys.contains(&entry.name.as_str()) {
                let remedy = suggestion(&entry.name, known.keys);
                review.mistake(&entry.at, "is not a known key", remedy);
            }
        }
        section
    }

    /// Opens a section within this one.
    pub(super) fn section(&self, name: &str, known: SectionKeys) -> Self {
        Section::open(self.review, self.get(name), self.at.child(name), known)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        debug_assert!(self.known.keys.contains(&name), "{name} is missing in the table of keys");
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
    }

    /// Where a value stands, or where it would.
    pub(super) fn at(&self, name: &str) -> At {
        self.get(name).map_or_else(|| self.at.child(name), |value| value.at().clone())
    }

    /// A text that is not empty, when the key is there.
    pub(super) fn text(&self, name: &str) -> Option<&'a Scalar> {
        scalar(self.review, self.get(name)?)
    }

    /// A text that must be there.
    pub(super) fn required(&self, name: &str, remedy: &str) -> Option<&'a Scalar> {
        if self.get(name).is_none() {
            self.missing(name, remedy);
        }
        self.text(name)
    }

    /// Notes that a key is missing; in a broken section this is no news.
    pub(super) fn missing(&self, name: &str, remedy: &str) {
        if self.review.is_sound(&self.at.key) || self.at.key.is_empty() {
            self.review.mistake(&self.at.child(name), "is missing", remedy);
        }
    }

    pub(super) fn count(&self, name: &str, default: u32, range: &RangeInclusive<u32>) -> u32 {
        self.ranged(name, default, range, &COUNT, |text| text.replace('_', "").parse().ok())
    }

    pub(super) fn size(&self, name: &str, default: usize, range: &RangeInclusive<usize>) -> usize {
        let range = Size(*range.start())..=Size(*range.end());
        self.ranged(name, Size(default), &range, &SIZE, |text| {
            let size = ByteSize::from_str(text).ok()?;
            Some(Size(usize::try_from(size.as_u64()).unwrap_or(usize::MAX)))
        })
        .0
    }

    pub(super) fn duration(
        &self,
        name: &str,
        default: Duration,
        range: &RangeInclusive<Duration>,
    ) -> Duration {
        let range = Time(*range.start())..=Time(*range.end());
        self.ranged(name, Time(default), &range, &TIME, |text| {
            humantime::parse_duration(text).ok().map(Time)
        })
        .0
    }

    /// A share in percent.
    pub(super) fn percent(&self, name: &str, default: u32, range: &RangeInclusive<u32>) -> u32 {
        let range = Percent(*range.start())..=Percent(*range.end());
        let parse = |text: &str| text.strip_suffix('%')?.trim_end().parse().ok().map(Percent);
        self.ranged(name, Percent(default), &range, &SHARE, parse).0
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.review.note_default(&self.at.child(name).key, default);
        self.choice(name, &[("true", true), ("false", false)]).unwrap_or(default)
    }

    /// One of several words; `None` when the key is absent or the word is none of them.
    pub(super) fn choice<T: Copy>(&self, name: &str, options: &[(&str, T)]) -> Option<T> {
        let scalar = self.text(name)?;
        let found = options.iter().find(|(word, _)| *word == scalar.text);
        if found.is_none() {
            let known: Vec<&str> = options.iter().map(|(word, _)| *word).collect();
            // A hint computed from a secret would tell something about it.
            let remedy = if scalar.is_secret() {
                format!("one of {}", known.join(", "))
            } else {
                suggestion(&scalar.text, &known)
            };
            self.review.mistake(
                &scalar.at,
                format!("{} is no choice here", scalar.shown()),
                remedy,
            );
        }
        found.map(|(_, value)| *value)
    }

    fn ranged<T: PartialOrd + Copy + fmt::Display>(
        &self,
        name: &str,
        default: T,
        range: &RangeInclusive<T>,
        notation: &Notation,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.review.note_default(&self.at.child(name).key, default);
        let Some(scalar) = self.text(name) else { return default };
        match parse(&scalar.text) {
            Some(value) if range.contains(&value) => value,
            Some(_) => {
                let problem = format!("{} is out of range", scalar.shown());
                let (least, most) = (range.start(), range.end());
                self.review.mistake(&scalar.at, problem, format!("choose {least} to {most}"));
                default
            }
            None => {
                let problem = format!("{} is not {}", scalar.shown(), notation.kind);
                self.review.mistake(&scalar.at, problem, notation.remedy);
                default
            }
        }
    }
}

/// The entries of a section with free names; empty when nothing stands behind its key.
pub(super) fn entries<'a>(review: &Review<'_>, value: &'a Value) -> &'a [Entry] {
    match value {
        Value::Section(_, entries) => entries,
        Value::Nothing(_) | Value::Broken(_) => &[],
        Value::Scalar(_) | Value::List(..) => {
            let problem = format!("is {}, not a section", value.kind());
            review.mistake(value.at(), problem, "write `key: value` lines below it");
            &[]
        }
    }
}

/// The items of a list.
pub(super) fn items<'a>(review: &Review<'_>, value: &'a Value) -> &'a [Value] {
    match value {
        Value::List(_, items) => items,
        Value::Nothing(_) | Value::Broken(_) => &[],
        Value::Scalar(_) | Value::Section(..) => {
            let problem = format!("is {}, not a list", value.kind());
            review.mistake(value.at(), problem, "write it as [one, two] or as `- ` lines");
            &[]
        }
    }
}

/// A single value that is not empty.
pub(super) fn scalar<'a>(review: &Review<'_>, value: &'a Value) -> Option<&'a Scalar> {
    match value {
        Value::Scalar(scalar) if scalar.text.trim().is_empty() => {
            review.mistake(&scalar.at, "is empty", "give it a value");
            None
        }
        Value::Scalar(scalar) => Some(scalar),
        Value::Nothing(at) => {
            review.mistake(
                at,
                "has no value",
                "give it one, or remove the key when it is optional",
            );
            None
        }
        Value::Broken(_) => None,
        Value::List(..) | Value::Section(..) => {
            let problem = format!("is {}, not a single value", value.kind());
            review.mistake(value.at(), problem, "write one value behind the key");
            None
        }
    }
}

/// Notes a mistake in the middle of a text, at its place in the file when the file spells the
/// text as it is.
pub(super) fn note_inside(review: &Review<'_>, text: &Scalar, mistake: &Inside<'_>, remedy: &str) {
    if text.is_secret() {
        // The message quotes the text.
        let problem = format!("{} is not {}", text.shown(), mistake.kind);
        return review.mistake(&text.at, problem, remedy);
    }
    if let Some(at) = review.inside(&text.at, &text.text, mistake.column) {
        return review.mistake(&at, mistake.message, remedy);
    }
    let problem = format!("{} (at character {})", mistake.message, mistake.column);
    review.mistake(&text.at, problem, remedy);
}

/// Checks a name against its alphabet.
pub(super) fn check_name(
    review: &Review<'_>,
    scalar: &Scalar,
    is_allowed: impl Fn(char) -> bool,
    remedy: &str,
) {
    if !scalar.text.chars().all(is_allowed) {
        let problem = format!("{} has characters that are not allowed", scalar.shown());
        review.mistake(&scalar.at, problem, remedy);
    }
}

/// Letters, digits, `.`, `_` and `-`: the alphabet of Kafka's topics and LaunchDarkly's keys.
pub(super) fn is_key_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// Whether a text can be the name of a kind of contexts.
pub(super) fn is_context_kind(name: &str) -> bool {
    !name.is_empty() && name.chars().all(is_key_character) && !matches!(name, "kind" | "multi")
}

/// What can be one.
pub(super) const CONTEXT_KIND: &str =
    "use letters, digits, `.`, `_`, `-`; `kind` and `multi` are reserved";

// === impl Size, Percent, Time ===

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")];
        match units.iter().find(|(factor, _)| self.0 > 0 && self.0.is_multiple_of(*factor)) {
            Some((factor, unit)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_duration(self.0))
    }
}
