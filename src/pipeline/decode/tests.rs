//! What holds for every format, whatever comes.

use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde_json::{Value, json};

use super::*;
use crate::model::change::{BeforeExtent, BeforePolicy};
use crate::model::record::{NoHeaders, OwnedRecord, Partition};

/// An operation with Debezium's and Maxwell's words for it.
const KINDS: [(Op, &str, &str); 4] = [
    (Op::Create, "c", "insert"),
    (Op::Update, "u", "update"),
    (Op::Delete, "d", "delete"),
    (Op::Snapshot, "r", "bootstrap-insert"),
];

/// A change as a producer meant it, and as a format writes it.
#[derive(Debug, Clone)]
struct Meant {
    op: Op,
    letter: &'static str,
    maxwell: &'static str,
    old: Value,
    new: Value,
    is_wrapped: bool,
    is_pretty: bool,
}

fn record<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Record<'a> {
    Record {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp_ms: None,
        key,
        value,
        headers: &NoHeaders,
    }
}

fn row() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        prop::collection::vec(any::<i8>(), 0..3).prop_map(Value::from),
    ];
    // Short names cannot be mistaken for a format's own.
    prop::collection::hash_map("[a-z\"\\\\é]{1,3}", leaf, 0..5)
        .prop_map(|row| Value::Object(row.into_iter().collect()))
}

fn meant() -> impl Strategy<Value = Meant> {
    let kinds = prop::sample::select(KINDS.to_vec());
    (kinds, row(), row(), any::<bool>(), any::<bool>()).prop_map(
        |((op, letter, maxwell), old, new, is_wrapped, is_pretty)| Meant {
            op,
            letter,
            maxwell,
            old,
            new,
            is_wrapped,
            is_pretty,
        },
    )
}

impl Meant {
    fn write(&self, format: Format) -> Vec<u8> {
        let inner = match format {
            Format::Json | Format::Auto => self.new.clone(),
            Format::Debezium => self.envelope(),
            Format::DebeziumFlat => {
                let mut row = self.row().clone();
                row["__op"] = json!(self.letter);
                row["__deleted"] = json!((self.op == Op::Delete).to_string());
                row
            }
            Format::Maxwell => self.maxwell(),
        };
        let is_connect = matches!(format, Format::Debezium | Format::DebeziumFlat);
        let document = if is_connect && self.is_wrapped {
            json!({ "schema": { "type": "struct", "fields": [{ "op": "x" }] }, "payload": inner })
        } else {
            inner
        };
        let written = if self.is_pretty {
            serde_json::to_vec_pretty(&document)
        } else {
            serde_json::to_vec(&document)
        };
        written.unwrap()
    }

    fn envelope(&self) -> Value {
        let null = &Value::Null;
        let before = if self.new_only() { null } else { &self.old };
        let after = if self.op == Op::Delete { null } else { &self.new };
        json!({
            "before": before, "after": after, "op": self.letter, "ts_ms": 1,
            "source": { "lsn": 5, "payload": { "op": "x" } }, "transaction": null,
        })
    }

    fn maxwell(&self) -> Value {
        let mut document = json!({
            "database": "shop", "table": "orders", "type": self.maxwell, "ts": 1, "data": self.row(),
        });
        if self.op == Op::Update {
            document["old"] = self.old.clone();
        }
        document
    }

    fn new_only(&self) -> bool {
        matches!(self.op, Op::Create | Op::Snapshot)
    }

    /// The row that the change is about.
    fn row(&self) -> &Value {
        if self.op == Op::Delete { &self.old } else { &self.new }
    }
}

fn read(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// Decodes and believes everything.
fn decode<'a>(format: Format, record: &Record<'a>) -> Result<Decoded<'a>, DecodeError> {
    believing(BeforePolicy::Full, format, record)
}

fn believing<'a>(
    before: BeforePolicy,
    format: Format,
    record: &Record<'a>,
) -> Result<Decoded<'a>, DecodeError> {
    wanting(Wanted::ALL, Reading { format, before }, record)
}

/// Decodes, and reads what was left unread.
fn wanting<'a>(
    wanted: Wanted,
    reading: Reading,
    record: &Record<'a>,
) -> Result<Decoded<'a>, DecodeError> {
    let decoded = super::decode(reading, wanted, record, Box::leak(Box::default()))?;
    if let Decoded::Change(change) = &decoded {
        check(change)?;
    }
    Ok(decoded)
}

