//! Telegraf, the one engine written in Go with a Kafka input and an HTTP output that can be had as a Go
//! module: built from its own sources with the plugins of this job (`benches/peers/telegraf`).
//!
//! At its best for the job: offsets are marked only after delivery (tracking metrics, which its Kafka
//! input always has), batches of equal size, enough undelivered messages to never wait for the next batch,
//! the fastest of its JSON parsers, and its own JSON batch as the body, which is less work than
//! LaunchDarkly's form: its template serializer cannot write batches of tracked metrics. It has one
//! request under way at a time.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::contender::Place;
use crate::measure::{BATCH_EVENTS, LINGER, POSTS};
use crate::process::Process;
use crate::record::Shape;
use crate::support::kafka::unique_name;
use crate::support::maven::build_directory;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/telegraf");
const MODULES: &str = include_str!("../peers/telegraf/go.mod");

/// The version that `go.mod` pins.
pub(crate) fn version() -> &'static str {
    let (_, rest) = MODULES.split_once("influxdata/telegraf v").unwrap();
    rest.split_whitespace().next().unwrap()
}

/// Compiles it, unless nothing has changed.
pub(crate) fn build() -> Result<(), String> {
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
        .arg(binary())
        .arg(".")
        .current_dir(SOURCES)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run `go`: {error}; install Go 1.25.5 or later"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`go build` failed: {}", String::from_utf8_lossy(&output.stderr)))
}

pub(crate) fn start(place: &Place<'_>) -> Process {
    let file = place.directory.join("telegraf.toml");
    fs::write(&file, configuration(place)).unwrap();
    let mut command = Command::new(binary());
    command.arg(file);
    Process::start(command, &place.log())
}

fn binary() -> PathBuf {
    build_directory("peers").join("telegraf")
}

fn configuration(place: &Place<'_>) -> String {
    let Place { workload, topic, bootstrap, sink, .. } = place;
    let group = unique_name("telegraf");
    let linger = LINGER.as_millis();
    let encoding = if workload.gzip { "gzip" } else { "identity" };
    let row = match workload.shape {
        Shape::Plain | Shape::Members => "",
        Shape::Debezium => "after.",
        Shape::DebeziumWithSchema => "payload.after.",
        Shape::Maxwell => "data.",
    };
    let undelivered = BATCH_EVENTS * POSTS * 2;
    let buffer = undelivered * 2;
    let field = |name: &str, kind: &str| {
        format!(
            r#"    [[inputs.kafka_consumer.json_v2.field]]
      path = "{row}{name}"
      rename = "{name}"
      type = "{kind}"
"#
        )
    };
    let fields =
        [("id", "string"), ("user_id", "string"), ("total", "float"), ("created_at", "int")]
            .map(|(name, kind)| field(name, kind))
            .concat();
    format!(
        r#"[agent]
  interval = "10s"
  flush_interval = "{linger}ms"
  metric_batch_size = {BATCH_EVENTS}
  metric_buffer_limit = {buffer}
  precision = "1ns"
  omit_hostname = true
  skip_processors_after_aggregators = true

[[outputs.http]]
  url = "{sink}"
  method = "POST"
  content_encoding = "{encoding}"
  use_batch_format = true
  data_format = "json"
  json_timestamp_units = "1ms"

[[inputs.kafka_consumer]]
  brokers = ["{bootstrap}"]
  topics = ["{topic}"]
  kafka_version = "4.1.0"
  consumer_group = "{group}"
  offset = "oldest"
  max_undelivered_messages = {undelivered}
  consumer_fetch_default = "1MB"
  data_format = "json_v2"
  [[inputs.kafka_consumer.json_v2]]
    measurement_name = "paid"
{fields}"#
    )
}
