//! Conversions, against what they must give and against naive models.

mod captured;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use serde_json::json;

use super::*;

/// What a conversion makes of a JSON text.
fn convert(conversion: Conversion, json: &str) -> Result<String, String> {
    conversion.convert(Picked::Json(json)).map(|converted| match converted {
        Converted::Same => json.to_owned(),
        Converted::Json(json) => json,
        Converted::Milliseconds(ms) => ms.to_string(),
    })
}

fn all(conversion: Conversion, cases: &[(&str, &str)]) {
    for (json, expected) in cases {
        assert_eq!(convert(conversion, json).as_deref(), Ok(*expected), "{conversion:?} of {json}");
    }
}

fn none(conversion: Conversion, cases: &[(&str, &str)]) {
    for (json, said) in cases {
        let error = convert(conversion, json).expect_err(json);
        assert!(error.contains(said), "{conversion:?} of {json}: {error}");
    }
}

#[test]
fn numbers_keep_their_digits() {
    all(
        Conversion::Number,
        &[
            ("12.50", "12.50"),
            ("1e3", "1e3"),
            (r#""12.50""#, "12.50"),
            (r#"" 12.50 ""#, "12.50"),
            (r#""+7""#, "7"),
            (r#""-0007.10""#, "-7.10"),
            (r#"".5""#, "0.5"),
            (r#""5.""#, "5"),
            (r#""-0""#, "0"),
            (r#""1.2e3""#, "1200"),
            (r#""12E-3""#, "0.012"),
            (r#""0e5""#, "0"),
            (
                r#""123456789012345678901234567890.123456789""#,
                "123456789012345678901234567890.123456789",
            ),
            ("true", "1"),
            ("false", "0"),
        ],
    );
    none(
        Conversion::Number,
        &[
            (r#""""#, "empty"),
            (r#""  ""#, "empty"),
            (r#""12,50""#, "cannot be read as a number"),
            (r#""1 000""#, "cannot be read as a number"),
            (r#""0x10""#, "cannot be read as a number"),
            (r#""NaN""#, "cannot be read as a number"),
            (r#""--1""#, "cannot be read as a number"),
            (r#""1e""#, "cannot be read as a number"),
            (r#"".""#, "cannot be read as a number"),
            (r#""1.2.3""#, "cannot be read as a number"),
            (r#""1e999999999""#, "cannot be read as a number"),
            (r#""1e-99999999999""#, "cannot be read as a number"),
            ("{}", "it is an object"),
            ("[1]", "it is an array"),
        ],
    );
    assert_eq!(Conversion::Number.convert(Picked::Text("1.5")), Ok(Converted::Json("1.5".into())));
    assert_eq!(Conversion::Number.convert(Picked::Integer(7)), Ok(Converted::Same));
    assert!(Conversion::Number.convert(Picked::Unreadable).unwrap_err().contains("not UTF-8"));
}

#[test]
fn integers_have_nothing_behind_the_point() {
    all(
        Conversion::Integer,
        &[
            ("12", "12"),
            ("12.00", "12"),
            (r#""12.000""#, "12"),
            ("1e3", "1000"),
            ("1200e-2", "12"),
            (r#""-7""#, "-7"),
            ("0.0", "0"),
            (r#""123456789012345678901234567890""#, "123456789012345678901234567890"),
            ("true", "1"),
        ],
    );
    none(
        Conversion::Integer,
        &[
            ("12.5", "behind the decimal point"),
            (r#""0.001""#, "behind the decimal point"),
            ("1e-3", "behind the decimal point"),
            (r#""x""#, "cannot be read as a number"),
        ],
    );
}

#[test]
fn texts_are_what_was_written() {
    all(
        Conversion::Text,
        &[(r#""a\u0062""#, r#""a\u0062""#), ("12.50", r#""12.50""#), ("true", r#""true""#)],
    );
    none(Conversion::Text, &[("{}", "an object"), ("[]", "an array")]);
}

#[test]
fn booleans_are_ones_zeros_and_words() {
    for json in
        ["true", "1", "1.0", r#""t""#, r#""TRUE""#, r#""yes""#, r#""Y""#, r#"" on ""#, r#""1""#]
    {
        assert_eq!(convert(Conversion::Boolean, json).as_deref(), Ok("true"), "{json}");
    }
    for json in
        ["false", "0", "-0", r#""f""#, r#""False""#, r#""no""#, r#""n""#, r#""off""#, r#""0""#]
    {
        assert_eq!(convert(Conversion::Boolean, json).as_deref(), Ok("false"), "{json}");
    }
    none(
        Conversion::Boolean,
        &[
            ("2", "neither true nor false"),
            ("0.5", "neither true nor false"),
            (r#""""#, "neither true nor false"),
            (r#""maybe""#, "neither true nor false"),
            ("{}", "an object"),
        ],
    );
}

#[test]
fn times_are_milliseconds() {
    let ms = "1767225600250";
    all(
        Conversion::Timestamp(None),
        &[
            ("1767225600.25", ms),
            ("1767225600250", ms),
            ("1767225600250999", ms),
            (r#""1767225600250999999""#, ms),
            (r#""2026-01-01T00:00:00.25Z""#, ms),
            (r#""2026-01-01T02:00:00.250999+02:00""#, ms),
            (r#""2026-01-01 00:00:00.25""#, ms),
            (r#""2026-01-01T00:00:00.25""#, ms),
            (r#""2026-01-01""#, "1767225600000"),
            (r#""1970-01-02""#, "86400000"),
            (r#""1970-01-02Z""#, "86400000"),
        ],
    );
    for (unit, json, expected) in [
        (Unit::Seconds, "1767225600.2509", ms),
        (Unit::Milliseconds, r#""1767225600250""#, ms),
        (Unit::Microseconds, "1767225600250999", ms),
        (Unit::Nanoseconds, "1767225600250999999", ms),
        (Unit::Days, "20454", "1767225600000"),
        (Unit::Days, "20454.5", "1767268800000"),
        (Unit::Days, "-1", "-86400000"),
        (Unit::Milliseconds, "1000000000", "1000000000"),
        (Unit::Microseconds, "-1", "-1"),
        (Unit::Days, r#""2026-01-01""#, "1767225600000"),
    ] {
        all(Conversion::Timestamp(Some(unit)), &[(json, expected)]);
    }
    none(
        Conversion::Timestamp(None),
        &[
            ("20454", "no time between 2000 and 2099"),
            (r#""soon""#, "no time in ISO 8601"),
            (r#""2026-13-01""#, "no time in ISO 8601"),
            ("true", "a boolean, not a time"),
        ],
    );
    none(
        Conversion::Timestamp(Some(Unit::Days)),
        &[("99999999999", "no time in days"), (r#""1e500""#, "no time in days")],
    );
}

#[test]
fn decimals_are_read_as_debezium_writes_them() {
    let two = Conversion::Decimal(Some(2));
    all(
        two,
        &[
            (r#""E4I=""#, "49.94"),
            (r#""AA==""#, "0.00"),
            (r#""/w==""#, "-0.01"),
            (r#""gA==""#, "-1.28"),
            (r#""AIA=""#, "1.28"),
            (r#"{"scale":3,"value":"E4I="}"#, "4.994"),
            (r#"{"value":"AQ==","scale":-2}"#, "100"),
            ("49.94", "49.94"),
        ],
    );
    all(Conversion::Decimal(Some(0)), &[(r#""E4I=""#, "4994")]);
    all(Conversion::Decimal(None), &[(r#"{"scale":0,"value":"AQ=="}"#, "1")]);
    none(
        two,
        &[
            (r#""49.94""#, "not base64"),
            (r#""""#, "holds 0 bytes"),
            (r#"{"scale":1}"#, "without a `scale` and a `value`"),
            (r#"{"scale":2147483647,"value":"AQ=="}"#, "scale 2147483647 is out of range"),
            (r#"{"scale":-2147483648,"value":"AQ=="}"#, "scale -2147483648 is out of range"),
            ("true", "it is a boolean"),
            ("[1]", "it is an array"),
        ],
    );
    none(Conversion::Decimal(None), &[(r#""AQ==""#, "give its `scale`")]);
    let long = STANDARD.encode(vec![1; 401]);
    none(two, &[(&json!(long).to_string(), "holds 401 bytes")]);
}

/// The shortest two's complement, as Java's `BigInteger.toByteArray` gives it.
fn java_bytes(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let keep = (0..15)
        .find(|i| {
            let sign = if value < 0 { 0xff } else { 0 };
            bytes[*i] != sign || (bytes[i + 1] ^ bytes[*i]) & 0x80 != 0
        })
        .unwrap_or(15);
    bytes[keep..].to_vec()
}

/// The naive model: put the point into the printed integer.
fn point(value: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", value.unsigned_abs().to_string(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_decimal_is_its_integer_with_a_point(value in any::<i128>(), shift in 0..127_u32, scale in 0..40_u16) {
        let value = value >> shift;
        let text = json!(STANDARD.encode(java_bytes(value))).to_string();
        let expected = point(value, scale.into());
        let conversion = Conversion::Decimal(Some(scale.into()));
        prop_assert_eq!(convert(conversion, &text), Ok(expected.clone()));
        let object = json!({"scale": scale, "value": STANDARD.encode(java_bytes(value))}).to_string();
        prop_assert_eq!(convert(Conversion::Decimal(None), &object), Ok(expected.clone()));
        // And what is written reads back, as a number and as JSON.
        prop_assert_eq!(convert(Conversion::Number, &format!("{expected:?}")), Ok(expected.clone()));
        prop_assert!(serde_json::from_str::<serde_json::Number>(&expected).is_ok());
    }

    /// Longer than any machine integer: schoolbook arithmetic on digits.
    #[test]
    fn long_decimals_are_exact(bytes in prop::collection::vec(any::<u8>(), 1..60)) {
        let mut magnitude = bytes.clone();
        let is_negative = bytes[0] >= 0x80;
        if is_negative {
            for byte in &mut magnitude { *byte = !*byte; }
        }
        let mut digits = vec![u32::from(is_negative)];
        let mut place = vec![1_u32];
        let carried = |digits: &mut Vec<u32>| {
            let mut at = 0;
            while at < digits.len() {
                if digits[at] > 9 {
                    let carry = digits[at] / 10;
                    digits[at] %= 10;
                    if at + 1 == digits.len() { digits.push(0); }
                    digits[at + 1] += carry;
                }
                at += 1;
            }
        };
        for byte in magnitude.iter().rev() {
            digits.resize(digits.len().max(place.len()), 0);
            for (digit, unit) in digits.iter_mut().zip(&place) { *digit += unit * u32::from(*byte); }
            carried(&mut digits);
            for unit in &mut place { *unit *= 256; }
            carried(&mut place);
        }
        let digits: String = digits.iter().rev().map(|d| char::from_digit(*d, 10).unwrap()).collect();
        let digits = digits.trim_start_matches('0');
        let expected = match (digits, is_negative) {
            ("", _) => "0".to_owned(),
            (digits, true) => format!("-{digits}"),
            (digits, false) => digits.to_owned(),
        };
        let text = json!(STANDARD.encode(&bytes)).to_string();
        prop_assert_eq!(convert(Conversion::Decimal(Some(0)), &text), Ok(expected));
    }

    /// Against floating point, which is near enough to find a digit out of place.
    #[test]
    fn a_number_in_a_text_has_its_value(whole in 0..1_000_000_u32, fraction in "[0-9]{0,6}", power in -6..7_i32, sign in "[+-]?") {
        let text = format!("{sign}{whole}.{fraction}e{power}");
        let expected: f64 = text.parse().unwrap();
        let written = convert(Conversion::Number, &format!("{text:?}")).unwrap();
        let given: f64 = serde_json::from_str(&written).unwrap();
        prop_assert!((given - expected).abs() <= expected.abs() * 1e-12, "{text}: {written}");
        let floor = format!("{}", expected.floor());
        let is_whole = (expected - expected.floor()).abs() < 1e-9;
        if let Ok(integer) = convert(Conversion::Integer, &format!("{text:?}")) {
            prop_assert!(is_whole, "{text}: {integer}");
            prop_assert_eq!(integer, floor.replace("-0", "0"));
        }
    }

    #[test]
    fn a_time_in_a_unit_is_its_quotient(count in -4_000_000_000_000_i64..4_000_000_000_000) {
        let of = |unit| convert(Conversion::Timestamp(Some(unit)), &count.to_string());
        prop_assert_eq!(of(Unit::Milliseconds), Ok(count.to_string()));
        prop_assert_eq!(of(Unit::Microseconds), Ok(count.div_euclid(1_000).to_string()));
        prop_assert_eq!(of(Unit::Nanoseconds), Ok(count.div_euclid(1_000_000).to_string()));
        let seconds = count / 1_000;
        let of = |unit, count: i64| convert(Conversion::Timestamp(Some(unit)), &count.to_string());
        prop_assert_eq!(of(Unit::Seconds, seconds), Ok((seconds * 1_000).to_string()));
        let days = count / 86_400_000;
        prop_assert_eq!(of(Unit::Days, days), Ok((days * 86_400_000).to_string()));
    }

    #[test]
    fn no_conversion_panics_or_shows_the_value(text in "zq9.{0,12}|[-+.eE0-9]{0,8}", bytes in any::<Vec<u8>>()) {
        let texts = [text.clone(), STANDARD.encode(&bytes)];
        for text in texts {
            for conversion in [
                Conversion::Number, Conversion::Integer, Conversion::Text, Conversion::Boolean,
                Conversion::Timestamp(None), Conversion::Timestamp(Some(Unit::Nanoseconds)),
                Conversion::Timestamp(Some(Unit::Days)), Conversion::Decimal(Some(400)),
                Conversion::Decimal(Some(-100)), Conversion::Decimal(None),
            ] {
                match convert(conversion, &json!(text).to_string()) {
                    Ok(json) => prop_assert!(serde_json::from_str::<Json>(&json).is_ok(), "{}", json),
                    Err(said) => prop_assert!(!said.contains("zq9"), "{}", said),
                }
            }
        }
    }
}
