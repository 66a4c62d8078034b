//! `ldsink preview` and `ldsink test` as a person runs them: on the shipped files, for every way a
//! record can end, and against a real Kafka.

#![cfg(test)]

#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use support::kafka::{KafkaCluster, NewRecord, unique_name};

const CONFIG: &str = r#"
kafka: { bootstrap_servers: "${BOOTSTRAP}", group_id: "${GROUP}", startup_timeout: 30s }
targets:
  production: { access_token: "${SECRET_TOKEN}", project: shop, environment: production }
routes:
  - name: count
    topics: [orders]
    format: json
    when: row.total > 0
    metric_event:
      target: production
      key: order
      context: { user: $.row.user }
      value: $.row.total
  - name: size
    topics: [orders]
    format: json
    metric_event: { target: production, key: size, context: { user: $.row.user } }
  - name: big
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: $.row.segment
      context_key: $.row.user
      member: row.active
      create: true
  - name: standard
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: staff
      context_key: $.row.user
      kind: standard
      list: excluded
  - name: synced
    topics: [members]
    format: json
    segment_member:
      target: production
      segment: cohort
      context_key: $.row.user
      kind: synced
      synced: { integration_key: segment-audiences, client_side_id: 5f00 }
unmatched: dead_letter
delivery: { gzip: false }
"#;

const TOKEN: &str = "api-0123456789-secret";

