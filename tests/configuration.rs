//! Promise P8: what cannot work is refused at start, all mistakes at once, each with its place, and
//! no mistake tells a secret. Also keeps the reference file and the demo's file true.

#![cfg(test)]

use std::fs;
use std::path::Path;

use ldsink::config::keys::SECTIONS;
use ldsink::config::{Config, ConfigError, Mistakes};
use ldsink::model::batch::TargetId;
use ldsink::model::topic::TopicSelector;
use ldsink::pipeline::route::expression::Expression;
use ldsink::pipeline::route::settings::{
    Absent, Conversion, FieldSource, MetricEventSettings, OperationSettings, Unit,
};
use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use secrecy::ExposeSecret;

const BASE: &str = "\
kafka:
  bootstrap_servers: localhost:9092
  group_id: orders
targets:
  main:
    access_token: api-very-secret
    project: storefront
    environment: production
routes:
  - name: checkout
    topics: [orders]
    format: json
    metric_event:
      target: main
      key: checkout
      context: { user: $.row.user_id }
";
const REFERENCE: &str = include_str!("../config/ldsink.yaml");
const DEMO: &str = include_str!("../config/demo.yaml");

fn environment(name: &str) -> Option<String> {
    match name {
        "TEN" => Some("10".to_owned()),
        "EMPTY" => Some(String::new()),
        "LD_ACCESS_TOKEN" => Some("api-of-the-reference".to_owned()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Config, Mistakes> {
    Config::parse(text, "ldsink.yaml", &environment)
}

/// Puts `to` in the place of `from` in the base file, and checks every line that is then said.
fn replaced(from: &str, to: &str, expected: &[&str]) {
    assert!(BASE.contains(from), "{from} is not in the base file");
    said(&BASE.replacen(from, to, 1), expected);
}

/// Adds lines to the base file, from line 17 on.
fn appended(tail: &str, expected: &[&str]) {
    said(&format!("{BASE}{tail}\n"), expected);
}

fn said(text: &str, expected: &[&str]) {
    let mistakes = parse(text).expect_err(text);
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| mistake.to_string().replacen("ldsink.yaml:", "", 1))
        .collect();
    assert_eq!(lines, expected, "of\n{text}");
}

fn metric_event(text: &str) -> MetricEventSettings {
    let config = parse(text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let OperationSettings::MetricEvent(event) = config.pipeline.routes[0].operation.clone() else {
        panic!("not a metric event");
    };
    event
}

// --- mistakes, one by one ---
#[test]
fn unknown_keys_are_refused_with_the_likely_one() {
    appended("bacth: {}", &["17:1: bacth: is not a known key; did you mean `batch`?"]);
    appended(
        "admin: { colour: red }",
        &["17:10: admin.colour: is not a known key; one of listen, token, token_file"],
    );
    replaced(
        "  group_id",
        "  gruop_id",
        &[
            "1:1: kafka.group_id: is missing; name the consumer group",
            "3:3: kafka.gruop_id: is not a known key; did you mean `group_id`?",
        ],
    );
    replaced(
        "    metric_event:",
        "    webhook:",
        &[
            "10:5: routes[0].metric_event: is missing; say what a change becomes: one of metric_event, metric, segment_member",
            "13:5: routes[0].webhook: is not a known key; \
             one of name, topics, format, before, when, checks, retry_for, priority, metric_event, metric, segment_member",
        ],
    );
}

#[test]
fn a_synced_segment_that_could_never_be_written_is_refused() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let synced = |more: &str, integration: &str| {
        format!(
            "    segment_member:\n      target: main\n      segment: vip\n      \
             context_key: $.row.id\n      kind: synced\n{more}      \
             synced: {{ integration_key: {integration}, client_side_id: c }}\n"
        )
    };
    for (more, integration, problem) in [
        ("", "elsewhere", "is no integration that ldsink can write for"),
        ("      list: excluded\n", "segment-audiences", "has no list of excluded members"),
        ("      context_kind: device\n", "amplitude", "carries no context kind other than user"),
    ] {
        let file = BASE.replacen(event, &synced(more, integration), 1);
        let mistakes = parse(&file).unwrap_err().to_string();
        assert!(mistakes.contains(problem) && mistakes.contains("1 mistake"), "{mistakes}");
    }
    let fixed = synced("", "segment-audiences").replace("_id: c }", "_id: c, cohort_id: vip }");
    assert!(parse(&BASE.replacen(event, &fixed, 1)).is_ok());
    let file = BASE.replacen(event, &fixed.replace("segment: vip", "segment: $.row.tier"), 1);
    let mistakes = parse(&file).unwrap_err().to_string();
    assert!(mistakes.contains("one cohort for all the segments"), "{mistakes}");
    let file = BASE.replacen(event, &synced("", "segment-audiences"), 1);
    assert!(parse(&file).is_ok());
}

#[test]
fn a_wrong_shape_is_named() {
    replaced(
        "group_id: orders",
        "group_id: my orders",
        &["3:13: kafka.group_id: `my orders` has characters that are not allowed; use no blanks"],
    );
    replaced(
        "group_id: orders",
        "group_id: [a]",
        &["3:3: kafka.group_id: is a list, not a single value; write one value behind the key"],
    );
    replaced(
        "group_id: orders",
        "group_id:",
        &["3:3: kafka.group_id: has no value; give it one, or remove the key when it is optional"],
    );
    replaced(
        "group_id: orders",
        "group_id: ''",
        &["3:13: kafka.group_id: is empty; give it a value"],
    );
    replaced(
        "topics: [orders]",
        "topics: orders",
        &["11:13: routes[0].topics: is a single value, not a list; \
           write it as [one, two] or as `- ` lines"],
    );
    appended(
        "admin: 3",
        &["17:8: admin: is a single value, not a section; write `key: value` lines below it"],
    );
    appended(
        "batch: []",
        &["17:1: batch: is a list, not a section; write `key: value` lines below it"],
    );
}

#[test]
fn what_is_not_one_yaml_document_is_refused() {
    appended(
        "batch: {",
        &["18:1: is not YAML: while parsing a node, did not find expected node content; \
           check indents and quotes; within { } and [ ], quote \"${VARIABLES}\""],
    );
    appended(
        "batch: &a { max_events: 1 }",
        &["17:11: anchors are not supported; write the value out"],
    );
    appended("log: !x { level: info }", &["17:9: tags are not supported; remove the tag"]);
    appended(
        "---\nx: 1",
        &["17:1: a second YAML document begins here; keep everything in one document"],
    );
    said("- kafka", &["1:1: the file holds no keys; start with `kafka:`"]);
    appended(
        "admin: { listen: here }\nadmin: { listen: there }",
        &[
            "18:1: admin: stands here a second time, after line 17; keep one of the two",
            "18:18: admin.listen: `there` is not an address with a port; \
             write numbers, like 127.0.0.1:9464 or 0.0.0.0:9464",
        ],
    );
}

#[test]
fn an_empty_file_names_everything_that_is_required() {
    said(
        "",
        &[
            "1:1: targets: is missing; name at least one LaunchDarkly environment",
            "1:1: routes: is missing; add a route: without one there is nothing to do",
            "1:1: kafka.bootstrap_servers: is missing; name the brokers: host:port, host:port",
            "1:1: kafka.group_id: is missing; name the consumer group",
        ],
    );
}

#[test]
fn variables_that_cannot_be_replaced_are_named() {
    replaced(
        "group_id: orders",
        "group_id: a${MISSING}b${1}",
        &[
            "3:14: kafka.group_id: the environment variable MISSING is not set; \
             set it, or give a default: ${MISSING:-...}",
            "3:25: kafka.group_id: between `${` and `}` stands no variable name; \
             use letters, digits and `_`, or write `$${` for a plain `${`",
        ],
    );
    replaced(
        "group_id: orders",
        "group_id: \"${A\"",
        &["3:14: kafka.group_id: `${` has no `}`; close it, or write `$${` for a plain `${`"],
    );
}

#[test]
fn brokers_are_hosts_with_ports() {
    for (servers, remedy) in [
        ("localhost", "write host:port, several separated by commas"),
        ("a:9092,b:0", "write host:port, several separated by commas"),
        (
            "SASL_SSL://a:9092",
            "write host:port, and set the protocol in kafka.properties: security.protocol",
        ),
    ] {
        replaced(
            "localhost:9092",
            servers,
            &[&format!(
                "2:22: kafka.bootstrap_servers: `{servers}` is no list of brokers; {remedy}"
            )],
        );
    }
    for servers in ["a:1", "a:9092, b:9092", "[::1]:9092"] {
        assert!(parse(&BASE.replace("localhost:9092", &format!("\"{servers}\""))).is_ok());
    }
}

#[test]
fn properties_that_could_lose_records_are_refused() {
    let property = |line: &str, expected: &[&str]| {
        let text = format!("group_id: orders\n  properties:\n    {line}");
        replaced("group_id: orders", &text, expected);
    };
    for (name, why) in [
        ("enable.auto.commit", "ldsink commits what is settled, and nothing else; remove it"),
        ("enable.auto.offset.store", "ldsink commits what is settled, and nothing else; remove it"),
        (
            "auto.commit.interval.ms",
            "ldsink commits what is settled, and nothing else; use commit_interval",
        ),
        ("group.id", "has a key of its own; use kafka.group_id"),
        ("bootstrap.servers", "has a key of its own; use kafka.bootstrap_servers"),
        ("metadata.broker.list", "has a key of its own; use kafka.bootstrap_servers"),
        ("enable.partition.eof", "ldsink never stops at the end of a partition; remove it"),
        (
            "allow.auto.create.topics",
            "a misspelt topic would be created, and stay empty; remove it",
        ),
        ("acks", "dead letters always wait for all replicas; remove it"),
        ("enable.idempotence", "dead letters are always written safely; remove it"),
        ("rebalance_cb", "a file cannot hold a callback; remove it"),
    ] {
        property(
            &format!("{name}: x"),
            &[&format!("5:5: kafka.properties.{name}: is not allowed: {why}")],
        );
    }
    property(
        "auto.offset.reset: latest",
        &["5:5: kafka.properties.auto.offset.reset: is not allowed: \
           records nobody has read could be skipped; use `earliest` or `error`"],
    );
    property(
        "isolation.level: read_uncommitted",
        &["5:5: kafka.properties.isolation.level: is not allowed: \
           uncommitted records may be rolled back; remove it"],
    );
    property(
        "max.poll.interval.ms: 30000",
        &["5:27: kafka.properties.max.poll.interval.ms: is too short for a drain; \
           make it more than 30000, which is drain_deadline and 10s"],
    );
}

#[test]
fn other_properties_are_passed_on_as_text() {
    let text = BASE.replace(
        "group_id: orders",
        "group_id: orders\n  properties:\n    check.crcs: false\n    statistics.interval.ms: 5000\n    \
         max.poll.interval.ms: 30001\n    auto.offset.reset: error",
    );
    let properties = parse(&text).unwrap().kafka.properties;
    let expected = [
        ("check.crcs", "false"),
        ("statistics.interval.ms", "5000"),
        ("max.poll.interval.ms", "30001"),
        ("auto.offset.reset", "error"),
    ];
    assert_eq!(properties, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn tokens_are_what_launchdarkly_takes() {
    for (token, problem) in [
        ("Bearer api-very-secret", "begins with `Bearer`; give the raw token alone"),
        (
            "sdk-very-secret",
            "is an SDK or mobile key; \
             these APIs take access tokens only: create one in the account's settings",
        ),
        (
            "mob-very-secret",
            "is an SDK or mobile key; \
             these APIs take access tokens only: create one in the account's settings",
        ),
        ("'very secret'", "has blanks or unprintable characters; give the raw token on one line"),
        ("${EMPTY}", "is empty; give it a value"),
    ] {
        let expected = format!("6:19: targets.main.access_token: {problem}");
        replaced("api-very-secret", token, &[&expected]);
    }
    replaced(
        "    access_token: api-very-secret\n",
        "",
        &["5:3: targets.main.access_token: is missing; \
           give it, best as ${LD_ACCESS_TOKEN}, or give access_token_file"],
    );
    replaced(
        "    project",
        "    access_token_file: token\n    project",
        &["7:24: targets.main.access_token_file: stands beside access_token; keep one of the two"],
    );
}

#[test]
fn a_token_is_read_from_a_file_beside_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ldsink.yaml");
    let text = BASE.replace("access_token: api-very-secret", "access_token_file: token");
    fs::write(&path, &text).unwrap();
    let load = |token: &str| {
        fs::write(directory.path().join("token"), token).unwrap();
        Config::load(&path)
    };
    let config = load("api-of-the-file\n").unwrap();
    assert_eq!(config.targets[0].access_token.expose_secret(), "api-of-the-file");
    for (token, said) in [("\n", "holds no token"), ("a\nb", "has blanks")] {
        let error = load(token).unwrap_err().to_string();
        assert!(
            error.contains(&format!(":6:24: targets.main.access_token_file: {said}")),
            "{error}"
        );
    }
    said(
        &text.replace("access_token_file: token", "access_token_file: nowhere/token"),
        &["6:24: targets.main.access_token_file: `nowhere/token` does not exist; \
           a relative path starts from the directory of this file"],
    );
}

#[test]
fn a_loaded_file_takes_the_variables_of_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ldsink.yaml");
    // Cargo sets this one for every test.
    fs::write(&path, BASE.replace("group_id: orders", "group_id: ${CARGO_PKG_NAME}")).unwrap();
    assert_eq!(Config::load(&path).unwrap().kafka.group_id, "ldsink");
}

#[test]
fn targets_are_complete_and_encrypted() {
    let more = |lines: &str, expected: &[&str]| {
        replaced("project: storefront", &format!("project: storefront\n    {lines}"), expected);
    };
    more(
        "instance: comercial",
        &["8:15: targets.main.instance: `comercial` is no choice here; did you mean `commercial`?"],
    );
    more(
        "company: a-b",
        &["8:14: targets.main.company: `a-b` has characters that are not allowed; \
           use ASCII letters, digits and `_`"],
    );
    more(
        "events_url: http://localhost:99",
        &["8:17: targets.main.events_url: is only half of the address; \
           give api_url too, or choose an instance"],
    );
    more(
        "instance: eu\n    events_url: http://127.0.0.1:99/\n    api_url: http://localhost",
        &["8:15: targets.main.instance: stands beside events_url and api_url; keep one of the two"],
    );
    more(
        "events_url: http://proxy.example.com\n    api_url: ftp://example.com",
        &[
            "8:17: targets.main.events_url: `http://proxy.example.com` \
             would carry the token in clear over the network; use https://",
            "9:14: targets.main.api_url: `ftp://example.com` is no web address; \
             start it with https://",
        ],
    );
    more(
        "events_url: nowhere\n    api_url: https://user:secret@example.com",
        &[
            "8:17: targets.main.events_url: `nowhere` is not a URL; \
             write it like https://events.launchdarkly.com",
            "9:14: targets.main.api_url: the value (not shown) holds a user or a password; \
             remove what stands before the `@`",
        ],
    );
    replaced(
        "project: storefront",
        "project: My Shop",
        &["7:14: targets.main.project: `My Shop` has characters that are not allowed; \
           give the project's key, not its title"],
    );
    let text = BASE.replace("project: storefront", "project: storefront\n    instance: eu");
    let targets = parse(&text).unwrap().targets;
    assert_eq!(targets[0].events_url, "https://events.eu.launchdarkly.com");
    let urls = "project: x\n    events_url: http://[::1]:99/base/\n    api_url: HTTPS://a.example";
    let targets = parse(&BASE.replace("project: storefront", urls)).unwrap().targets;
    assert_eq!(targets[0].events_url, "http://[::1]:99/base");
    assert_eq!(targets[0].api_url, "https://a.example");
}

#[test]
fn routes_name_their_topics_once_and_never_the_dead_letters() {
    replaced(
        "[orders]",
        "[orders, orders, ldsink.dead-letters, ^shop.*, \"a b\"]",
        &[
            "11:22: routes[0].topics[1]: `orders` stands here a second time; name each topic once",
            "11:30: routes[0].topics[2]: `ldsink.dead-letters` is the dead-letter topic; \
             refused records would come back for ever: choose another dead_letter.topic, \
             or read it with a service of its own",
            "11:51: routes[0].topics[3]: `^shop.*`: the pattern does not end with `$`, \
             so that brokers and clients take it differently; write it like ^shop\\.public\\..*$",
            "11:60: routes[0].topics[4]: `a b` has characters that are not allowed; \
             Kafka's topics have letters, digits, `.`, `_`, `-`",
        ],
    );
    replaced(
        "[orders]",
        "[]",
        &["11:5: routes[0].topics: names no topic; name at least one topic: topics: [shop.orders]"],
    );
    replaced(
        "format: json",
        "format: csv",
        &[
            "12:13: routes[0].format: `csv` is no choice here; one of json, debezium, debezium_flat, \
           maxwell, auto",
        ],
    );
    replaced(
        "format: json",
        "format: json\n    before: full",
        &[
            "13:13: routes[0].before: has no meaning for this format, which invents nothing; remove it",
        ],
    );
    replaced(
        "format: json",
        "format: debezium\n    before: key",
        &["13:13: routes[0].before: `key` is no choice here; one of auto, full, key_only"],
    );
    let second = BASE.split_once("routes:\n").unwrap().1;
    said(
        &format!("{BASE}{second}"),
        &["17:11: routes[1].name: `checkout` is the name of an earlier route; \
           give each route a name of its own"],
    );
    replaced(
        "target: main",
        "target: mian",
        &["14:15: routes[0].metric_event.target: `mian` is not among the targets; \
           did you mean `main`?"],
    );
}

#[test]
fn conditions_and_references_are_blamed_at_their_very_character() {
    let roots = "one of row, before, after, key, source, headers, topic, partition, offset, \
                 timestamp, op";
    let cel = "conditions are CEL: https://github.com/google/cel-spec";
    let when = |text: &str, place: &str, column: usize| {
        let expected = format!(
            "{place}: routes[0].when: `rows` is not a part of a change; {roots} \
             (fields are row.rows) (column {column} of the expression); {cel}"
        );
        replaced("format: json", &format!("when: {text}\n    format: json"), &[&expected]);
    };
    when("op == \"create\" && rows.total > 3", "12:29", 19);
    when("'op == \"create\" && rows.total > 3'", "12:30", 19);
    when(">-\n      op == \"create\"\n      && rows.total > 3", "13:7", 19);
    for (key, column, said) in [
        ("$.rwo.id", 14, &*format!("`rwo` is not a part of a change; {roots}")),
        ("\"$.row\"", 18, "name a field of it, for example $.row.id"),
    ] {
        let remedy = "write a reference like $.row.user_id";
        let expected = format!("15:{column}: routes[0].metric_event.key: {said}; {remedy}");
        replaced("key: checkout", &format!("key: {key}"), &[&expected]);
    }
}

#[test]
fn event_keys_and_contexts_are_always_there() {
    let not_counted = "is empty: LaunchDarkly does not count such an event; \
                       give a text or a reference";
    for (key, said) in [
        ("\"\"", &*format!("15:12: routes[0].metric_event.key: {not_counted}")),
        (
            "{ from: $.row.kind, optional: true }",
            "15:42: routes[0].metric_event.key.optional: cannot be left out: \
             LaunchDarkly does not count an event without it; \
             remove `optional`: a record without it becomes a dead letter",
        ),
        (
            "{ from: $.row.kind, literal: a }",
            "15:41: routes[0].metric_event.key.literal: stands beside `from`; keep one of the two",
        ),
        (
            "{}",
            "15:7: routes[0].metric_event.key: says neither `from` nor `expr` nor `literal`; \
             give one: { from: $.row.id }",
        ),
        (
            "true",
            "15:12: routes[0].metric_event.key: `true` is not a text; quote it if it is meant",
        ),
    ] {
        replaced("key: checkout", &format!("key: {key}"), &[said]);
    }
    let remedy = "say whom the event is about: context: { user: $.row.user_id }";
    replaced(
        "      context: { user: $.row.user_id }\n",
        "",
        &[&format!("13:5: routes[0].metric_event.context: is missing; {remedy}")],
    );
    replaced(
        "{ user: $.row.user_id }",
        "{}",
        &[&format!("16:7: routes[0].metric_event.context: names no context kind; {remedy}")],
    );
    replaced(
        "{ user: $.row.user_id }",
        "{ kind: a, user: \"\" }",
        &[
            "16:18: routes[0].metric_event.context.kind: cannot name a context kind; \
             use letters, digits, `.`, `_`, `-`; `kind` and `multi` are reserved",
            &format!("16:33: routes[0].metric_event.context.user: {not_counted}"),
        ],
    );
}

#[test]
fn literals_fit_what_they_are_for() {
    appended(
        "      value: much\n      time: 5\n      data: { a: , b: { literal: x, default: y } }",
        &[
            "17:14: routes[0].metric_event.value: `much` is not a number; \
             write a number, or refer to a field: $.row.total",
            "18:13: routes[0].metric_event.time: `5` would be the time of every event; \
             refer to a field: $.row.created_at",
            "19:15: routes[0].metric_event.data.a: has no value; \
             give it one, or remove the key when it is optional",
            "19:46: routes[0].metric_event.data.b.default: has no meaning beside `literal`, \
             which is always there; remove it",
        ],
    );
    appended(
        "      value: { from: $.row.x, optional: true, default: 1 }",
        &["17:56: routes[0].metric_event.value.default: stands beside `optional`; \
           keep one of the two"],
    );
    appended(
        "      value: { from: $.row.x, default: none }",
        &["17:40: routes[0].metric_event.value.default: `none` is not a number; \
           write a number, or refer to a field: $.row.total"],
    );
}

#[test]
fn expressions_are_checked_where_they_stand() {
    let cel = "expressions are CEL: https://github.com/google/cel-spec";
    let value = |text: &str, expected: &[&str]| {
        let expected: Vec<String> = expected
            .iter()
            .map(|said| said.replacen(" : ", ": routes[0].metric_event.value.expr: ", 1))
            .map(|said| said.replace(" CEL", &format!(" of the expression); {cel}")))
            .collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        appended(&format!("      value: {{ expr: {text} }}"), &expected);
    };
    value(
        "row.price * 2.0 + rwos",
        &["17:40 : `rwos` is not a part of a change; one of row, before, after, key, source, \
         headers, topic, partition, offset, timestamp, op (fields are row.rwos) (column 19 CEL"],
    );
    value(
        "'roundd(row.price) + size()'",
        &[
            "17:23 : there is no function `roundd` (column 1 CEL",
            "17:43 : `size` does not take 0 arguments (column 21 CEL",
        ],
    );
    value("row.price +", &["17:33 : Syntax error: mismatched input '<EOF>' (column 12 CEL"]);
    value("row.price % 0", &["17:32 : always fails: division by zero (column 11 CEL"]);
    value(
        "topic",
        &["17:22 : gives a text, not a number; mend the expression, or choose another `as`"],
    );
    appended(
        "      value:\n        expr: >-\n          row.price *\n          rwos\n        default: 0",
        &[&format!(
            "19:11: routes[0].metric_event.value.expr: `rwos` is not a part of a change; one of \
             row, before, after, key, source, headers, topic, partition, offset, timestamp, op \
             (fields are row.rwos) (column 13 of the expression); {cel}"
        )],
    );
}

#[test]
fn what_an_expression_gives_fits_its_field() {
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        "key: checkout",
        "key: { expr: row.a > row.b }",
        &[&format!(
            "15:20: routes[0].metric_event.key.expr: gives true or false, \
         not a text or a whole number; {remedy}"
        )],
    );
    replaced(
        "user: $.row.user_id",
        "user: { expr: row.a * 1.5 }",
        &[&format!(
            "16:32: routes[0].metric_event.context.user.expr: gives a floating-point number, \
         not a text or a whole number; {remedy}"
        )],
    );
    appended(
        "      time: { expr: '[row.at]' }",
        &[&format!(
            "17:21: routes[0].metric_event.time.expr: gives a list, not a number or a text; {remedy}"
        )],
    );
    appended(
        "      data: { a: { expr: 'null' } }",
        &[&format!(
            "17:26: routes[0].metric_event.data.a.expr: gives null, \
         not a number or a text or true or false or a list or an object; {remedy}"
        )],
    );
    replaced(
        "format: json",
        "format: json\n    when: row.total + 1",
        &["13:11: routes[0].when: gives a number, not true or false \
         (column 1 of the expression); conditions are CEL: https://github.com/google/cel-spec"],
    );
}

#[test]
fn a_computed_definition_fits_its_fields() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let metric = "    metric:\n      target: main\n      key: { expr: '\"m-\" + row.id' }\n      \
                  kind: custom\n      is_numeric: { expr: row.unit }\n      \
                  tags: { expr: \"'a' + row.tag\" }\n      name: { from: $.row.x, as: number }\n";
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        event,
        metric,
        &[
            &format!("18:7: routes[0].metric.tags: gives a text, not a list; {remedy}"),
            &format!("19:7: routes[0].metric.name: gives a number, not a text; {remedy}"),
        ],
    );
}

