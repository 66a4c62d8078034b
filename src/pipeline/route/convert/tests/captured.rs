//! Columns as a real Debezium has emitted them, in each of its modes: what they are converted to does
//! not depend on the mode. See `tests/fixtures/debezium/README.md`.

use std::fs;

use serde_json::Value;

use super::super::Conversion;
use super::convert;
use crate::pipeline::route::event_time::Unit;

/// The rows of a table as they were after each of its changes.
fn rows(variant: &str, table: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/debezium/{variant}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let topic = format!("shop.public.{table}");
    let after = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let envelope: Value = serde_json::from_str(record["value"].as_str()?).ok()?;
        (record["topic"] == topic && envelope["after"].is_object())
            .then(|| envelope["after"].clone())
    };
    let rows: Vec<Value> = fs::read_to_string(path).unwrap().lines().filter_map(after).collect();
    assert!(rows.len() >= 4, "{variant} has {} rows of {table}", rows.len());
    rows
}

/// What a column's values are converted to; `None` where it is null.
fn column(variant: &str, table: &str, name: &str, conversion: Conversion) -> Vec<Option<String>> {
    let of = |row: &Value| {
        let json = row[name].to_string();
        let converted =
            || convert(conversion, &json).unwrap_or_else(|e| panic!("{name} {json}: {e}"));
        (!row[name].is_null()).then(converted)
    };
    rows(variant, table).iter().map(of).collect()
}

#[test]
fn decimals_of_every_mode_have_the_digits_that_postgresql_holds() {
    for (table, name, scale) in
        [("orders", "total", Some(2)), ("samples", "price", Some(2)), ("samples", "wide", Some(9))]
    {
        let precise = column("plain", table, name, Conversion::Decimal(scale));
        let text = column("decimal-string", table, name, Conversion::Number);
        assert_eq!(precise, text, "{table}.{name}");
        let numbers = |texts: Vec<Option<String>>| -> Vec<Option<f64>> {
            texts.into_iter().map(|text| text.map(|text| text.parse().unwrap())).collect()
        };
        let precise = numbers(precise);
        for variant in ["decimal-double", "decimal-numeric"] {
            let number = numbers(column(variant, table, name, Conversion::Decimal(scale)));
            assert_eq!(number, precise, "{table}.{name} of {variant}");
        }
    }
    let wide = column("plain", "samples", "wide", Conversion::Decimal(Some(9)));
    assert!(wide.contains(&Some("-0.000000001".to_owned())), "{wide:?}");
    assert!(wide.iter().flatten().any(|digits| digits.len() > 30), "{wide:?}");
}

#[test]
fn a_decimal_without_a_scale_brings_its_own() {
    let (plain, strings) = (rows("plain", "samples"), rows("decimal-string", "samples"));
    let mut compared = 0;
    for (plain, text) in plain.iter().zip(&strings) {
        if plain["free"].is_object() {
            // Debezium drops zeros at the end where the column has no scale.
            let significant = |conversion, json: &Value| {
                let digits = convert(conversion, &json.to_string()).unwrap();
                digits.trim_end_matches('0').trim_end_matches('.').to_owned()
            };
            let precise = significant(Conversion::Decimal(None), &plain["free"]);
            assert_eq!(precise, significant(Conversion::Number, &text["free"]));
            compared += 1;
        }
    }
    assert!(compared >= 2, "{plain:?}");
}

#[test]
fn times_of_every_mode_are_the_same_moment() {
    let timestamp = |unit| Conversion::Timestamp(Some(unit));
    for (name, plain, connect) in [
        ("placed_at", timestamp(Unit::Microseconds), timestamp(Unit::Milliseconds)),
        ("due_on", timestamp(Unit::Days), timestamp(Unit::Days)),
        ("created_at", Conversion::Timestamp(None), Conversion::Timestamp(None)),
    ] {
        let expected = column("plain", "orders", name, plain);
        assert_eq!(column("time-connect", "orders", name, connect), expected, "{name}");
        let texts = column("time-isostring", "orders", name, Conversion::Timestamp(None));
        assert_eq!(texts, expected, "{name}");
    }
}
