//! The file as a whole: its shape, its variables, and all its mistakes at once.

use std::fs;
use std::path::Path;

use ldsink::config::{Config, ConfigError};

use crate::base::{BASE, appended, parse, replaced, said};

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
fn a_loaded_file_takes_the_variables_of_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ldsink.yaml");
    // Cargo sets this one for every test.
    fs::write(&path, BASE.replace("group_id: orders", "group_id: ${CARGO_PKG_NAME}")).unwrap();
    assert_eq!(Config::load(&path).unwrap().kafka.group_id, "ldsink");
}

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
