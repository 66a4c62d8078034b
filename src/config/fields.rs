//! Where a value of an operation comes from: `$.row.total`, `checkout`, or the long form
//! `{ from: $.row.total, default: 0 }`, `{ expr: row.price * 2.0 }`.
//!
//! # Invariants
//! - C4: an event that LaunchDarkly would not count is refused here when the file alone shows it:
//!   an empty key, no context, a value that is no number.
//!
//! Not here: the grammar of references and expressions (`pipeline::route`), conversions
//! (`conversion`).

use serde_json::{Number, Value as Json};

use super::conversion::{conversion, given};
use super::keys;
use super::mistakes::{At, Review};
use super::operation::expression;
use super::raw::{Scalar, Style, Value};
use super::section::{Inside, Section, note_inside, scalar};
use crate::pipeline::route::expression::Kinds;
use crate::pipeline::route::path::FieldPath;
use crate::pipeline::route::settings::{Absent, Field, FieldSource};

/// What a field is for, which says what literals it takes and whether it may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    EventKey,
    SegmentKey,
    ContextKey,
    Number,
    Time,
    Attribute,
}

// === impl Role ===

impl Role {
    /// What may be sent for it.
    fn takes(self) -> Kinds {
        match self {
            Self::EventKey | Self::SegmentKey | Self::ContextKey => Kinds::TEXT | Kinds::WHOLE,
            Self::Number => Kinds::NUMBER,
            Self::Time => Kinds::TEXT | Kinds::NUMBER,
            Self::Attribute => Kinds::SENDABLE,
        }
    }
}

/// Reads a field in its short or long form.
pub(super) fn field(review: &Review<'_>, value: &Value, role: Role) -> Option<Field> {
    if let Value::Section(at, _) = value {
        let section = Section::open(review, Some(value), at.clone(), keys::FIELD);
        return long_form(&section, role);
    }
    let text = short_text(review, value, role)?;
    if FieldPath::looks_like_one(&text.text) {
        let from = FieldSource::Path(path(review, text)?);
        return Some(Field { from, convert: None, absent: Absent::Refuse });
    }
    let from = FieldSource::Literal(literal(review, text, role)?);
    Some(Field { from, convert: None, absent: Absent::Refuse })
}

/// The scalar of a field. An attribute may be an empty text; for keys `literal` says why not.
fn short_text<'a>(review: &Review<'_>, value: &'a Value, role: Role) -> Option<&'a Scalar> {
    match (value, role) {
        (
            Value::Scalar(text),
            Role::Attribute | Role::EventKey | Role::SegmentKey | Role::ContextKey,
        ) => Some(text),
        _ => scalar(review, value),
    }
}

fn long_form(section: &Section<'_>, role: Role) -> Option<Field> {
    let origins = ["from", "expr", "literal"];
    let mut said = origins.iter().filter(|name| section.get(name).is_some());
    let Some(origin) = said.next() else {
        let problem = "says neither `from` nor `expr` nor `literal`";
        section.review.mistake(&section.at, problem, "give one: { from: $.row.id }");
        return None;
    };
    if let Some(second) = said.next() {
        let problem = format!("stands beside `{origin}`");
        section.review.mistake(&section.at(second), problem, "keep one of the two");
        return None;
    }
    if let ("literal", Some(value)) = (*origin, section.get("literal")) {
        return long_literal(section, value, role);
    }
    let absent = absent(section, role);
    let convert = conversion(section);
    let from = section.text(origin).and_then(|text| match *origin {
        "expr" => expression(section.review, text).map(FieldSource::Computed),
        _ => path(section.review, text).map(FieldSource::Path),
    });
    let field = Field { from: from?, convert, absent: absent? };
    check(section.review, &section.at(origin), &field, role.takes())?;
    Some(field)
}

fn long_literal(section: &Section<'_>, value: &Value, role: Role) -> Option<Field> {
    for name in ["optional", "default"].iter().filter(|name| section.get(name).is_some()) {
        let problem = "has no meaning beside `literal`, which is always there";
        section.review.mistake(&section.at(name), problem, "remove it");
    }
    for name in ["as", "scale", "unit"].iter().filter(|name| section.get(name).is_some()) {
        let problem = "has no meaning beside `literal`, which is sent as it stands";
        section.review.mistake(&section.at(name), problem, "remove it");
    }
    let text = short_text(section.review, value, role)?;
    let from = FieldSource::Literal(literal(section.review, text, role)?);
    Some(Field { from, convert: None, absent: Absent::Refuse })
}