#[test]
fn what_is_literal_in_a_definition_is_checked_beside_what_is_not() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let metric = "    metric:\n      target: main\n      key: $.row.key\n      kind: custom\n      \
                  is_numeric: sometimes\n      event_default: { disabled: maybe }\n      \
                  percentile_value: 101\n      name: $.row.name\n";
    let refused = |line: u32, field: &str, problem: &str| {
        let name = field.split('.').next().unwrap_or_default();
        format!(
            "{line}:7: routes[0].metric.{name}: LaunchDarkly would refuse it: {field}: {problem}; \
             mend the definition"
        )
    };
    let flag = "must be true or false";
    // Each mistake once, also where no field is from data.
    replaced(
        event,
        "    metric:\n      target: main\n      key: a\n      kind: custom\n      \
         is_numeric: sometimes\n      success_criteria: Higher\n",
        &[
            &refused(17, "is_numeric", flag).replace("17:7", "17:19"),
            &refused(
                18,
                "success_criteria",
                "must be one of HigherThanBaseline, LowerThanBaseline",
            )
            .replace("18:7", "18:25"),
        ],
    );
    // What cannot be read is not missing, too.
    let remedy = "mend the expression, or choose another `as`";
    replaced(
        event,
        "    metric:\n      target: main\n      key: a\n      kind: custom\n      event_key: a\n      \
         is_numeric: { expr: '1' }\n",
        &[&format!(
            "18:7: routes[0].metric.is_numeric: gives a whole number, not true or false; {remedy}"
        )],
    );
    replaced(
        event,
        metric,
        &[
            &refused(17, "is_numeric", flag).replace("17:7", "17:19"),
            &refused(18, "event_default.disabled", flag),
            &refused(19, "percentile_value", "must be an integer from 0 to 100")
                .replace("19:7", "19:25"),
        ],
    );
}

