//! What all operations of a route read alike: their target, their fields, their conditions.

use super::fields::{Role, field};
use super::mistakes::{Review, suggestion};
use super::raw::Scalar;
use super::section::{Inside, Section, note_inside};
use crate::model::batch::TargetId;
use crate::pipeline::route::condition::Condition;
use crate::pipeline::route::settings::Field;

pub(super) fn condition(review: &Review<'_>, text: &Scalar) -> Option<Condition> {
    let error = match Condition::compile(&text.text) {
        Ok(condition) => return Some(condition),
        Err(error) => error,
    };
    // The parser's texts may span lines, a mistake does not.
    let message = error.message.split_whitespace().collect::<Vec<_>>().join(" ");
    let mistake = Inside { column: error.column, message: &message, kind: "a condition" };
    note_inside(review, text, &mistake, "conditions are CEL: https://github.com/google/cel-spec");
    None
}

pub(super) fn mapped(section: &Section<'_>, name: &str, role: Role) -> Option<Field> {
    field(section.review, section.get(name)?, role)
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