/// Refuses a field of which the file alone shows that it never gives what is taken.
pub(super) fn check(review: &Review<'_>, at: &At, field: &Field, takes: Kinds) -> Option<()> {
    if let (FieldSource::Computed(expression), Some(conversion)) = (&field.from, field.convert) {
        let kinds = expression.kinds();
        if !kinds.meets(conversion.takes()) {
            let problem =
                format!("gives {kinds}, which cannot be taken as {}", conversion.as_str());
            review.mistake(at, problem, "mend the expression, or remove `as`");
            return None;
        }
    }
    let given = given(field);
    if !given.meets(takes) {
        let problem = format!("gives {given}, not {takes}");
        review.mistake(at, problem, "mend the expression, or choose another `as`");
        return None;
    }
    Some(())
}

/// What an absent field means: `optional`, `default`, or neither.
fn absent(section: &Section<'_>, role: Role) -> Option<Absent> {
    let optional = section.flag("optional", false);
    if let Some(value) = section.get("default") {
        if optional {
            let problem = "stands beside `optional`";
            section.review.mistake(&section.at("default"), problem, "keep one of the two");
        }
        let text = short_text(section.review, value, role)?;
        return literal(section.review, text, role).map(Absent::Default);
    }
    if !optional {
        return Some(Absent::Refuse);
    }
    if matches!(role, Role::EventKey | Role::ContextKey) {
        section.review.mistake(
            &section.at("optional"),
            "cannot be left out: LaunchDarkly does not count an event without it",
            "remove `optional`: a record without it becomes a dead letter",
        );
        return None;
    }
    Some(Absent::LeaveOut)
}

fn path(review: &Review<'_>, text: &Scalar) -> Option<FieldPath> {
    let error = match FieldPath::parse(&text.text) {
        Ok(path) => return Some(path),
        Err(error) => error,
    };
    let mistake = Inside { column: error.column, message: &error.message, kind: "a reference" };
    note_inside(review, text, &mistake, "write a reference like $.row.user_id");
    None
}

/// A value that is the same for every record.
fn literal(review: &Review<'_>, text: &Scalar, role: Role) -> Option<Json> {
    let refuse = |at: &At, problem: String, remedy: &str| {
        review.mistake(at, problem, remedy);
        None
    };
    let natural = natural(text);
    match role {
        Role::Attribute => Some(natural),
        Role::Number if natural.is_number() => Some(natural),
        Role::Number => {
            let problem = format!("{} is not a number", text.shown());
            refuse(&text.at, problem, "write a number, or refer to a field: $.row.total")
        }
        Role::Time => {
            let problem = format!("{} would be the time of every event", text.shown());
            refuse(&text.at, problem, "refer to a field: $.row.created_at")
        }
        Role::EventKey | Role::SegmentKey | Role::ContextKey if text.text.trim().is_empty() => {
            let problem = "is empty: LaunchDarkly does not count such an event".to_owned();
            refuse(&text.at, problem, "give a text or a reference")
        }
        Role::EventKey | Role::SegmentKey | Role::ContextKey if natural.is_boolean() => {
            let problem = format!("{} is not a text", text.shown());
            refuse(&text.at, problem, "quote it if it is meant")
        }
        // A number keeps its spelling: 007 and 1.50 are keys, not amounts.
        Role::EventKey | Role::SegmentKey | Role::ContextKey => {
            Some(Json::String(text.text.clone()))
        }
    }
}

/// What a scalar is by itself: plain ones may be numbers and booleans, as JSON spells them.
pub(super) fn natural(text: &Scalar) -> Json {
    if text.style == Style::Quoted {
        return Json::String(text.text.clone());
    }
    match text.text.as_str() {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        other => serde_json::from_str::<Number>(other)
            .map_or_else(|_| Json::String(other.to_owned()), Json::Number),
    }
}