#[test]
fn what_cannot_be_a_key_or_a_kind_is_refused_at_start() {
    let event = "    metric_event:\n      target: main\n      key: checkout\n      context: { user: $.row.user_id }\n";
    let remedy = "use a letter or digit, then letters, digits, `.`, `_` and `-`, at most 256";
    let key = "cannot be the key of a segment or a metric";
    let segment = |what: &str| {
        format!(
            "    segment_member:\n      target: main\n      context_key: $.row.id\n      {what}\n"
        )
    };
    for (what, said) in [
        (
            "segment: VIP shoppers",
            format!("16:16: routes[0].segment_member.segment: {key}; {remedy}"),
        ),
        (
            "segment: { from: $.row.plan, default: no plan }",
            format!("16:7: routes[0].segment_member.segment: {key}; {remedy}"),
        ),
        (
            "segment: a\n      exclusive: [b, c/d]",
            format!(
                "17:7: routes[0].segment_member.exclusive: has what cannot be the key of a segment; \
                 {remedy}"
            ),
        ),
        (
            "segment: a\n      context_kind: multi",
            "17:21: routes[0].segment_member.context_kind: cannot name a context kind; \
             use letters, digits, `.`, `_`, `-`; `kind` and `multi` are reserved"
                .to_owned(),
        ),
    ] {
        replaced(event, &segment(what), &[&said]);
    }
    let metric = "    metric:\n      target: main\n      key: a b\n      kind: pageview\n      \
                  urls: [{ kind: exact, url: 'https://a.example' }]\n";
    replaced(event, metric, &[&format!("15:12: routes[0].metric.key: {key}; {remedy}")]);
    let cohort = "segment: A cohort\n      kind: synced\n      \
                  synced: { integration_key: amplitude, client_side_id: c }";
    assert!(parse(&BASE.replacen(event, &segment(cohort), 1)).is_ok());
}

