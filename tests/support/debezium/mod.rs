//! Real Debezium records: its own engine, reading a real PostgreSQL, through Kafka Connect's converters.
//!
//! [`capture`] plays `scenario/` to one engine for each of [`VARIANTS`] at once; what they emitted in one
//! such run lies in `tests/fixtures/debezium/` and is read by [`fixture`], which needs none of it.
//!
//! What a capture needs: PostgreSQL, Java 17 and Maven, and a network for the first run only. What it
//! leaves in the build directory, under `debezium/`: `<version>/` (the jars) and the last run's logs.
//!
//! # Invariants
//! - D1: neither server nor engine outlives its test process, however that ends.
//! - D2: all changes of the scenario come after every engine's snapshot, so that each run emits the same.
//!
//! Panics are the error channel: a harness that cannot do its work fails the test, with the reason.
//!
//! Not here: Kafka (the engine writes files), what ldsink makes of the records.

mod engine;
mod install;
mod postgres;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::engine::Engines;
use self::install::Installation;
use self::postgres::Postgres;

pub(crate) use self::install::debezium_version;

const SCHEMA: &str = include_str!("scenario/schema.sql");
const CHANGES: &str = include_str!("scenario/changes.sql");
const SENTINEL: &str = include_str!("scenario/sentinel.sql");
const FINAL_STATE: &str = include_str!("scenario/final_state.sql");

/// One way to configure Debezium.
#[derive(Debug)]
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    properties: &'static str,
}

macro_rules! variants {
    ($($name:literal),+ $(,)?) => {
        &[$(Variant {
            name: $name,
            properties: include_str!(concat!("variants/", $name, ".properties")),
        }),+]
    };
}

/// All variants; each one's settings say what it is for.
pub(crate) const VARIANTS: &[Variant] = variants![
    "plain",
    "schemas",
    "decimal-string",
    "decimal-double",
    "decimal-numeric",
    "time-connect",
    "time-isostring",
    "nulls-kept",
    "incremental",
    "flat-rewrite",
    "flat-tombstone",
    "flat-delete-to-tombstone",
];

/// A record as it would lie in Kafka, bytes shown as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) key: Option<String>,
    /// None is Kafka's null; the text `null` is four bytes.
    pub(crate) value: Option<String>,
    pub(crate) headers: BTreeMap<String, Option<String>>,
    pub(crate) timestamp: i64,
}

/// What one run brought.
#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) records: BTreeMap<&'static str, Vec<Record>>,
    /// Each table's rows at the end, as PostgreSQL says; a JSON object by table.
    pub(crate) final_state: String,
    pub(crate) postgres_release: String,
    /// The processes that were run, gone by now.
    pub(crate) pids: [u32; 2],
}

/// Captures all variants anew.
///
/// # Panics
/// When something is missing or goes wrong, with the remedy or the log.
pub(crate) async fn capture() -> Captured {
    let installation = tokio::task::spawn_blocking(Installation::ensure)
        .await
        .expect("the installation does not panic")
        .unwrap_or_else(|reason| panic!("{reason}"));
    let postgres = Postgres::start().await;
    postgres.run(SCHEMA).await;
    let mut engines = Engines::start(&installation, &postgres, VARIANTS);
    engines.streaming(&postgres).await;
    postgres.run(CHANGES).await;
    postgres.run(SENTINEL).await;
    let pids = [postgres.pid(), engines.pid()];
    let records = engines.finish().await;
    Captured {
        records: VARIANTS.iter().map(|variant| variant.name).zip(records).collect(),
        final_state: format!("{}\n", postgres.run(FINAL_STATE).await),
        postgres_release: postgres.release().await,
        pids,
    }
}

/// Returns the committed records of a variant.
pub(crate) fn fixture(variant: &str) -> Vec<Record> {
    let path = fixtures().join(format!("{variant}.jsonl"));
    parse(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Returns the committed contents of the tables at the end of the scenario.
pub(crate) fn final_state() -> String {
    fs::read_to_string(fixtures().join("final_state.json")).expect("it is committed")
}

/// Puts a capture in the place of the committed one.
pub(crate) fn replace_fixtures(captured: &Captured) {
    for (variant, records) in &captured.records {
        let lines: Vec<_> = records
            .iter()
            .map(|record| serde_json::to_string(record).expect("a record is plain data") + "\n")
            .collect();
        fs::write(fixtures().join(format!("{variant}.jsonl")), lines.concat())
            .expect("the sources are writable");
    }
    fs::write(fixtures().join("final_state.json"), &captured.final_state)
        .expect("the sources are writable");
}

fn fixtures() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "debezium"].iter().collect()
}

fn parse(lines: &str) -> Vec<Record> {
    lines.lines().map(|line| serde_json::from_str(line).expect("one record a line")).collect()
}
