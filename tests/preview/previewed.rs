//! `ldsink preview`: every way a record can end.

use serde_json::Value;

use crate::run::{CONFIG, Files, Ran, TOKEN, run};
use crate::support::kafka::{KafkaCluster, NewRecord, unique_name};

fn previewed(records: &str, more: &[&str]) -> Ran {
    let files = Files::new(&[("ldsink.yaml", CONFIG)]);
    let environment = [("SECRET_TOKEN", TOKEN)];
    let args: Vec<&str> = ["preview"].iter().chain(more).copied().collect();
    let ran = run(files.0.path(), &args, records, &environment);
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "{ran:?}");
    ran
}

fn previewed_json(records: &str) -> Vec<Value> {
    let ran = previewed(records, &["--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn events_of_one_record_are_one_request() {
    let [shown] = &previewed_json(
        r#"{"topic":"orders","offset":7,"value":{"user":"u","total":1.50},"timestamp":1767261600000}"#,
    )[..] else {
        panic!("one record, one line");
    };
    assert_eq!(shown["outcome"], "delivered");
    let requests = shown["requests"].as_array().unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["routes"], serde_json::json!(["count", "size"]));
    assert_eq!(requests[0]["headers"]["Authorization"], "[token]");
    assert_eq!(
        requests[0]["body"],
        "[{\"kind\":\"custom\",\"key\":\"order\",\"creationDate\":1767261600000,\
         \"contextKeys\":{\"user\":\"u\"},\"metricValue\":1.50},\
         {\"kind\":\"custom\",\"key\":\"size\",\"creationDate\":1767261600000,\
         \"contextKeys\":{\"user\":\"u\"}}]"
    );
    assert_eq!(shown["routes"][0]["becomes"][0]["metric_event"]["time"], "2026-01-01T10:00:00Z");
}

#[test]
fn what_one_route_refuses_is_sent_by_none() {
    let record =
        r#"{"topic":"orders","value":{"user":"u","total":"many"},"timestamp":1767261600000}"#;
    let shown = &previewed_json(record)[0];
    assert_eq!(shown["outcome"], "dead_lettered");
    assert_eq!(shown["refusal"]["route"], "count");
    assert_eq!(shown["refusal"]["reason"], "expression_failed");
    assert_eq!(shown["requests"], serde_json::json!([]));
    let ran = previewed(record, &[]);
    assert!(ran.out.contains("size: would be delivered to production"), "{}", ran.out);
    assert!(ran.out.contains("what one route refuses is sent by none"), "{}", ran.out);
    assert!(!ran.out.contains("POST "), "{}", ran.out);
}

#[test]
fn each_kind_of_segment_has_its_request() {
    let record = r#"{"topic":"members","value":{"user":"u-1","segment":"s 1","active":false}}"#;
    let shown = &previewed_json(record)[0];
    let lines: Vec<String> = shown["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| {
            let part = |name: &str| request[name].as_str().unwrap_or("").to_owned();
            format!("{} {} {}", part("method"), part("url"), part("body"))
        })
        .collect();
    let api = "https://app.launchdarkly.com/api/v2";
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[1].starts_with(&format!("POST {api}/segments/shop/production ")), "{}", lines[1]);
    let condition = "when the segment does not exist; then the request above again";
    assert_eq!(shown["requests"][1]["condition"], condition);
    assert_eq!(
        lines[0],
        format!(
            "POST {api}/segments/shop/production/s%201/contexts {{\"included\":{{\"remove\":[\"u-1\"]}}}}"
        )
    );
    assert!(lines[2].starts_with(&format!("PATCH {api}/segments/shop/production/staff ")));
    let kind = &shown["requests"][2]["headers"]["Content-Type"];
    assert_eq!(kind, "application/json; domain-model=launchdarkly.semanticpatch");
    assert!(lines[3].starts_with(&format!("POST {api}/segment-targets/segment-audiences ")));
    assert!(lines[3].contains("\"environmentId\":\"5f00\""), "{}", lines[3]);
}