#[test]
fn conversions_fit_what_they_are_for() {
    for (field, said) in [
        (
            "{ from: $.row.x, as: money }",
            "17:35: routes[0].metric_event.value.as: `money` is no choice here; \
          one of number, integer, string, boolean, timestamp, decimal",
        ),
        (
            "{ from: $.row.x, as: boolean }",
            "17:22: routes[0].metric_event.value.from: gives true or false, \
          not a number; mend the expression, or choose another `as`",
        ),
        (
            "{ expr: row.a > 1, as: decimal }",
            "17:22: routes[0].metric_event.value.expr: gives true or false, \
          which cannot be taken as decimal; mend the expression, or remove `as`",
        ),
        (
            "{ from: $.row.x, as: number, scale: 2 }",
            "17:50: routes[0].metric_event.value.scale: \
          has no meaning without `as: decimal`; add it, or remove this",
        ),
        (
            "{ from: $.row.x, unit: days }",
            "17:37: routes[0].metric_event.value.unit: \
          has no meaning without `as: timestamp`; add it, or remove this",
        ),
        (
            "{ from: $.row.x, as: decimal, scale: two }",
            "17:51: routes[0].metric_event.value.scale: \
          `two` is no number of digits; choose -100 to 400",
        ),
        (
            "{ from: $.row.x, as: timestamp, unit: min }",
            "17:52: routes[0].metric_event.value.unit: \
          `min` is no choice here; one of s, ms, us, ns, days",
        ),
        (
            "{ literal: 5, as: number }",
            "17:32: routes[0].metric_event.value.as: has no meaning beside \
          `literal`, which is sent as it stands; remove it",
        ),
        (
            "{ from: $.row.x, expr: row.x }",
            "17:37: routes[0].metric_event.value.expr: stands beside `from`; \
          keep one of the two",
        ),
    ] {
        appended(&format!("      value: {field}"), &[said]);
    }
}

