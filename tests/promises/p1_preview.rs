//! P1 foretold: a preview gives each record the outcome, and each dead letter the reason, that the
//! service then gives it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};
use crate::support::launchdarkly::LaunchDarkly;
use crate::support::oracle::header;
use crate::support::service::{Service, orders_config};
use crate::support::wait::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(bootstrap: &str, topic: &str, url: &str) -> String {
    let routes = format!(
        r"routes:
  - name: events
    topics: [{topic}]
    format: json
    when: has(row.total)
    metric_event: {{ target: production, key: k, context: {{ user: $.row.user }}, value: $.row.total, data: {{ note: $.row.note }} }}
  - name: members
    topics: [{topic}]
    format: json
    when: has(row.segment)
    segment_member: {{ target: production, segment: $.row.segment, context_key: $.row.user, create: true }}
  - name: everybody
    topics: [{topic}]
    format: json
    when: has(row.segment)
    segment_member: {{ target: production, segment: everybody, context_key: $.row.user, create: true }}
  - name: metrics
    topics: [{topic}]
    format: json
    when: has(row.metric)
    metric:
      target: production
      key: $.row.metric
      name: $.row.name
      kind: custom
      event_key: $.row.event_key
      is_numeric: false
"
    );
    let whole = orders_config(bootstrap, topic, &unique_name("group"), url);
    let (head, tail) = whole.split_once("routes:\n").unwrap();
    let (_, tail) = tail.split_once("batch:").unwrap();
    let tail = tail.replace("max_events: 500", "max_events: 500, max_bytes: 1KB");
    format!("{head}{routes}segments: {{ linger: 50ms }}\nbatch:{tail}")
}

/// Records with their outcome and, where there is one, the reason of their dead letter.
fn records() -> Vec<(Value, &'static str, Option<&'static str>)> {
    let of = |segment: &str| json!({ "user": "u", "segment": segment });
    let metric = |key: &str, name: Value| json!({ "metric": key, "name": name, "event_key": "e" });
    let event = |total: Value, note: String| json!({ "user": "u", "total": total, "note": note });
    let dead = "dead_lettered";
    vec![
        (event(json!(1), String::new()), "delivered", None),
        (event(json!("1"), String::new()), dead, Some("wrong_type")),
        (event(json!(1), "n".repeat(2_000)), dead, Some("too_large")),
        (json!({ "total": 1, "note": "" }), dead, Some("missing_field")),
        (json!([1]), dead, Some("invalid_json")),
        (json!({}), "filtered", None),
        (of("s"), "delivered", None),
        (of(".."), dead, Some("refused_by_launchdarkly")),
        (of("."), dead, Some("refused_by_launchdarkly")),
        (of(""), dead, Some("missing_field")),
        (metric("m", json!("n")), "delivered", None),
        (metric("n", json!(17)), dead, Some("invalid_definition")),
        (metric("..", json!("n")), dead, Some("refused_by_launchdarkly")),
    ]
}

fn previewed(config: &str, records: &str) -> Vec<Value> {
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("ldsink.yaml"), config).unwrap();
    std::fs::write(directory.path().join("records.jsonl"), records).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(["preview", "--json", "records.jsonl"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let lines = String::from_utf8(ran.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_tells_the_end_that_every_record_has() {
    let kafka = KafkaCluster::shared().await;
    let sandbox = LaunchDarkly::start().await;
    let topic = kafka.unique_topic("ends", 1).await;
    let config = config(kafka.bootstrap(), &topic, sandbox.url());
    let written = |value: &Value| json!({ "topic": topic, "value": value }).to_string() + "\n";
    let lines: String = records().iter().map(|(value, _, _)| written(value)).collect();
    let foretold = previewed(&config, &lines);
    let mut dead = BTreeMap::new();
    for ((_, outcome, reason), shown) in records().into_iter().zip(&foretold) {
        assert_eq!(shown["outcome"], outcome, "{shown}");
        assert_eq!(shown["refusal"]["reason"].as_str(), reason, "{shown}");
        if reason.is_some() {
            let said = ["reason", "detail", "stage", "remedy"].map(|name| {
                (format!("ldsink.{name}"), shown["refusal"][name].as_str().unwrap().to_owned())
            });
            dead.insert(shown["offset"].as_i64().unwrap(), said);
        }
    }

    let service = Service::start(&config);
    let values =
        records().into_iter().map(|(value, _, _)| NewRecord::to(0).value(value.to_string()));
    kafka.produce(&topic, values).await;
    let dead_topic = format!("{topic}.dead");
    eventually(PATIENCE, "the dead letters", async || {
        let letters = kafka.read_all(&dead_topic).await.len();
        if letters >= dead.len() { Ok(()) } else { Err(format!("{letters} of {}", dead.len())) }
    })
    .await;
    eventually(PATIENCE, "the member whose other segment cannot be", async || {
        let path = "/sandbox/segments/storefront/production/everybody";
        let found = sandbox.look(path).await.ok_or("no such segment".to_owned())?;
        if found["included"]["user"] == json!(["u"]) { Ok(()) } else { Err(found.to_string()) }
    })
    .await;
    let ended = service.stop().await;
    assert!(ended.status.success(), "{}", ended.log);
    let letters = kafka.read_all(&dead_topic).await;
    assert_eq!(letters.len(), dead.len());
    for letter in &letters {
        let offset: i64 = header(letter, "ldsink.offset").parse().unwrap();
        for (name, foretold) in &dead[&offset] {
            assert_eq!(header(letter, name), *foretold, "{offset} {name}");
        }
    }
    assert_eq!(sandbox.count("events_counted").await, 1);
}
