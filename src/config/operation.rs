//! What all operations of a route read alike: their target, their fields, their expressions.

use super::fields::{Role, field};
use super::mistakes::{Review, suggestion};
use super::raw::{Scalar, Value};
use super::section::Section;
use crate::model::batch::TargetId;
use crate::pipeline::check::verdict::is_key;
use crate::pipeline::route::condition::Condition;
use crate::pipeline::route::expression::{Expression, ExpressionError};
use crate::pipeline::route::settings::{Absent, Field, FieldSource};

/// What can be a key.
pub(super) const KEY: &str =
    "use a letter or digit, then letters, digits, `.`, `_` and `-`, at most 256";
/// The language's definition, for who wants to know more.
const CEL: &str = "are CEL: https://github.com/google/cel-spec";

pub(super) fn condition(review: &Review<'_>, text: &Scalar) -> Option<Condition> {
    let mistakes = match Condition::compile(&text.text) {
        Ok(condition) => return Some(condition),
        Err(mistakes) => mistakes,
    };
    note(review, text, &mistakes, "a condition", &format!("conditions {CEL}"));
    None
}

pub(super) fn expression(review: &Review<'_>, text: &Scalar) -> Option<Expression> {
    let mistakes = match Expression::compile(&text.text) {
        Ok(expression) => return Some(expression),
        Err(mistakes) => mistakes,
    };
    note(review, text, &mistakes, "an expression", &format!("expressions {CEL}"));
    None
}

/// Notes what is wrong with an expression, each mistake at its place in the file, when the file
/// spells the expression as it is, and with its column in the expression.
fn note(
    review: &Review<'_>,
    text: &Scalar,
    mistakes: &[ExpressionError],
    kind: &str,
    remedy: &str,
) {
    if text.is_secret() {
        // The messages quote the text.
        return review.mistake(&text.at, format!("{} is not {kind}", text.shown()), remedy);
    }
    for ExpressionError { column, message } in mistakes {
        let at = review.inside(&text.at, &text.text, *column).unwrap_or_else(|| text.at.clone());
        review.mistake(&at, format!("{message} (column {column} of the expression)"), remedy);
    }
}

pub(super) fn mapped(section: &Section<'_>, name: &str, role: Role) -> Option<Field> {
    field(section.review, section.get(name)?, role)
}

/// Refuses what cannot be the key of a segment or a metric, as far as the file says it itself.
pub(super) fn check_key(section: &Section<'_>, name: &str, field: &Field) {
    let literal = match (&field.from, &field.absent) {
        (FieldSource::Literal(literal), _) | (_, Absent::Default(literal)) => literal.as_str(),
        _ => None,
    };
    if literal.is_some_and(|literal| !is_key(literal)) {
        let at = section.get(name).map_or(&section.at, Value::at);
        section.review.mistake(at, "cannot be the key of a segment or a metric", KEY);
    }
}

pub(super) fn target(section: &Section<'_>, targets: &[String]) -> Option<(TargetId, String)> {
    let remedy = "name one of the targets";
    let name = section.required("target", remedy)?;
    let found = targets.iter().position(|target| *target == name.text);
    // Without any target that is the mistake, and it is noted.
    if found.is_none() && !targets.is_empty() {
        let known: Vec<&str> = targets.iter().map(String::as_str).collect();
        let remedy =
            if name.is_secret() { remedy.to_owned() } else { suggestion(&name.text, &known) };
        let problem = format!("{} is not among the targets", name.shown());
        section.review.mistake(&name.at, problem, remedy);
    }
    Some((TargetId(found?), name.text.clone()))
}