#[test]
fn the_rest_has_its_ranges_and_its_choices() {
    let tail = "\
unmatched: drop
batch: { max_events: 0, max_bytes: 10MB, linger: soon }
delivery: { concurrency: many, gzip: yes, retry_initial: 2m, retry_max: 1m }
dead_letter: { topic: \"^a\" }
limits: { in_flight_bytes: 10MB, partition_in_flight_bytes: 16MB }
commit_interval: 10
drain_deadline: 5m
log: { level: inof, format: xml }";
    appended(
        tail,
        &[
            "17:12: unmatched: `drop` is no choice here; one of ignore, dead_letter",
            "18:22: batch.max_events: `0` is out of range; choose 1 to 100000",
            "18:36: batch.max_bytes: `10MB` is out of range; choose 1KB to 9900KB",
            "18:50: batch.linger: `soon` is not a duration; \
             write it with its unit, like 200ms, 30s or 5m",
            "19:26: delivery.concurrency: `many` is not a whole number; write digits only",
            "19:38: delivery.gzip: `yes` is no choice here; one of true, false",
            "19:58: delivery.retry_initial: is longer than delivery.retry_max; \
             make the first pause the shorter one",
            "20:23: dead_letter.topic: `^a` is a pattern; \
             name each topic; patterns are not supported",
            "21:61: limits.partition_in_flight_bytes: is more than limits.in_flight_bytes, \
             the limit of all partitions together; lower it, or raise the other",
            "22:18: commit_interval: `10` is not a duration; \
             write it with its unit, like 200ms, 30s or 5m",
            "23:17: drain_deadline: `5m` is out of range; choose 1s to 4m",
            "24:15: log.level: `inof` names no level; did you mean `info`?",
            "24:29: log.format: `xml` is no choice here; one of text, json",
        ],
    );
    appended(
        "delivery: { requests_per_second: 0 }",
        &["17:34: delivery.requests_per_second: `0` is out of range; choose 1 to 10000"],
    );
    appended(
        "delivery: { reserve: 0.2, burst: 5 }",
        &[
            "17:22: delivery.reserve: `0.2` is not a share; write it in percent, like 20%",
            "17:34: delivery.burst: has no meaning without delivery.requests_per_second; \
             give both, or neither",
        ],
    );
    appended(
        "delivery: { reserve: 100% }",
        &["17:22: delivery.reserve: `100%` is out of range; choose 0% to 90%"],
    );
    appended(
        "limits: { partition_in_flight_bytes: 4MB }",
        &["17:38: limits.partition_in_flight_bytes: is less than batch.max_bytes, \
           so a full batch would never fit; raise it, or lower the other"],
    );
    appended(
        "log: { level: \"info,ldsink=loud\" }",
        &["17:15: log.level: `info,ldsink=loud` is not a log filter; \
           write a level, or levels by module: info,ldsink::pipeline=debug"],
    );
}

// --- all at once ---

#[test]
fn five_mistakes_in_one_file_are_all_reported_in_the_order_of_its_lines() {
    let text = format!("{BASE}batch: {{ linger: 1 }}\ncolour: red\n")
        .replace("localhost:9092", "localhost")
        .replace("api-very-secret", "sdk-very-secret")
        .replace("$.row.user_id", "$.user_id");
    let shown = parse(&text).unwrap_err().to_string();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 6, "{shown}");
    for (line, place) in lines.iter().zip(["2:22", "6:19", "16:26", "17:18", "18:1"]) {
        assert!(line.starts_with(&format!("ldsink.yaml:{place}: ")), "{line}");
    }
    assert_eq!(lines[5], "5 mistakes in ldsink.yaml");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Path::new("nowhere/ldsink.yaml")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert_eq!(error.to_string(), "cannot read the configuration file nowhere/ldsink.yaml");
}