#[test]
fn every_other_end_of_a_record_is_told() {
    for (record, outcome, said) in [
        (r#"{"topic":"orders","value":null}"#, "filtered", "count: filtered: tombstone"),
        (r#"{"topic":"orders","value":"{"}"#, "dead_lettered", "refused: invalid_json"),
        (r#"{"topic":"elsewhere","value":{}}"#, "unread", "no route names this topic"),
        (r#"{"topic":"orders","value":{"total":1}}"#, "dead_lettered", "refused: missing_field"),
        (
            r#"{"topic":"members","value":{"user":"u","segment":"..","active":true}}"#,
            "dead_lettered",
            "big: refused: refused_by_launchdarkly: target production: a key that is empty, `.` or `..`",
        ),
    ] {
        assert_eq!(previewed_json(record)[0]["outcome"], outcome, "{record}");
        let ran = previewed(record, &[]);
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    let big = format!(r#"{{"user":"{}","total":1}}"#, "u".repeat(10_000_000));
    let ran = previewed(&big, &["--topic", "orders"]);
    assert!(ran.out.contains("refused: too_large"));
}

#[test]
fn bare_values_and_laid_out_bodies() {
    let ran = previewed(
        "{\"user\":\"a\",\"total\":1}\n\nnull\n",
        &["--topic", "members", "--pretty", "-"],
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("members[0]@0") && ran.out.contains("members[0]@1"), "{}", ran.out);
    let record = r#"{"topic":"members","value":{"user":"u-1","segment":"s","active":true}}"#;
    let ran = previewed(record, &["--pretty"]);
    assert!(ran.out.contains("\n      \"included\": {\n"), "{}", ran.out);
}

#[test]
fn a_line_that_is_no_record_is_told_and_the_others_are_shown() {
    let lines = "{\"topic\":\"orders\"}\n{oops\n{\"topic\":\"orders\",\"value\":null}\n";
    let ran = previewed(lines, &[]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("stdin:2: is no record"), "{}", ran.err);
    assert!(ran.out.contains("2 records: "), "{}", ran.out);
    let ran = previewed("", &["missing.jsonl"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("missing.jsonl"), "{}", ran.err);
}

#[test]
fn a_token_file_need_not_be_there() {
    let config = CONFIG.replace("access_token: \"${SECRET_TOKEN}\"", "access_token_file: none");
    let files = Files::new(&[("ldsink.yaml", &config)]);
    let ran = files.run(&["preview"], "{\"topic\":\"orders\",\"value\":null}");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = files.run(&["check"], "");
    assert_eq!(ran.code, Some(2), "what runs needs it: {ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_records_of_a_topic_are_read_without_the_group() {
    let kafka = KafkaCluster::shared().await;
    let topic = kafka.unique_topic("preview", 2).await;
    let mut records = Vec::new();
    for number in 0..30 {
        let value = format!(r#"{{"user":"u-{number}","total":{number}}}"#);
        records.push(NewRecord::to(number % 2).value(value).timestamp(1_767_261_600_000));
    }
    kafka.produce(&topic, records).await;
    let group = unique_name("preview");
    let files = Files::new(&[("ldsink.yaml", &CONFIG.replace("[orders]", &format!("[{topic}]")))]);
    let environment =
        [("BOOTSTRAP", kafka.bootstrap()), ("GROUP", &group), ("SECRET_TOKEN", TOKEN)];
    let read = |more: &[&str]| {
        let args = ["preview", "--json", "--from-topic", &topic];
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        let ran = run(files.0.path(), &args, "", &environment);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let places = ran.out.lines().map(|line| {
            let shown: Value = serde_json::from_str(line).unwrap();
            (shown["partition"].as_i64().unwrap(), shown["offset"].as_i64().unwrap())
        });
        places.collect::<Vec<_>>()
    };
    assert_eq!(read(&["--last", "2"]), [(0, 13), (0, 14), (1, 13), (1, 14)]);
    assert_eq!(read(&["--last", "3", "--partition", "1"]), [(1, 12), (1, 13), (1, 14)]);
    assert_eq!(read(&["--last", "100"]).len(), 30, "all there are");
    assert!(!kafka.has_members(&group).await);
    let committed = kafka.committed(&group, &topic).await;
    assert!(committed.iter().all(|it| it.offset.is_none()), "{committed:?}");

    let missing = unique_name("nowhere");
    let ran = run(files.0.path(), &["preview", "--from-topic", &missing], "", &environment);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains(&missing), "{}", ran.err);
}
