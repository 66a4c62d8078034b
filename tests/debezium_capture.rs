//! The committed Debezium records are what Debezium emits: captured anew, compared, and read once.
//!
//! `UPDATE_DEBEZIUM_FIXTURES=1 cargo test --test debezium_capture` puts the new capture in their place.
//!
//! Compared is everything but log positions, transaction ids, clocks and what is drawn by lot;
//! heartbeats, which come when they come, are only looked for.

#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::debezium::{
    Record, VARIANTS, capture, debezium_version, final_state, fixture, replace_fixtures,
};
use crate::support::kafka::environment;
use crate::support::wait::eventually;

const HEARTBEAT_TOPIC: &str = "__debezium-heartbeat.shop";
const HEARTBEAT_TABLE: &str = "shop.public.heartbeats";
const TRANSACTION_TOPIC: &str = "shop.transaction";
const NOTIFICATION_TOPIC: &str = "shop.notifications";
const SIGNAL_TABLE: &str = "shop.public.signals";

/// What no two runs have in common, wherever it stands.
const VOLATILE: &[&str] = &[
    "lsn",
    "sequence",
    "txId",
    "ts_ms",
    "ts_us",
    "ts_ns",
    "__lsn",
    "__source_ts_ms",
    "timestamp",
    "data",
    "__debezium.context.runId",
];

#[tokio::test]
async fn debezium_still_emits_what_is_committed() {
    let captured = capture().await;
    for pid in captured.pids {
        let process = format!("/proc/{pid}");
        eventually(Duration::from_secs(10), "an end without orphans", async || {
            (!Path::new(&process).exists()).then_some(()).ok_or(format!("{process} is there"))
        })
        .await;
    }
    if environment("UPDATE_DEBEZIUM_FIXTURES").is_some() {
        replace_fixtures(&captured);
        eprintln!("captured PostgreSQL {} by {}", captured.postgres_release, debezium_version());
    }

    assert_eq!(json(&captured.final_state), json(&final_state()), "the tables' final contents");
    for (variant, records) in &captured.records {
        let (anew, committed) = (stable(records), stable(&fixture(variant)));
        for (index, (anew, committed)) in anew.iter().zip(&committed).enumerate() {
            assert_eq!(anew, committed, "{variant}: record {index} without heartbeats");
        }
        assert_eq!(anew.len(), committed.len(), "{variant}: the number of records");
        let beats = |records: &[Record]| records.iter().any(|r| r.topic == HEARTBEAT_TOPIC);
        assert_eq!(beats(records), *variant == "plain", "{variant}: heartbeats");
    }
}

/// The fixtures tell one story: whoever follows the keys arrives at the rows that PostgreSQL has.
#[test]
fn following_the_keys_leads_to_the_final_state() {
    let state = json(&final_state());
    for variant in ["plain", "flat-rewrite", "flat-tombstone", "flat-delete-to-tombstone"] {
        let mut alive: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in fixture(variant) {
            let rows = alive.entry(record.topic.clone()).or_default();
            match (fate(&record), record.key) {
                (Fate::Alive, Some(key)) => drop(rows.insert(key)),
                (Fate::Gone, Some(key)) => drop(rows.remove(&key)),
                (Fate::AllGone, _) => rows.clear(),
                (Fate::Alive | Fate::Gone, None) | (Fate::NoRow, _) => {}
            }
        }
        for (table, key) in [
            ("customers", &["id"][..]),
            ("orders", &["id"]),
            ("memberships", &["customer_id", "segment_key"]),
            ("metrics", &["key"]),
            ("samples", &["id"]),
        ] {
            let rows = state[table].as_array().expect("a table is a list of rows");
            let expected: BTreeSet<_> = rows.iter().map(|row| key_of(row, key)).collect();
            assert_eq!(alive[&format!("shop.public.{table}")], expected, "{variant}: {table}");
        }
    }
}

#[test]
fn every_variant_is_committed_and_ends_with_the_sentinel() {
    for variant in VARIANTS {
        let records = fixture(variant.name);
        let bytes: usize = records.iter().map(|r| r.value.as_ref().map_or(0, String::len)).sum();
        assert!(bytes < 500_000, "{}: {bytes} bytes is too much to commit", variant.name);
        let sentinels = records.iter().filter(|r| r.topic == "shop.public.sentinel").count();
        assert_eq!(sentinels, 1, "{}", variant.name);
    }
}