// --- what is right ---

#[test]
fn literals_keep_their_meaning() {
    let event = metric_event(&format!(
        "{BASE}      value: 3\n      data:\n        n: 1.5\n        t: '1.5'\n        b: true\n        \
         z: 007\n        e: ''\n        l: {{ literal: $.row.x }}\n        \
         d: {{ from: $.row.x, default: 2 }}\n        o: {{ from: $.row.x, optional: true }}\n"
    )
    .replace("key: checkout", "key: 007"));
    let literal = |value: serde_json::Value| FieldSource::Literal(value);
    assert_eq!(event.key.from, literal("007".into()));
    assert_eq!(event.value.unwrap().from, literal(3.into()));
    let sources: Vec<_> = event.data.iter().map(|(_, field)| field.from.clone()).collect();
    let expected: [serde_json::Value; 6] =
        [1.5.into(), "1.5".into(), true.into(), "007".into(), "".into(), "$.row.x".into()];
    assert_eq!(sources[..6], expected.map(literal));
    assert_eq!(event.data[6].1.absent, Absent::Default(2.into()));
    assert_eq!(event.data[7].1.absent, Absent::LeaveOut);
    assert_eq!(event.context[0].1.absent, Absent::Refuse);
}

#[test]
fn fields_are_computed_and_converted() {
    let event = metric_event(&format!(
        "{BASE}      value: {{ expr: row.price * double(row.count), default: 0 }}\n      \
         time: {{ from: $.row.day, as: timestamp, unit: days }}\n      data:\n        \
         d: {{ from: $.row.d, as: decimal, scale: 2, optional: true }}\n        \
         v: {{ from: $.row.d, as: decimal }}\n        s: {{ expr: row.n, as: string }}\n"
    ));
    let value = event.value.unwrap();
    assert_eq!(value.from, computed("row.price * double(row.count)"));
    assert_eq!((value.convert, value.absent), (None, Absent::Default(0.into())));
    assert_eq!(event.time.unwrap().convert, Some(Conversion::Timestamp(Some(Unit::Days))));
    let data: Vec<_> = event.data.iter().map(|(_, field)| field.convert.unwrap()).collect();
    let decimals = [Conversion::Decimal(Some(2)), Conversion::Decimal(None), Conversion::Text];
    assert_eq!(data, decimals);
    assert_eq!(event.data[0].1.absent, Absent::LeaveOut);
    assert_eq!(event.data[2].1.from, computed("row.n"));
}

