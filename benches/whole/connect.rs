//! Kafka Connect with an HTTP sink: its own runtime in standalone mode, and a sink of ours
//! (`benches/peers/connect`), since no published one can be had through Maven. It does nothing but the
//! job, so it is an upper bound for those that exist.
//!
//! At its best for the job: several batches under way at once and all of them accepted before offsets are
//! committed, big fetches and polls, a heap that lets the throughput collector rest.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::contender::Place;
use crate::measure::{BATCH_EVENTS, LINGER, POSTS};
use crate::process::Process;
use crate::record::Shape;
use crate::support::kafka::unique_name;
use crate::support::maven::{Package, build_directory, pinned};

const POM: &str = include_str!("../peers/connect/pom.xml");
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/connect");
const MADE_FROM: &str = concat!(
    include_str!("../peers/connect/pom.xml"),
    include_str!("../peers/connect/HttpSinkConnector.java"),
    include_str!("../peers/connect/HttpSinkTask.java"),
);

/// Who reads the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Converter {
    /// Connect's `JsonConverter`, as published sinks that map fields are run.
    Json,
    /// The sink itself, with a streaming parser: the least work that Connect can be made to do.
    Bytes,
}

/// The version that the pom pins.
pub(crate) fn version() -> &'static str {
    pinned(POM, "connect.version")
}

/// Installs the jars and compiles the sink, unless nothing has changed.
pub(crate) fn build() -> Result<(), String> {
    let pom = format!("{SOURCES}/pom.xml");
    let package = Package {
        what: &format!("Kafka Connect {}", version()),
        pom_path: &pom,
        made_from: MADE_FROM,
        home: home(),
        otherwise: "",
    };
    package.ensure(compile).map(drop)
}

pub(crate) fn start(place: &Place<'_>, converter: Converter) -> Process {
    let worker = place.directory.join("worker.properties");
    let connector = place.directory.join("connector.properties");
    fs::write(&worker, worker_properties(place, converter)).unwrap();
    fs::write(&connector, connector_properties(place)).unwrap();
    let libs = home().join("libs");
    let mut command = Command::new("java");
    command
        .args(["-Xms256m", "-Xmx256m", "-XX:+UseParallelGC"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
        .arg("-cp")
        .arg(format!("{0}:{0}/*", libs.display()))
        .arg("org.apache.kafka.connect.cli.ConnectStandalone")
        .args([worker, connector]);
    Process::start(command, &place.log())
}

fn home() -> PathBuf {
    build_directory("peers").join(format!("connect-{}", version()))
}

fn worker_properties(place: &Place<'_>, converter: Converter) -> String {
    let class = match converter {
        Converter::Json => "org.apache.kafka.connect.json.JsonConverter",
        Converter::Bytes => "org.apache.kafka.connect.converters.ByteArrayConverter",
    };
    let mut text = format!(
        r"bootstrap.servers={}
key.converter=org.apache.kafka.connect.converters.ByteArrayConverter
value.converter={class}
offset.storage.file.filename={}
offset.flush.interval.ms=1000
listeners=http://127.0.0.1:0
consumer.auto.offset.reset=earliest
consumer.max.poll.records={}
consumer.fetch.min.bytes=1
consumer.max.partition.fetch.bytes=1048576
",
        place.bootstrap,
        place.directory.join("offsets").display(),
        BATCH_EVENTS * POSTS,
    );
    if converter == Converter::Json {
        let schemas = place.workload.shape == Shape::DebeziumWithSchema;
        writeln!(text, "value.converter.schemas.enable={schemas}").unwrap();
    }
    text
}

fn connector_properties(place: &Place<'_>) -> String {
    let Place { workload, topic, sink, .. } = place;
    let (name, linger) = (unique_name("connect"), LINGER.as_millis());
    let (gzip, debezium) = (workload.gzip, workload.shape != Shape::Plain);
    format!(
        r"name={name}
connector.class=HttpSinkConnector
tasks.max=1
topics={topic}
http.url={sink}
http.gzip={gzip}
debezium={debezium}
batch.max.events={BATCH_EVENTS}
batch.linger.ms={linger}
requests.max={POSTS}
"
    )
}

fn compile(libs: &Path) -> Result<(), String> {
    // This compiler knows no wildcards in class paths.
    let jars: Vec<_> = fs::read_dir(libs)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("cannot read {}: {error}", libs.display()))?
        .iter()
        .map(|entry| entry.path().display().to_string())
        .collect();
    let jars = jars.join(":");
    let output = Command::new("java")
        .args(["-cp", &jars, "org.eclipse.jdt.internal.compiler.batch.Main"])
        .args(["-source", "17", "-target", "17", "-proc:none", "-classpath", &jars, "-d"])
        .arg(libs)
        .arg(SOURCES)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run `java`: {error}"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("cannot compile {SOURCES}: {errors}"));
    }
    // Connect finds connectors by their declaration.
    let services = libs.join("META-INF/services");
    fs::create_dir_all(&services)
        .and_then(|()| {
            let declaration = "org.apache.kafka.connect.sink.SinkConnector";
            fs::write(services.join(declaration), "HttpSinkConnector\n")
        })
        .map_err(|error| format!("cannot write {}: {error}", services.display()))
}
