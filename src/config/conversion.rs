//! `as`: what a field is turned into before it is sent.
//!
//! Not here: how (`pipeline::route::convert`).

use std::ops::RangeInclusive;

use super::section::Section;
use crate::pipeline::route::expression::Kinds;
use crate::pipeline::route::settings::{Conversion, Field, FieldSource, Unit};

/// Digits behind the decimal point; Oracle has negative ones, and PostgreSQL up to a thousand.
const SCALES: RangeInclusive<i32> = -100..=400;

/// The conversion of a field, when it says one.
pub(super) fn conversion(section: &Section<'_>) -> Option<Conversion> {
    let unit = section.choice("unit", &Unit::ALL.map(|unit| (unit.as_str(), unit)));
    let scale = scale(section);
    let known = [
        Conversion::Number,
        Conversion::Integer,
        Conversion::Text,
        Conversion::Boolean,
        Conversion::Timestamp(unit),
        Conversion::Decimal(scale),
    ];
    let chosen = section.choice("as", &known.map(|known| (known.as_str(), known)));
    let belongs = |name: &str, is_needed: bool, to: &str| {
        if section.get(name).is_some() && !is_needed {
            let problem = format!("has no meaning without `as: {to}`");
            section.review.mistake(&section.at(name), problem, "add it, or remove this");
        }
    };
    belongs("unit", matches!(chosen, Some(Conversion::Timestamp(_))), "timestamp");
    belongs("scale", matches!(chosen, Some(Conversion::Decimal(_))), "decimal");
    chosen
}

fn scale(section: &Section<'_>) -> Option<i32> {
    let text = section.text("scale")?;
    let scale = text.text.parse().ok().filter(|scale| SCALES.contains(scale));
    if scale.is_none() {
        let problem = format!("{} is no number of digits", text.shown());
        let remedy = format!("choose {} to {}", SCALES.start(), SCALES.end());
        section.review.mistake(&text.at, problem, remedy);
    }
    scale
}

/// What a field gives, as far as the file shows it.
pub(super) fn given(field: &Field) -> Kinds {
    match (&field.from, field.convert) {
        (_, Some(conversion)) => conversion.gives(),
        (FieldSource::Computed(expression), None) => expression.kinds(),
        (FieldSource::Path(_) | FieldSource::Literal(_), None) => Kinds::ANY,
    }
}