fn computed(source: &str) -> FieldSource {
    FieldSource::Computed(Expression::compile(source).unwrap())
}

#[test]
fn sizes_are_decimal_or_binary_and_variables_fill_numbers() {
    for (written, bytes) in [("8MiB", 8_388_608), ("1MB", 1_000_000), ("1234", 1234)] {
        let config = parse(&format!("{BASE}batch: {{ max_bytes: {written} }}\n")).unwrap();
        assert_eq!(config.pipeline.batch.max_bytes, bytes);
    }
    let config = parse(&format!("{BASE}batch: {{ max_events: \"${{TEN}}\" }}\n")).unwrap();
    assert_eq!(config.pipeline.batch.max_events, 10);
}

#[test]
fn the_ends_of_a_range_belong_to_it() {
    for (events, is_right) in [(0, false), (1, true), (100_000, true), (100_001, false)] {
        let result = parse(&format!("{BASE}batch: {{ max_events: {events} }}\n"));
        assert_eq!(result.is_ok(), is_right, "{events}");
    }
}

// --- secrets ---

/// Lines of the reference whose value a variable can fill.
fn fillable() -> Vec<usize> {
    let has_value = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        !line.starts_with('#') && line.split_once(": ").is_some_and(|(_, value)| !value.is_empty())
    };
    let lines = REFERENCE.lines().enumerate();
    lines.filter(|(_, line)| has_value(line)).map(|(index, _)| index).collect()
}

/// The reference with other values on some lines.
fn filled(lines: &[usize], value: &str) -> String {
    let fill = |(index, line): (usize, &str)| match line.split_once(": ") {
        Some((key, _)) if lines.contains(&index) => format!("{key}: {value}\n"),
        _ => format!("{line}\n"),
    };
    REFERENCE.lines().enumerate().map(fill).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_value_from_the_environment_is_ever_shown(secret in "(api-|\\$\\.|\\^|https://)?zq9[ -~]{0,24}") {
        let look_up = |name: &str| Some(if name == "SECRET" { &*secret } else { "x:1" }.to_owned());
        let every = fillable();
        for lines in every.iter().map(std::slice::from_ref).chain([&*every]) {
            let text = filled(lines, "\"${SECRET}\"");
            if let Err(mistakes) = Config::parse(&text, "ldsink.yaml", &look_up) {
                let shown = format!("{mistakes} {mistakes:?}");
                prop_assert!(!shown.contains("zq9"), "{shown}");
            }
        }
    }

    #[test]
    fn no_written_token_or_property_is_ever_shown(secret in "[a-zB ]{0,6}zq9[ -~]{0,24}") {
        let quoted = format!("'{}'", secret.replace('\'', "''"));
        let properties = format!(
            "group_id: orders\n  properties:\n    sasl.password: {quoted}\n    \
             auto.offset.reset: {quoted}\n    max.poll.interval.ms: {quoted}"
        );
        for token in [&*quoted, &format!("[{quoted}]"), &format!("'{secret}"), &secret] {
            let text = BASE
                .replace("group_id: orders", &properties)
                .replace("api-very-secret", token);
            let shown = format!("{:?}", parse(&text));
            let mistakes = parse(&text).map_err(|mistakes| mistakes.to_string());
            prop_assert!(!shown.contains("zq9"), "{shown}");
            prop_assert!(!mistakes.is_err_and(|shown| shown.contains("zq9")));
        }
    }
}

#[test]
fn a_usable_configuration_prints_without_its_token() {
    let config = parse(BASE).unwrap();
    assert_eq!(config.targets[0].access_token.expose_secret(), "api-very-secret");
    assert!(!format!("{config:?}").contains("very-secret"));
}

// --- the files in config/ ---

