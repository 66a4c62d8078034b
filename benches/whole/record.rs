//! What a record looks like.

#![allow(dead_code, reason = "whole, micro and allocations each use their own part of this")]

use std::fmt::Write as _;
use std::sync::LazyLock;

/// What a record looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A plain JSON object of about 230 bytes.
    Plain,
    /// A Debezium envelope of about 900 bytes.
    Debezium,
    /// The same with its schema, about 2,800 bytes.
    DebeziumWithSchema,
    /// Maxwell's record of an update, about 500 bytes.
    Maxwell,
    /// A plain JSON object that puts a key into a segment or takes it out, about 250 bytes.
    Members,
}

/// Writes record `n`. Its number stands where every contender passes it on: as the text `id`.
pub(crate) fn record(shape: Shape, segments: usize, n: usize, at_ms: i64, text: &mut String) {
    text.clear();
    match shape {
        Shape::Plain => row(text, n, at_ms, ""),
        Shape::Debezium => envelope(text, n, at_ms),
        Shape::DebeziumWithSchema => {
            text.push_str(&SCHEMA);
            envelope(text, n, at_ms);
            text.push('}');
        }
        Shape::Maxwell => {
            text.push_str(r#"{"database":"shop","table":"orders","type":"update","ts":1767225600,"xid":8213,"commit":true,"data":"#);
            row(text, n, at_ms, "");
            text.push_str(r#","old":{"status":"open"}}"#);
        }
        Shape::Members => {
            // Every other round takes its keys out.
            let (segment, active) = (n % segments, (n / segments).is_multiple_of(2));
            row(text, n, at_ms, &format!(r#","segment":"segment-{segment}","active":{active}"#));
        }
    }
}

fn row(text: &mut String, n: usize, at_ms: i64, more: &str) {
    write!(
        text,
        r#"{{"id":"{n}","user_id":"user-{:06}","total":{}.{:02},"currency":"EUR","created_at":{at_ms},"status":"paid","channel":"web","store":"berlin-{:03}","items":{},"coupon":null,"note":"left at the front door, second floor"{more}}}"#,
        n % 500_000,
        n % 400,
        n % 100,
        n % 40,
        n % 9,
    )
    .unwrap();
}

fn envelope(text: &mut String, n: usize, at_ms: i64) {
    text.push_str(r#"{"before":"#);
    row(text, n, at_ms, "");
    text.push_str(r#","after":"#);
    row(text, n, at_ms, "");
    write!(
        text,
        r#","source":{{"version":"3.6.0.Final","connector":"postgresql","name":"shop","ts_ms":{at_ms},"snapshot":"false","db":"shop","sequence":"[\"24023128\",\"24023128\"]","ts_us":{at_ms}000,"ts_ns":{at_ms}000000,"schema":"public","table":"orders","txId":555,"lsn":24023128,"xmin":null}},"transaction":null,"op":"u","ts_ms":{at_ms},"ts_us":{at_ms}000,"ts_ns":{at_ms}000000}}"#
    )
    .unwrap();
}

/// As Kafka Connect's `JsonConverter` writes it with `schemas.enable`, up to the payload.
static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let fields = |fields: &[(&str, &str)]| {
        let one = |(name, kind): &(&str, &str)| {
            format!(r#"{{"type":"{kind}","optional":true,"field":"{name}"}}"#)
        };
        fields.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let of_struct = |its: &[(&str, &str)], name: &str, field: &str| {
        let its = fields(its);
        format!(
            r#"{{"type":"struct","fields":[{its}],"optional":true,"name":"{name}","field":"{field}"}}"#
        )
    };
    let row = |field| of_struct(&ROW, "shop.public.orders.Value", field);
    let source = of_struct(&SOURCE, "io.debezium.connector.postgresql.Source", "source");
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{},{},{source},{}],"optional":false,"name":"shop.public.orders.Envelope","version":2}},"payload":"#,
        row("before"),
        row("after"),
        fields(&OUTER),
    )
});

const ROW: [(&str, &str); 11] = [
    ("id", "string"),
    ("user_id", "string"),
    ("total", "double"),
    ("currency", "string"),
    ("created_at", "int64"),
    ("status", "string"),
    ("channel", "string"),
    ("store", "string"),
    ("items", "int32"),
    ("coupon", "string"),
    ("note", "string"),
];
const SOURCE: [(&str, &str); 8] = [
    ("version", "string"),
    ("connector", "string"),
    ("name", "string"),
    ("ts_ms", "int64"),
    ("snapshot", "string"),
    ("db", "string"),
    ("table", "string"),
    ("lsn", "int64"),
];
const OUTER: [(&str, &str); 4] =
    [("op", "string"), ("ts_ms", "int64"), ("ts_us", "int64"), ("ts_ns", "int64")];