/// Everything a mapping can see of what was decoded.
fn seen(format: Format, record: &Record<'_>) -> String {
    match decode(format, record) {
        Ok(Decoded::Change(change)) => {
            let Change { record: _, op, tombstone, before, before_extent, .. } = change;
            let Change { after, key, source, unavailable, .. } = change;
            format!(
                "{op:?} {tombstone} {before:?} {before_extent:?} {after:?} {key:?} {source:?} \
                 {unavailable:?}"
            )
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// D2, for bytes of any kind.
    #[test]
    fn no_bytes_make_a_decoder_panic(
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        value in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
    ) {
        for format in Format::ALL {
            let _decoded = decode(format, &record(key.as_deref(), value.as_deref()));
        }
    }

    /// D2, for what is nearly right: a record of one format, cut off or with a byte replaced, read
    /// in every format. What is decoded nevertheless consists of whole documents.
    #[test]
    fn no_damaged_record_makes_a_decoder_panic(
        meant in meant(),
        written in prop::sample::select(Format::ALL.to_vec()),
        at in any::<prop::sample::Index>(),
        byte in prop::option::of(any::<u8>()),
    ) {
        let mut value = meant.write(written);
        let at = at.index(value.len());
        match byte {
            Some(byte) => value[at] = byte,
            None => value.truncate(at),
        }
        for format in Format::ALL {
            if let Ok(Decoded::Change(change)) = decode(format, &record(Some(&value), Some(&value))) {
                for text in [change.before, change.after, change.source].into_iter().flatten() {
                    prop_assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "{text}");
                    prop_assert_eq!(text, text.trim_ascii());
                }
            }
        }
    }

    /// The row does not depend on what else is wanted, nor does whether there is one.
    #[test]
    fn what_nobody_wants_changes_nothing_else(
        meant in meant(),
        written in prop::sample::select(Format::ALL.to_vec()),
        before in prop::sample::select(BeforePolicy::ALL.to_vec()),
    ) {
        let key = serde_json::to_vec(&json!({ "id": 1 })).unwrap();
        let value = meant.write(written);
        let record = record(Some(&key), Some(&value));
        for format in Format::ALL {
            let reading = Reading { format, before };
            let shown = |wanted| match wanting(wanted, reading, &record) {
                Ok(Decoded::Change(change)) => {
                    let Change { op, tombstone, after, source, .. } = change;
                    format!("{op:?} {tombstone} {:?} {after:?} {source:?}", change.row())
                }
                other => format!("{other:?}"),
            };
            prop_assert_eq!(shown(Wanted::ROW), shown(Wanted::ALL), "{:?}", format);
        }
    }

    #[test]
    fn what_was_meant_is_what_is_decoded(meant in meant()) {
        let key = serde_json::to_vec(&json!({ "id": 1 })).unwrap();
        for format in Format::ALL {
            let value = meant.write(format);
            let record = record(Some(&key), Some(&value));
            let Ok(Decoded::Change(change)) = decode(format, &record) else {
                return Err(proptest::test_runner::TestCaseError::fail(format.as_str()));
            };
            prop_assert_eq!(read(change.key), json!({ "id": 1 }));
            if matches!(format, Format::Json | Format::Auto) {
                prop_assert_eq!((change.op, read(change.row())), (Op::Upsert, meant.new.clone()));
                continue;
            }
            prop_assert_eq!(change.op, meant.op);
            let mut row = read(change.row());
            if format == Format::DebeziumFlat {
                let row = row.as_object_mut().unwrap();
                prop_assert!(row.remove("__op").is_some() && row.remove("__deleted").is_some());
            } else if meant.op == Op::Update {
                prop_assert_eq!(&read(change.before), &meant.old);
            }
            prop_assert_eq!(&row, meant.row());
        }
    }

    #[test]
    fn auto_agrees_with_the_format_that_was_written(meant in meant()) {
        for format in Format::ALL.into_iter().filter(|format| *format != Format::Auto) {
            let value = meant.write(format);
            let record = record(Some(b"{\"id\":1}"), Some(&value));
            prop_assert_eq!(seen(Format::Auto, &record), seen(format, &record));
        }
    }

    /// K1: whatever the row was, what is left of it is named by the key and holds the row's values.
    #[test]
    fn of_a_row_as_it_was_the_key_is_left(meant in meant(), key in row()) {
        for format in [Format::Debezium, Format::DebeziumFlat] {
            let (written, value) = (serde_json::to_vec(&key).unwrap(), meant.write(format));
            let record = record(Some(&written), Some(&value));
            let whole = decode(format, &record).unwrap();
            let left = believing(BeforePolicy::KeyOnly, format, &record).unwrap();
            let (Decoded::Change(whole), Decoded::Change(left)) = (whole, left) else {
                return Err(proptest::test_runner::TestCaseError::fail(format.as_str()));
            };
            prop_assert_eq!((whole.after, whole.op), (left.after, left.op));
            let Some(whole) = whole.before else {
                prop_assert_eq!((left.before, left.before_extent), (None, BeforeExtent::Whole));
                continue;
            };
            let mut whole = read(Some(whole));
            whole.as_object_mut().unwrap().retain(|name, _| {
                key.get(name).is_some() || name.starts_with("__")
            });
            prop_assert_eq!((read(left.before), left.before_extent), (whole, BeforeExtent::Key));
        }
    }
}

#[test]
fn a_delete_and_its_tombstone_act_once_where_both_are_always_written() {
    let delete = br#"{"op":"d","before":{"id":1},"after":null,"source":{}}"#;
    let maxwell = br#"{"type":"delete","database":"d","data":{"id":1}}"#;
    for (format, value) in [(Format::Debezium, &delete[..]), (Format::Maxwell, maxwell)] {
        let (delete, tombstone) =
            (record(Some(b"{\"id\":1}"), Some(value)), record(Some(b"{\"id\":1}"), None));
        assert!(matches!(decode(format, &delete).unwrap(), Decoded::Change(_)));
        let filtered = decode(format, &tombstone).unwrap();
        assert!(matches!(filtered, Decoded::Filtered(FilterReason::Tombstone)), "{format:?}");
    }
}

/// Records that a real Debezium has emitted, see `tests/fixtures/debezium/README.md`.
fn captured(variant: &str) -> Vec<OwnedRecord> {
    let path = format!("{}/tests/fixtures/debezium/{variant}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let lines = std::fs::read_to_string(&path).unwrap();
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let bytes = |name: &str| line[name].as_str().map(|text| text.as_bytes().to_vec());
        OwnedRecord {
            partition: Partition::new(line["topic"].as_str().unwrap(), 0),
            offset: 0,
            timestamp_ms: None,
            key: bytes("key"),
            value: bytes("value"),
            headers: Vec::new(),
        }
    };
    lines.lines().map(read).collect()
}

fn is_table(record: &OwnedRecord) -> bool {
    record.partition.topic.starts_with("shop.public.")
}

#[test]
fn every_envelope_that_debezium_emits_is_understood() {
    for variant in ["plain", "schemas", "decimal-numeric", "incremental", "nulls-kept"] {
        let (mut deletes, mut tombstones) = (Vec::new(), Vec::new());
        for owned in captured(variant) {
            let record = record(owned.key.as_deref(), owned.value.as_deref());
            let topic = &*owned.partition.topic;
            match (topic, decode(Format::Debezium, &record)) {
                ("shop.message", Ok(Decoded::Filtered(FilterReason::NoRow)))
                | (
                    "shop.transaction" | "shop.notifications" | "__debezium-heartbeat.shop",
                    Ok(Decoded::Filtered(FilterReason::Housekeeping)),
                ) => {}
                (_, Ok(Decoded::Change(change))) if is_table(&owned) => {
                    assert!(change.row().is_some() && change.source.is_some());
                    assert_eq!(seen(Format::Auto, &record), seen(Format::Debezium, &record));
                    if change.op == Op::Delete {
                        deletes.push((topic.to_owned(), owned.key.clone()));
                    }
                }
                (_, Ok(Decoded::Filtered(FilterReason::Tombstone))) if is_table(&owned) => {
                    tombstones.push((topic.to_owned(), owned.key.clone()));
                }
                (_, Ok(Decoded::Filtered(FilterReason::NoRow))) if is_table(&owned) => {
                    assert!(owned.value.unwrap().windows(8).any(|w| w == b"\"op\":\"t\""));
                }
                (_, other) => panic!("{variant}: {topic}: {other:?}"),
            }
        }
        assert_eq!(deletes, tombstones, "{variant}: each delete has its tombstone");
    }
}

/// What happened to which row, in order. Rows of a table without a key cannot be told apart.
fn story(variant: &str, format: Format) -> Vec<(String, Op, Value)> {
    let tell = |owned: OwnedRecord| {
        let record = record(owned.key.as_deref(), owned.value.as_deref());
        match decode(format, &record).unwrap() {
            Decoded::Change(change) if is_table(&owned) && owned.key.is_some() => {
                Some((owned.partition.topic.to_string(), change.op, read(change.key)))
            }
            Decoded::Change(_) | Decoded::Filtered(_) => None,
        }
    };
    // The heartbeats' own table changes with the clock.
    let story = captured(variant).into_iter().filter_map(tell);
    story.filter(|(topic, _, _)| topic != "shop.public.heartbeats").collect()
}

#[test]
fn flattened_records_tell_what_their_envelopes_told() {
    let told = story("plain", Format::Debezium);
    assert!(told.iter().filter(|(_, op, _)| *op == Op::Delete).count() > 10);
    for variant in ["flat-rewrite", "flat-tombstone", "flat-delete-to-tombstone"] {
        assert_eq!(story(variant, Format::DebeziumFlat), told, "{variant}");
        assert_eq!(story(variant, Format::Auto), told, "{variant}, found out per record");
    }
}

#[test]
fn what_postgresql_did_not_send_is_known_in_every_type() {
    for (variant, format) in [("plain", Format::Debezium), ("flat-rewrite", Format::DebeziumFlat)] {
        let update = captured(variant)
            .into_iter()
            .rfind(|record| &*record.partition.topic == "shop.public.toasted")
            .unwrap();
        let record = record(update.key.as_deref(), update.value.as_deref());
        let Decoded::Change(change) = decode(format, &record).unwrap() else {
            panic!("{variant}: filtered");
        };
        let placeholder = change.unavailable.unwrap();
        let names = ["words", "document", "bytes", "list", "numbers", "touched"];
        let found = members::members(change.row().unwrap(), &names).unwrap().found;
        let absent = found.map(|json| placeholder.is_json(json.unwrap()));
        assert_eq!(absent, [true, true, true, true, true, false], "{variant}");
    }
}

/// What `before` is made of in PostgreSQL's deletes: with the whole row only where somebody promised
/// it, without a promise nothing but the key, which alone is true.
#[test]
fn nothing_that_debezium_invented_is_left() {
    let mut deletes = 0;
    let variants = [
        ("plain", Format::Debezium),
        ("schemas", Format::Debezium),
        ("decimal-string", Format::Debezium),
        ("flat-rewrite", Format::DebeziumFlat),
        ("flat-rewrite", Format::Auto),
    ];
    for (variant, format) in variants {
        for owned in captured(variant).iter().filter(|owned| is_table(owned)) {
            let record = owned.lend();
            let Ok(Decoded::Change(whole)) = decode(format, &record) else { continue };
            for policy in [BeforePolicy::Auto, BeforePolicy::KeyOnly] {
                let Ok(Decoded::Change(left)) = believing(policy, format, &record) else {
                    panic!("{variant}: a delete is lost: {record:?}");
                };
                assert_eq!(left.after, whole.after);
                let (Some(before), false) = (left.before, left.tombstone) else { continue };
                let mut row = read(Some(before));
                row.as_object_mut().unwrap().retain(|name, _| !name.starts_with("__"));
                let key = read(left.key);
                assert_eq!(row, if key.is_null() { json!({}) } else { key }, "{variant}");
                assert_eq!(left.before_extent, BeforeExtent::Key);
                deletes += 1;
            }
        }
    }
    assert!(deletes > 100, "{deletes}");
}

#[test]
fn a_connector_that_demands_whole_rows_is_believed() {
    let key = br#"{"id":1}"#;
    for (connector, is_whole) in [
        ("\"mysql\"", true),
        ("\"mariadb\"", true),
        ("\"sqlserver\"", true),
        ("\"postgresql\"", false),
        ("\"oracle\"", false),
        ("\"mongodb\"", false),
        ("null", false),
        ("7", false),
    ] {
        let row = r#"{"id":1,"tier":"vip"}"#;
        let envelope = format!(
            r#"{{"op":"d","before":{row},"after":null,"source":{{"connector":{connector}}}}}"#
        );
        let named =
            |name: &str| row.replace('}', &format!(r#","__op":"d","{name}":{connector}}}"#));
        for (format, value) in [
            (Format::Debezium, envelope),
            (Format::DebeziumFlat, named("__connector")),
            (Format::DebeziumFlat, named("__source_connector")),
        ] {
            let record = record(Some(key), Some(value.as_bytes()));
            let Ok(Decoded::Change(change)) = believing(BeforePolicy::Auto, format, &record) else {
                panic!("{value}");
            };
            let has_tier = read(change.row()).get("tier").is_some();
            assert_eq!(has_tier, is_whole, "{value}");
        }
    }
}