#[test]
fn the_reference_shows_the_defaults() {
    let reference = parse(REFERENCE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let defaults = parse(BASE).unwrap();
    let (shown, built_in) = (&reference.pipeline, &defaults.pipeline);
    assert_eq!(shown.unmatched, built_in.unmatched);
    assert_eq!(shown.batch, built_in.batch);
    assert_eq!(shown.delivery, built_in.delivery);
    assert_eq!(shown.dead_letter, built_in.dead_letter);
    assert_eq!(shown.limits, built_in.limits);
    assert_eq!(shown.checks, built_in.checks);
    assert_eq!(shown.routes[0].checks, built_in.routes[0].checks);
    assert_eq!(shown.commit_interval, built_in.commit_interval);
    assert_eq!(shown.drain_deadline, built_in.drain_deadline);
    assert_eq!(reference.admin.listen, defaults.admin.listen);
    assert!(reference.admin.token.is_none() && defaults.admin.token.is_none());
    assert_eq!(reference.log, defaults.log);
    assert_eq!(reference.kafka.startup_timeout, defaults.kafka.startup_timeout);
    assert_eq!(reference.kafka.properties, defaults.kafka.properties);
    let (shown, built_in) = (&reference.targets[0], &defaults.targets[0]);
    assert_eq!(shown.company, built_in.company);
    assert_eq!(shown.events_url, built_in.events_url);
    assert_eq!(shown.api_url, built_in.api_url);
}

#[test]
fn a_lane_has_the_largest_priority_of_its_routes() {
    let route = |name: &str, more: &str| {
        format!(
            "  - {{ name: {name}, topics: [a], format: json{more}, \
             metric_event: {{ target: main, key: paid, context: {{ user: $.row.u }} }} }}\n"
        )
    };
    let routes = [route("one", ""), route("two", ", priority: 7"), route("three", ", priority: 2")];
    let (head, _) = BASE.split_once("routes:\n").unwrap();
    let pipeline = parse(&format!("{head}routes:\n{}", routes.concat())).unwrap().pipeline;
    assert_eq!(pipeline.priority(TargetId(0), "metric_event"), 7);
    assert_eq!(pipeline.priority(TargetId(0), "metric"), 1);
}

#[test]
fn the_reference_has_every_key() {
    for section in SECTIONS {
        let top = section.section.split(['.', '[']).next().unwrap_or_default();
        for key in section.keys {
            let is_there = lines_of(top).any(|line| {
                let line = line.trim_start().trim_start_matches(['#', ' ', '-']);
                line.contains(&format!("{{ {key}: "))
                    || line.contains(&format!(", {key}: "))
                    || line.starts_with(&format!("{key}:"))
            });
            assert!(is_there, "{}.{key} is missing in config/ldsink.yaml", section.section);
        }
    }
}

/// The lines of a top-level section of the reference, comments above its key excluded; all lines
/// for the root.
fn lines_of(top: &str) -> impl Iterator<Item = &'static str> {
    let is_top = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase());
    let start = REFERENCE.lines().position(|line| line.starts_with(&format!("{top}:")));
    let rest = REFERENCE.lines().skip(start.unwrap_or(0));
    let whole = top.is_empty();
    rest.enumerate().take_while(move |(n, line)| whole || *n == 0 || !is_top(line)).map(|(_, l)| l)
}

#[test]
fn the_reference_states_the_ranges() {
    let mut stated = 0;
    for line in fillable() {
        // A day, and more events, bytes and percent than any range allows.
        for value in ["86400s", "4000000000", "999999999999", "400%"] {
            let Err(mistakes) = parse(&filled(&[line], value)) else { continue };
            let Some(mistake) = mistakes.iter().find(|m| m.problem.ends_with("is out of range"))
            else {
                continue;
            };
            let range = mistake.remedy.strip_prefix("choose ").unwrap();
            let above: Vec<&str> =
                REFERENCE.lines().take(line).skip(line.saturating_sub(2)).collect();
            assert!(above.concat().contains(range), "line {}: {range}", line + 1);
            stated += 1;
            break;
        }
    }
    assert_eq!(stated, 23, "keys with a range");
}

#[test]
fn the_demo_file_says_what_the_demo_shows() {
    let look_up = |name: &str| match name {
        "LDSINK_DEMO_BOOTSTRAP" => Some("127.0.0.1:19092".to_owned()),
        "LDSINK_DEMO_SANDBOX_URL" => Some("http://127.0.0.1:18080".to_owned()),
        "LDSINK_DEMO_TOKEN" => Some("api-demo".to_owned()),
        _ => None,
    };
    let config = Config::parse(DEMO, "config/demo.yaml", &look_up)
        .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(config.targets[0].name, "demo");
    assert_eq!(config.targets[0].events_url, "http://127.0.0.1:18080");
    let topics = config.pipeline.topics();
    let topics: Vec<_> = topics.iter().map(TopicSelector::as_str).collect();
    assert_eq!(topics, ["shop.public.orders"]);
    assert_eq!(config.pipeline.routes[0].name, "checkout");
    let missing = Config::parse(DEMO, "config/demo.yaml", &|_| None).unwrap_err();
    assert_eq!(missing.iter().count(), 4, "{missing}");
}

#[test]
fn the_admin_token_is_one_and_no_short_one() {
    let given = "admin: { token: open-sesame-open-sesame }\n";
    let config = parse(&format!("{BASE}{given}")).unwrap();
    let token = config.admin.token.as_ref().unwrap();
    assert_eq!(token.expose_secret(), "open-sesame-open-sesame");
    assert!(!format!("{config:?}").contains("open-sesame"));
    assert_eq!(config.effective["admin.token"], "[redacted]");
    let short = "is no token that nobody guesses";
    for (given, wanted) in [
        ("admin: { token: sesame }\n", short),
        ("admin: { token: \"open sesame open sesame\" }\n", short),
        ("admin: { token: open-sesame-open-sesame, token_file: t }\n", "stands beside token"),
        ("admin: { token_file: nowhere }\n", "`nowhere` does not exist"),
    ] {
        let mistakes = parse(&format!("{BASE}{given}")).unwrap_err().to_string();
        assert!(mistakes.contains(wanted) && !mistakes.contains("sesame"), "{mistakes}");
    }
}

/// What is in force, defaults included, and no secret.
#[test]
fn the_effective_configuration_has_everything_but_secrets() {
    let config = parse(&BASE.replace("key: checkout\n", "key: ${TEN}\n")).unwrap();
    for (key, value) in [
        ("kafka.bootstrap_servers", "localhost:9092"),
        ("kafka.startup_timeout", "30s"),
        ("targets.main.access_token", "[redacted]"),
        ("routes[0].topics[0]", "orders"),
        // From the environment: it may be anything.
        ("routes[0].metric_event.key", "[redacted]"),
        ("batch.max_bytes", "8MB"),
        ("delivery.gzip", "true"),
        ("dead_letter.guard.window", "1000"),
        ("dead_letter.topic", "ldsink.dead-letters"),
        ("admin.listen", "127.0.0.1:9464"),
        ("log.format", "text"),
    ] {
        assert_eq!(config.effective.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!format!("{:?}", config.effective).contains("api-very-secret"));
}
