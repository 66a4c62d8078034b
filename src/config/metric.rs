//! `metric`: which rows define which metrics.
//!
//! Its fields are those of LaunchDarkly's create body, in this file's spelling; lists and sections
//! in them are taken as they are. When everything is literal, a definition that LaunchDarkly would
//! refuse is refused here.

use serde_json::{Map, Value as Json};

use super::fields::{Role, check, field, natural};
use super::mistakes::Review;
use super::operation::{check_key, mapped, target};
use super::raw::Value;
use super::section::Section;
use crate::launchdarkly::definition::{
    self, DefinitionError, FIELDS, Shape, validate, validate_field,
};
use crate::pipeline::route::expression::Kinds;
use crate::pipeline::route::settings::{Absent, Field, FieldSource, MetricSettings, OnDelete};

pub(super) fn metric(section: &Section<'_>, targets: &[String]) -> Option<MetricSettings> {
    let target = target(section, targets);
    let key = mapped(section, "key", Role::EventKey);
    if let Some(key) = &key {
        check_key(section, "key", key);
    }
    if section.get("key").is_none() {
        section.missing("key", "give the metric's key, or a field that holds it");
    }
    if section.get("kind").is_none() {
        section.missing("kind", "say what it measures: custom, click or pageview");
    }
    let fields: Vec<(String, Field)> = FIELDS
        .iter()
        .filter(|known| known.name != "key")
        .filter_map(|known| {
            let value = template(section.review, section.get(known.name)?, kinds(known.shape))?;
            Some((known.wire.to_owned(), value))
        })
        .collect();
    let on_delete = section
        .choice("on_delete", &[("ignore", OnDelete::Ignore), ("archive", OnDelete::Archive)])
        .unwrap_or(OnDelete::Ignore);
    let key = key?;
    check_literals(section, &key, &fields);
    let (target, target_name) = target?;
    Some(MetricSettings { target, target_name, key, fields, on_delete })
}

/// A field, a literal list or a literal section.
fn template(review: &Review<'_>, value: &Value, takes: Kinds) -> Option<Field> {
    let is_field = match value {
        Value::Section(_, entries) => {
            entries.iter().any(|entry| matches!(entry.name.as_str(), "from" | "expr" | "literal"))
        }
        Value::List(..) => false,
        Value::Scalar(_) | Value::Nothing(_) | Value::Broken(_) => true,
    };
    if is_field {
        let field = field(review, value, Role::Attribute)?;
        check(review, value.at(), &field, takes)?;
        return Some(field);
    }
    let literal = json_of(value)?;
    Some(Field { from: FieldSource::Literal(literal), convert: None, absent: Absent::Refuse })
}

/// What a field of a definition takes.
fn kinds(shape: Shape) -> Kinds {
    match shape {
        Shape::Text | Shape::Choice(_) => Kinds::TEXT,
        Shape::Flag => Kinds::BOOLEAN,
        Shape::Offset | Shape::Percentile | Shape::Bound => Kinds::NUMBER,
        Shape::Names | Shape::Urls => Kinds::LIST,
        Shape::EventDefault | Shape::Object(_) => Kinds::OBJECT,
    }
}

fn json_of(value: &Value) -> Option<Json> {
    match value {
        Value::Nothing(_) => Some(Json::Null),
        Value::Broken(_) => None,
        Value::Scalar(text) => Some(natural(text)),
        Value::List(_, items) => items.iter().map(json_of).collect::<Option<_>>().map(Json::Array),
        Value::Section(_, entries) => entries
            .iter()
            .map(|entry| Some((entry.name.clone(), json_of(&entry.value)?)))
            .collect::<Option<Map<_, _>>>()
            .map(Json::Object),
    }
}

/// Holds what no record changes against LaunchDarkly's rules: each field, and when that is all of
/// them, the definition.
fn check_literals(section: &Section<'_>, key: &Field, fields: &[(String, Field)]) {
    let mut is_sound = section.review.is_sound(&section.at.key);
    for (name, field) in fields {
        if let FieldSource::Literal(literal) = &field.from
            && let Err(error) = validate_field(name, literal)
        {
            refuse(section, &error);
            is_sound = false;
        }
    }
    // What could not be read is mistaken, not missing.
    let is_read = |known: &&definition::Field| fields.iter().any(|(name, _)| name == known.wire);
    let mut given = FIELDS.iter().filter(|it| it.name != "key" && section.get(it.name).is_some());
    if !is_sound || !given.all(|known| is_read(&known)) {
        return;
    }
    let mut definition = Map::new();
    let key = ("key".to_owned(), key.clone());
    for (name, field) in fields.iter().chain([&key]) {
        let literal = match (&field.from, name.as_str()) {
            (FieldSource::Literal(literal), _) => literal.clone(),
            // Any key will do; the other fields may decide each other.
            (FieldSource::Path(_) | FieldSource::Computed(_), "key") => Json::from("key"),
            (FieldSource::Path(_) | FieldSource::Computed(_), _) => return,
        };
        definition.insert(name.clone(), literal);
    }
    if let Err(error) = validate(&definition) {
        refuse(section, &error);
    }
}

fn refuse(section: &Section<'_>, error: &DefinitionError) {
    let field = error.field.split(['[', '.']).next().unwrap_or_default();
    let at = if section.get(field).is_some() { section.at(field) } else { section.at.clone() };
    let problem = format!("LaunchDarkly would refuse it: {}: {}", error.field, error.problem);
    section.review.mistake(&at, problem, "mend the definition");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn the_table_of_keys_has_every_field_of_a_definition() {
        let own = ["target", "on_delete"];
        let known: Vec<&str> =
            own.into_iter().chain(FIELDS.iter().map(|field| field.name)).collect();
        for key in keys::METRIC.keys {
            assert!(known.contains(key), "{key} is no field");
        }
        assert_eq!(keys::METRIC.keys.len(), known.len());
    }
}