/// A directory with a configuration and other files.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn run(&self, args: &[&str], stdin: &str) -> Ran {
        run(self.0.path(), args, stdin, &[])
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(directory: &Path, args: &[&str], stdin: &str, environment: &[(&str, &str)]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ldsink"))
        .args(args)
        .current_dir(directory)
        .env_remove("LD_ACCESS_TOKEN")
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    Ran {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

fn shipped(args: &[&str]) -> Ran {
    run(&PathBuf::from(env!("CARGO_MANIFEST_DIR")), args, "", &[("LD_ACCESS_TOKEN", TOKEN)])
}

// --- the shipped files ---

#[test]
fn the_shipped_records_are_previewed() {
    let ran = shipped(&["preview", "--config", "config/ldsink.yaml", "config/records.jsonl"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for said in [
        "  checkout: delivered to production as metric_event {\"context\":",
        "    POST https://events.launchdarkly.com/v2/event-data-import/storefront/production\n",
        "    Authorization: [token]\n",
        "    X-LaunchDarkly-Payload-ID: ",
        "    Content-Encoding: gzip\n",
        "\"metricValue\":49.90,",
        "  checkout: filtered: when\n",
        "  checkout: filtered: tombstone\n",
        "  checkout: refused: missing_field: metric_event.context.organization: ",
        "    remedy: give the field a `default`",
        "=> a dead letter with reason missing_field",
        "/api/v2/segments/storefront/production/vip-shoppers/contexts\n",
        "8 records: 5 delivered, 2 filtered, 1 dead-lettered\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN));
    assert_eq!(ran.err, "", "the token is set and nothing else is missing");
}

#[test]
fn the_shipped_tests_pass_without_a_token() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for args in [
        &["test", "--config", "config/ldsink.yaml", "config/ldsink.test.yaml"][..],
        &["test", "config/ldsink.test.yaml"],
    ] {
        let ran = run(&directory, args, "", &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.ends_with("15 passed, 0 failed\n"), "{}", ran.out);
        assert!(ran.err.contains("LD_ACCESS_TOKEN"), "{}", ran.err);
    }
}

#[test]
fn every_route_of_the_reference_is_tested_and_shown() {
    let config = include_str!("../config/ldsink.yaml");
    let config = ldsink::config::Config::parse(config, "t", &|_| Some("x:1".into())).unwrap();
    let ran =
        shipped(&["preview", "--json", "--config", "config/ldsink.yaml", "config/records.jsonl"]);
    for route in &config.pipeline.routes {
        let tested = format!("route: {}", route.name);
        assert!(include_str!("../config/ldsink.test.yaml").contains(&tested), "{tested}");
        let sent = format!("\"routes\":[\"{}\"]", route.name);
        assert!(ran.out.contains(&sent), "{sent}");
    }
}

#[test]
fn every_shipped_configuration_can_be_looked_at_without_its_variables() {
    let record = r#"{"op":"c","after":{"id":1,"user_id":"u","org_id":"o","total":1,"status":"paid","created_at":1767261600}}"#;
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for config in ["config/ldsink.yaml", "config/demo.yaml", "config/compose/ldsink.yaml"] {
        let args = ["preview", "--config", config, "--topic", "shop.public.orders"];
        let ran = run(&directory, &args, record, &[]);
        assert_eq!(ran.code, Some(0), "{config}: {ran:?}");
        assert!(ran.out.contains("1 record: 1 delivered, "), "{config}: {ran:?}");
        assert!(ran.err.contains("a placeholder stands for it: "), "{config}: {ran:?}");
    }
}

// --- computed and converted values, end to end ---

const COMPUTED: &str = r#"
kafka: { bootstrap_servers: "localhost:9092", group_id: g }
targets:
  production: { access_token: "${SECRET_TOKEN}", project: shop, environment: production }
routes:
  - name: renewals
    topics: [subscriptions]
    format: debezium
    when: row.price != null
    metric_event:
      target: production
      key: { expr: '"renewed-" + row.plan.lowerAscii()' }
      context: { user: { from: $.row.user_no, as: string } }
      value: { from: $.row.price, as: decimal, scale: 2 }
      time: { from: $.row.renewed_on, as: timestamp, unit: days }
      data:
        trial: { from: $.row.is_trial, as: boolean }
        monthly: { expr: row.yearly / 12.0, optional: true }
  - name: plans
    topics: [subscriptions]
    format: debezium
    before: full
    segment_member:
      target: production
      segment: { expr: "'plan-' + row.plan.lowerAscii()" }
      context_key: { from: $.row.user_no, as: integer }
  - name: definitions
    topics: [definitions]
    format: json
    metric:
      target: production
      key:
        expr: row.name.lowerAscii().replace(' ', '-')
      kind: custom
      event_key: $.row.event
      is_numeric: { from: $.row.numeric, as: boolean }
      success_criteria: { expr: 'row.higher ? "HigherThanBaseline" : "LowerThanBaseline"' }
      tags: { expr: "row.tags.split(',')" }
      analysis_units: [user]
"#;

#[test]
fn computed_and_converted_values_reach_the_requests() {
    let cases = r#"
cases:
  - name: a renewal
    record:
      topic: subscriptions
      value:
        op: u
        before: { plan: PRO, user_no: 17.0 }
        after: { plan: Team, user_no: 17.0, price: "E4I=", renewed_on: 20454, is_trial: 0, yearly: 120 }
    expect:
      - route: renewals
        metric_event:
          key: renewed-team
          context: { user: "17.0" }
          value: 49.94
          time: 2026-01-01T00:00:00Z
          data: { trial: false, monthly: 10.0 }
      - route: plans
        segment_member: { segment: plan-pro, context_key: 17, member: false }
      - route: plans
        segment_member: { segment: plan-team, context_key: 17 }
  - name: a definition
    record:
      topic: definitions
      value: { name: Net Revenue, event: net, numeric: t, higher: false, tags: "a,b" }
    expect:
      - route: definitions
        metric:
          key: net-revenue
          kind: custom
          event_key: net
          is_numeric: true
          success_criteria: LowerThanBaseline
          tags: [a, b]
          analysis_units: [user]
"#;
    let files = Files::new(&[("ldsink.yaml", COMPUTED), ("ldsink.test.yaml", cases)]);
    let ran = run(files.0.path(), &["test", "ldsink.test.yaml"], "", &[("SECRET_TOKEN", TOKEN)]);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
}

#[test]
fn what_cannot_be_computed_or_converted_is_told_with_its_place() {
    let records = [
        r#"{"op":"c","after":{"plan":7,"user_no":1,"price":"AQ==","renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"price":"zq9!","renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"price":"AQ==","renewed_on":"zq9","is_trial":1}}"#,
        r#"{"op":"c","after":{"plan":"a","user_no":1,"renewed_on":20454,"is_trial":1}}"#,
        r#"{"op":"c","after":{"user_no":1.5,"price":"AQ==","renewed_on":20454,"is_trial":2}}"#,
    ];
    let files = Files::new(&[("ldsink.yaml", COMPUTED)]);
    let args = ["preview", "--topic", "subscriptions"];
    let ran = run(files.0.path(), &args, &records.join("\n"), &[("SECRET_TOKEN", TOKEN)]);
    for said in [
        "renewals: refused: expression_failed: metric_event.key: expr: column 14: \
         `lowerAscii` does not take a number",
        "renewals: refused: wrong_type: metric_event.value: as decimal: it is a text that is not base64",
        "renewals: refused: implausible_time: metric_event.time: as timestamp: \
         it is a text that is no time in ISO 8601",
        "renewals: refused: expression_failed: when: column 1: row.price is absent",
        "renewals: refused: missing_field: metric_event.key: expr: column 14: row.plan is absent",
        "plans: refused: missing_field: segment_member.segment: expr: column 11: row.plan is absent",
        "remedy: guard the expression, for example with has(row.field)",
        "5 records: 0 delivered, 0 filtered, 5 dead-lettered\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(!ran.out.contains("zq9"), "{}", ran.out);
}

// --- preview ---

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

// --- test ---

fn tested(cases: &str) -> Ran {
    let files = Files::new(&[("ldsink.yaml", CONFIG), ("ldsink.test.yaml", cases)]);
    files.run(&["test"], "")
}

#[test]
fn every_kind_of_expectation_can_be_met() {
    let ran = tested(
        r#"
cases:
  - name: two events
    record: { topic: orders, value: { user: 7, total: 2 }, timestamp: "2026-01-01T10:00:00Z" }
    expect:
      - { route: size, metric_event: { key: size, context: { user: 7 }, time: 1767261600000 } }
      - { route: count, metric_event: { key: order, context: { user: "7" }, value: 2, time: "2026-01-01T11:00:00+01:00" } }
  - name: one filters
    record: { topic: orders, value: '{"user":"u","total":0}', timestamp: 1767261600000 }
    expect:
      - { route: count, filtered: when }
      - { route: size, metric_event: { key: size, context: { user: u }, time: 1767261600000 } }
  - name: a record is no place for variables
    record: { topic: orders, value: { user: "${HOME}", total: 0 }, timestamp: 1767261600000 }
    expect:
      - { route: size, metric_event: { key: size, context: { user: "${HOME}" }, time: 1767261600000 } }
  - name: refused, whoever it was
    record: { topic: orders, value: { total: 1 }, timestamp: 1767261600000 }
    expect: [{ refused: missing_field }]
  - name: one of several operations cannot be sent
    record: { topic: members, value: { user: u, segment: "..", active: true } }
    expect:
      - { route: big, refused: refused_by_launchdarkly }
      - { route: standard, segment_member: { segment: staff, context_key: u, list: excluded } }
      - { route: synced, segment_member: { segment: cohort, context_key: u } }
  - name: members
    record: { topic: members, value: { user: u, segment: s, active: false } }
    expect:
      - { route: big, segment_member: { segment: s, context_key: u, member: false } }
      - { route: standard, segment_member: { segment: staff, context_key: u, list: excluded } }
      - { route: synced, segment_member: { segment: cohort, context_key: u } }
"#,
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.ends_with("6 passed, 0 failed\n"), "{}", ran.out);
}

#[test]
fn a_case_that_fails_shows_what_differs() {
    let ran = tested(
        r"
cases:
  - name: the wrong value
    record: { topic: orders, value: { user: u, total: 2 }, timestamp: 1767261600000 }
    expect:
      - { route: count, metric_event: { key: order, context: { user: u }, value: 3, time: 1767261600000 } }
      - { route: size, metric_event: { key: size, context: { user: u }, time: 1767261600000 } }
  - name: an event nobody expects
    record: { topic: orders, value: { user: u, total: 0 }, timestamp: 1767261600000 }
    expect: []
  - name: refused instead
    record: { topic: orders, value: { total: 1 }, timestamp: 1767261600000 }
    expect: [{ route: count, filtered: when }]
  - name: this one passes
    record: { topic: orders }
    expect: []
",
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for said in [
        "FAIL  the wrong value (ldsink.test.yaml:3:5)\n",
        "      -     \"value\": 3\n      +     \"value\": 2\n",
        "      - nothing\n",
        "      +     \"key\": \"size\",\n",
        "      the record is refused: metric_event.context.user: ",
        "      -   \"filtered\": \"when\",\n",
        "      +   \"refused\": \"missing_field\",\n",
        "ok    this one passes\n",
    ] {
        assert!(ran.out.contains(said), "no {said:?} in:\n{}", ran.out);
    }
    assert!(ran.out.ends_with("1 passed, 3 failed\n"), "{}", ran.out);
}

#[test]
fn mistakes_in_the_tests_are_told_with_their_places() {
    let ran = tested(
        r"
cases:
  - name: mistakes
    record: { topic: order, vaule: {} }
    expect:
      - { route: cuont, filtered: when }
      - { route: count }
      - { route: count, metric_event: { kye: order } }
      - { refused: missing }
  - record: { topic: orders, timestamp: soon }
",
    );
    assert_eq!(ran.code, Some(2), "{ran:?}");
    for said in [
        "ldsink.test.yaml:4:22: cases[0].record.topic: `order` is read by no route",
        "cases[0].record.vaule: is not a known key; did you mean `value`?",
        "`cuont` is no route; did you mean `count`?",
        "expects not exactly one thing",
        "kye: is not a known key; did you mean `key`?",
        "`missing` is no choice here",
        "cases[1].name: is missing",
    ] {
        assert!(ran.err.contains(said), "no {said:?} in:\n{}", ran.err);
    }
    let files = Files::new(&[("ldsink.yaml", CONFIG)]);
    let ran = files.run(&["test", "none.test.yaml", "-c", "ldsink.yaml"], "");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.err.contains("none.test.yaml"), "{}", ran.err);
}

#[test]
fn tests_may_be_json() {
    let cases = r#"{"cases":[{"name":"json","record":{"topic":"orders"},"expect":[]}]}"#;
    let files = Files::new(&[("ldsink.yaml", CONFIG), ("ldsink.test.json", cases)]);
    let ran = files.run(&["test", "ldsink.test.json"], "");
    assert_eq!(
        (ran.code, ran.out.lines().last()),
        (Some(0), Some("1 passed, 0 failed")),
        "{ran:?}"
    );
}