/// What a record says about the row of its key.
enum Fate {
    Alive,
    Gone,
    AllGone,
    NoRow,
}

fn fate(record: &Record) -> Fate {
    let value = record.value.as_deref().map_or(Value::Null, json);
    let op = value.get("op").or_else(|| value.get("__op")).and_then(Value::as_str);
    match op {
        Some("r" | "c" | "u") => Fate::Alive,
        Some("t") => Fate::AllGone,
        Some("d") => Fate::Gone,
        _ if value.is_null() => Fate::Gone,
        _ => Fate::NoRow,
    }
}

/// Returns the key as Debezium writes it: the columns of the primary key, in its order.
fn key_of(row: &Value, columns: &[&str]) -> String {
    let members: Vec<_> =
        columns.iter().map(|column| format!("{}:{}", json!(column), row[column])).collect();
    format!("{{{}}}", members.join(","))
}

/// Returns what every run has in common, in order.
fn stable(records: &[Record]) -> Vec<Value> {
    let beats = |record: &Record| [HEARTBEAT_TOPIC, HEARTBEAT_TABLE].contains(&&*record.topic);
    let told: Vec<_> = records.iter().filter(|record| !beats(record)).collect();
    // The heartbeats' own transactions begin and end among the others.
    let of_rows: BTreeSet<_> =
        told.iter().filter_map(|record| transaction_of_row(record)).collect();
    let (notifications, others): (Vec<_>, Vec<_>) = told
        .into_iter()
        .filter(|record| transaction_bounded(record).is_none_or(|id| of_rows.contains(&id)))
        // Debezium's two threads mix them as it comes.
        .partition(|record| record.topic == NOTIFICATION_TOPIC);
    others.into_iter().chain(notifications).map(masked).collect()
}

fn transaction_of_row(record: &Record) -> Option<u64> {
    payload(record.value.as_ref()?)["source"]["txId"].as_u64()
}

/// Returns which transaction a record tells the beginning or the end of, if it does.
fn transaction_bounded(record: &Record) -> Option<u64> {
    if record.topic != TRANSACTION_TOPIC {
        return None;
    }
    let payload = payload(record.value.as_ref()?);
    let (transaction, _position) = payload["id"].as_str()?.split_once(':')?;
    transaction.parse().ok()
}

fn masked(record: &Record) -> Value {
    let mut key = record.key.as_deref().map_or(Value::Null, json);
    let mut value = record.value.as_deref().map(json);
    let mut headers = json!(record.headers);
    mask(&mut headers);
    if [TRANSACTION_TOPIC, NOTIFICATION_TOPIC].contains(&&*record.topic) {
        for side in [Some(&mut key), value.as_mut()].into_iter().flatten() {
            mask_id(payload_mut(side));
        }
    }
    if record.topic == SIGNAL_TABLE {
        mask_id(&mut key);
        value.as_mut().and_then(|value| value.get_mut("after")).into_iter().for_each(mask_id);
    }
    if let Some(value) = &mut value {
        mask(value);
        if let Some(transaction) = payload_mut(value).get_mut("transaction") {
            mask_id(transaction);
        }
    }
    // `None` is Kafka's null, `[null]` the text.
    let value = value.map(|value| json!([value]));
    json!({ "topic": record.topic, "key": key, "value": value, "headers": headers })
}

/// Replaces volatile values by their types.
fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, member) in members {
                if VOLATILE.contains(&name.as_str()) {
                    *member = kind(member);
                } else if let ("data_collection", Some(table)) = (name.as_str(), member.as_str()) {
                    // Of a logical message it is a Java object's name with its address.
                    *member = json!(table.split('@').next());
                } else {
                    mask(member);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn mask_id(block: &mut Value) {
    if let Some(id) = block.get_mut("id") {
        *id = kind(id);
    }
}

fn kind(value: &Value) -> Value {
    match value {
        Value::Number(_) => json!("<number>"),
        Value::String(_) => json!("<string>"),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.clone(),
    }
}

/// Returns the part that is not the schema.
fn payload(value: &str) -> Value {
    payload_mut(&mut json(value)).take()
}

fn payload_mut(value: &mut Value) -> &mut Value {
    if value.get("payload").is_some() { &mut value["payload"] } else { value }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("Connect's converter writes JSON")
}
