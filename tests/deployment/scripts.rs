//! The scripts beside `docker-compose.yml`, run here with stand-ins for Kafka's own tools.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::configuration::configuration;
use crate::files::path;

/// Runs a script with tools that do what `tool` says.
fn run(script: &str, tool: (&str, &str), environment: &[(&str, &str)]) -> Output {
    let tools = TempDir::new().unwrap();
    write_tool(&tools.path().join(tool.0), tool.1);
    Command::new("bash")
        .arg(path("config/compose").join(script))
        .env("KAFKA_TOOLS", tools.path())
        .env("BOOTSTRAP_SERVERS", "kafka:9092")
        .envs(environment.iter().copied())
        .output()
        .expect("bash")
}

fn write_tool(path: &Path, body: &str) {
    fs::write(path, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn the_topics_that_ldsink_needs_are_created() {
    let output = run("topics.sh", ("kafka-topics.sh", r#"echo " $* ""#), &[]);
    assert!(output.status.success(), "{output:?}");
    let created = stdout(&output);
    let config = configuration(&[]);
    assert!(!config.pipeline.dead_letter.create, "the script does it");
    let mut needed: Vec<_> = config.pipeline.topics().iter().map(ToString::to_string).collect();
    needed.push(config.pipeline.dead_letter.topic);
    for topic in needed {
        assert!(created.contains(&format!(" --topic {topic} ")), "{topic}: {created}");
    }
    assert_eq!(created.lines().filter(|line| line.contains("--if-not-exists")).count(), 2);
}

#[test]
fn a_topic_that_cannot_be_created_is_no_success() {
    let output = run("topics.sh", ("kafka-topics.sh", "exit 1"), &[]);
    assert!(!output.status.success());
}

#[test]
fn the_orders_are_what_the_route_maps() {
    // The producer's own arguments first, then what it was given to write, until it has enough.
    let producer = r#"echo "$*"; head --lines=3000"#;
    let tool = ("kafka-console-producer.sh", producer);
    let output = run("orders.sh", tool, &[("ORDERS_PER_SECOND", "2500")]);
    let mut lines = stdout(&output).lines();
    let arguments = lines.next().expect("arguments");
    let route = &configuration(&[]).pipeline.routes[0];
    assert!(arguments.contains(&format!("--topic {} ", route.topics[0])), "{arguments}");

    let (mut creates, mut updates, mut deletes) = (0, 0, 0);
    // The key of a delete that was the line before: Debezium lets a tombstone follow at once.
    let mut deleted = None;
    for line in lines {
        let (key, value) = line.split_once('|').expect(line);
        let key: Value = serde_json::from_str(key).expect(line);
        if let Some(deleted) = deleted.take() {
            assert_eq!((&key, value), (&deleted, "NULL"), "{line}");
            continue;
        }
        let Ok(envelope) = serde_json::from_str::<Value>(value) else {
            assert_eq!(value, "this is no JSON");
            continue;
        };
        let row = if envelope["op"] == "d" { &envelope["before"] } else { &envelope["after"] };
        assert_eq!(row["id"], key["id"], "{line}");
        assert!(row["total"].is_f64() && row["org_id"].is_string(), "{line}");
        assert!(row["user_id"].is_string() || row["user_id"].is_null(), "{line}");
        // Microseconds, as PostgreSQL's timestamps arrive; of this century's first half.
        assert!(
            row["created_at"].as_u64().is_some_and(|it| it / 1_000_000 < 2_500_000_000),
            "{line}"
        );
        match envelope["op"].as_str().expect(line) {
            "c" => creates += 1,
            "u" => updates += 1,
            "d" => {
                deletes += 1;
                deleted = Some(key);
            }
            other => panic!("{other}: {line}"),
        }
    }
    assert!(creates > 1_000 && updates > 100 && deletes > 0, "{creates} {updates} {deletes}");
}

#[test]
fn a_rate_that_is_no_number_is_refused() {
    for rate in ["-1", "many", "08", "1; true"] {
        let tool = ("kafka-console-producer.sh", "cat");
        let output = run("orders.sh", tool, &[("ORDERS_PER_SECOND", rate)]);
        assert_eq!(output.status.code(), Some(2), "{rate}: {output:?}");
    }
}

#[test]
fn the_health_command_succeeds_on_200_only_and_shows_the_reasons() {
    let ready = health("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"ok\":true}");
    assert!(ready.status.success(), "{ready:?}");
    let halted = health(
        "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n{\"reasons\":{\"target\":\"401\"}}",
    );
    assert_eq!(halted.status.code(), Some(1));
    let shown = String::from_utf8(halted.stderr).unwrap();
    assert!(shown.contains("401"), "{shown}");
    assert!(!health("").status.success(), "a closed connection is no answer");
}

/// Runs the images' health check against a server that gives one answer.
fn health(answer: &'static str) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ready", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let request = BufReader::new(&connection).lines().map(Result::unwrap);
        let request: Vec<String> = request.take_while(|line| !line.is_empty()).collect();
        assert_eq!(request[0], "GET /ready HTTP/1.1");
        connection.write_all(answer.as_bytes()).unwrap();
    });
    let program = env!("CARGO_BIN_EXE_ldsink");
    let output = Command::new(program).args(["health", "--url", &url]).output().unwrap();
    server.join().unwrap();
    output
}
