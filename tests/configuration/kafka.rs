//! The section `kafka`.

use crate::base::{BASE, parse, replaced};

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
